import { assert, Prng, silentLog } from '@nyala/client/base'
import { type MemberId, PROTOCOL_VERSION } from '@nyala/client/protocol'
import { Failover, LaunchAgent } from '@nyala/coordinator/failover'
import {
  Board,
  type CommitRequest,
  Election,
  Keys,
  KvError,
  type LeaseId,
  type Member,
  Membership,
  type MemberRole,
  Registration,
} from '@nyala/metastore'
import { type Fate, ManualClock, MemoryEtcd, type MemoryKv } from '@nyala/metastore/memory'
import { Inspector, type Mutant } from './inspector.ts'
import { type Node, SimNetwork } from './sim-network.ts'
import { ProcessKv, SimProcess } from './sim-process.ts'

const COORDINATORS = ['c1', 'c2', 'c3']
const EXECUTORS = ['e1', 'e2']
/** How long things go wrong. */
const TROUBLE_MS = 12_000
/** Within what the cluster must be whole again once nothing goes wrong any more. */
export const RECOVERY_MS = 30_000
/** For how long a cluster that is whole must stay as it is. */
const STABLE_MS = 3_000
const TTL_SECONDS = 3
/** Within what another leads where one gives its place up. */
const HAND_OVER_MS = { resigns: 1_000, stops: 1_000, 'loses the executors': 12_000 } as const
/** Who has handed the lead over has it not back so long after. */
const HANDED_OVER_MS = 1_500

/** A leader that leads on whatever it is cut off from. */
class ClingingElection extends Election {
  override resign(): void {
    // That is what it does not.
  }
}

interface Coordinator extends Node {
  readonly election: Election
  readonly membership: Membership
  readonly failover: Failover
  readonly registration: Registration
  readonly kv: ProcessKv
}

interface Executor extends Node {
  readonly registration: Registration
  readonly kv: ProcessKv
}

export interface SimulationReport {
  readonly seed: number
  /** Sentences that say what went wrong; empty when all invariants held. */
  readonly violations: readonly string[]
  /** What happened, for people; only of runs that were asked to tell. */
  readonly story: readonly string[]
  readonly epochs: number
  readonly writes: number
}

/**
 * Three coordinators, two executors and a launcher on one store, with the code that production runs, while processes
 * are killed and paused, sockets and the store are cut off, requests and replies are lost or late, watches break, history
 * is compacted and leases are revoked. Then all of that stops, and the cluster must become whole. The same seed gives
 * the same run.
 */
export class ClusterSimulation {
  readonly #seed: number
  readonly #prng: Prng
  readonly #clock = new ManualClock()
  readonly #etcd = new MemoryEtcd(this.#clock)
  readonly #keys = new Keys('sim')
  readonly #network: SimNetwork
  readonly #inspector: Inspector
  readonly #coordinators = new Map<string, Coordinator>()
  readonly #executors = new Map<string, Executor>()
  readonly #story: string[] = []
  readonly #tells: boolean
  readonly #mutant: Mutant | undefined
  /**
   * Coordinators also stop in order, and lose all executors, which others reach. Only in each third seed, as it came
   * later: seeds that have once shown a fault go on meaning what they did.
   */
  readonly #hasDepartures: boolean
  #pids = 0
  #isTrouble = true

