import type { Query } from './ir.ts'
import type { Hint } from './pre-pass.ts'
import type { SqlType } from './sql-types.ts'
import type { Token } from './token.ts'

/** A query inside a statement, read and guarded. */
export interface QueryBody {
  readonly query: Query
  /** The query as compact DuckDB text, rendered from `query`: what was proved equal to the source. */
  readonly sql: string
  /** The user's own words, as they stand in the text. */
  readonly text: string
  /** What DuckDB's parser was given, and from its byte offsets back to the user's text, where they have a place there. */
  readonly source: {
    readonly sql: string
    readonly toUser: (byteOffset: number) => number | undefined
  }
  readonly hints: readonly Hint[]
  /** Names of the parameters in order of first appearance, without `$`; `?` is "1", "2" … */
  readonly parameters: readonly string[]
}

/** The same before it is read: where it stands. */
export interface QueryDraft {
  readonly body: readonly Token[]
}

/** A statement; `at` of every name is an offset in the user's text. */
export type Statement = StatementWith<QueryBody>

/** A statement whose query, if any, is still tokens. */
export type StatementDraft = StatementWith<QueryDraft>

export type StatementWith<Body> = StatementWithQuery<Body> | PlainStatement

export type StatementWithQuery<Body> =
  | (QueryHeader & Body)
  | (ExplainHeader & Body)
  | (DescribeQueryHeader & Body)
  | (CreateViewHeader & Body)
  | (CreateTableAsHeader & Body)
  | (InsertHeader & Body)
  | (DeleteHeader & Body)
  | (UpdateHeader & Body)
  | (MergeHeader & Body)

export type QueryStatement = QueryHeader & QueryBody
export type ExplainStatement = ExplainHeader & QueryBody
export type DescribeQueryStatement = DescribeQueryHeader & QueryBody
export type CreateViewStatement = CreateViewHeader & QueryBody
export type CreateTableAsStatement = CreateTableAsHeader & QueryBody
export type InsertStatement = InsertHeader & QueryBody
export type DeleteStatement = DeleteHeader & QueryBody
export type UpdateStatement = UpdateHeader & QueryBody
export type MergeStatement = MergeHeader & QueryBody

/** A name as written; which database is meant without one, the session says. */
export interface ObjectName {
  readonly database: string | undefined
  readonly name: string
  readonly at: number
}

export interface DatabaseName {
  readonly name: string
  readonly at: number
}

export interface ColumnDefinition {
  readonly name: string
  readonly type: SqlType
  readonly comment: string | undefined
  readonly notNull?: boolean
  readonly at: number
}

/** `PARTITION (year = 2020, month = '01')`; a NULL value is the partition of no value. */
export type PartitionSpec = readonly { readonly column: string; readonly value: string | null }[]

interface QueryHeader {
  readonly kind: 'query'
}

export interface ExplainHeader {
  readonly kind: 'explain'
  /** ANALYZE runs the query and shows what it did. */
  readonly analyze: boolean
  readonly verbose: boolean
}

interface DescribeQueryHeader {
  readonly kind: 'describeQuery'
}

export interface CreateViewHeader {
  readonly kind: 'createView'
  readonly view: ObjectName
  readonly orReplace: boolean
  readonly ifNotExists: boolean
  readonly columns: readonly { readonly name: string; readonly comment: string | undefined }[]
  readonly comment: string | undefined
}

/** CREATE TABLE … AS: a managed table of the query's columns and rows. */
export interface CreateTableAsHeader extends NewManagedTable {
  readonly kind: 'createTableAs'
}

/** INSERT of the rows of a query, VALUES included, into a managed table. */
export interface InsertHeader {
  readonly kind: 'insert'
  readonly table: ObjectName
  /** The columns that the query's are for, in its order; undefined: all, in the order of the table. */
  readonly columns: readonly { readonly name: string; readonly at: number }[] | undefined
  /** The rows take the place of all that the table holds, or of what its partitions hold that they are of. */
  readonly overwrite: boolean
  /** `PARTITION (a = 1, b)`. */
  readonly partition: readonly InsertPartition[] | undefined
  /** `DEFAULT VALUES`: the query has a value for the table's first column, and none for the others. */
  readonly isDefault?: true
}

export interface InsertPartition {
  readonly column: string
  /** The text of a literal, null for NULL; undefined: the query has it. */
  readonly value: string | null | undefined
  readonly at: number
}

/** DELETE; its query is `FROM t WHERE …`, of the rows that go. */
export interface DeleteHeader {
  readonly kind: 'delete'
  readonly at: number
}

/** UPDATE; its query is `FROM t SELECT <new values> WHERE …`, of the rows that change. */
export interface UpdateHeader {
  readonly kind: 'update'
  readonly at: number
  /** The columns that the query's values are for, in its order. */
  readonly columns: readonly { readonly name: string; readonly at: number }[]
}

