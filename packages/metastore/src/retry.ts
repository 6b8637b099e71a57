import { type Clock, isMutant } from '@nyala/client/base'
import { SqlError } from '@nyala/client/protocol'
import {
  CALL_TIMEOUT_MS,
  type CallOptions,
  type CommitRequest,
  type CommitResult,
  type Kv,
  KvError,
} from './kv.ts'
import type { Patience } from './patience.ts'

/** How long a guarded write is repeated before its outcome is called unknown; longer than an etcd election. */
export const COMMIT_BUDGET_MS = 4500
const PAUSE_MIN_MS = 20
const PAUSE_MAX_MS = 300
/** No call is made that would have less time. */
const CALL_MIN_MS = 100

export interface RetryOptions {
  readonly kv: Pick<Kv, 'commitIf'>
  readonly clock: Clock
  /** Total time, all attempts together. */
  readonly budgetMs?: number | undefined
  /** Of the statement that asks, in place of a budget. */
  readonly patience?: Patience | undefined
  readonly signal?: AbortSignal | undefined
}

export interface RepeatedCommit {
  readonly result: CommitResult
  /**
   * True when an earlier attempt of this call may have been applied, or may yet be. A result that did not succeed
   * then does not say that the write was refused: look for its mark in what the failure branch read.
   */
  readonly ambiguous: boolean
}

/**
 * Sends a guarded write until it is answered.
 *
 * The request must be such that it can be applied once at most: its compares must fail after its own success,
 * whoever writes in between. A compare of a key's mod revision together with a put of that key does this.
 *
 * An abort ends it with the signal's reason while the write cannot have been done, and with `commit_outcome_unknown` once
 * it may have been.
 */
export async function repeatCommit(
  options: RetryOptions,
  request: CommitRequest,
): Promise<RepeatedCommit> {
  const { kv, clock, signal } = options
  const end = endOf(options)
  let ambiguous = false
  for (let pause = PAUSE_MIN_MS; ; pause = Math.min(2 * pause, PAUSE_MAX_MS)) {
    signal?.throwIfAborted()
    let failure: KvError
    try {
      const result = await kv.commitIf(request, callWithin(clock, end))
      options.patience?.answered()
      return { result, ambiguous }
    } catch (error) {
      if (!(error instanceof KvError)) throw error
      if (error.kind === 'unknownOutcome') ambiguous = true
      else if (error.kind !== 'unavailable') throw toSqlError(error, ambiguous)
      if (clock.now() + pause + CALL_MIN_MS > end || isMutant('no-commit-retry'))
        throw toSqlError(error, ambiguous)
      failure = error
    }
    await sleepUnlessAborted(clock, pause, signal)
    // Whoever gives up now must know that what was sent may be done, or may yet be.
    if (ambiguous && signal?.aborted === true) throw toSqlError(failure, ambiguous)
  }
}

const endOf = ({ clock, budgetMs = COMMIT_BUDGET_MS, patience }: RetryOptions): number =>
  patience?.asked() ?? clock.now() + (isMutant('patient-metastore') ? Infinity : budgetMs)

/** A call ends with the budget, if not before. */
const callWithin = (clock: Clock, end: number): CallOptions => ({
  timeoutMs: Math.min(CALL_TIMEOUT_MS, Math.max(CALL_MIN_MS, end - clock.now())),
})

/** Resolves early where the signal is aborted: what that means is the caller's to say. */
async function sleepUnlessAborted(
  clock: Clock,
  ms: number,
  signal: AbortSignal | undefined,
): Promise<void> {
  try {
    await clock.sleep(ms, { signal })
  } catch (error) {
    if (signal?.aborted !== true) throw error
  }
}

/** Repeats a read until it is answered or the budget is spent; `read` passes on what its call may take. */
export async function repeatRead<T>(
  options: RetryOptions,
  read: (call: CallOptions) => Promise<T>,
): Promise<T> {
  const { clock, signal } = options
  const end = endOf(options)
  for (let pause = PAUSE_MIN_MS; ; pause = Math.min(2 * pause, PAUSE_MAX_MS)) {
    signal?.throwIfAborted()
    try {
      const found = await read(callWithin(clock, end))
      options.patience?.answered()
      return found
    } catch (error) {
      if (!(error instanceof KvError)) throw error
      const isOver = clock.now() + pause + CALL_MIN_MS > end
      if (error.kind !== 'unavailable' || isOver) throw toSqlError(error, false)
    }
    await clock.sleep(pause, { signal })
  }
}

/**
 * Waits for a change that is the same done once or twice. Where nobody knows whether it was done, that is
 * `metastore_unavailable`: no `commit_outcome_unknown`, after which one would have to look.
 */
export async function sameDoneTwice<T>(change: Promise<T>): Promise<T> {
  try {
    return await change
  } catch (error) {
    if (!(error instanceof SqlError) || error.error !== 'commit_outcome_unknown') throw error
    throw new SqlError('metastore_unavailable', error.message, {
      hint: 'try again: done twice it is the same as done once',
      cause: error,
    })
  }
}

/** What a statement's user is told. `ambiguous`: a write may have been done. */
export function toSqlError(error: KvError, ambiguous: boolean): SqlError {
  if (ambiguous || error.kind === 'unknownOutcome') {
    return new SqlError('commit_outcome_unknown', `metastore did not answer: ${error.message}`, {
      hint: 'look whether the change is there before trying again',
      cause: error,
    })
  }
  switch (error.kind) {
    case 'noSpace':
      return new SqlError(
        'disk_full',
        `the metastore has no room left (etcd's alarm NOSPACE): ${error.message}`,
        {
          hint: 'compact and defragment etcd, then disarm its alarm, or raise --quota-backend-bytes',
          cause: error,
        },
      )
    case 'tooLarge':
      return new SqlError('program_limit_exceeded', error.message, { cause: error })
    case 'invalid':
      return new SqlError('internal_error', error.message, { cause: error })
    case 'misconfigured':
      return new SqlError('metastore_unavailable', error.message, {
        hint: 'list the members of one etcd cluster only, and check for ports that are used twice',
        cause: error,
      })
    case 'unavailable':
    case 'compacted':
    case 'leaseNotFound':
    case 'unauthorized':
    case 'closed':
      return new SqlError('metastore_unavailable', `metastore is unavailable: ${error.message}`, {
        hint: 'check that a majority of the etcd members is running and reachable',
        cause: error,
      })
  }
}
