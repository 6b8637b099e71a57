import { Prng, silentLog } from '@nyala/client/base'
import type { MemberId } from '@nyala/client/protocol'
import { type ClientAnswer, livingOwners, QueryOwner } from '@nyala/coordinator/failover'
import {
  type CommitRequest,
  Keys,
  type LoggedQuery,
  type NewQuery,
  type Owner,
  QueryLog,
  type WatchEvent,
} from '@nyala/metastore'
import { type Fate, ManualClock, MemoryEtcd, type MemoryKv } from '@nyala/metastore/memory'
import { ProcessKv, SimProcess } from './sim-process.ts'

export const OWNERSHIP_MUTANTS = [
  /** A claim does not compare the record that it rests on. */
  'unguardedClaim',
  /** An owner's word does not compare the record that it rests on. */
  'unguardedAdvance',
  /** The end of a query does not compare the record that it rests on. */
  'unguardedFinish',
  /** A claim keeps the owner epoch, so that executors cannot tell the owners apart. */
  'sameOwnerEpoch',
  /** Executors take commands under any owner epoch. */
  'deafExecutors',
  /** Who is not registered is taken for dead, though its socket is open. */
  'deafToSockets',
] as const
export type OwnershipMutant = (typeof OWNERSHIP_MUTANTS)[number]

const COORDINATORS = ['c1', 'c2', 'c3']
const QUERIES = 6
const FRAMES = 12
const TROUBLE_MS = 10_000
/** Within what every query must have ended once nothing goes wrong any more. */
const RECOVERY_MS = 30_000
/** For so long at most a process may be cut off from the store, also beyond the time of troubles. */
const CUT_MS = 15_000
/** Who has not reached the store for so long is no longer registered; it is again so long after it does. */
const LEASE_MS = 3_000
const REGISTERING_MS = 500
/** A claim that was right when it was decided may be applied so much later. */
const CLAIM_LATE_MS = 15_000

/** One process of a coordinator. */
interface Node {
  readonly self: Owner
  readonly process: SimProcess
  readonly kv: ProcessKv
  readonly queryLog: QueryLog
  readonly owner: QueryOwner
  /** Queries that it believes to run. */
  readonly running: Set<string>
  /** When it reaches the store again. */
  cutUntilMs: number
  /** Registered but for the time from the first of these to the second. */
  unregistered: { readonly fromMs: number; readonly untilMs: number }
}

/** What an executor has spooled: it takes commands of the highest owner epoch it has seen. */
interface Spool {
  epoch: number
  owner: string
}

/** A client that reads the frames of its query, from whichever coordinator serves it. */
interface Client {
  readonly id: string
  next: number
  done: boolean
  at: Node | undefined
}

export interface OwnershipReport {
  readonly violations: readonly string[]
  readonly story: readonly string[]
  readonly claims: number
  /** Queries whose clients got every frame. */
  readonly completed: number
}

/**
 * Queries that run at three coordinators which are killed and paused, while requests and replies to the store are lost
 * or late. Their clients go to another coordinator when theirs does not answer; the executors obey the highest owner
 * epoch. Every frame must reach its client once and in order, no two processes may hold one owner epoch, and in the end
 * no record may be left. The same seed gives the same run.
 */
export class OwnershipSimulation {
  readonly #prng: Prng
  readonly #clock = new ManualClock()
  readonly #etcd = new MemoryEtcd(this.#clock)
  readonly #keys = new Keys('sim')
  readonly #nodes = new Map<string, Node>()
  readonly #clients = new Map<string, Client>()
  readonly #spools = new Map<string, Spool>()
  /** Who held each owner epoch of each query. */
  readonly #terms = new Map<string, string>()
  /** The last record of each query. */
  readonly #owners = new Map<string, LoggedQuery['record']>()
  /** The highest owner epoch of each query. */
  readonly #highest = new Map<string, number>()
  readonly #violations: string[] = []
  readonly #story: string[] = []
  readonly #tells: boolean
  readonly #mutant: OwnershipMutant | undefined
  #starts = 0
  #claims = 0
  #isTrouble = true

