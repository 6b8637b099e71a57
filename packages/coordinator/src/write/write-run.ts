import { assert, type Clock, failpoint, type Log, unreachable } from '@nyala/client/base'
import { SqlError } from '@nyala/client/protocol'
import type { TableFile } from '@nyala/executor/protocol'
import type {
  AbortedWrite,
  Asking,
  BegunWrite,
  CatalogPlan,
  Keys,
  Operation,
  Owner,
  PendingWrite,
  PlanContext,
  FoundOutcome,
  Patience,
  WriteLog,
} from '@nyala/metastore'
import type {
  OutcomeStatistics,
  StatementContext,
  StatementOutcome,
} from '../server/statement-context.ts'
import {
  type CommitEffect,
  type CommitEvent,
  type CommitState,
  onCommit,
  WORKING,
} from '../txn/commit-state.ts'
import type { TableChange } from './change.ts'
import type { DateCommit } from './commit-time.ts'
import {
  askOutcome,
  checkFingerprint,
  type CommitDone,
  type Committer,
  type StatementIdentity,
} from './committer.ts'
import { fingerprintOf } from './fingerprint.ts'
import { StagedAttempt } from './staged-attempt.ts'
import { type StagedFiles, STAGED_FILES } from './staging.ts'
import { newWriteId } from './write-ids.ts'

/**
 * A request that nobody answered may still be done: one that begins a write was seen to be, 7.8 s later. So long a record
 * that is not there is looked for; one that comes later is the leader's to abort, once this process is gone.
 */
export const LATE_MS = 60_000

export interface WriteRunsOptions {
  readonly writeLog: WriteLog
  readonly committer: Committer
  readonly keys: Keys
  readonly clock: Clock
  readonly log: Log
  readonly owner: Owner
  /** Directory that managed tables lie in, unless their database says another. */
  readonly warehouse: string
  /** What removes files that came to nothing; default: from disk. */
  readonly files?: StagedFiles | undefined
  /** Absent: tables have no metadata, as those of a simulation. */
  readonly dateCommit?: DateCommit | undefined
}

/** What a write asks of its statement. */
export type WriteContext = Pick<
  StatementContext,
  'signal' | 'patience' | 'notices' | 'commit' | 'transaction'
>

export interface StagedRequest {
  readonly identity: StatementIdentity
  readonly context: WriteContext
  readonly command: string
  readonly locations: readonly string[]
  /** Of the write; absent: a new one. */
  readonly id?: string | undefined
}

export type Done = Pick<CommitDone, 'outcome' | 'revision' | 'repeated'>
export type Executed<T> = { readonly value: T } & (Done | { readonly revision?: undefined })

/** A write that has begun: what its statement does with it. */
export interface StagedWrite {
  readonly id: string
  /** Executors have run for it. */
  ran(query: {
    readonly files: readonly TableFile[]
    readonly repeated: boolean
    readonly statistics: OutcomeStatistics
    readonly profile: unknown
  }): void
  /** As {@link Committer.update}. From here on the statement cannot be cancelled any more. */
  update(change: TableChange, outcome: { readonly rows: number | null }): Promise<Done>
  /** As {@link Committer.execute}. */
  execute<T>(
    plan: (context: PlanContext) => CatalogPlan<T>,
    outcome: { readonly rows: number | null },
  ): Promise<Executed<T>>
}

/**
 * Runs writes from their begin to their end.
 *
 * ```
 *   once: is there an outcome already? ──yes──► it is the answer
 *     └─no─► staged: record pending ──► files ──► commit ──► outcome
 *                        │                │         ├─ refused, failed ──► record aborted ──► files removed
 *                        └────────────────┴─────────┘
 * ```
 *
 * A write that fails is aborted by a guarded write before its files go; where that is not possible now, it is tried
 * again by {@link settle}. An unknown outcome is resolved by the same write: either the abort goes through, and nothing
 * was done, or the statement's outcome is there.
 */
export class WriteRuns {
  readonly #options: WriteRunsOptions
  /**
   * Writes of this coordinator that have failed and could not be aborted yet, and since when. A record that is not found
   * may come late: it is looked for until {@link LATE_MS} have gone by.
   */
  readonly #unsettled = new Map<string, number>()

