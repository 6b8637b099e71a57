import { Prng, silentLog } from '@nyala/client/base'
import { type MemberId, SqlError } from '@nyala/client/protocol'
import { Catalog, Keys, openCluster, type TableRecord, WriteLog } from '@nyala/metastore'
import { createRelation, ManualClock, MemoryEtcd, type MemoryKv } from '@nyala/metastore/memory'
import type { StatementContext, StatementOutcome } from '../../server/statement-context.ts'
import type { StagedHead } from '../change.ts'
import { Committer } from '../committer.ts'
import { SharedDecisions } from '../shared-decisions.ts'
import { WriteRuns } from '../write-run.ts'
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

const COORDINATORS = 3
const STATEMENTS = 14
const TABLES = 4
/** Times that a client sends a statement whose end it does not know. */
const SENDS_MAX = 4

/** `append` goes on top of others, `replaceAll` gives up where another came first. */
type StatementKind = 'append' | 'replaceAll'

interface Told {
  readonly id: string
  readonly table: string
  readonly answers: ('done' | 'failed' | 'unknown')[]
}

interface Process {
  readonly kv: MemoryKv
  readonly catalog: Catalog
  readonly runs: WriteRuns
  readonly decisions: SharedDecisions
}

/**
 * Several coordinators that commit writes to few tables over one simulated etcd, while requests and replies are lost,
 * refused or late, statements are sent twice, and somebody aborts writes of coordinators that it takes for dead. It runs
 * the code that runs in production, without files: the contents of a table are the ids of the statements that changed it,
 * kept in its comment. The same seed gives the same run.
 */
export class WriteSimulation {
  readonly #prng: Prng
  readonly #clock = new ManualClock()
  readonly #etcd = new MemoryEtcd(this.#clock)
  readonly #keys = new Keys('test')
  readonly #processes: Process[] = []
  readonly #told: Told[] = []
  readonly #without: Guard | undefined
  /** Writes whose files were removed. */
  readonly #cleaned = new Set<string>()
  readonly #unseen: string[] = []
  #writes = 0
  #isFaulty = false
  readonly #turns: SimulatedTurns

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

  /** How statements ended, for whoever wants to know that the faults do something. */
  get ends(): { readonly done: number; readonly failed: number; readonly unknown: number } {
    const all = this.#told.flatMap(({ answers }) => answers)
    const count = (end: string): number => all.filter((answer) => answer === end).length
    return { done: count('done'), failed: count('failed'), unknown: count('unknown') }
  }

  /** Commits that more than one statement shared. */
  get shared(): number {
    return this.#processes.reduce((sum, { decisions }) => sum + decisions.shared, 0)
  }

