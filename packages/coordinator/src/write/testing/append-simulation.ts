import { Prng, silentLog } from '@nyala/client/base'
import { type MemberId, SqlError } from '@nyala/client/protocol'
import { Catalog, Keys, openCluster, type Patience, WriteLog } from '@nyala/metastore'
import { createRelation, ManualClock, MemoryEtcd, type MemoryKv } from '@nyala/metastore/memory'
import type { Append } from '../append-group.ts'
import { AppendQueue, type StageableRows } from '../append-queue.ts'
import type { AppendEnd } from '../append-waiting.ts'
import { SimulatedTurns } from './simulated-turns.ts'
import {
  abortAtRandom,
  faultsOf,
  type Guard,
  tableIn,
  tableOf,
  withoutGuard,
  wordsOf,
} from './simulated-world.ts'

const COORDINATORS = 2
const TABLE = 't'
const STATEMENTS = 24
/** Times that a client sends a statement whose end it does not know. */
const SENDS_MAX = 4
/** Rows of a statement whose values do not fit. */
const UNFIT = '(unfit)'

type Answer = 'done' | 'repeated' | 'unfit' | 'cancelled' | 'failed' | 'unknown'

interface Told {
  readonly id: string
  readonly row: string
  readonly answers: Answer[]
}

interface Process {
  readonly kv: MemoryKv
  readonly catalog: Catalog
  readonly queue: AppendQueue
  readonly writeLog: WriteLog
}

/**
 * Clients that append to one table through the queues of several coordinators, which share commits among statements,
 * while messages are lost, late or repeated, statements are sent twice or cancelled, some do not fit, and somebody aborts
 * writes. The rows of a table are kept in its comment. The same seed gives the same run.
 */
export class AppendSimulation {
  readonly #prng: Prng
  readonly #clock = new ManualClock()
  readonly #etcd = new MemoryEtcd(this.#clock)
  readonly #keys = new Keys('test')
  readonly #processes: Process[] = []
  readonly #told: Told[] = []
  readonly #without: Guard | undefined
  readonly #cleaned = new Set<string>()
  readonly #unseen: string[] = []
  #writes = 0
  #isFaulty = false
  readonly #turns: SimulatedTurns
  /** Commits that more than one statement shared. */
  shared = 0

  /** `without`: what commits leave out of their compares, to show that it is missed. */
  constructor(seed: number, options: { readonly without?: Guard | undefined } = {}) {
    this.#prng = new Prng(seed)
    this.#turns = new SimulatedTurns(this.#clock, this.#prng, () => this.#isFaulty)
    this.#without = options.without
  }

  /** Sentences that say what went wrong; empty when all that is promised held. */
  run(): Promise<readonly string[]> {
    return this.#clock.run(this.#play())
  }

  /** How often statements ended so. */
  count(end: Answer): number {
    return this.#told.flatMap(({ answers }) => answers).filter((one) => one === end).length
  }