  constructor(options: WriteRunsOptions) {
    this.#options = options
  }

  get committer(): Committer {
    return this.#options.committer
  }

  get keys(): Keys {
    return this.#options.keys
  }

  get owner(): Owner {
    return this.#options.owner
  }

  get warehouse(): string {
    return this.#options.warehouse
  }

  get files(): StagedFiles {
    return this.#options.files ?? STAGED_FILES
  }

  get dateCommit(): DateCommit {
    return this.#options.dateCommit ?? (() => Promise.resolve([]))
  }

  get clock(): Clock {
    return this.#options.clock
  }

  get log(): Log {
    return this.#options.log
  }

  get writeLog(): WriteLog {
    return this.#options.writeLog
  }

  /** Does what a statement says, or answers with what came of it when it was sent before. */
  async once(
    context: StatementContext,
    work: (identity: StatementIdentity) => Promise<StatementOutcome>,
  ): Promise<StatementOutcome> {
    const { writeLog } = this.#options
    const identity = { id: context.statementId, fingerprint: fingerprintOf(context) }
    // What it comes to is decided by the transaction's COMMIT, which has an id of its own.
    if (context.transaction.current !== undefined) return work(identity)
    const { signal, patience } = context
    const first = await writeLog.outcomeOf(identity.id, { signal, patience })
    if (first === undefined) return work(identity)
    return this.#repeated(first, { identity, context })
  }

