import { SqlError, positionAt } from '@nyala/client/protocol'
import type { Cursor } from '../cursor.ts'
import { notSupported, syntaxError } from '../errors.ts'
import type {
  ColumnDefinition,
  CreateExternalTable,
  ObjectName,
  SortColumn,
  StatementDraft,
} from '../statement.ts'
import { parseColumn } from './column-definition.ts'
import { type Partitioning, parsePartitioning, parseSortBy } from './partitioning.ts'

const EXAMPLE =
  "write CREATE EXTERNAL TABLE t (a BIGINT, …) [PARTITIONED BY (p STRING)] STORED AS PARQUET LOCATION '/dir'"

/** Clauses after the columns, in any order, each once. */
interface Clauses {
  partitionColumns?: readonly ColumnDefinition[]
  comment?: string
  format?: CreateExternalTable['format']
  location?: string
  properties?: CreateExternalTable['properties']
}

/** After CREATE EXTERNAL TABLE. */
export function parseCreateExternalTable(cursor: Cursor, start: number): CreateExternalTable {
  const ifNotExists = cursor.takeWords('IF', 'NOT', 'EXISTS')
  const table = cursor.objectName()
  const likeFile = cursor.takeWords('LIKE') ? parseLikeFile(cursor) : undefined
  const columns = likeFile === undefined ? parseColumns(cursor) : undefined
  const clauses: Clauses = {}
  while (!cursor.isAtEnd) parseClause(cursor, clauses)
  const { format } = clauses
  if (format === undefined) {
    throw notSupported(cursor.script, start, 'an external table needs STORED AS PARQUET', EXAMPLE)
  }
  if (format === 'iceberg' && (columns ?? likeFile ?? clauses.partitionColumns) !== undefined) {
    const text = 'the columns of an Iceberg table are those of its metadata'
    throw notSupported(cursor.script, table.at, text, 'leave them out')
  }
  if (clauses.location === undefined && format === 'parquet') {
    throw syntaxError(cursor.script, cursor.at, 'an external table needs a LOCATION', EXAMPLE)
  }
  const partitionColumns = clauses.partitionColumns ?? []
  checkNames(cursor, [...(columns ?? []), ...partitionColumns])
  checkNullable(cursor, [...(columns ?? []), ...partitionColumns])
  return {
    kind: 'createExternalTable',
    table,
    ifNotExists,
    columns,
    likeFile,
    partitionColumns,
    comment: clauses.comment,
    format,
    location: clauses.location ?? '',
    properties: clauses.properties ?? [],
  }
}

const MANAGED_EXAMPLE = 'write CREATE TABLE t (a BIGINT, …), or CREATE TABLE t AS SELECT …'

/** After CREATE TABLE: a managed table, of columns or of a query. */
export function parseCreateTable(cursor: Cursor): StatementDraft {
  const ifNotExists = cursor.takeWords('IF', 'NOT', 'EXISTS')
  const table = cursor.objectName()
  const like = parseLike(cursor)
  const columns = cursor.isSymbol('(') ? cursor.list(() => parseColumn(cursor)) : undefined
  const clauses: Clauses = {}
  let partitioning: Partitioning | undefined
  let sortBy: readonly SortColumn[] | undefined
  while (!cursor.isAtEnd && !cursor.isWord('AS')) {
    if (partitioning === undefined && cursor.takeWords('PARTITIONED', 'BY')) {
      cursor.takeWords('SPEC')
      partitioning = parsePartitioning(cursor)
      continue
    }
    if (sortBy === undefined && cursor.takeWords('SORT', 'BY')) {
      sortBy = parseSortBy(cursor)
      continue
    }
    if (cursor.isWord('LOCATION') || cursor.isWord('LIKE')) {
      const clause = `the clause ${cursor.word() ?? ''} of a managed table is not supported`
      throw notSupported(cursor.script, cursor.at, clause, MANAGED_EXAMPLE)
    }
    parseClause(cursor, clauses)
  }
  const { comment, properties = [] } = clauses
  const partitionBy = partitioning?.transforms ?? []
  const shape = { partitionBy, sortBy: sortBy ?? [] }
  const header = { table, ifNotExists, comment, properties, ...shape }
  if (like !== undefined) {
    if (columns !== undefined || partitionBy.length + shape.sortBy.length > 0) {
      throw cursor.error('columns, partitions and order are those of the other table')
    }
    return { kind: 'createTableLike', ...header, like }
  }
  const declared = partitioning?.columns ?? []
  if (cursor.takeWords('AS')) {
    if (columns !== undefined) {
      const text = 'a list of columns before AS is not supported'
      throw notSupported(cursor.script, table.at, text, 'name the columns in the query')
    }
    if (declared[0] !== undefined) {
      const text = 'a type in PARTITIONED BY is not supported where the query says the types'
      throw notSupported(cursor.script, declared[0].at, text, 'name the column alone')
    }
    if (cursor.isAtEnd) throw cursor.error()
    return { kind: 'createTableAs', ...header, body: cursor.rest() }
  }
  if (columns === undefined) throw cursor.error(MANAGED_EXAMPLE)
  const all = [...columns, ...declared]
  checkNames(cursor, all)
  return { kind: 'createTable', ...header, columns: all }
}