  async #play(): Promise<readonly string[]> {
    const first = await this.#open('c0')
    for (let i = 0; i < TABLES; i++) await createRelation(first.catalog, tableOf(`t${i}`))
    for (let i = 1; i <= COORDINATORS; i++) this.#processes.push(await this.#open(`c${i}`))
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
    const violations = await this.#check(first)
    for (const { catalog } of [first, ...this.#processes]) await catalog.close()
    return violations
  }

  async #open(id: string): Promise<Process> {
    const kv = this.#etcd.connect()
    const [keys, clock, log] = [this.#keys, this.#clock, silentLog]
    await openCluster({ kv, keys, clock })
    const catalog = await Catalog.open({ kv, keys, clock, log })
    kv.faults = faultsOf(this.#prng, () => this.#isFaulty)
    const writeLog = new WriteLog({ kv: withoutGuard(kv, keys, this.#without), keys, clock })
    const decisions = new SharedDecisions(writeLog, 1)
    const committer = new Committer({
      ...{ catalog, writeLog, decisions, keys, clock, turns: this.#turns.open(id) },
      liveFiles: () => Promise.resolve([]),
    })
    const owner = { id: id as MemberId, startedAt: 1 }
    const runs = new WriteRuns({ writeLog, committer, keys, clock, log, owner, warehouse: '/' })
    return { kv, catalog, runs, decisions }
  }

  /** Sends a statement until its end is known, as often as a client does; sometimes to two coordinators at once. */
  async #client(id: string): Promise<void> {
    const told: Told = { id, table: `t${this.#prng.below(TABLES)}`, answers: [] }
    const kind = this.#prng.chance(0.3) ? 'replaceAll' : 'append'
    this.#told.push(told)
    await this.#clock.sleep(this.#prng.below(150))
    for (let sent = 0; sent < SENDS_MAX; sent++) {
      const twice = this.#prng.chance(0.2)
      const sends = [this.#send(told, kind), ...(twice ? [this.#send(told, kind)] : [])]
      const answers = await Promise.all(sends)
      told.answers.push(...answers)
      if (!answers.includes('unknown')) return
    }
  }

  async #send(told: Told, kind: StatementKind): Promise<Told['answers'][number]> {
    const process = this.#processes[this.#prng.below(COORDINATORS)]
    if (process === undefined) throw new Error('no coordinator')
    // A coordinator that dies, or whose socket does, may still go on with the statement: its client hears nothing.
    const isCut = this.#prng.chance(0.15)
    try {
      const { revision = 0 } = await this.#execute(process, told, kind)
      await this.#look(told, revision)
      return isCut ? 'unknown' : 'done'
    } catch (error) {
      if (!(error instanceof SqlError)) throw error
      return isCut || error.error === 'commit_outcome_unknown' ? 'unknown' : 'failed'
    }
  }

  #execute(process: Process, told: Told, kind: StatementKind): Promise<StatementOutcome> {
    const { runs, catalog } = process
    const context = contextOf(told.id)
    return runs.once(context, async (identity) => {
      const base = tableIn(catalog.snapshot(), told.table)
      const id = `w${this.#writes++}`
      const request = { identity, context, command: 'X', locations: [], id }
      return runs.staged(request, async (write) => {
        await this.#clock.sleep(this.#prng.below(300))
        const apply = async (current: TableRecord): Promise<StagedHead> => {
          await this.#clock.sleep(this.#prng.below(20))
          const comment = [...wordsOf(current), told.id].join(' ')
          const record = { ...current, comment, snapshotId: current.snapshotId + 1 }
          return { record, forgets: false }
        }
        return write.update({ base, change: { kind }, apply }, { rows: 1 })
      })
    })
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

  async #check({ catalog }: Process): Promise<readonly string[]> {
    const writeLog = this.#writeLog()
    const violations = [...this.#unseen]
    const tables = new Map<string, readonly string[]>()
    for (let i = 0; i < TABLES; i++) {
      tables.set(`t${i}`, wordsOf(tableIn(catalog.snapshot(), `t${i}`)))
    }
    for (const { id, table, answers } of this.#told) {
      const found = [...tables].flatMap(([name, ids]) =>
        ids.filter((one) => one === id).map(() => name),
      )
      const ends = answers.join(', ')
      if (found.length > 1) violations.push(`${id} was done ${found.length} times (${ends})`)
      if (found.some((name) => name !== table)) violations.push(`${id} changed another table`)
      if (answers.includes('done') && found.length === 0) violations.push(`${id} is lost (${ends})`)
      const failed = answers.at(-1) === 'failed' && !answers.includes('unknown')
      if (failed && !answers.includes('done') && found.length > 0) {
        violations.push(`${id} was done, and its client told that it was not (${ends})`)
      }
      const outcome = await writeLog.outcomeOf(id)
      if (outcome !== undefined && this.#cleaned.has(outcome.write)) {
        violations.push(`${id} was done, and the files of its write were removed`)
      }
      if ((outcome !== undefined) !== found.length > 0) {
        violations.push(
          `${id} has ${found.length} effects and the outcome ${JSON.stringify(outcome)}`,
        )
      }
    }
    for (const [name, ids] of tables) {
      const { snapshotId } = tableIn(catalog.snapshot(), name)
      if (snapshotId !== ids.length) violations.push(`${name} lost a change: ${snapshotId} commits`)
    }
    return violations
  }
}

/** What a write asks of its statement. */
function contextOf(id: string): StatementContext {
  const context: Pick<
    StatementContext,
    'statementId' | 'sql' | 'session' | 'signal' | 'notices' | 'commit' | 'transaction'
  > = {
    statementId: id,
    sql: id,
    session: { database: 'default', settings: {}, revision: 0 },
    signal: new AbortController().signal,
    notices: [],
    commit: { begun: false },
    transaction: { current: undefined },
  }
  return context as StatementContext
}
