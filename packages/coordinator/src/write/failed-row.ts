import { dirname } from 'node:path'
import { SqlError } from '@nyala/client/protocol'
import { type ColumnRecord, foldName } from '@nyala/metastore'
import type { Expression } from '../sql/ir.ts'
import { visitTree } from '../sql/ir/tree.ts'
import { quoteIdentifier, quoteLiteral } from '../sql/escape.ts'
import type { InsertStatement } from '../sql/statement.ts'
import { valuesOf } from '../sql/values-lists.ts'
import { assignedSql, missingSql, namedColumn } from './assigned-value.ts'
import { type InsertTarget, placesOf } from './assignment.ts'
import { checkedCellSql } from './inserted-values.ts'

/** What the row of a failed INSERT is looked for with. */
export interface FailedInsert {
  target(): Promise<InsertTarget>
  /** How long it took to fail. */
  readonly tookMs: number
  /** Under which the rows were uploaded, if they were. */
  readonly statementId: string
  /** The rows of a query of ours. */
  collect(sql: string): Promise<readonly (readonly unknown[])[]>
}

/** What is about a value, and not about the statement or the cluster. */
export const isOfValue = (error: unknown): error is SqlError =>
  error instanceof SqlError && /^2[23]/.test(error.code)

/**
 * The error of an INSERT with the row and the column that it is about, where its rows are written out or were sent by the
 * SDK: their values are computed again until one is found that fails. The error itself where none is. Never rejects.
 */
export async function withRow(
  error: unknown,
  statement: InsertStatement,
  insert: FailedInsert,
): Promise<unknown> {
  if (!isOfValue(error) || isWithRow(error)) return error
  try {
    const target = await insert.target()
    const found =
      (await findInValues(statement, target, insert)) ??
      (await findInUpload(statement, target, insert))
    return found ?? error
  } catch (cause) {
    // It could be too much to compute once more, and what has failed is told anyway.
    if (cause instanceof SqlError) return error
    throw cause
  }
}

const isWithRow = ({ message }: SqlError): boolean => /^row \d+, /.test(message)

const atRow = (row: number, column: ColumnRecord, failure: SqlError): SqlError => {
  const { message, hint, detail } = failure
  const isNamed = message.startsWith('column ')
  const what = isNamed ? message : `${namedColumn(column)}: ${message}`
  return new SqlError(failure.error, `row ${row}, ${what}`, { hint, detail, cause: failure })
}

/** A value of a row that is written out, as its column has it. */
interface Cell {
  readonly row: number
  readonly column: ColumnRecord
  readonly sql: string
}

/** So many halvings are asked for at most, of so many values: more are rows of an upload, or of a file. */
const CELLS_MAX = 20_000

/** What took longer has subqueries that do, which would be computed a dozen times. */
const VALUES_MS_MAX = 5_000

async function findInValues(
  { query }: InsertStatement,
  target: InsertTarget,
  insert: FailedInsert,
): Promise<SqlError | undefined> {
  if (insert.tookMs > VALUES_MS_MAX) return undefined
  const cells = cellsOf(valuesOf(query) ?? [], target)
  if (cells.length === 0 || cells.length > CELLS_MAX) return undefined
  const failureOf = async (first: number, end: number): Promise<SqlError | undefined> => {
    const values = cells.slice(first, end).map(({ sql }) => `(${sql}) IS NULL`)
    try {
      await insert.collect(`SELECT len([${values.join(', ')}])`)
      return undefined
    } catch (error) {
      if (isOfValue(error)) return error
      throw error
    }
  }
  let [first, end] = [0, cells.length]
  let failure = await failureOf(first, end)
  while (failure !== undefined && end - first > 1) {
    const middle = (first + end) >> 1
    const early = await failureOf(first, middle)
    if (early === undefined) first = middle
    else [end, failure] = [middle, early]
  }
  const cell = cells[first]
  if (failure === undefined || cell === undefined) return undefined
  // Of several values another one may have been told.
  return atRow(cell.row, cell.column, (await failureOf(first, end)) ?? failure)
}

function cellsOf(rows: readonly (readonly Expression[])[], target: InsertTarget): readonly Cell[] {
  const places = rows.length === 0 ? [] : placesOf(rows[0]?.length ?? 0, target)
  return rows.flatMap((row, k) =>
    target.table.columns.flatMap((column, i) => {
      const place = places[i]
      const isConstant = target.constants?.has(foldName(column.name)) === true
      if (place === undefined && (isConstant || column.notNull !== true)) return []
      const cell = place === undefined ? undefined : row[place]
      const sql = cell === undefined ? missingSql(column) : checkedCellSql(cell, column)
      return [{ row: k + 1, column, sql }]
    }),
  )
}

/** Of `SELECT * FROM read_parquet([…])` over the parts of an upload, whose rows are the client's in their order. */
async function findInUpload(
  { query }: InsertStatement,
  target: InsertTarget,
  { statementId, collect }: FailedInsert,
): Promise<SqlError | undefined> {
  const parts = partsOf(query, statementId)
  if (parts.length === 0) return undefined
  const places = placesOf(target.columns?.length ?? target.table.columns.length, target)
  const bad = target.table.columns.map((column, i) => isBadSql(column, places[i] !== undefined))
  const read = (paths: readonly string[]): string =>
    `FROM read_parquet([${paths.map(quoteLiteral).join(', ')}], filename = '$part', file_row_number = true)`
  const found = await collect(
    `SELECT "$part", count(*), min(CASE WHEN ${bad.join(' OR ')} THEN file_row_number END) ${read(parts)} GROUP BY "$part"`,
  )
  const byPath = new Map(found.map(([path, count, first]) => [String(path), { count, first }]))
  let before = 0
  for (const path of parts) {
    const { count, first } = byPath.get(path) ?? { count: 0, first: null }
    if (first === null || first === undefined) {
      before += Number(count)
      continue
    }
    const from = `${read([path])} WHERE file_row_number = ${Number(first)}`
    const [flags = []] = await collect(`SELECT ${bad.join(', ')} ${from}`)
    const i = flags.indexOf(true)
    const column = target.table.columns[i]
    if (column === undefined) return undefined
    const value = places[i] === undefined ? missingSql(column) : assignedSql(nameOf(column), column)
    const failure = await collect(`SELECT (${value}) IS NULL ${from}`).then(
      () => undefined,
      (error: unknown) => error,
    )
    return isOfValue(failure) ? atRow(before + Number(first) + 1, column, failure) : undefined
  }
  return undefined
}

/** The files of an upload, in the order of their rows; none where the query reads anything else. */
function partsOf(query: InsertStatement['query'], statementId: string): readonly string[] {
  if (query.kind !== 'select' || query.from?.kind !== 'tableFunction') return []
  const { call } = query.from
  if (call.name !== 'read_parquet') return []
  const paths: string[] = []
  visitTree(call, (node) => {
    if (node.kind === 'constant') paths.push(String((node as { value?: unknown }).value))
    return undefined
  })
  return paths.every((path) => dirname(path).endsWith(`/uploads/${statementId}`)) ? paths : []
}

const nameOf = ({ name }: ColumnRecord): string => quoteIdentifier(name)

/** Whether the value of an uploaded column is none of the table's. */
function isBadSql(column: ColumnRecord, isGiven: boolean): string {
  if (!isGiven) return column.notNull === true ? 'true' : 'false'
  const name = nameOf(column)
  const isMisfit = `(${name} IS NOT NULL AND TRY(CAST(${name} AS ${column.type})) IS NULL)`
  return column.notNull === true ? `(${name} IS NULL OR ${isMisfit})` : isMisfit
}