  /** The answer to a statement that was sent before. */
  #repeated(
    first: FoundOutcome,
    { identity, context }: Pick<StagedRequest, 'identity' | 'context'>,
  ): StatementOutcome {
    checkFingerprint(first, identity)
    context.notices.push(...first.notices)
    const { command, rows, revision } = first
    return { command, revision, ...(rows === null ? {} : { rows }) }
  }

  /** Runs a statement that stages files. */
  async staged(
    request: StagedRequest,
    work: (write: StagedWrite) => Promise<Done | Executed<unknown>>,
  ): Promise<StatementOutcome> {
    const { writeLog, clock, owner } = this.#options
    const { identity, context, command, locations } = request
    const transaction = context.transaction.current
    if (transaction !== undefined) return transaction.stage(request, work)
    const id = request.id ?? newWriteId()
    const start = { id, locations, startedAt: clock.wall() }
    const { signal, patience } = context
    const options = { statementId: identity.id, signal, patience }
    const first = await writeLog.begin(start, owner, options).catch((error: unknown) => {
      this.mayHaveBegun(id)
      throw error
    })
    if (first.kind === 'done') return this.#repeated(first.outcome, request)
    const begun = first.write
    const attempt = new StagedAttempt(this, request, begun)
    const done = await this.settled(begun, identity, {
      work: () => work(attempt),
      tidy: () => this.#tidy(begun, attempt),
      patience,
    })
    const { query } = attempt
    const more = query === undefined ? {} : { statistics: query.statistics, profile: query.profile }
    if (!('outcome' in done)) return { command, ...more }
    const { outcome, revision } = done
    const rows = outcome.rows === null ? {} : { rows: outcome.rows }
    return { command: outcome.command, ...rows, revision, ...more }
  }

  /** The record of a write that was not begun may be there all the same, or come late: it is aborted once it is seen. */
  mayHaveBegun(id: string): void {
    if (!this.#unsettled.has(id)) this.#unsettled.set(id, this.clock.now())
  }

  /** Tries again to abort writes that have failed. Never rejects. */
  async settle(): Promise<void> {
    for (const [id, sinceMs] of [...this.#unsettled]) {
      // Looked at before the store is asked: what comes later than this is not waited for.
      const isOver = this.clock.now() - sinceMs >= LATE_MS
      const how = await this.giveUpRecord(id, 'its statement failed')
      if (isOver && how === 'gone') this.#unsettled.delete(id)
    }
  }

  /** Removes what lost tasks may have staged since the commit was decided. Never rejects. */
  async #tidy({ record }: BegunWrite, { query }: StagedAttempt): Promise<void> {
    const { id, locations } = record
    if (query?.repeated !== true) return
    try {
      for (const location of locations) {
        const paths = query.files.map((file) => file.path)
        await this.files.removeUncommitted(location, id, paths)
      }
    } catch (error) {
      this.#options.log.warn('stagedFilesNotRemoved', { write: record.id, error })
    }
  }

  /**
   * Does a statement that stages no files, and whose id has no outcome yet; in a transaction it is seen by that alone.
   * `more` is done in the same commit.
   */
  async execute<T>(
    statement: {
      readonly identity: StatementIdentity
      readonly context: StatementContext
      readonly command: string
    },
    plan: (context: PlanContext) => CatalogPlan<T>,
    more: (value: T, writeId: string) => readonly Operation[] = () => [],
  ): Promise<{ readonly value: T; readonly revision?: number | undefined }> {
    const { identity, context, command } = statement
    const transaction = context.transaction.current
    if (transaction !== undefined) return transaction.execute(plan, { context, more })
    context.signal.throwIfAborted()
    // From here on it may be done: the client is told how it ended, not that it was cancelled.
    context.commit.begun = true
    const outcome = { command, rows: null, notices: [] }
    const { patience } = context
    const request = { statement: identity, writeId: newWriteId(), outcome, patience }
    return this.#options.committer.execute(request, plan, more)
  }

  /**
   * The record of a transaction, before it stages anything. Its outcome is kept under its own id, too, so that a request
   * which is delivered late does not bring the record of a committed one back.
   */
  async beginTransaction(
    id: string,
    first: Pick<WriteContext, 'signal' | 'patience'> & {
      readonly locations: readonly string[]
      readonly own: readonly string[]
    },
  ): Promise<BegunWrite> {
    const { writeLog, clock, owner } = this.#options
    const { locations, own, signal, patience } = first
    const start = { id, locations, own, startedAt: clock.wall() }
    const begun = await writeLog.begin(start, owner, { statementId: id, signal, patience })
    assert(begun.kind === 'begun', 'a transaction has no outcome before its record')
    return begun.write
  }

  /**
   * Does what decides a write, and sees to it that it is known how it ended, as {@link onCommit} says. Resolves with what
   * was decided, or with nothing to do; fails with the error of `work`, or with what is known of its end.
   */
  async settled<T extends Done | Executed<unknown>>(
    write: BegunWrite,
    identity: StatementIdentity,
    how: { work(): Promise<T>; tidy(): Promise<void>; readonly patience?: Patience | undefined },
  ): Promise<T | Done> {
    let state: CommitState = WORKING
    let effect: CommitEffect | undefined
    let done: T | Done | undefined
    let failure: unknown
    const on = (event: CommitEvent): void => {
      ;[state, effect] = onCommit(state, event)
    }
    try {
      done = await how.work()
      on('outcome' in done ? { kind: 'decided', repeated: done.repeated } : { kind: 'nothingToDo' })
    } catch (error) {
      failure = error
      on({ kind: 'failed', isUnknown: isUnknown(error) })
    }
    while (effect !== undefined) {
      const current: CommitEffect = effect
      effect = undefined
      switch (current) {
        case 'abort': {
          const reason = reasonOf(state, failure)
          const { patience } = how
          on({ kind: 'abortEnded', how: await this.giveUp(write, reason, { failure, patience }) })
          break
        }
        case 'ask':
          done = await this.#outcomeOf(write, identity, how.patience)
          on({ kind: 'outcomeRead', outcome: whose(done) })
          break
        case 'tidy':
          await how.tidy()
          break
        default:
          return unreachable(current)
      }
    }
    return endOf(state, done, failure)
  }

  async #outcomeOf(
    write: BegunWrite,
    identity: StatementIdentity,
    patience: Patience | undefined,
  ): Promise<Done | undefined> {
    const { writeLog } = this.#options
    const outcome = await askOutcome(() => writeLog.outcomeOf(identity.id, { patience }))
    if (outcome === undefined) return undefined
    checkFingerprint(outcome, identity)
    return { outcome, revision: outcome.revision, repeated: outcome.write !== write.record.id }
  }

  /**
   * Aborts a write, and then removes its files. Never rejects: what is left is done later, by whoever leads. `failure`: what
   * the write ended with; where etcd did not answer for as long as a client waits, it is asked but once more. `patience`: of
   * whoever waits for it.
   */
  async giveUp(
    write: BegunWrite,
    reason: string,
    how: { readonly failure?: unknown; readonly patience?: Patience | undefined } = {},
  ): Promise<'aborted' | 'gone' | 'unsettled'> {
    const { writeLog } = this.#options
    const { record } = write
    const { failure, patience } = how
    const options = isUnanswered(failure) ? { budgetMs: SETTLE_BUDGET_MS } : { patience }
    return this.#giveUp(record.id, async () => {
      if (await writeLog.abort(write, reason, [], options)) return record
      // Extended with an answer that was lost, it is not the one that is known here.
      return this.#abortFound(record.id, reason, options)
    })
  }

  /** The same, of a record that may be there or not, or come late. */
  async giveUpRecord(
    id: string,
    reason: string,
    asking: Asking = {},
  ): Promise<'aborted' | 'gone' | 'unsettled'> {
    const since = this.#unsettled.get(id) ?? this.clock.now()
    const how = await this.#giveUp(id, () => this.#abortFound(id, reason, asking))
    if (how === 'gone') this.#unsettled.set(id, since)
    return how
  }

  /** `abort` resolves with what is known of the aborted write; undefined where it is not there any more. */
  async #giveUp(
    id: string,
    abort: () => Promise<PendingWrite | AbortedWrite | undefined>,
  ): Promise<'aborted' | 'gone' | 'unsettled'> {
    const { log } = this.#options
    let aborted: PendingWrite | AbortedWrite | undefined
    failpoint('write.aborting')
    try {
      aborted = await abort()
      this.#unsettled.delete(id)
    } catch (error) {
      log.warn('writeNotAborted', { write: id, error })
      this.mayHaveBegun(id)
      return 'unsettled'
    }
    if (aborted === undefined) return 'gone'
    failpoint('write.aborted')
    try {
      await this.files.removeAll(aborted)
    } catch (error) {
      log.warn('stagedFilesNotRemoved', { write: id, error })
    }
    return 'aborted'
  }

  async #abortFound(
    id: string,
    reason: string,
    asking: Asking,
  ): Promise<PendingWrite | AbortedWrite | undefined> {
    const { writeLog } = this.#options
    const found = await writeLog.transaction(id, asking)
    if (found === undefined) return undefined
    const { record } = found
    if (record.kind === 'dropped' || record.kind === 'expired') return undefined
    if (record.kind === 'aborted') return record
    return (await writeLog.abort({ ...found, record }, reason, [], asking)) ? record : undefined
  }
}

