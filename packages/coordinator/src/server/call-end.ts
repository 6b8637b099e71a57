import type {
  Down,
  ErrorBody,
  SessionContext,
  SessionTransaction,
  Up,
} from '@nyala/client/protocol'
import type { ResultRelay } from '../schedule/result-relay.ts'
import type { StatementContext, StatementOutcome, TransactionSlot } from './statement-context.ts'

/** The last message of a call that ended well. */
export function finishedMessage(end: {
  readonly message: Extract<Up, { kind: 'statement' | 'attach' }>
  readonly queryId: string
  readonly outcome: StatementOutcome
  /** Of a statement; absent for a result that is gone on with. */
  readonly context?: StatementContext
  readonly relay: ResultRelay
  readonly rows: number
  readonly elapsedMs: number
}): Down {
  const { message, queryId, outcome, context, relay, rows, elapsedMs } = end
  const transaction = transactionOf(message, context)
  const session: SessionContext = {
    ...(transaction === undefined ? {} : { transaction }),
    database: outcome.database ?? message.session.database,
    settings: outcome.settings ?? message.session.settings,
    revision: Math.max(
      message.session.revision,
      context?.catalog.revision ?? 0,
      outcome.revision ?? 0,
    ),
  }
  return {
    kind: 'finished',
    call: message.call,
    queryId,
    command: outcome.command,
    rows,
    tasks: relay.untoldEnds,
    session,
    notices: context?.notices ?? [],
    statistics: {
      elapsedMs,
      planMs: 0,
      queuedMs: 0,
      tasks: 0,
      executors: 0,
      cpuMs: 0,
      peakMemoryBytes: 0,
      spillBytes: 0,
      ...outcome.statistics,
      rows,
      bytes: relay.bytes,
    },
  }
}

/** The last message of a call that failed; with the session where that is, or was, in a transaction. */
export function failedMessage(
  message: Extract<Up, { kind: 'statement' | 'attach' }>,
  call: { readonly transaction?: TransactionSlot },
  error: ErrorBody,
): Down {
  const { transaction: slot } = call
  const after = transactionOf(message, slot === undefined ? undefined : { transaction: slot })
  const { transaction: before, ...rest } = message.session
  const session = after === undefined ? rest : { ...rest, transaction: after }
  const isConcerned = before !== undefined || after !== undefined
  return { kind: 'failed', call: message.call, error, ...(isConcerned ? { session } : {}) }
}

/** The transaction that a session is in when a statement of it has ended. */
function transactionOf(
  message: Extract<Up, { kind: 'statement' | 'attach' }>,
  context: { readonly transaction: TransactionSlot } | undefined,
): SessionTransaction | undefined {
  // Where there is no context the statement came to nothing before one could be made.
  return context === undefined
    ? message.session.transaction
    : context.transaction.current?.inSession
}

/**
 * The promise's outcome, or the signal's reason as soon as it is aborted: a canceled client does not wait; but for a
 * commit that has begun, as it may go through.
 */
export function untilAborted<T>(
  promise: Promise<T>,
  signal: AbortSignal,
  commit: { readonly begun: boolean } = { begun: false },
): Promise<T> {
  return new Promise((resolve, reject) => {
    const onAbort = (): void => {
      if (!commit.begun) reject(signal.reason as Error)
    }
    if (signal.aborted) onAbort()
    signal.addEventListener('abort', onAbort, { once: true })
    promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', onAbort))
  })
}