  async #play(): Promise<readonly string[]> {
    const catalog = await this.#catalog(this.#etcd.connect())
    await createRelation(catalog, tableOf(TABLE))
    for (let i = 0; i < COORDINATORS; i++) this.#processes.push(await this.#open(`c${i}`))
    this.#isFaulty = true
    const reaper = { stopped: false }
    const reaping = abortAtRandom(
      { writeLog: this.#writeLog(), clock: this.#clock, prng: this.#prng },
      reaper,
      (id) => this.#cleaned.add(id),
    )
    await Promise.all(Array.from({ length: STATEMENTS }, (_, i) => this.#client(`s${i}`)))
    reaper.stopped = true
    await reaping
    this.#isFaulty = false
    // What is late comes at last.
    await this.#clock.sleep(60_000)
    for (const { queue } of this.#processes) await queue.close()
    const violations = await this.#check(catalog)
    for (const one of [catalog, ...this.#processes.map((process) => process.catalog)]) {
      await one.close()
    }
    return violations
  }

  async #catalog(kv: MemoryKv): Promise<Catalog> {
    const [keys, clock, log] = [this.#keys, this.#clock, silentLog]
    await openCluster({ kv, keys, clock })
    return Catalog.open({ kv, keys, clock, log })
  }

  async #open(id: string): Promise<Process> {
    const kv = this.#etcd.connect()
    const catalog = await this.#catalog(kv)
    kv.faults = faultsOf(this.#prng, () => this.#isFaulty)
    const [keys, clock] = [this.#keys, this.#clock]
    const writeLog = new WriteLog({ kv: withoutGuard(kv, keys, this.#without), keys, clock })
    const queue = new AppendQueue(tableIn(catalog.snapshot(), TABLE), {
      ...{
        catalog,
        writeLog,
        decisions: writeLog,
        keys,
        clock,
        owner: { id: id as MemberId, startedAt: 1 },
      },
      writes: {
        giveUp: async (write, reason) => {
          try {
            return (await writeLog.abort(write, reason)) ? 'aborted' : 'gone'
          } catch {
            return 'unsettled'
          }
        },
        // Here nobody looks for records that are left.
        mayHaveBegun: () => undefined,
      },
      turns: this.#turns.open(id),
      newWriteId: () => `w${this.#writes++}`,
      encode: (_, texts) => this.#encode(texts.flatMap(({ rows }) => rows)),
      onIdle: () => undefined,
    })
    return { kv, catalog, queue, writeLog }
  }

  async #encode(rows: readonly string[]): Promise<StageableRows> {
    await this.#clock.sleep(this.#prng.below(10))
    if (rows.includes(UNFIT)) throw new SqlError('data_exception', 'a value does not fit')
    if (rows.length > 1) this.shared++
    return {
      stage: async (current) => {
        await this.#clock.sleep(this.#prng.below(30))
        const comment = [...wordsOf(current), ...rows].join(' ')
        const record = { ...current, comment, snapshotId: current.snapshotId + 1 }
        return { record, forgets: false }
      },
      dropAttempt: () => Promise.resolve(),
    }
  }

  /** Sends a statement until its end is known, as often as a client does; sometimes twice at once. */
  async #client(id: string): Promise<void> {
    const told: Told = { id, row: this.#prng.chance(0.15) ? UNFIT : `(${id})`, answers: [] }
    this.#told.push(told)
    await this.#clock.sleep(this.#prng.below(300))
    for (let sent = 0; sent < SENDS_MAX; sent++) {
      const twice = this.#prng.chance(0.2)
      const sends = [this.#send(told), ...(twice ? [this.#send(told)] : [])]
      const answers = await Promise.all(sends)
      told.answers.push(...answers)
      if (!answers.includes('unknown')) return
    }
  }

  async #send(told: Told): Promise<Answer> {
    const process = this.#processes[this.#prng.below(COORDINATORS)]
    if (process === undefined) throw new Error('no coordinator')
    const cancel = new AbortController()
    if (this.#prng.chance(0.1)) this.#clock.after(this.#prng.below(20), () => cancel.abort(CANCEL))
    // A coordinator that dies, or whose socket does, may still go on with the statement: its client hears nothing.
    const isCut = this.#prng.chance(0.15)
    try {
      const end = await process.queue.append(
        appendOf(told, cancel.signal, process.writeLog.patience()),
      )
      if (end.kind !== 'unfit') await this.#look(told, end.revision)
      return isCut && end.kind !== 'unfit' ? 'unknown' : answerOf(end)
    } catch (error) {
      if (error === CANCEL) return 'cancelled'
      if (!(error instanceof SqlError)) throw error
      return isCut || error.error === 'commit_outcome_unknown' ? 'unknown' : 'failed'
    }
  }

  /** Whoever is told that it is done is told a revision at which every coordinator shows it. */
  async #look({ id }: Told, revision: number): Promise<void> {
    const { item } = await this.#etcd.connect().get(this.#keys.statement(id))
    if (item !== undefined && item.modRevision <= revision) return
    this.#unseen.push(`${id} is done, and its client told of revision ${revision}, before it`)
  }

  #writeLog(): WriteLog {
    return new WriteLog({ kv: this.#etcd.connect(), keys: this.#keys, clock: this.#clock })
  }

  async #check(catalog: Catalog): Promise<readonly string[]> {
    const writeLog = this.#writeLog()
    const violations = [...this.#unseen]
    const rows = wordsOf(tableIn(catalog.snapshot(), TABLE))
    for (const { id, row, answers } of this.#told) {
      const found = rows.filter((one) => one === row && row !== UNFIT).length
      const ends = answers.join(', ')
      const isTold = answers.includes('done') || answers.includes('repeated')
      if (found > 1) violations.push(`${id} was done ${found} times (${ends})`)
      if (isTold && found === 0) violations.push(`${id} is lost (${ends})`)
      const isDenied = !isTold && !answers.includes('unknown')
      if (isDenied && found > 0) violations.push(`${id} was done, its client was told no (${ends})`)
      const outcome = await writeLog.outcomeOf(id)
      if ((outcome !== undefined) !== found > 0) {
        violations.push(`${id} is there ${found} times, its outcome is ${JSON.stringify(outcome)}`)
      }
      if (outcome !== undefined && this.#cleaned.has(outcome.write)) {
        violations.push(`${id} was done, and the files of its write were removed`)
      }
      if (row === UNFIT && isTold) violations.push(`${id} does not fit and was done (${ends})`)
    }
    const pending = (await writeLog.transactions()).filter(
      ({ record }) => record.kind === 'pending',
    )
    for (const { record } of pending) violations.push(`write ${record.id} was left behind`)
    return violations
  }
}

const CANCEL = new SqlError('query_canceled', 'cancelled')

const answerOf = (end: AppendEnd): Answer => end.kind

const appendOf = ({ id, row }: Told, signal: AbortSignal, patience: Patience): Append => ({
  identity: { id, fingerprint: id },
  text: { rows: [row], timeZone: 'UTC' },
  schemaVersion: 1,
  notices: [],
  ...{ signal, patience },
  commit: { begun: false },
})
