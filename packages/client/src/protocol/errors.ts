/** What kind of failure a code is; the category, never the text, decides retry and metrics. */
export type ErrorCategory = 'user' | 'transient' | 'resources' | 'internal'

/** Every error that a statement can end with. SQLSTATE values are those of PostgreSQL where it has one. Names are never deleted or reused. */
export const ERRORS = {
  syntax_error: ['42601', 'user'],
  feature_not_supported: ['0A000', 'user'],
  undefined_table: ['42P01', 'user'],
  undefined_column: ['42703', 'user'],
  undefined_database: ['3F000', 'user'],
  undefined_function: ['42883', 'user'],
  undefined_object: ['42704', 'user'],
  ambiguous_column: ['42702', 'user'],
  duplicate_table: ['42P07', 'user'],
  duplicate_database: ['42P06', 'user'],
  duplicate_column: ['42701', 'user'],
  database_not_empty: ['2BP01', 'user'],
  datatype_mismatch: ['42804', 'user'],
  grouping_error: ['42803', 'user'],
  binder_error: ['42000', 'user'],
  invalid_parameter_value: ['22023', 'user'],
  undefined_parameter: ['42P02', 'user'],
  invalid_text_representation: ['22P02', 'user'],
  numeric_value_out_of_range: ['22003', 'user'],
  division_by_zero: ['22012', 'user'],
  cardinality_violation: ['21000', 'user'],
  data_exception: ['22000', 'user'],
  bad_copy_file_format: ['22P04', 'user'],
  not_null_violation: ['23502', 'user'],
  insufficient_privilege: ['42501', 'user'],
  undefined_file: ['58P01', 'user'],
  io_error: ['58030', 'transient'],
  data_corrupted: ['XX001', 'user'],
  schema_mismatch: ['XX002', 'user'],
  file_changed: ['55000', 'user'],
  foreign_directory: ['55000', 'user'],
  statement_too_complex: ['54001', 'user'],
  program_limit_exceeded: ['54000', 'user'],
  query_canceled: ['57014', 'user'],
  statement_timeout: ['57014', 'user'],
  out_of_memory: ['53200', 'resources'],
  disk_full: ['53100', 'resources'],
  too_many_queries: ['53300', 'resources'],
  configuration_limit_exceeded: ['53400', 'resources'],
  no_executors: ['57P03', 'transient'],
  cannot_connect_now: ['57P03', 'transient'],
  serialization_failure: ['40001', 'transient'],
  concurrent_ddl: ['40001', 'transient'],
  active_sql_transaction: ['25001', 'user'],
  read_only_sql_transaction: ['25006', 'user'],
  no_active_sql_transaction: ['25P01', 'user'],
  in_failed_sql_transaction: ['25P02', 'user'],
  commit_outcome_unknown: ['40003', 'transient'],
  connection_exception: ['08000', 'transient'],
  connection_failure: ['08006', 'transient'],
  protocol_violation: ['08P01', 'internal'],
  metastore_unavailable: ['57P05', 'transient'],
  executor_lost: ['57P01', 'transient'],
  result_lost: ['57P01', 'transient'],
  kernel_crashed: ['58000', 'transient'],
  query_quarantined: ['58002', 'user'],
  task_superseded: ['58003', 'transient'],
  internal_error: ['XX000', 'internal'],
} as const satisfies Readonly<Record<string, readonly [sqlstate: string, category: ErrorCategory]>>

export type ErrorName = keyof typeof ERRORS

export const isErrorName = (name: string): name is ErrorName => Object.hasOwn(ERRORS, name)

/** Where in the statement's text: 1-based line and column in Unicode code points, 0-based offset in UTF-16 units. */
export interface Position {
  readonly line: number
  readonly column: number
  readonly offset: number
}

export interface SqlErrorOptions {
  readonly detail?: string | undefined
  readonly hint?: string | undefined
  readonly position?: Position | undefined
  readonly queryId?: string | undefined
  readonly coordinator?: string | undefined
  readonly cause?: unknown
}

/** An operating error that ends a statement: says what, which, and (in `hint`) what to do. */
export class SqlError extends Error {
  override readonly name: string = 'SqlError'
  /** The stable name of the error, a key of {@link ERRORS}. */
  readonly error: ErrorName
  /** SQLSTATE, five characters. */
  readonly code: string
  readonly category: ErrorCategory
  readonly detail: string | undefined
  readonly hint: string | undefined
  readonly position: Position | undefined
  queryId: string | undefined
  coordinator: string | undefined
  /** Of a write whose outcome is unknown (40003): sent again under this id it is done once, and its outcome told. */
  statementId: string | undefined

  constructor(error: ErrorName, message: string, options: SqlErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause })
    const [code, category] = ERRORS[error]
    this.error = error
    this.code = code
    this.category = category
    this.detail = options.detail
    this.hint = options.hint
    this.position = options.position
    this.queryId = options.queryId
    this.coordinator = options.coordinator
  }

  /** True when the same statement may succeed if it is sent again, perhaps elsewhere. */
  get retryable(): boolean {
    return this.category === 'transient'
  }
}

/** The position of a UTF-16 offset in a text. */
export function positionAt(text: string, offset: number): Position {
  const before = text.slice(0, Math.max(0, Math.min(offset, text.length)))
  const lineStart = before.lastIndexOf('\n') + 1
  let line = 1
  for (let i = before.indexOf('\n'); i >= 0; i = before.indexOf('\n', i + 1)) line++
  return { line, column: [...before.slice(lineStart)].length + 1, offset: before.length }
}