/** `LIKE db.t`; a file is for external tables. */
function parseLike(cursor: Cursor): ObjectName | undefined {
  if (!cursor.takeWords('LIKE')) return undefined
  if (cursor.isWord('PARQUET') && cursor.peek(1)?.kind === 'string') {
    const text = 'LIKE PARQUET of a managed table is not supported'
    throw notSupported(cursor.script, cursor.at, text, 'write CREATE TABLE … AS SELECT')
  }
  return cursor.objectName()
}

function parseLikeFile(cursor: Cursor): string {
  if (!cursor.takeWords('PARQUET')) {
    throw notSupported(
      cursor.script,
      cursor.at,
      'CREATE TABLE … LIKE takes a Parquet file',
      "write LIKE PARQUET '/dir/file.parquet'",
    )
  }
  return cursor.string('a file')
}

/** Words that a clause begins with: where one follows the name at once, the files say what the columns are. */
const CLAUSES = ['PARTITIONED', 'COMMENT', 'STORED', 'LOCATION', 'TBLPROPERTIES'] as const

function parseColumns(cursor: Cursor): readonly ColumnDefinition[] | undefined {
  if (CLAUSES.some((word) => cursor.isWord(word))) return undefined
  if (!cursor.isSymbol('(')) throw cursor.error(EXAMPLE)
  return cursor.list(() => parseColumn(cursor))
}

function parseClause(cursor: Cursor, clauses: Clauses): void {
  const at = cursor.at
  const once = (isSet: boolean, clause: string): void => {
    if (isSet) throw syntaxError(cursor.script, at, `the clause ${clause} is given twice`)
  }
  if (cursor.takeWords('PARTITIONED', 'BY')) {
    once(clauses.partitionColumns !== undefined, 'PARTITIONED BY')
    clauses.partitionColumns = cursor.list(() => parseColumn(cursor))
  } else if (cursor.takeWords('COMMENT')) {
    once(clauses.comment !== undefined, 'COMMENT')
    clauses.comment = cursor.string('a comment')
  } else if (cursor.takeWords('STORED', 'AS')) {
    once(clauses.format !== undefined, 'STORED AS')
    clauses.format = parseFormat(cursor)
  } else if (cursor.takeWords('LOCATION')) {
    once(clauses.location !== undefined, 'LOCATION')
    clauses.location = cursor.string('a directory')
  } else if (cursor.takeWords('TBLPROPERTIES')) {
    once(clauses.properties !== undefined, 'TBLPROPERTIES')
    clauses.properties = cursor.list(() => parseProperty(cursor))
  } else refuseClause(cursor)
}

function parseFormat(cursor: Cursor): CreateExternalTable['format'] {
  const at = cursor.at
  const format = cursor.name('a file format')
  if (format.toUpperCase() === 'PARQUET') return 'parquet'
  if (format.toUpperCase() === 'ICEBERG') return 'iceberg'
  throw notSupported(
    cursor.script,
    at,
    `the file format "${format.toLowerCase()}" is not supported`,
    'write STORED AS PARQUET, or ICEBERG for a table that another engine keeps',
  )
}

export function parseProperty(cursor: Cursor): { readonly key: string; readonly value: string } {
  const key = cursor.string('a property name')
  cursor.expectSymbol('=')
  return { key, value: cursor.string('a property value') }
}

const KNOWN_CLAUSES = new Set(['SORT', 'ROW', 'WITH', 'CACHED', 'UNCACHED', 'AS', 'PARTITION'])

function refuseClause(cursor: Cursor): never {
  const word = cursor.word()
  if (word !== undefined && KNOWN_CLAUSES.has(word)) {
    throw notSupported(
      cursor.script,
      cursor.at,
      `the clause ${word} of CREATE TABLE is not supported`,
      EXAMPLE,
    )
  }
  throw cursor.error()
}

/** Nobody asks a table when files are put into its directory. */
function checkNullable(cursor: Cursor, columns: readonly ColumnDefinition[]): void {
  const column = columns.find(({ notNull }) => notNull === true)
  if (column === undefined) return
  const text = 'NOT NULL of an external table is not supported'
  throw notSupported(cursor.script, column.at, text, 'it is kept by tables of CREATE TABLE')
}

/** Names are told apart without regard to case, as the kernel does. */
function checkNames(cursor: Cursor, columns: readonly ColumnDefinition[]): void {
  const seen = new Set<string>()
  for (const { name, at } of columns) {
    if (seen.has(name.toLowerCase())) {
      throw new SqlError('duplicate_column', `the column "${name}" is given twice`, {
        position: positionAt(cursor.script, at),
      })
    }
    seen.add(name.toLowerCase())
  }
}
