import { rm } from 'node:fs/promises'
import { type Clock, failpoint, isMutant, type Log } from '@nyala/client/base'
import type {
  AbortedWrite,
  DroppedTables,
  Compare,
  ExpiredSnapshots,
  LoggedFloor,
  LoggedTransaction,
  Owner,
  PendingWrite,
  WriteLog,
} from '@nyala/metastore'
import { Rounds } from '../failover/rounds.ts'
import { removeAll } from './staging.ts'
import type { WriteRuns } from './write-run.ts'

/** How often the records are looked at. */
const SWEEP_MS = 5_000
/** A coordinator that is not seen for so long does not come back to its writes: what it began is aborted. */
export const OWNER_GRACE_MS = 10_000
/**
 * So long after its abort a write's files are removed once more, and its record goes: executors stop the tasks of a
 * query without an owner within seconds, but one that was paused may write a file when it wakes.
 */
export const ABORTED_GRACE_MS = 60_000
/** What a coordinator read that has not been seen for so long, nobody reads any more. */
export const READER_GRACE_MS = 600_000
/** For so long a statement that is sent again is answered with its first outcome. */
export const OUTCOME_KEPT_MS = 900_000
const OUTCOME_SWEEP_MS = 60_000

/** How long the leader waits before it does what cannot be undone. */
export interface Graces {
  readonly ownerMs: number
  readonly abortedMs: number
  readonly readerMs: number
}

const GRACES: Graces = {
  ownerMs: OWNER_GRACE_MS,
  abortedMs: ABORTED_GRACE_MS,
  readerMs: READER_GRACE_MS,
}

/** Since when a leader has seen each record in its present state, by key and revision; of pending ones, ownerless. */
export type Seen = ReadonlyMap<string, number>

export type SweepEffect =
  | {
      readonly kind: 'abort'
      readonly write: LoggedTransaction & { readonly record: PendingWrite }
    }
  /** Removes what bears the id of an aborted write, then the record. */
  | {
      readonly kind: 'clean'
      readonly write: LoggedTransaction & { readonly record: AbortedWrite }
    }
  /** Removes the directories of dropped tables, then the record. */
  | {
      readonly kind: 'drop'
      readonly write: LoggedTransaction & { readonly record: DroppedTables }
    }
  /** Removes the files that only forgotten snapshots of one table needed, then the records, which are in order. */
  | { readonly kind: 'expire'; readonly table: string; readonly writes: readonly ExpiredWrite[] }
  /** Forgets what a process said that it reads, which is gone. */
  | { readonly kind: 'forgetFloor'; readonly floor: LoggedFloor }

export type ExpiredWrite = LoggedTransaction & { readonly record: ExpiredSnapshots }

/** What is read of the catalog as it was before, by anybody. */
export interface Reads {
  /** What each process says of how old the snapshots are that it reads; at the least the own one. */
  readonly floors: readonly LoggedFloor[]
  /** The oldest revision of the catalog that a query with a record reads at; undefined: none does. */
  readonly oldestRead: number | undefined
}

/** What the leader has read of the store: the records of writes first. */
export interface SweepView extends Reads {
  readonly transactions: readonly LoggedTransaction[]
  readonly isLiving: (owner: Owner) => boolean
}

/**
 * What is due of the records of writes. Pure. Times are of this leader's own clock, counted from when it first saw a
 * record so: no clocks are compared, and a new leader waits as long again.
 *
 * What a commit made a table forget, or drop, goes when all read the catalog as it was since. That stays so however late
 * it is done: floors only rise, and who begins later reads what is newer.
 */
export function planSweep(
  before: Seen,
  view: SweepView,
  nowMs: number,
  graces: Graces = GRACES,
): readonly [Seen, readonly SweepEffect[]] {
  const seen = new Map<string, number>()
  const ageOf = ({ key, modRevision }: Pick<LoggedTransaction, 'key' | 'modRevision'>): number => {
    const mark = `${key}@${modRevision}`
    const since = before.get(mark) ?? nowMs
    seen.set(mark, since)
    return nowMs - since
  }
  const effects: SweepEffect[] = []
  const expired: ExpiredWrite[] = []
  const readFrom = oldestOf(view)
  for (const write of view.transactions) {
    const { record, modRevision } = write
    switch (record.kind) {
      case 'pending': {
        if (view.isLiving({ id: record.owner, startedAt: record.ownerStartedAt })) break
        if (ageOf(write) < graces.ownerMs) break
        effects.push({ kind: 'abort', write: { ...write, record } })
        break
      }
      case 'aborted':
        if (ageOf(write) < graces.abortedMs) break
        effects.push({ kind: 'clean', write: { ...write, record } })
        break
      case 'dropped':
        if (readFrom >= modRevision) effects.push({ kind: 'drop', write: { ...write, record } })
        break
      case 'expired':
        if (readFrom >= modRevision) expired.push({ ...write, record })
    }
  }
  for (const floor of view.floors) {
    const { owner, ownerStartedAt } = floor.record
    if (view.isLiving({ id: owner, startedAt: ownerStartedAt })) continue
    // It may be raised before it stops, which is no reason to wait anew.
    if (ageOf({ key: floor.key, modRevision: 0 }) < graces.readerMs) continue
    effects.push({ kind: 'forgetFloor', floor })
  }
  return [seen, [...effects, ...byTable(expired)]]
}

/** No statement reads an older revision of the catalog than this. Where nobody says what it reads, all may be read. */
export const oldestOf = ({ floors, oldestRead = Infinity }: Reads): number =>
  floors.length === 0 ? 0 : Math.min(oldestRead, ...floors.map(({ record }) => record.revision))