  constructor(
    seed: number,
    options: { readonly mutant?: Mutant | undefined; readonly tells?: boolean } = {},
  ) {
    this.#seed = seed
    this.#prng = new Prng(seed)
    this.#hasDepartures = seed % 3 === 0
    this.#tells = options.tells ?? false
    this.#mutant = options.mutant
    this.#network = new SimNetwork(this.#clock, this.#prng)
    this.#inspector = new Inspector({
      store: this.#etcd.store,
      clock: this.#clock,
      keys: this.#keys,
      mutant: options.mutant,
      tell: (line) => this.#tell(line),
    })
  }

  run(): Promise<SimulationReport> {
    return this.#clock.run(this.#run(), 10_000_000)
  }

  async #run(): Promise<SimulationReport> {
    for (const id of COORDINATORS) this.#startCoordinator(id)
    for (const id of EXECUTORS) this.#startExecutor(id)
    const launcher = await this.#startLauncher()
    const end = this.#clock.now() + TROUBLE_MS
    while (this.#clock.now() < end) {
      await this.#clock.sleep(this.#prng.below(1_500))
      this.#trouble()
    }
    this.#heal()
    // What was done just before, a resignation for example, is still on its way.
    await this.#clock.sleep(1_000)
    const recovered = await this.#becomesWhole()
    if (recovered) await this.#staysWhole()
    if (recovered) await this.#handsOver()
    this.#network.stop()
    launcher()
    for (const node of [...this.#coordinators.values(), ...this.#executors.values()]) {
      node.process.kill()
      void node.kv.close()
    }
    const { violations, epochs, writes } = this.#inspector
    return { seed: this.#seed, violations, story: this.#story, epochs, writes }
  }

  #connect(process: SimProcess): ProcessKv {
    const inner = this.#etcd.connect()
    if (this.#isTrouble) inner.faults = this.#faults()
    const onCommit = (request: CommitRequest): CommitRequest =>
      this.#inspector.onCommit(request, process)
    return new ProcessKv(inner, process, onCommit)
  }

  #faults(): MemoryKv['faults'] {
    const prng = this.#prng
    const bad = prng.chance(0.5) ? prng.next() * 0.25 : 0
    return {
      latencyMs: () => (bad > 0 && prng.chance(0.02) ? 2_000 : 1 + prng.below(5)),
      repeatEvents: prng.chance(0.3),
      fate: () => (bad > 0 && prng.chance(bad) ? this.#badFate() : 'pass'),
    }
  }

  #badFate(): Fate {
    const late: Fate = { kind: 'late', afterMs: this.#prng.below(8_000) }
    return this.#prng.pick<Fate>(['unavailable', 'loseRequest', 'loseReply', late])
  }

  #startCoordinator(id: string): void {
    const process = new SimProcess(this.#clock)
    const kv = this.#connect(process)
    const { clock } = process
    const startedAt = clock.wall() + this.#pids
    const pid = ++this.#pids
    const on = { kv, keys: this.#keys, clock, log: silentLog, ttlSeconds: TTL_SECONDS }
    const membership = new Membership(on)
    const isRival = (member: Member): boolean => member.id !== id
    const onLeader = (): void => failover.onLeader()
    const clings = this.#mutant === 'noResignation' && this.#hasDepartures
    const election = new (clings ? ClingingElection : Election)({
      ...on,
      candidate: { id: id as MemberId, address: id, startedAt },
      hasRivals: () => membership.coordinators().some(isRival),
      absenceMaxMs: this.#mutant === 'noAbsenceCheck' ? 1e9 : undefined,
      onElected: onLeader,
      onLeader,
    })
    const failover = new Failover({
      ...on,
      self: id as MemberId,
      membership,
      election,
      probe: (target) => process.await(this.#network.probe(node, target)),
    })
    const record = memberRecordOf({ id, role: 'coordinator', pid, startedAt })
    const registration = new Registration({ ...on, record })
    const node: Coordinator = {
      role: 'coordinator',
      id,
      pid,
      process,
      kv,
      election,
      membership,
      failover,
      registration,
      onLink: (event) => failover.onLink(event),
    }
    this.#coordinators.set(id, node)
    this.#network.add(node)
    this.#tell(`${id} starts as ${pid}`)
    unlessStopped(this.#live(node))
  }

  async #live(node: Coordinator): Promise<void> {
    await node.membership.start()
    await Promise.all([node.election.start(), node.failover.start()])
    unlessStopped(node.registration.start())
    for (let n = 0; ; n++) {
      await node.process.clock.sleep(100 + this.#prng.below(200))
      const { leadership } = node.election
      if (leadership === undefined) continue
      await this.#inspector.write(leadership, { by: node.pid, n })
    }
  }

  #startExecutor(id: string): void {
    const process = new SimProcess(this.#clock)
    const kv = this.#connect(process)
    const { clock } = process
    const pid = ++this.#pids
    const record = memberRecordOf({ id, role: 'executor', pid, startedAt: clock.wall() })
    const on = { kv, keys: this.#keys, clock, log: silentLog, ttlSeconds: TTL_SECONDS }
    const registration = new Registration({ ...on, record })
    const node: Executor = {
      role: 'executor',
      id,
      pid,
      process,
      kv,
      registration,
      onLink: () => undefined,
    }
    this.#executors.set(id, node)
    this.#network.add(node)
    this.#tell(`${id} starts as ${pid}`)
    void registration.start()
  }

  /** Executors that die come back through it and in no other way. */
  async #startLauncher(): Promise<() => void> {
    const kv = this.#etcd.connect()
    const on = { kv, keys: this.#keys, clock: this.#clock, log: silentLog }
    const board = new Board(on)
    await board.start()
    const agent = new LaunchAgent({
      ...on,
      board,
      launcher: {
        replace: async ({ id, pid }) => {
          const node = this.#executors.get(id)
          assert(node !== undefined, 'the roster names executors that were started')
          if (node.pid === pid || node.process.isDead) {
            this.#kill(node)
            await this.#clock.sleep(200)
            this.#startExecutor(id)
          }
          return { state: 'taken' }
        },
      },
    })
    agent.start()
    return () => {
      agent.stop()
      void kv.close()
    }
  }

  #trouble(): void {
    const prng = this.#prng
    if (this.#hasDepartures && prng.chance(0.25)) return this.#departure()
    const node = prng.pick([...this.#coordinators.values(), ...this.#executors.values()])
    switch (prng.below(9)) {
      case 0:
        return this.#kill(node)
      case 1:
      case 2:
        return this.#pause(node, prng.below(7_000))
      case 3: {
        const other = prng.pick([...COORDINATORS, ...EXECUTORS])
        this.#tell(`${node.id} and ${other} are cut from each other`)
        this.#network.cut(node.id, other)
        return this.#healLinks(prng.below(6_000))
      }
      case 4:
        this.#tell(`${node.id} is cut off from the store`)
        node.kv.inner.cut()
        return void this.#clock.after(prng.below(6_000), () => node.kv.inner.heal())
      case 5:
        return node.kv.inner.dropConnections()
      case 6:
        this.#etcd.compact()
        return node.kv.inner.dropConnections()
      case 7:
        return this.#resign()
      case 8:
        return this.#revokeLeases()
    }
  }

  #departure(): void {
    const node = this.#prng.pick([...this.#coordinators.values()])
    if (this.#prng.chance(0.5)) return void this.#stop(node)
    this.#cutFromExecutors(node)
    this.#healLinks(this.#prng.below(12_000))
  }

  /** What is cut once nothing else goes wrong any more is cut on purpose. */
  #healLinks(afterMs: number): void {
    this.#clock.after(afterMs, () => {
      if (this.#isTrouble) this.#network.heal()
    })
  }

  /** As on SIGTERM; it is started again some time later. */
  async #stop(node: Coordinator): Promise<void> {
    if (!node.process.isRunning) return
    this.#tell(`${node.id} (${node.pid}) is asked to stop`)
    if (this.#mutant !== 'noHandOver') {
      await Promise.all([node.election.stop(), node.registration.stop()])
    }
    this.#network.leave(node)
    this.#kill(node)
  }

  #cutFromExecutors({ id }: Coordinator): void {
    this.#tell(`${id} is cut from all executors`)
    for (const executor of EXECUTORS) this.#network.cut(id, executor)
  }

  #kill(node: Coordinator | Executor): void {
    if (node.process.isDead) return
    this.#tell(`${node.id} (${node.pid}) is killed`)
    node.process.kill()
    void node.kv.close()
    if (node.role === 'executor') return
    this.#clock.after(this.#prng.below(6_000), () => this.#restart(node))
  }

  #restart(node: Node): void {
    if (this.#coordinators.get(node.id) === node) this.#startCoordinator(node.id)
  }

  #pause(node: Node, ms: number): void {
    if (node.process.isDead || node.process.isPaused) return
    this.#tell(`${node.id} (${node.pid}) is paused for ${ms} ms`)
    node.process.pause()
    this.#clock.after(ms, () => {
      if (node.process.isPaused) this.#tell(`${node.id} (${node.pid}) wakes`)
      node.process.resume()
    })
  }

  #resign(): void {
    for (const { election, process, id } of this.#coordinators.values()) {
      if (election.leadership === undefined || process.isDead || process.isPaused) continue
      this.#tell(`${id} resigns`)
      election.resign()
    }
  }

  /** As an etcd leader does that wakes from a pause. */
  #revokeLeases(): void {
    this.#tell('all leases are revoked')
    const { store } = this.#etcd
    const leases = new Set(
      store.range(this.#keys.root).flatMap(({ lease }) => (lease === undefined ? [] : [lease])),
    )
    for (const lease of leases) store.revokeLease(lease as LeaseId)
  }

  #heal(): void {
    this.#tell('nothing goes wrong any more')
    this.#isTrouble = false
    this.#network.heal()
    for (const node of [...this.#coordinators.values(), ...this.#executors.values()]) {
      if (node.process.isDead) {
        if (node.role === 'coordinator') this.#restart(node)
        // One that died before any leader knew of it is nobody's to replace.
        else if (!this.#isOnRoster(node.id)) this.#startExecutor(node.id)
        continue
      }
      node.process.resume()
      node.kv.inner.faults = {}
      node.kv.inner.heal()
    }
  }

  #isOnRoster(id: string): boolean {
    return this.#etcd.store.get(this.#keys.rosterEntry(id as MemberId)) !== undefined
  }

  async #becomesWhole(): Promise<boolean> {
    const end = this.#clock.now() + RECOVERY_MS
    let why = this.#whyNotWhole()
    while (why !== undefined && this.#clock.now() < end) {
      await this.#clock.sleep(100)
      why = this.#whyNotWhole()
    }
    if (why !== undefined) {
      for (const { key, value } of this.#etcd.store.range(this.#keys.root))
        this.#tell(`${key} ${value}`)
      this.#inspector.violation(`not whole ${RECOVERY_MS} ms after the last trouble: ${why}`)
    }
    return why === undefined
  }

  async #staysWhole(): Promise<void> {
    const { epoch } = this.#inspector
    const end = this.#clock.now() + STABLE_MS
    while (this.#clock.now() < end) {
      await this.#clock.sleep(100)
      const why = this.#whyNotWhole()
      if (why !== undefined) return this.#inspector.violation(`was whole, and then not: ${why}`)
    }
    if (this.#inspector.epoch !== epoch) {
      this.#inspector.violation(`the leader changed from epoch ${epoch} with nothing wrong`)
    }
  }

  /** A leader that gives its place up is followed by another, and does not take it back. */
  async #handsOver(): Promise<void> {
    const before = [...this.#coordinators.values()].find((node) => node.election.leadership)
    assert(before !== undefined, 'a cluster that is whole has a leader')
    const how = this.#hasDepartures
      ? this.#prng.pick(['stops', 'loses the executors'] as const)
      : 'resigns'
    if (how === 'resigns') before.election.resign()
    else if (how === 'stops') void this.#stop(before)
    else this.#cutFromExecutors(before)
    const witness = [...this.#coordinators.values()].find((node) => node !== before)
    const leader = (): string | undefined => witness?.election.leader?.record.id
    const end = this.#clock.now() + HAND_OVER_MS[how]
    const isOver = (): boolean => leader() !== undefined && leader() !== before.id
    while (!isOver() && this.#clock.now() < end) await this.#clock.sleep(50)
    if (isOver() && how !== 'resigns') await this.#clock.sleep(HANDED_OVER_MS)
    if (isOver()) return
    this.#inspector.violation(`${before.id} ${how}, and then ${leader() ?? 'nobody'} leads`)
  }

  #whyNotWhole(): string | undefined {
    const { epoch } = this.#inspector
    if (epoch === undefined) return 'nobody leads'
    const leading = [...this.#coordinators.values()].filter(({ election }) => election.leadership)
    if (leading.length !== 1) return `${leading.length} coordinators believe that they lead`
    if (this.#inspector.lastWriteEpoch !== epoch) return `nobody has written under epoch ${epoch}`
    for (const node of [...this.#coordinators.values(), ...this.#executors.values()]) {
      if (node.process.isDead) return `${node.id} is dead`
      if (node.registration.incarnation === undefined) return `${node.id} is not registered`
    }
    for (const { id, election, membership, failover } of this.#coordinators.values()) {
      if (election.leader?.epoch !== epoch) return `${id} does not see who leads`
      for (const node of [...this.#coordinators.values(), ...this.#executors.values()]) {
        const member = membership.member(node.role, node.id)
        if (member?.pid !== node.pid) return `${id} does not see ${node.id}`
        if (failover.isSuspected(node.role, node.id)) return `${id} suspects ${node.id}`
      }
      if (failover.board.launches().length > 0) return 'a replacement is still asked for'
      if (failover.board.roster().length !== EXECUTORS.length) return 'the roster is not complete'
    }
    return undefined
  }

  #tell(line: string): void {
    if (this.#tells) this.#story.push(`${String(this.#clock.now()).padStart(6)} ms  ${line}`)
  }
}

/** What has not begun when a coordinator is asked to stop need not. */
function unlessStopped(begins: Promise<unknown>): void {
  begins.catch((error: unknown) => {
    if (!(error instanceof KvError && error.kind === 'closed')) throw error
  })
}

function memberRecordOf(life: {
  readonly id: string
  readonly role: MemberRole
  readonly pid: number
  readonly startedAt: number
}): ConstructorParameters<typeof Registration>[0]['record'] {
  return {
    ...life,
    id: life.id as MemberId,
    address: life.id,
    host: 'sim',
    version: '0',
    protocol: PROTOCOL_VERSION,
    state: 'active',
    threads: 1,
    memoryBytes: 0,
  }
}