  constructor(
    seed: number,
    options: { readonly mutant?: OwnershipMutant | undefined; readonly tells?: boolean } = {},
  ) {
    this.#prng = new Prng(seed)
    this.#mutant = options.mutant
    this.#tells = options.tells ?? false
    this.#etcd.store.onRevision(() => this.#inspect())
  }

  run(): Promise<OwnershipReport> {
    return this.#clock.run(this.#run(), 10_000_000)
  }

  async #run(): Promise<OwnershipReport> {
    for (const id of COORDINATORS) this.#start(id)
    for (let n = 0; n < QUERIES; n++) {
      this.#clock.after(this.#prng.below(TROUBLE_MS / 2), () => void this.#begin(`q${n}`))
    }
    const end = this.#clock.now() + TROUBLE_MS
    while (this.#clock.now() < end) {
      await this.#clock.sleep(this.#prng.below(1_500))
      this.#trouble()
    }
    this.#heal()
    await this.#settle()
    const completed = [...this.#clients.values()].filter(({ next }) => next === FRAMES).length
    for (const { process, kv, owner } of this.#nodes.values()) {
      owner.stop()
      process.kill()
      void kv.close()
    }
    return { violations: this.#violations, story: this.#story, claims: this.#claims, completed }
  }

  #start(id: string): void {
    const process = new SimProcess(this.#clock)
    const inner = this.#etcd.connect()
    if (this.#isTrouble) inner.faults = this.#faults()
    const kv = new ProcessKv(inner, process, (request) => this.#mutate(request))
    const { clock } = process
    const self: Owner = { id: id as MemberId, startedAt: ++this.#starts }
    const running = new Set<string>()
    const queryLog = new QueryLog({ kv, keys: this.#keys, clock, log: silentLog })
    const owner = new QueryOwner({
      queryLog,
      clock,
      log: silentLog,
      self,
      living: () => this.#living(),
      isLeader: () => this.#leader() === node,
      runner: {
        adopt: (query) => this.#adopt(node, query),
        abandon: (query) => void running.delete(query),
        cancel: (query) => void running.delete(query),
        finished: () => undefined,
        tellClient: (query, answer) => this.#onAnswer(node, query, answer),
      },
    })
    const reaches = { cutUntilMs: 0, unregistered: { fromMs: 0, untilMs: 0 } }
    const node: Node = { self, process, kv, queryLog, owner, running, ...reaches }
    this.#nodes.set(id, node)
    this.#tell(`${id} starts as process ${self.startedAt}`)
    void queryLog.start().then(() => owner.start())
  }

  /** A process that is paused for long is suspected by then, and its sockets are closed; between the others all are open. */
  #living(): ReturnType<typeof livingOwners> {
    const nodes = [...this.#nodes.values()]
    const linked = nodes.filter(({ process }) => process.isRunning).map(({ self }) => self)
    return livingOwners({
      registered: nodes.filter((node) => this.#isRegistered(node)).map(({ self }) => self),
      linked: this.#mutant === 'deafToSockets' ? [] : linked,
      isSuspected: (id) => !linked.some((one) => one.id === id),
    })
  }

  #isRegistered({ unregistered }: Node): boolean {
    const now = this.#clock.now()
    return now < unregistered.fromMs || now >= unregistered.untilMs
  }

  /** The first that runs and reaches the store: here it only matters that there is one. */
  #leader(): Node | undefined {
    return [...this.#nodes.values()].find(
      (node) => node.process.isRunning && this.#isRegistered(node),
    )
  }

  async #begin(id: string): Promise<void> {
    const running = [...this.#nodes.values()].filter(({ process }) => process.isRunning)
    if (running.length === 0) return
    const node = this.#prng.pick(running)
    const client: Client = { id, next: 0, done: false, at: node }
    this.#tell(`${id} begins at ${node.self.id}`)
    try {
      const query = await node.owner.begin(newQuery(id))
      this.#clients.set(id, client)
      void this.#serve(node, query)
      void this.#read(client)
    } catch {
      // The client is told that its statement failed, and does not come again.
    }
  }

  #adopt(node: Node, query: LoggedQuery): void {
    this.#tell(`${node.self.id} adopts ${query.record.id} under ${query.record.ownerEpoch}`)
    this.#claims++
    void this.#serve(node, query)
  }

  /** Commands the executors, then serves frames, until the client has them all. */
  async #serve(node: Node, query: LoggedQuery): Promise<void> {
    const { id, ownerEpoch } = query.record
    if (!this.#command(node, id, ownerEpoch)) return
    node.running.add(id)
    const { clock } = node.process
    while (node.running.has(id)) {
      await clock.sleep(200 + this.#prng.below(400))
      const client = this.#clients.get(id)
      const owned = node.owner.owned(id)
      if (owned === undefined) return void node.running.delete(id)
      // Nobody waits for it any more, or ever did: its client was told that it could not begin.
      if (client === undefined || client.done) {
        node.running.delete(id)
        return node.owner.end(id)
      }
      const place = { ...owned.record.place, framesAcknowledged: client.next }
      if (place.framesAcknowledged === owned.record.place.framesAcknowledged) continue
      await node.owner.advance(id, { place, state: 'streaming' }).catch(() => false)
    }
  }

  /** An executor's answer to a command: it refuses a lower owner epoch than the highest it has seen. */
  #command(node: Node, id: string, epoch: number): boolean {
    const name = `${node.self.id}.${node.self.startedAt}`
    const spool = this.#spools.get(id) ?? { epoch: 0, owner: '' }
    this.#spools.set(id, spool)
    if (epoch < spool.epoch && this.#mutant !== 'deafExecutors') return false
    if (epoch < spool.epoch)
      this.#violation(`${id}: ${name} commands under ${epoch} after ${spool.epoch}`)
    if (epoch === spool.epoch && spool.owner !== name) {
      this.#violation(`${id}: ${name} and ${spool.owner} both command under ${epoch}`)
    }
    spool.epoch = epoch
    spool.owner = name
    return true
  }

  /** Takes a frame now and then from the coordinator that serves it; goes to another one when it does not answer. */
  async #read(client: Client): Promise<void> {
    let silentMs = 0
    while (!client.done) {
      const stepMs = 100 + this.#prng.below(300)
      await this.#clock.sleep(stepMs)
      if (this.#takeFrame(client)) {
        silentMs = 0
        continue
      }
      silentMs += stepMs
      if (silentMs < 1_000 + this.#prng.below(1_000)) continue
      silentMs = 0
      this.#goElsewhere(client)
    }
  }

  #takeFrame(client: Client): boolean {
    const { at, id } = client
    if (at === undefined || !at.process.isRunning || !at.running.has(id)) return false
    const owned = at.owner.owned(id)
    if (owned === undefined) return false
    // A coordinator pulls each frame from the executor that spools it, under its owner epoch.
    if (!this.#command(at, id, owned.record.ownerEpoch)) {
      at.running.delete(id)
      return false
    }
    client.next++
    client.done = client.next === FRAMES
    return true
  }

  #goElsewhere(client: Client): void {
    const others = [...this.#nodes.values()].filter(({ process }) => process.isRunning)
    if (others.length === 0) return
    const node = this.#prng.pick(others)
    client.at = node
    this.#tell(`${client.id}: its client goes to ${node.self.id}`)
    // Now and then another session asks for the same query elsewhere.
    const asked = this.#prng.chance(0.3) ? others : [node]
    for (const one of asked) void one.owner.ask(client.id, true).catch(() => undefined)
  }

  #onAnswer(node: Node, id: string, answer: ClientAnswer): void {
    const client = this.#clients.get(id)
    if (client === undefined || client.at !== node) return
    if (answer.kind === 'elsewhere') client.at = this.#nodes.get(answer.owner)
    if (answer.kind !== 'unknown' || client.done) return
    if (this.#etcd.store.get(this.#keys.query(id)) !== undefined) return
    // One that was taken over before its client knew of it ends; the client, with no frame yet, sends its statement again.
    if (client.next > 0) {
      this.#violation(`${id} is gone, and its client has ${client.next} of ${FRAMES} frames`)
    }
    client.done = true
  }

  #inspect(): void {
    const { store } = this.#etcd
    for (const event of store.eventsAt(store.revision, this.#keys.queries)) this.#onEvent(event)
  }

  #onEvent(event: WatchEvent): void {
    if (event.kind === 'delete') {
      const id = event.key.slice(this.#keys.queries.length)
      const client = this.#clients.get(id)
      if (client !== undefined && !client.done) this.#violation(`${id} is ended under its client`)
      return
    }
    const record = recordOf(event.item.value)
    const term = `${record.id}/${record.ownerEpoch}`
    const owner = `${record.owner}.${record.ownerStartedAt}`
    const before = this.#terms.get(term) ?? owner
    this.#terms.set(term, owner)
    if (before !== owner) this.#violation(`${before} and ${owner} both own ${term}`)
    this.#inspectClaim(record)
    this.#owners.set(record.id, record)
    // A create that comes late, after the query was claimed and is over, owns nothing; it must only be gone in the end.
    if (event.item.createRevision === event.item.modRevision) return
    const highest = this.#highest.get(record.id) ?? 0
    this.#highest.set(record.id, Math.max(highest, record.ownerEpoch))
    if (highest > record.ownerEpoch) {
      this.#violation(`${owner} writes ${term} after it was claimed under ${highest}`)
    }
  }

  /** A leader takes over from the dead only. */
  #inspectClaim(record: LoggedQuery['record']): void {
    const before = this.#owners.get(record.id)
    if (before === undefined || record.claimedFor !== 'orphan') return
    if (before.ownerEpoch === record.ownerEpoch || before.owner === record.owner) return
    const { process, self } = this.#nodes.get(before.owner) ?? {}
    if (self?.startedAt !== before.ownerStartedAt || process?.isRunning !== true) return
    if (this.#clock.now() - process.woke.at < CLAIM_LATE_MS) return
    this.#violation(`${record.owner} takes ${record.id} from ${before.owner}, which lives`)
  }

  #mutate(request: CommitRequest): CommitRequest {
    const operation = request.success[0]
    const isQuery =
      operation !== undefined && 'key' in operation && operation.key.startsWith(this.#keys.queries)
    if (!isQuery || this.#mutant === undefined) return request
    const compare = request.compares[0]
    if (compare?.kind !== 'modRevision') return request
    if (operation.kind === 'delete') {
      return this.#mutant === 'unguardedFinish' ? { ...request, compares: [] } : request
    }
    if (operation.kind !== 'put') return request
    const record = recordOf(operation.value)
    const before = this.#etcd.store.get(operation.key)
    const known = before === undefined ? undefined : recordOf(before.value)
    const isClaim = known?.owner !== record.owner || known.ownerStartedAt !== record.ownerStartedAt
    if (this.#mutant === 'sameOwnerEpoch' && isClaim && known !== undefined) {
      const same = { ...record, ownerEpoch: known.ownerEpoch }
      const value = JSON.stringify({ format: 1, record: same })
      return { ...request, success: [{ ...operation, value }] }
    }
    const drops = isClaim ? 'unguardedClaim' : 'unguardedAdvance'
    return this.#mutant === drops ? { ...request, compares: [] } : request
  }

  #faults(): MemoryKv['faults'] {
    const prng = this.#prng
    const bad = prng.chance(0.5) ? prng.next() * 0.25 : 0
    return {
      latencyMs: () => (bad > 0 && prng.chance(0.02) ? 2_000 : 1 + prng.below(10)),
      repeatEvents: prng.chance(0.3),
      fate: () => (bad > 0 && prng.chance(bad) ? this.#badFate() : 'pass'),
    }
  }

  #badFate(): Fate {
    const late: Fate = { kind: 'late', afterMs: this.#prng.below(8_000) }
    return this.#prng.pick<Fate>(['unavailable', 'loseRequest', 'loseReply', late])
  }

  #trouble(): void {
    const prng = this.#prng
    const node = prng.pick([...this.#nodes.values()])
    const { id } = node.self
    switch (prng.below(6)) {
      case 0:
        if (node.process.isDead) return
        this.#tell(`${id} is killed`)
        node.process.kill()
        void node.kv.close()
        return void this.#clock.after(prng.below(4_000), () => this.#restart(node))
      case 1:
      case 2: {
        if (!node.process.isRunning) return
        const ms = prng.below(6_000)
        this.#tell(`${id} is paused for ${ms} ms`)
        node.process.pause()
        return void this.#clock.after(ms, () => node.process.resume())
      }
      case 3:
        return this.#cutOff(node, prng.below(CUT_MS), LEASE_MS)
      case 4:
        if (prng.chance(0.5)) this.#etcd.compact()
        return node.kv.inner.dropConnections()
      case 5: {
        // etcd forgets every lease and then answers nobody for a while.
        const ms = prng.below(9_000)
        this.#tell(`etcd is away for ${ms} ms, and everybody's lease is gone`)
        for (const one of this.#nodes.values()) this.#cutOff(one, ms, 0)
      }
    }
  }

  #cutOff(node: Node, ms: number, leaseMs: number): void {
    const now = this.#clock.now()
    this.#tell(`${node.self.id} does not reach the store for ${ms} ms`)
    node.kv.inner.cut()
    if (node.cutUntilMs >= now + ms) return
    node.cutUntilMs = now + ms
    this.#clock.after(ms, () => {
      if (node.cutUntilMs <= this.#clock.now()) node.kv.inner.heal()
    })
    const untilMs = now + ms + this.#prng.below(REGISTERING_MS)
    node.unregistered = { fromMs: now + leaseMs, untilMs }
  }

  #restart(node: Node): void {
    if (this.#nodes.get(node.self.id) === node) this.#start(node.self.id)
  }

  #heal(): void {
    this.#tell('nothing goes wrong any more')
    this.#isTrouble = false
    for (const node of [...this.#nodes.values()]) {
      if (node.process.isDead) {
        this.#restart(node)
        continue
      }
      node.process.resume()
      node.kv.inner.faults = {}
    }
  }

  async #settle(): Promise<void> {
    const end = this.#clock.now() + RECOVERY_MS
    const left = (): readonly string[] => [
      ...[...this.#clients.values()]
        .filter(({ done }) => !done)
        .map(({ id }) => `${id} is not done`),
      ...this.#etcd.store
        .range(this.#keys.queries)
        .map(({ key, value }) => `${key} is left: ${value}`),
    ]
    while (left().length > 0 && this.#clock.now() < end) await this.#clock.sleep(100)
    for (const what of left()) this.#violation(`${what} ${RECOVERY_MS} ms after the last trouble`)
  }

  #violation(sentence: string): void {
    this.#tell(`VIOLATION: ${sentence}`)
    this.#violations.push(sentence)
  }

  #tell(line: string): void {
    if (this.#tells) this.#story.push(`${String(this.#clock.now()).padStart(6)} ms  ${line}`)
  }
}

const recordOf = (value: string): LoggedQuery['record'] =>
  (JSON.parse(value) as { readonly record: LoggedQuery['record'] }).record

const newQuery = (id: string): NewQuery => ({
  id,
  sql: 'SELECT 1',
  parameters: [],
  database: 'default',
  settings: {},
  snapshotRevision: 1,
  plan: null,
  state: 'running',
  place: { framesAcknowledged: 0, spooledBy: [] },
  startedAt: 0,
})