/** MERGE; its query is `FROM target JOIN source ON … SELECT <all conditions and values>`. */
export interface MergeHeader {
  readonly kind: 'merge'
  readonly at: number
  readonly clauses: readonly MergeClause[]
}

/** A WHEN clause of MERGE; expressions are told by their number among the items of the query. */
export interface MergeClause {
  readonly at: number
  readonly match: 'matched' | 'notMatched' | 'notMatchedBySource'
  readonly condition: number | undefined
  readonly action: 'update' | 'delete' | 'insert' | 'nothing'
  /** Of UPDATE and INSERT; undefined: all, in the order of the table. */
  readonly columns: readonly { readonly name: string; readonly at: number }[] | undefined
  /** For these columns, in their order. */
  readonly values: readonly number[]
}

/** What CREATE TABLE says of a managed table besides its columns. */
interface NewManagedTable {
  readonly table: ObjectName
  readonly ifNotExists: boolean
  readonly comment: string | undefined
  readonly properties: readonly { readonly key: string; readonly value: string }[]
  /** PARTITIONED BY; empty: one partition. */
  readonly partitionBy: readonly PartitionTransform[]
  /** SORT BY; empty: rows of a file are in no order. */
  readonly sortBy: readonly SortColumn[]
}

export interface SortColumn {
  readonly column: string
  readonly descending: boolean
  readonly nullsFirst: boolean
  readonly at: number
}

/** `bucket(16, c)` in PARTITIONED BY. */
export interface PartitionTransform {
  readonly transform: 'identity' | 'year' | 'month' | 'day' | 'hour' | 'bucket' | 'truncate'
  /** Of bucket and truncate, from 1. */
  readonly argument: number | undefined
  readonly column: string
  readonly at: number
}

export type PlainStatement =
  | CreateTable
  | CreateTableLike
  | DescribeHistory
  | ExecuteProcedure
  | Truncate
  | CreateDatabase
  | DropDatabase
  | UseDatabase
  | DescribeDatabase
  | CreateExternalTable
  | DropTable
  | AlterTable
  | RenameTable
  | RecoverPartitions
  | DropView
  | RenameView
  | Refresh
  | InvalidateMetadata
  | ComputeStats
  | DropStats
  | Show
  | ShowObject
  | ShowFiles
  | DescribeTable
  | SetSetting
  | ResetSetting
  | ShowSettings
  | ShowSetting
  | ShowQueries
  | KillQuery
  | TransactionStatement

/** BEGIN or START TRANSACTION; COMMIT or END; ROLLBACK or ABORT. */
export type TransactionStatement =
  | { readonly kind: 'begin'; readonly isReadOnly?: boolean }
  | { readonly kind: 'commit' | 'rollback' }

export interface ShowQueries {
  readonly kind: 'showQueries'
}

export interface KillQuery {
  readonly kind: 'killQuery'
  /** As written. */
  readonly queryId: string
}

export interface CreateDatabase {
  readonly kind: 'createDatabase'
  readonly database: DatabaseName
  readonly ifNotExists: boolean
  readonly comment: string | undefined
  readonly location: string | undefined
}

export interface DropDatabase {
  readonly kind: 'dropDatabase'
  readonly database: DatabaseName
  readonly ifExists: boolean
  readonly cascade: boolean
}

export interface UseDatabase {
  readonly kind: 'use'
  readonly database: DatabaseName
}

export interface DescribeDatabase {
  readonly kind: 'describeDatabase'
  readonly database: DatabaseName
}

/** A managed table without rows. */
export interface CreateTable extends NewManagedTable {
  readonly kind: 'createTable'
  readonly columns: readonly ColumnDefinition[]
}

/** A managed table without rows, with the columns and the shape of another table. */
export interface CreateTableLike extends NewManagedTable {
  readonly kind: 'createTableLike'
  readonly like: ObjectName
}

/** The snapshots of a managed table, the newest first. */
export interface DescribeHistory {
  readonly kind: 'describeHistory'
  readonly table: ObjectName
}

/** ALTER TABLE t EXECUTE …, and OPTIMIZE. */
export interface ExecuteProcedure {
  readonly kind: 'executeProcedure'
  readonly table: ObjectName
  /** In lower case. */
  readonly procedure: string
  readonly args: readonly ProcedureArgument[]
  readonly at: number
}

export interface ProcedureArgument {
  /** In lower case; undefined: told by its place. */
  readonly name: string | undefined
  /** A constant expression. */
  readonly text: string
  readonly at: number
}

export interface Truncate {
  readonly kind: 'truncate'
  readonly table: ObjectName
  readonly ifExists: boolean
}

