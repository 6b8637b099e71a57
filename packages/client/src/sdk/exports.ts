export {
  ERRORS,
  type ErrorCategory,
  type ErrorName,
  type Position,
  SqlError,
} from '../protocol/errors.ts'
export type {
  ClusterStatus,
  Column,
  Endpoint,
  MemberStatus,
  QueryState,
  QueryStatistics,
  QueryStatus,
} from '../protocol/messages.ts'
export type { TypeOptions } from './arrow/converters.ts'
export { Interval } from './arrow/temporal-text.ts'
export type { ColumnBatch, Row } from './batch-decoder.ts'
export { Database, type SessionOptions, type TransactionOptions } from './database.ts'
export {
  CanceledError,
  CommitUnknownError,
  ConnectionError,
  isSqlError,
  ResourceError,
  StatementSyntaxError,
  StatementTimeoutError,
  UndefinedObjectError,
  UndefinedTableError,
} from './errors.ts'
export type { ClientEvent } from './events.ts'
export type { InsertOptions, InsertProgress, InsertSource } from './insert.ts'
export { type ConnectOptions, parseUrl, type RetryOptions } from './options.ts'
export { param, type ParameterValue, TypedParameter } from './parameters.ts'
export type { ParquetCompression, ParquetWriteOptions } from './parquet.ts'
export { type Outcome, type Progress, QueryStream } from './query-stream.ts'
export {
  type Completion,
  type ExecuteResult,
  PendingQuery,
  PreparedStatement,
  type QueryOptions,
  type QueryResult,
  Session,
  type SqlTag,
  type StreamOptions,
} from './session.ts'
export type { StandardIssue, StandardResult, StandardSchema } from './standard-schema.ts'
export type { Move } from './statement.ts'
export { CLIENT_VERSION } from './version.ts'
