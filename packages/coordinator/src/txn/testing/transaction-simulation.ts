import { Prng, silentLog } from '@nyala/client/base'
import { type MemberId, type SessionTransaction, SqlError } from '@nyala/client/protocol'
import {
  Catalog,
  Keys,
  NewestRevision,
  openCluster,
  type TableRecord,
  WriteLog,
} from '@nyala/metastore'
import { createRelation, ManualClock, MemoryEtcd, type MemoryKv } from '@nyala/metastore/memory'
import type { StagedHead, TableChange } from '../../write/change.ts'
import { Committer } from '../../write/committer.ts'
import { SharedDecisions } from '../../write/shared-decisions.ts'
import { SimulatedTurns } from '../../write/testing/simulated-turns.ts'
import { faultsOf, tableIn, tableOf } from '../../write/testing/simulated-world.ts'
import type { StagedFiles } from '../../write/staging.ts'
import { WriteRuns } from '../../write/write-run.ts'
import { Transactions } from '../transactions.ts'
import { mutantKv } from './mutant-kv.ts'
import { SimulatedReads } from './simulated-reads.ts'
import { SimulatedExecutors } from './simulated-executors.ts'
import {
  contextOf,
  type Entry,
  entriesOf,
  idsOf,
  newTransaction,
  type SimulatedTransaction,
  withEntry,
} from './simulated-tables.ts'

export const TRANSACTION_MUTANTS = [
  /** COMMIT does not compare that its statement has no outcome. */
  'blind-outcome',
  /** COMMIT does not compare that its record is pending. */
  'blind-record',
  /** COMMIT does not compare that the heads are at their base. */
  'blind-heads',
  /** COMMIT leaves out one of the heads. */
  'torn-commit',
  /** What takes the place of rows goes on top of anything. */
  'rebased-rewrite',
  /** Files go of transactions that are taken for dead, without a word in their records. */
  'clean-unaborted',
  /** Coordinators show what they have seen, however old that is. */
  'old-snapshots',
  /** What was made of a snapshot is told though etcd says that there is a newer one. */
  'old-answers',
  /** Participants say yes before what they write is on disk. */
  'early-vote',
] as const
export type TransactionMutant = (typeof TRANSACTION_MUTANTS)[number]

const COORDINATORS = 2
const CLIENTS = 3
const TRANSACTIONS = 2
const TABLES = ['t0', 't1'] as const
/** Times that a client asks how its COMMIT has ended while things go wrong. */
const ASKS_MAX = 3

interface Process {
  readonly name: string
  readonly kv: MemoryKv
  readonly catalog: Catalog
  readonly reads: SimulatedReads
  readonly runs: WriteRuns
  readonly transactions: Transactions
  isDead: boolean
}

/** Disks answer when they like; what is the simulation's has to come in its order. */
const NO_FILES: StagedFiles = {
  removeAll: () => Promise.resolve(),
  removeUncommitted: () => Promise.resolve(),
  removeAttempts: () => Promise.resolve(),
}

/** A transaction as its client knows it. */
interface Told extends SimulatedTransaction {
  session: SessionTransaction | undefined
  answer: 'committed' | 'failed' | 'unknown' | undefined
}

export interface TransactionReport {
  /** What each client did, one after another, and was shown. */
  readonly history: readonly SimulatedTransaction[]
  readonly violations: readonly string[]
  readonly story: readonly string[]
  readonly committed: number
  readonly failed: number
  /** Asked at another coordinator, with an answer. */
  readonly asked: number
  readonly crashes: number
}

/**
 * Transactions over two tables at several coordinators and one simulated etcd, while requests and replies are lost, come
 * late or twice, coordinators and executors die or are cut off, and somebody aborts what it takes for dead. It runs what runs in
 * production: transactions, their commit, the machines of the coordinator's and the participants' side. Instead of files
 * there are names in a set, and instead of metadata the comment of a table lists what is in it. The same seed gives the
 * same run.
 */
export class TransactionSimulation {
  readonly #prng: Prng
  readonly #clock = new ManualClock()
  readonly #etcd = new MemoryEtcd(this.#clock)
  readonly #keys = new Keys('test')
  readonly #mutant: TransactionMutant | undefined
  readonly #executors: SimulatedExecutors
  readonly #processes: Process[] = []
  readonly #told: Told[] = []
  readonly #looked: SimulatedTransaction[] = []
  readonly #violations: string[] = []
  readonly #story: string[] = []
  readonly #counts = { asked: 0, crashes: 0 }
  readonly #tells: boolean
  #begun = 0
  #isFaulty = false
  readonly #turns: SimulatedTurns