/** A table over Parquet files that others write. Columns are listed, or taken from a file. */
export interface CreateExternalTable {
  readonly kind: 'createExternalTable'
  readonly table: ObjectName
  readonly ifNotExists: boolean
  /** Absent: those of `likeFile`, or of all files where that is absent too. */
  readonly columns: readonly ColumnDefinition[] | undefined
  /** `LIKE PARQUET 'file'`. */
  readonly likeFile: string | undefined
  readonly partitionColumns: readonly ColumnDefinition[]
  readonly comment: string | undefined
  /** `iceberg`: another engine keeps the table; its columns are those of its metadata. */
  readonly format: 'parquet' | 'iceberg'
  /** Empty where a property names the metadata file. */
  readonly location: string
  readonly properties: readonly { readonly key: string; readonly value: string }[]
}

export interface DropTable {
  readonly kind: 'dropTable'
  readonly table: ObjectName
  readonly ifExists: boolean
  readonly purge: boolean
}

/** What ALTER TABLE changes of a managed table. */
export interface AlterTable {
  readonly kind: 'alterTable'
  readonly table: ObjectName
  readonly alteration: TableAlteration
}

/** A comment that is undefined is none. */
export type TableAlteration =
  | {
      readonly kind: 'add'
      readonly ifNotExists: boolean
      readonly columns: readonly ColumnDefinition[]
    }
  | { readonly kind: 'drop'; readonly ifExists: boolean; readonly columns: readonly string[] }
  | {
      readonly kind: 'rename'
      readonly ifExists: boolean
      readonly column: string
      readonly to: string
    }
  /** Impala's CHANGE: another name, type and comment at once. */
  | { readonly kind: 'change'; readonly column: string; readonly to: ColumnDefinition }
  | { readonly kind: 'retype'; readonly column: string; readonly type: SqlType }
  | { readonly kind: 'dropNotNull'; readonly column: string }
  | { readonly kind: 'columnComment'; readonly column: string; readonly text: string | undefined }
  | {
      readonly kind: 'setProperties'
      readonly properties: readonly { readonly key: string; readonly value: string }[]
    }
  | { readonly kind: 'unsetProperties'; readonly keys: readonly string[] }
  | { readonly kind: 'comment'; readonly text: string | undefined }

export interface RenameTable {
  readonly kind: 'renameTable'
  readonly table: ObjectName
  readonly to: ObjectName
}

export interface RecoverPartitions {
  readonly kind: 'recoverPartitions'
  readonly table: ObjectName
}

export interface DropView {
  readonly kind: 'dropView'
  readonly view: ObjectName
  readonly ifExists: boolean
}

export interface RenameView {
  readonly kind: 'renameView'
  readonly view: ObjectName
  readonly to: ObjectName
}

export interface Refresh {
  readonly kind: 'refresh'
  readonly table: ObjectName
  /** Empty: the whole table. */
  readonly partitions: readonly PartitionSpec[]
}

export interface InvalidateMetadata {
  readonly kind: 'invalidateMetadata'
  /** Undefined: all tables. */
  readonly table: ObjectName | undefined
}

export interface ComputeStats {
  readonly kind: 'computeStats'
  readonly table: ObjectName
  /** Undefined: all columns. */
  readonly columns: readonly string[] | undefined
  readonly incremental: boolean
}

export interface DropStats {
  readonly kind: 'dropStats'
  readonly table: ObjectName
}

/** Lists of objects, perhaps of one database, perhaps those like a pattern (`*` and `|`, or `%` and `_`). */
export interface Show {
  readonly kind: 'showDatabases' | 'showTables' | 'showViews' | 'showFunctions'
  readonly database: DatabaseName | undefined
  readonly pattern: string | undefined
}

export interface ShowObject {
  readonly kind:
    | 'showCreateTable'
    | 'showCreateView'
    | 'showPartitions'
    | 'showTableStats'
    | 'showColumnStats'
    | 'showColumns'
  readonly table: ObjectName
}

export interface ShowFiles {
  readonly kind: 'showFiles'
  readonly table: ObjectName
  readonly partition: PartitionSpec | undefined
}

export interface DescribeTable {
  readonly kind: 'describeTable'
  readonly table: ObjectName
  readonly mode: 'plain' | 'formatted' | 'extended'
}

export interface SetSetting {
  readonly kind: 'set'
  /** In lower case. */
  readonly name: string
  readonly value: string
  readonly at: number
}

export interface ResetSetting {
  readonly kind: 'reset'
  /** In lower case; undefined: all. */
  readonly name: string | undefined
  readonly at: number
}

/** SET, SET ALL, SHOW SETTINGS, SHOW ALL. */
export interface ShowSettings {
  readonly kind: 'showSettings'
}

export interface ShowSetting {
  readonly kind: 'showSetting'
  /** In lower case. */
  readonly name: string
  readonly at: number
}
