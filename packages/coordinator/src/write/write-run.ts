import { basename } from 'node:path'
import { rm } from 'node:fs/promises'
import type { Clock, Log } from '@nyala/client/base'
import { SqlError } from '@nyala/client/protocol'
import type { TableFile } from '@nyala/executor/protocol'
import type {
  BegunWrite,
  CatalogPlan,
  Keys,
  Operation,
  Owner,
  PlanContext,
  StatementRecord,
  WriteLog,
} from '@nyala/metastore'
import type {
  OutcomeStatistics,
  StatementContext,
  StatementOutcome,
} from '../server/statement-context.ts'
import type { TableChange } from './change.ts'
import {
  checkFingerprint,
  type CommitDone,
  type Committer,
  type CommitRequest,
  type StatementIdentity,
} from './committer.ts'
import { fingerprintOf } from './fingerprint.ts'
import { removeAttempts, removeStaged, removeUncommitted } from './staging.ts'
import { newWriteId } from './write-ids.ts'

export interface WriteRunsOptions {
  readonly writeLog: WriteLog
  readonly committer: Committer
  readonly keys: Keys
  readonly clock: Clock
  readonly log: Log
  readonly owner: Owner
  /** Directory that managed tables lie in, unless their database says another. */
  readonly warehouse: string
}

export interface StagedRequest {
  readonly identity: StatementIdentity
  readonly context: StatementContext
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
  /** Writes of this coordinator that have failed and could not be aborted yet. */
  readonly #unsettled = new Map<string, BegunWrite>()

  constructor(options: WriteRunsOptions) {
    this.#options = options
  }

  get committer(): Committer {
    return this.#options.committer
  }

  get keys(): Keys {
    return this.#options.keys
  }

  get warehouse(): string {
    return this.#options.warehouse
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
    const first = await writeLog.outcomeOf(identity.id, { signal: context.signal })
    if (first === undefined) return work(identity)
    return this.#repeated(first, { identity, context })
  }