/** The oldest first: a later record may name the file that an earlier one is about. */
function byTable(writes: readonly ExpiredWrite[]): readonly SweepEffect[] {
  const tables = new Map<string, ExpiredWrite[]>()
  for (const write of writes.toSorted((a, b) => a.modRevision - b.modRevision)) {
    const { table } = write.record
    tables.set(table, [...(tables.get(table) ?? []), write])
  }
  return [...tables].map(([table, of]) => ({ kind: 'expire', table, writes: of }))
}

export interface WriteJanitorOptions {
  readonly writeLog: WriteLog
  readonly writes: Pick<WriteRuns, 'settle'>
  readonly clock: Clock
  readonly log: Log
  /** Undefined while another one leads. */
  readonly leadership: () => { fence(): Compare } | undefined
  readonly isLiving: SweepView['isLiving']
  /** What is read, as of now: asked for after the records. */
  readonly reads: () => Promise<Reads>
  /** Removes the files of forgotten snapshots of one table; tells how many. */
  readonly removeExpired: (writes: readonly ExpiredWrite[]) => Promise<number>
  /** Times that it looks more often, and waits for less long, than elsewhere; default 1. */
  readonly haste?: number
}

/**
 * Ends, while this coordinator leads, what others have left of writes; and at any time what it could not end itself.
 * Files are removed only of writes whose record says that they are aborted, and of tables whose record says that they
 * were dropped: neither can come back. Should a deposed leader do the same once more, it removes what is nobody's.
 */
export class WriteJanitor {
  readonly #options: WriteJanitorOptions
  #seen: Seen = new Map()
  #outcomesDueMs = 0
  readonly #rounds: Rounds
  readonly #graces: Graces

  constructor(options: WriteJanitorOptions) {
    this.#options = options
    const { clock, log, haste = 1 } = options
    this.#graces = {
      ownerMs: OWNER_GRACE_MS / haste,
      abortedMs: ABORTED_GRACE_MS / haste,
      readerMs: READER_GRACE_MS / haste,
    }
    this.#rounds = new Rounds({
      clock,
      everyMs: SWEEP_MS / haste,
      round: () => this.sweep(),
      onError: (error) => log.warn('writesNotSwept', { error }),
    })
  }

  start(): void {
    this.#rounds.start()
  }

  stop(): void {
    this.#rounds.stop()
  }

  /** One round. Rejects where the metastore does not answer; the next round does what is left. */
  async sweep(): Promise<void> {
    const { writes, writeLog, clock, isLiving, leadership, log } = this.#options
    await writes.settle()
    if (leadership() === undefined || isMutant('no-sweeps')) {
      this.#seen = new Map()
      return
    }
    const transactions = await writeLog.transactions()
    const view = { transactions, isLiving, ...(await this.#options.reads()) }
    const [seen, effects] = planSweep(this.#seen, view, clock.now(), this.#graces)
    this.#seen = seen
    for (const effect of effects) {
      const leader = leadership()
      if (leader === undefined) return
      try {
        await this.#carryOut(effect, [leader.fence()])
      } catch (error) {
        log.warn('writeNotCleaned', { ...subjectOf(effect), effect: effect.kind, error })
      }
    }
    await this.#forgetOutcomes()
  }

  async #carryOut(effect: SweepEffect, fence: readonly Compare[]): Promise<void> {
    const { writeLog, log } = this.#options
    log.info('writeSwept', { ...subjectOf(effect), effect: effect.kind })
    failpoint('janitor.sweeping')
    switch (effect.kind) {
      case 'abort':
        if (await writeLog.abort(effect.write, 'its coordinator is gone', fence)) {
          failpoint('janitor.removing')
          await removeAll(effect.write.record)
        }
        return
      case 'clean':
        failpoint('janitor.removing')
        await removeAll(effect.write.record)
        failpoint('janitor.forgetting')
        await writeLog.forget(effect.write, fence)
        return
      case 'expire': {
        failpoint('janitor.removing')
        const files = await this.#options.removeExpired(effect.writes)
        failpoint('janitor.forgetting')
        log.info('expiredFilesRemoved', { table: effect.table, files })
        for (const write of effect.writes) await writeLog.forget(write, fence)
        return
      }
      case 'forgetFloor':
        await writeLog.forget(effect.floor, fence)
        return
      case 'drop':
        failpoint('janitor.removing')
        for (const location of effect.write.record.locations) {
          if (TABLE_DIRECTORY.test(location)) await rm(location, { recursive: true, force: true })
        }
        failpoint('janitor.forgetting')
        await writeLog.forget(effect.write, fence)
        return
    }
  }

  /** Outcomes that nobody will ask for any more. */
  async #forgetOutcomes(): Promise<void> {
    const { writeLog, clock, leadership } = this.#options
    if (clock.now() < this.#outcomesDueMs) return
    this.#outcomesDueMs = clock.now() + OUTCOME_SWEEP_MS
    const leader = leadership()
    if (leader === undefined) return
    await writeLog.forgetOutcomes(clock.wall() - OUTCOME_KEPT_MS, [leader.fence()])
  }
}

/** What an effect is about, for the log. */
const subjectOf = (effect: SweepEffect): Readonly<Record<string, string>> => {
  if (effect.kind === 'expire') return { table: effect.table }
  if (effect.kind === 'forgetFloor') return { coordinator: effect.floor.record.owner }
  return { write: effect.write.record.id }
}

/** Directories of managed tables end in the id of the write that made them; no other is ever removed as a whole. */
const TABLE_DIRECTORY = /^\/.+-w[0-9a-f]{24}$/
