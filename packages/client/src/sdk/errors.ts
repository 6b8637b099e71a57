import { type ErrorName, SqlError, type SqlErrorOptions } from '../protocol/errors.ts'

/** The statement's text is wrong (SQLSTATE 42601); `position` says where. */
export class StatementSyntaxError extends SqlError {
  override readonly name: string = 'StatementSyntaxError'
}

/** A table, column, database, function or other object that the statement names does not exist. */
export class UndefinedObjectError extends SqlError {
  override readonly name: string = 'UndefinedObjectError'
}

/** A table that the statement names does not exist (42P01). */
export class UndefinedTableError extends UndefinedObjectError {
  override readonly name: string = 'UndefinedTableError'
}

/** No coordinator could be reached, or the connection was lost and the statement could not be sent again (08xxx). */
export class ConnectionError extends SqlError {
  override readonly name: string = 'ConnectionError'
  /** Rows of the result that had been handed out before; running the statement again gives them again. */
  readonly rowsDelivered: number

  constructor(
    error: ErrorName,
    message: string,
    options: SqlErrorOptions & { readonly rowsDelivered?: number | undefined } = {},
  ) {
    super(error, message, options)
    this.rowsDelivered = options.rowsDelivered ?? 0
  }
}

/** The statement was cancelled (57014). Named as the errors of an aborted `fetch` are. */
export class CanceledError extends SqlError {
  override readonly name: string = 'AbortError'
}

/** The statement ran out of its time: by `AbortSignal.timeout`, or by the setting `statement_timeout`. */
export class StatementTimeoutError extends SqlError {
  override readonly name: string = 'TimeoutError'
}

/** The cluster has not enough of something now: memory, disk, query slots (53xxx). */
export class ResourceError extends SqlError {
  override readonly name: string = 'ResourceError'
}

/**
 * The commit may have taken place or not (40003). The same text sent again under its `statementId`, at any coordinator, is
 * not done twice, and tells what became of it; where there is no such id, look before doing it again.
 */
export class CommitUnknownError extends SqlError {
  override readonly name: string = 'CommitUnknownError'
}

type ErrorClass = new (error: ErrorName, message: string, options?: SqlErrorOptions) => SqlError

const CLASSES: Readonly<Partial<Record<ErrorName, ErrorClass>>> = {
  syntax_error: StatementSyntaxError,
  undefined_table: UndefinedTableError,
  undefined_column: UndefinedObjectError,
  undefined_database: UndefinedObjectError,
  undefined_function: UndefinedObjectError,
  undefined_object: UndefinedObjectError,
  query_canceled: CanceledError,
  statement_timeout: StatementTimeoutError,
  out_of_memory: ResourceError,
  disk_full: ResourceError,
  too_many_queries: ResourceError,
  configuration_limit_exceeded: ResourceError,
  commit_outcome_unknown: CommitUnknownError,
  cannot_connect_now: ConnectionError,
  connection_exception: ConnectionError,
  connection_failure: ConnectionError,
  protocol_violation: ConnectionError,
}

/** What a statement knows of an error that ends it. */
export interface ErrorContext {
  readonly queryId?: string | undefined
  readonly coordinator?: string | undefined
  /** The id that a statement is done once under. */
  readonly statementId?: string | undefined
  /** Rows that had been handed out when the connection was lost. */
  readonly rowsDelivered?: number | undefined
}

/**
 * The error as a new object of the class that its code has here, with what is known of where it happened. Never the
 * same object: one error, such as a closed session, may end several statements.
 */
export function typedError(error: SqlError, context: ErrorContext = {}): SqlError {
  const options = {
    detail: error.detail,
    hint: error.hint,
    position: error.position,
    queryId: error.queryId ?? context.queryId,
    coordinator: error.coordinator ?? context.coordinator,
    cause: error.cause,
  }
  const Typed = CLASSES[error.error] ?? SqlError
  if (Typed !== ConnectionError) {
    const typed = new Typed(error.error, error.message, options)
    if (error.error === 'commit_outcome_unknown') typed.statementId = context.statementId
    return typed
  }
  const { rowsDelivered } = context
  return new ConnectionError(error.error, error.message, { ...options, rowsDelivered })
}

/** Why a statement ends when its signal aborts: a time-out keeps its own name. */
export function abortError(signal: AbortSignal): SqlError {
  const reason: unknown = signal.reason
  if (reason instanceof SqlError) return reason
  const timedOut = reason instanceof Error && reason.name === 'TimeoutError'
  return timedOut
    ? new StatementTimeoutError('statement_timeout', 'the time allowed for the statement is over', {
        cause: reason,
      })
    : new CanceledError('query_canceled', 'the statement was cancelled', { cause: reason })
}

/** The end of a statement that may have changed something when its connection was lost. */
export const unknownOutcome = (cause: SqlError): SqlError =>
  new CommitUnknownError(
    'commit_outcome_unknown',
    `the connection was lost while the statement ran, so it may have taken effect: ${cause.message}`,
    { hint: 'look whether it did before you run it again', cause },
  )

/**
 * The end of a statement that was sent before, and may have been done then. An error of its own says what became of it; one
 * of what it met on the way, such as an etcd that does not answer, says nothing of that.
 */
export function stillUnknown(error: SqlError): SqlError {
  const isOnTheWay = error.category === 'transient' || error.category === 'resources'
  const isDecided = error.code === '40001' || error.error === 'commit_outcome_unknown'
  if (!isOnTheWay || isDecided) return error
  return new CommitUnknownError(
    'commit_outcome_unknown',
    `the statement may have taken effect when it was first sent, which could not be looked up: ${error.message}`,
    { hint: 'look whether it did before you run it again', cause: error },
  )
}

/** The end of a statement of a transaction, of which nobody knows how it went: that is of no matter without a COMMIT. */
export const undone = (cause: SqlError): SqlError =>
  new SqlError(
    'metastore_unavailable',
    `nothing of the statement was done, and its transaction can only be rolled back: ${cause.message}`,
    { hint: 'end the transaction with ROLLBACK, and run it again', cause },
  )

export const isSqlError = (error: unknown): error is SqlError => error instanceof SqlError

/** Whatever is not an error of ours is a bug, and says so. */
export const asSqlError = (error: unknown): SqlError =>
  error instanceof SqlError
    ? error
    : new SqlError('internal_error', error instanceof Error ? error.message : String(error), {
        cause: error,
      })

/** Never seen by a user: tells a waiting reader to turn to the next attempt. */
export const SUPERSEDED = new SqlError('task_superseded', 'the attempt was given up')

/** Another coordinator, or the same one a little later, may be able to go on with a result. */
export const ASK_AGAIN: ReadonlySet<string> = new Set([
  'cannot_connect_now',
  'metastore_unavailable',
  'commit_outcome_unknown',
])
