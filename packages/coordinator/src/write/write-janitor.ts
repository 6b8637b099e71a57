import { rm } from 'node:fs/promises'
import type { Clock, Log } from '@nyala/client/base'
import type {
  AbortedWrite,
  DroppedTables,
  Compare,
  ExpiredSnapshots,
  LoggedTransaction,
  PendingWrite,
  WriteLog,
} from '@nyala/metastore'
import { Rounds } from '../failover/rounds.ts'
import { removeFiles, type WriteRuns } from './write-run.ts'

/** How often the records are looked at. */
const SWEEP_MS = 5_000
/** A coordinator that is not seen for so long does not come back to its writes: what it began is aborted. */
export const OWNER_GRACE_MS = 10_000
/**
 * So long after its abort a write's files are removed once more, and its record goes: executors stop the tasks of a
 * query without an owner within seconds, but one that was paused may write a file when it wakes.
 */
export const ABORTED_GRACE_MS = 60_000
/** Queries that began before a table was dropped may read its files for so long. */
export const DROPPED_GRACE_MS = 600_000
/** For so long a statement that is sent again is answered with its first outcome. */
export const OUTCOME_KEPT_MS = 900_000
const OUTCOME_SWEEP_MS = 60_000

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
  /** Removes the files that only forgotten snapshots needed, then the record. */
  | {
      readonly kind: 'expire'
      readonly write: LoggedTransaction & { readonly record: ExpiredSnapshots }
    }

/**
 * What is due of the records of writes. Pure. Times are of this leader's own clock, counted from when it first saw a
 * record so: no clocks are compared, and a new leader waits as long again.
 */
export function planSweep(
  before: Seen,
  view: {
    readonly transactions: readonly LoggedTransaction[]
    readonly isLiving: (owner: { readonly id: string; readonly startedAt: number }) => boolean
    /** The oldest revision of the catalog that a query with a record reads at; undefined: none does. */
    readonly oldestRead: number | undefined
  },
  nowMs: number,
): readonly [Seen, readonly SweepEffect[]] {
  const seen = new Map<string, number>()
  const effects: SweepEffect[] = []
  for (const write of view.transactions) {
    const { record, key, modRevision } = write
    if (record.kind === 'pending') {
      const owner = { id: record.owner, startedAt: record.ownerStartedAt }
      if (view.isLiving(owner)) continue
    }
    const mark = `${key}@${modRevision}`
    const since = before.get(mark) ?? nowMs
    seen.set(mark, since)
    const ageMs = nowMs - since
    switch (record.kind) {
      case 'pending':
        if (ageMs >= OWNER_GRACE_MS) effects.push({ kind: 'abort', write: { ...write, record } })
        break
      case 'aborted':
        if (ageMs >= ABORTED_GRACE_MS) effects.push({ kind: 'clean', write: { ...write, record } })
        break
      case 'dropped':
        if (ageMs >= DROPPED_GRACE_MS) effects.push({ kind: 'drop', write: { ...write, record } })
        break
      case 'expired': {
        const isRead = view.oldestRead !== undefined && view.oldestRead < modRevision
        if (ageMs >= DROPPED_GRACE_MS && !isRead) {
          effects.push({ kind: 'expire', write: { ...write, record } })
        }
      }
    }
  }
  return [seen, effects]
}

export interface WriteJanitorOptions {
  readonly writeLog: WriteLog
  readonly writes: Pick<WriteRuns, 'settle'>
  readonly clock: Clock
  readonly log: Log
  /** Undefined while another one leads. */
  readonly leadership: () => { fence(): Compare } | undefined
  readonly isLiving: (owner: { readonly id: string; readonly startedAt: number }) => boolean
  /** As {@link planSweep} takes it. */
  readonly oldestRead: () => number | undefined
  /** Removes the files of forgotten snapshots; tells how many. */
  readonly removeExpired: (record: ExpiredSnapshots, revision: number) => Promise<number>
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

  constructor(options: WriteJanitorOptions) {
    this.#options = options
    const { clock, log } = options
    this.#rounds = new Rounds({
      clock,
      everyMs: SWEEP_MS,
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
    if (leadership() === undefined) {
      this.#seen = new Map()
      return
    }
    const transactions = await writeLog.transactions()
    const view = { transactions, isLiving, oldestRead: this.#options.oldestRead() }
    const [seen, effects] = planSweep(this.#seen, view, clock.now())
    this.#seen = seen
    for (const effect of effects) {
      const leader = leadership()
      if (leader === undefined) return
      try {
        await this.#carryOut(effect, [leader.fence()])
      } catch (error) {
        log.warn('writeNotCleaned', { write: effect.write.record.id, effect: effect.kind, error })
      }
    }
    await this.#forgetOutcomes()
  }

  async #carryOut(effect: SweepEffect, fence: readonly Compare[]): Promise<void> {
    const { writeLog, log } = this.#options
    log.info('writeSwept', { write: effect.write.record.id, effect: effect.kind })
    switch (effect.kind) {
      case 'abort':
        if (await writeLog.abort(effect.write, 'its coordinator is gone', fence)) {
          await removeFiles(effect.write.record)
        }
        return
      case 'clean':
        await removeFiles(effect.write.record)
        await writeLog.forget(effect.write, fence)
        return
      case 'expire': {
        const { record, modRevision } = effect.write
        const files = await this.#options.removeExpired(record, modRevision)
        log.info('expiredFilesRemoved', { write: record.id, files })
        await writeLog.forget(effect.write, fence)
        return
      }
      case 'drop':
        for (const location of effect.write.record.locations) {
          if (TABLE_DIRECTORY.test(location)) await rm(location, { recursive: true, force: true })
        }
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

/** Directories of managed tables end in the id of the write that made them; no other is ever removed as a whole. */
const TABLE_DIRECTORY = /^\/.+-w[0-9a-f]{24}$/