  constructor(
    seed: number,
    options: {
      readonly mutant?: TransactionMutant | undefined
      readonly tells?: boolean | undefined
    } = {},
  ) {
    this.#prng = new Prng(seed)
    this.#turns = new SimulatedTurns(this.#clock, this.#prng, () => this.#isFaulty)
    this.#mutant = options.mutant
    this.#tells = options.tells ?? false
    const isEarly = options.mutant === 'early-vote'
    this.#executors = new SimulatedExecutors(this.#prng, this.#clock, { isEarly })
  }

  run(): Promise<TransactionReport> {
    return this.#clock.run(this.#play())
  }

  async #play(): Promise<TransactionReport> {
    const watcher = await this.#open('c0')
    for (const name of TABLES) await createRelation(watcher.catalog, tableOf(name))
    for (let i = 1; i <= COORDINATORS; i++) this.#processes.push(await this.#open(`c${i}`))
    const stopLooking = watcher.catalog.onChange(() => this.#look(watcher.catalog))
    this.#isFaulty = true
    const faults = { stopped: false }
    const reaping = this.#reap(faults)
    const crashing = this.#crash(faults)
    const cutting = this.#cut(faults)
    await Promise.all(Array.from({ length: CLIENTS }, (_, i) => this.#client(`x${i}`)))
    faults.stopped = true
    await Promise.all([reaping, crashing, cutting])
    this.#isFaulty = false
    // What is late comes at last.
    await this.#clock.sleep(60_000)
    await this.#settle()
    this.#check(watcher.catalog)
    stopLooking()
    for (const { catalog } of [watcher, ...this.#processes]) await catalog.close()
    const count = (answer: Told['answer']): number =>
      this.#told.filter((told) => told.answer === answer).length
    return {
      violations: this.#violations,
      story: this.#story,
      history: [...this.#told, ...this.#looked],
      ...{ committed: count('committed'), failed: count('failed'), ...this.#counts },
    }
  }

  async #open(name: string): Promise<Process> {
    const kv = this.#etcd.connect()
    const [keys, clock, log] = [this.#keys, this.#clock, silentLog]
    await openCluster({ kv, keys, clock })
    const catalog = await Catalog.open({ kv, keys, clock, log })
    kv.faults = faultsOf(this.#prng, () => this.#isFaulty)
    const writeLog = new WriteLog({ kv: mutantKv(kv, keys, this.#mutant), keys, clock })
    const liveFiles = (): Promise<readonly never[]> => Promise.resolve([])
    const committer = new Committer({
      catalog,
      writeLog,
      decisions: new SharedDecisions(writeLog, 1),
      keys,
      clock,
      turns: this.#turns.open(name),
      liveFiles,
    })
    const owner = { id: name as MemberId, startedAt: 1 }
    const parts = { writeLog, committer, keys, clock, log, owner }
    const runs = new WriteRuns({ ...parts, warehouse: '/', files: NO_FILES })
    const transactions = new Transactions({
      ...{ runs, coordinator: name, clock, log },
      newId: () => `w${this.#begun++}-`,
    })
    const newest = new NewestRevision({ kv, keys, clock })
    const reads = new SimulatedReads({ catalog, newest, clock, mutant: this.#mutant })
    return { name, kv, catalog, reads, runs, transactions, isDead: false }
  }

  async #client(name: string): Promise<void> {
    let token = 0
    for (let i = 0; i < TRANSACTIONS; i++) {
      await this.#clock.sleep(1 + this.#prng.below(300))
      const done = newTransaction(`${name}.${i}`, { client: name, began: this.#clock.now(), token })
      const told: Told = { ...done, session: undefined, answer: undefined }
      this.#told.push(told)
      await this.#transaction(told)
      told.ended = this.#clock.now()
      if (told.answer === 'committed') told.end = 'committed'
      if (told.answer === 'failed') told.end = 'aborted'
      token = Math.max(token, told.revision)
      token = await this.#readElsewhere(`${name}.${i} read`, name, token)
    }
  }

  async #transaction(told: Told): Promise<void> {
    const process = this.#anyProcess()
    const sender = `client ${told.id}`
    try {
      await this.#body(told, process, sender)
    } catch (error) {
      if (!(error instanceof SqlError)) throw error
      told.answer = 'failed'
      this.#tell(`${told.id} fails at ${process.name}: ${error.message}`)
      process.transactions.clientGone(sender)
      return
    }
    await this.#commit(told, process, sender)
  }

  /** What a client is shown next, at whatever coordinator. */
  async #readElsewhere(id: string, client: string, token: number): Promise<number> {
    const process = this.#anyProcess()
    if (process.isDead) return token
    const read = newTransaction(id, { client, began: this.#clock.now(), token })
    const found = await process.reads
      .answer(token, async (snapshot) => {
        await this.#clock.sleep(this.#prng.below(20))
        return TABLES.map((table) => ({ table, ids: idsOf(tableIn(snapshot, table)) }))
      })
      .catch(() => undefined)
    if (found === undefined) return token
    read.reads.push(...found.value)
    const { revision } = found.snapshot
    this.#looked.push({ ...read, end: 'committed', ended: this.#clock.now(), revision })
    return Math.max(token, revision)
  }

  /** BEGIN and the statements; what it reads must be the same in both tables. */
  async #body(told: Told, process: Process, sender: string): Promise<void> {
    const catalog = await process.reads.snapshot(told.token)
    const begin = contextOf(`begin ${told.id}`, { catalog, sender })
    await process.transactions.run({ kind: 'begin' }, begin)
    const { current } = begin.transaction
    told.session = current?.inSession
    this.#tell(`${told.id} begins as ${told.session?.id} at ${process.name}`)
    const session = told.session
    if (session === undefined) throw new Error('a transaction that has begun is in its session')
    for (const [number, name] of TABLES.entries()) {
      if (process.isDead) throw new SqlError('connection_failure', 'the coordinator is dead')
      const transaction = process.transactions.find(session, sender)
      const leave = process.transactions.enter(session.id)
      try {
        await this.#statement(told, number, name, transaction)
      } finally {
        leave()
      }
    }
  }

  async #statement(
    told: Told,
    number: number,
    name: string,
    transaction: ReturnType<Transactions['find']>,
  ): Promise<void> {
    const kind = this.#prng.chance(0.3) ? 'replaceAll' : 'append'
    transaction.checkOpen()
    if (!('catalog' in transaction)) return
    const base = tableIn(transaction.catalog, name)
    told.reads.push({ table: name, ids: idsOf(base) })
    told.puts.push(name)
    const context = contextOf(`${told.id}/${number}`, { transaction })
    const identity = { id: context.statementId, fingerprint: 'f' }
    await transaction.stage(
      { identity, context, command: 'X', locations: [base.location] },
      async (write) => {
        const file = await this.#executors.prepare(write.id)
        const apply = async (current: TableRecord): Promise<StagedHead> => {
          await this.#clock.sleep(this.#prng.below(20))
          const onto = kind === 'append' ? current : { ...current, comment: base.comment ?? '' }
          return { record: withEntry(onto, { id: told.id, file }), forgets: false }
        }
        const isBlind = this.#mutant === 'rebased-rewrite'
        const change: TableChange['change'] = { kind: isBlind ? 'append' : kind }
        return write.update({ base, change, apply }, { rows: 1 })
      },
    )
  }

  /** COMMIT, and asking how it ended: at another coordinator where this one does not say. */
  async #commit(told: Told, first: Process, sender: string): Promise<void> {
    for (let ask = 0; ask < ASKS_MAX && told.answer !== 'committed'; ask++) {
      const process = ask === 0 ? first : this.#anyProcess()
      // A client that hears nothing asks elsewhere, while the first may still be at it.
      const isCut = this.#prng.chance(0.25)
      const client = { listens: true }
      const answer = this.#ask(told, process, { sender, client })
      if (isCut) {
        void answer.catch(() => undefined)
        await this.#clock.sleep(this.#prng.below(1_000))
        client.listens = false
        told.answer = 'unknown'
        continue
      }
      told.answer = await answer
      if (ask > 0 && told.answer !== 'unknown') this.#counts.asked++
      if (told.answer !== 'unknown') return
    }
  }

  async #ask(
    told: Told,
    process: Process,
    {
      sender,
      client,
    }: { readonly sender: string; readonly client?: { readonly listens: boolean } | undefined },
  ): Promise<'committed' | 'failed' | 'unknown'> {
    const { session } = told
    if (session === undefined) throw new Error('only what has begun is committed')
    const leave = process.transactions.enter(session.id)
    const transaction = process.transactions.find(session, sender)
    const context = contextOf(`commit ${told.id}`, { transaction, session })
    try {
      const outcome = await process.transactions.run({ kind: 'commit' }, context)
      const { command, revision = 0 } = outcome
      this.#tell(`${told.id}: ${command} at ${process.name}`)
      if (command === 'COMMIT') await this.#checkRevision(told, revision)
      // What comes when nobody listens any more has been told to nobody.
      if (client?.listens !== false) told.revision = Math.max(told.revision, revision)
      return command === 'COMMIT' ? 'committed' : 'failed'
    } catch (error) {
      if (!(error instanceof SqlError)) throw error
      this.#tell(`${told.id}: COMMIT fails at ${process.name}: ${error.message}`)
      if (process.isDead || error.error !== 'serialization_failure') return 'unknown'
      return 'failed'
    } finally {
      leave()
    }
  }

  /** Whoever is told that it is done is told a revision at which every coordinator shows it. */
  async #checkRevision({ id }: Told, revision: number): Promise<void> {
    const { item } = await this.#etcd.connect().get(this.#keys.statement(`commit ${id}`))
    if (item !== undefined && item.modRevision <= revision) return
    this.#violations.push(`${id} is committed, its client told of revision ${revision}, before it`)
  }

  #anyProcess(): Process {
    const living = this.#processes.filter(({ isDead }) => !isDead)
    const process = living[this.#prng.below(living.length)]
    if (process === undefined) throw new Error('no coordinator lives')
    return process
  }

  /** Coordinators that die between any two steps; another one is there at once. */
  async #crash(until: { readonly stopped: boolean }): Promise<void> {
    while (!until.stopped) {
      await this.#clock.sleep(200 + this.#prng.below(800))
      if (until.stopped || !this.#prng.chance(0.4)) continue
      const process = this.#anyProcess()
      this.#processes.push(await this.#open(`c${this.#processes.length + 1}`))
      process.isDead = true
      await process.kv.close()
      this.#counts.crashes++
      this.#tell(`${process.name} dies`)
    }
  }

  /** Coordinators that etcd does not tell anything for a moment, and clients ask. */
  async #cut(until: { readonly stopped: boolean }): Promise<void> {
    while (!until.stopped) {
      await this.#clock.sleep(this.#prng.below(600))
      const { kv } = this.#anyProcess()
      kv.cut()
      await this.#clock.sleep(this.#prng.below(300))
      kv.heal()
    }
  }

  /** Aborts what it takes for dead, and removes its files, as a leader does. */
  async #reap(until: { readonly stopped: boolean }): Promise<void> {
    const writeLog = this.#writeLog()
    while (!until.stopped) {
      await this.#clock.sleep(50 + this.#prng.below(200))
      for (const write of await writeLog.transactions()) {
        const { record } = write
        if (record.kind !== 'pending' || !this.#prng.chance(0.1)) continue
        if (this.#mutant === 'clean-unaborted') this.#executors.remove(record.id)
        else if (await writeLog.abort({ ...write, record }, 'taken for dead')) {
          this.#tell(`${record.id} is aborted`)
          this.#executors.remove(record.id)
        }
      }
    }
  }

  /** Every client asks once more; what is pending of the dead is aborted; then all is as it will stay. */
  async #settle(): Promise<void> {
    for (const told of this.#told) {
      if (told.answer !== 'unknown') continue
      const answer = await this.#ask(told, this.#anyProcess(), { sender: 'asks once more' })
      if (answer === 'unknown') this.#violations.push(`${told.id} cannot be told how it ended`)
      told.answer = answer
    }
    const writeLog = this.#writeLog()
    for (const write of await writeLog.transactions()) {
      const { record } = write
      if (record.kind !== 'pending') continue
      await writeLog.abort({ ...write, record }, 'its coordinator is gone')
      this.#executors.remove(record.id)
    }
  }

  /** At every revision a transaction is in both tables or in none. */
  #look(catalog: Catalog): void {
    const [first, second] = TABLES.map((name) => this.#idsIn(catalog, name))
    if (first !== second) this.#violations.push(`seen in t0: ${first}; in t1: ${second}`)
  }

  #idsIn(catalog: Catalog, name: string): string {
    return this.#entries(catalog, name)
      .map(({ id }) => id)
      .toSorted()
      .join(' ')
  }

  #entries(catalog: Catalog, name: string): readonly Entry[] {
    return entriesOf(tableIn(catalog.snapshot(), name))
  }

  #check(catalog: Catalog): void {
    for (const name of TABLES) {
      const entries = this.#entries(catalog, name)
      const ids = entries.map(({ id }) => id)
      for (const { id, answer } of this.#told) {
        const times = ids.filter((one) => one === id).length
        if (times > 1) this.#violations.push(`${id} is in ${name} ${times} times`)
        if (answer === 'committed' && times === 0) this.#violations.push(`${id} is lost in ${name}`)
        if (answer === 'failed' && times > 0) {
          this.#violations.push(`${id} is in ${name}, and its client told that it is not`)
        }
      }
      for (const { id, file } of entries) {
        if (!this.#executors.has(file)) {
          this.#violations.push(`file ${file} of ${id} is gone, and ${name} names it`)
        }
      }
      const { snapshotId } = tableIn(catalog.snapshot(), name)
      if (snapshotId !== entries.length) this.#violations.push(`${name} lost a change`)
    }
    this.#look(catalog)
  }

  #writeLog(): WriteLog {
    return new WriteLog({ kv: this.#etcd.connect(), keys: this.#keys, clock: this.#clock })
  }

  #tell(line: string): void {
    if (this.#tells) this.#story.push(`${String(this.#clock.now()).padStart(6)} ms  ${line}`)
  }
}