  /** The answer to a statement that was sent before. */
  #repeated(
    first: StatementRecord,
    { identity, context }: Pick<StagedRequest, 'identity' | 'context'>,
  ): StatementOutcome {
    checkFingerprint(first, identity)
    context.notices.push(...first.notices)
    return { command: first.command, ...(first.rows === null ? {} : { rows: first.rows }) }
  }

  /** Runs a statement that stages files. */
  async staged(
    request: StagedRequest,
    work: (write: StagedWrite) => Promise<Done | Executed<unknown>>,
  ): Promise<StatementOutcome> {
    const { writeLog, clock, owner } = this.#options
    const { context, command, locations } = request
    const transaction = context.transaction.current
    if (transaction !== undefined) return transaction.stage(request, work)
    const id = request.id ?? newWriteId()
    const start = { id, locations, startedAt: clock.wall() }
    const { signal } = context
    const { identity } = request
    const first = await writeLog.begin(start, owner, { statementId: identity.id, signal })
    if (first.kind === 'done') return this.#repeated(first.outcome, request)
    const begun = first.write
    const attempt = new Attempt(this.#options, request, begun)
    const done = await this.settled(begun, identity, () => work(attempt))
    const { query } = attempt
    const more = query === undefined ? {} : { statistics: query.statistics, profile: query.profile }
    if (!('outcome' in done)) {
      await this.giveUp(begun, 'there was nothing to do')
      return { command, ...more }
    }
    const { outcome, revision } = done
    if (done.repeated) await this.giveUp(begun, 'its statement was done before')
    else await this.#tidy(begun, attempt)
    const rows = outcome.rows === null ? {} : { rows: outcome.rows }
    return { command: outcome.command, ...rows, revision, ...more }
  }

  /** Tries again to abort writes that have failed. */
  async settle(): Promise<void> {
    for (const write of [...this.#unsettled.values()])
      await this.giveUp(write, 'its statement failed')
  }

  /** Removes what attempts have left that came to nothing, of tasks or of the commit. Never rejects. */
  async #tidy({ record }: BegunWrite, { attempts, query }: Attempt): Promise<void> {
    const { id, locations } = record
    try {
      for (const location of locations) {
        if (attempts > 1) await removeAttempts(location, id, attempts - 1)
        if (query?.repeated !== true) continue
        const paths = query.files.map((file) => file.path)
        await removeUncommitted(location, id, paths)
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
    const outcome = { command, rows: null, notices: [] }
    const request = { statement: identity, writeId: newWriteId(), outcome }
    return this.#options.committer.execute(request, plan, more)
  }

  /** The record of a transaction, before it stages anything. */
  async beginTransaction(
    id: string,
    first: {
      readonly statementId: string
      readonly signal: AbortSignal
      readonly locations: readonly string[]
      readonly own: readonly string[]
    },
  ): Promise<BegunWrite> {
    const { writeLog, clock, owner } = this.#options
    const { locations, own, statementId, signal } = first
    const start = { id, locations, own, startedAt: clock.wall() }
    const begun = await writeLog.begin(start, owner, { statementId, signal })
    if (begun.kind === 'begun') return begun.write
    throw new SqlError('invalid_parameter_value', `statement id "${statementId}" was used before`, {
      hint: 'every statement needs an id of its own; nothing was done',
    })
  }

  /** Does what commits a write, and where that fails sees to it that it is known how it ended. */
  async settled<T>(
    write: BegunWrite,
    identity: StatementIdentity,
    work: () => Promise<T>,
  ): Promise<T | Done> {
    try {
      return await work()
    } catch (error) {
      return await this.#settleFailure(write, identity, error)
    }
  }

  /** The error to end with; or, where the commit went through though it seemed to fail, what it did. */
  async #settleFailure(
    write: BegunWrite,
    identity: StatementIdentity,
    error: unknown,
  ): Promise<Done> {
    const isUnknown = error instanceof SqlError && error.error === 'commit_outcome_unknown'
    const aborted = await this.giveUp(write, String((error as Error).message))
    if (!isUnknown || aborted === 'unsettled') throw error
    if (aborted === 'aborted') {
      throw new SqlError('serialization_failure', 'the metastore did not answer in time', {
        hint: 'the write was given up, and nothing was written: send the statement again',
        cause: error,
      })
    }
    const { writeLog } = this.#options
    const outcome = await writeLog.outcomeOf(identity.id)
    if (outcome === undefined) throw error
    checkFingerprint(outcome, identity)
    return { outcome, revision: 0, repeated: outcome.write !== write.record.id }
  }

  /** Aborts a write, and then removes its files. Never rejects: what is left is done later, by whoever leads. */
  async giveUp(write: BegunWrite, reason: string): Promise<'aborted' | 'gone' | 'unsettled'> {
    const { writeLog, log } = this.#options
    const { id } = write.record
    try {
      const isAborted = await writeLog.abort(write, reason)
      this.#unsettled.delete(id)
      if (!isAborted) return 'gone'
    } catch (error) {
      log.warn('writeNotAborted', { write: id, error })
      this.#unsettled.set(id, write)
      return 'unsettled'
    }
    try {
      await removeFiles(write.record)
    } catch (error) {
      log.warn('stagedFilesNotRemoved', { write: id, error })
    }
    return 'aborted'
  }
}

/** Removes all files of an aborted write; a directory that is the write's own goes as a whole. */
export async function removeFiles(write: {
  readonly id: string
  readonly locations: readonly string[]
  readonly own?: readonly string[] | undefined
}): Promise<void> {
  for (const location of write.locations) {
    const isOwn = basename(location).includes(write.id) || write.own?.includes(location) === true
    if (isOwn) await rm(location, { recursive: true, force: true })
    else await removeStaged(location, write.id)
  }
}

class Attempt implements StagedWrite {
  readonly #options: WriteRunsOptions
  readonly #request: StagedRequest
  readonly #begun: BegunWrite
  /** Commits that were tried. */
  attempts = 0
  query: Parameters<StagedWrite['ran']>[0] | undefined

  constructor(options: WriteRunsOptions, request: StagedRequest, begun: BegunWrite) {
    this.#options = options
    this.#request = request
    this.#begun = begun
  }

  get id(): string {
    return this.#begun.record.id
  }

  ran(query: Parameters<StagedWrite['ran']>[0]): void {
    this.query = query
  }

  update(change: TableChange, { rows }: { readonly rows: number | null }): Promise<Done> {
    const counted: TableChange = {
      ...change,
      apply: (current, attempt) => {
        this.attempts = attempt + 1
        return change.apply(current, attempt)
      },
    }
    return this.#options.committer.update(counted, this.#commit(rows))
  }

  execute<T>(
    plan: (context: PlanContext) => CatalogPlan<T>,
    { rows }: { readonly rows: number | null },
  ): Promise<Executed<T>> {
    return this.#options.committer.execute(this.#commit(rows), plan)
  }

  #commit(rows: number | null): CommitRequest {
    const { identity, command, context } = this.#request
    context.signal.throwIfAborted()
    // What is sent to the metastore may be done: the client is told how it ended, not that it was cancelled.
    context.commit.begun = true
    const outcome = { command, rows, notices: [...context.notices] }
    return { statement: identity, writeId: this.id, write: this.#begun, outcome }
  }
}