/** For the record: why a write was given up. */
const reasonOf = (state: CommitState, failure: unknown): string => {
  const why = state.kind === 'aborting' ? state.why : state.kind
  if (why === 'repeated') return 'its statement was done before'
  return failure instanceof Error ? failure.message : 'there was nothing to do'
}

/** After the 4 s of its statement's patience: a client is told within 5 s. */
const SETTLE_BUDGET_MS = 250

const isUnanswered = (error: unknown): boolean =>
  isUnknown(error) || (error instanceof SqlError && error.error === 'metastore_unavailable')

const isUnknown = (error: unknown): boolean =>
  error instanceof SqlError && error.error === 'commit_outcome_unknown'

const whose = (done: Done | undefined): 'own' | 'another' | 'none' =>
  done === undefined ? 'none' : done.repeated ? 'another' : 'own'

function endOf<T>(state: CommitState, done: T | undefined, failure: unknown): T {
  assert(state.kind === 'ended', 'nothing is left to be done')
  if (state.how === 'givenUp') {
    throw new SqlError('serialization_failure', 'the metastore did not answer in time', {
      hint: 'the write was given up, and nothing was written: send the statement again',
      cause: failure,
    })
  }
  if (state.how === 'failed' || state.how === 'unknown') throw failure
  assert(done !== undefined, 'what has not failed has an end')
  return done
}
