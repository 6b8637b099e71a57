import { type Column, SqlError } from '@nyala/client/protocol'
import type { PlannedQuery, Queries } from '../server/query-statement.ts'
import type { StatementContext } from '../server/statement-context.ts'
import type { SqlFrontEnd } from '../sql/front-end.ts'
import type { InsertStatement, QueryBody } from '../sql/statement.ts'
import { assignmentSql, type InsertTarget, placeOf } from './assignment.ts'
import { cellsWithFields, fittedValues } from './inserted-values.ts'
import { planRows } from './plan-rows.ts'
import { checkFields } from './struct-fields.ts'

/** What an INSERT is planned with. */
interface InsertParts {
  readonly queries: Queries
  readonly frontEnd: SqlFrontEnd
  readonly target: InsertTarget
  readonly context: StatementContext
}

/** Plans the rows of an INSERT as those of its table. Fails with what is wrong in it. */
export async function planInsert(
  statement: InsertStatement,
  parts: InsertParts,
): Promise<PlannedQuery> {
  const unread = await checkCells(statement, parts)
  const { body, found } = await readRows(statement, parts)
  if (unread !== undefined) throw unread
  return planRows(assignmentSql(body.sql, found, parts.target), parts.context, parts)
}

/** The query of the rows with its columns. Values of a list that have no type together are of their columns each. */
async function readRows(
  statement: InsertStatement,
  parts: InsertParts,
): Promise<{ readonly body: QueryBody; readonly found: readonly Column[] }> {
  const body = await fittedBody(statement, 'changed', parts)
  try {
    return { body, found: await fittedColumns(body, statement, parts) }
  } catch (error) {
    if (!(error instanceof SqlError) || error.error !== 'datatype_mismatch') throw error
    const each = await fittedBody(statement, 'all', parts)
    if (each === statement) throw error
    const found = await fittedColumns(each, statement, parts).catch((cause: unknown) => {
      if (cause instanceof SqlError) return undefined
      throw cause
    })
    if (found === undefined) throw error
    return { body: each, found }
  }
}

/**
 * Fails with `datatype_mismatch` where a value of a list has a field that its column does not have. Resolves with why they
 * could not be looked at: what is wrong with one is told by the user's own text, which has the places.
 */
async function checkCells(
  statement: InsertStatement,
  { queries, frontEnd, target, context }: InsertParts,
): Promise<SqlError | undefined> {
  const cells = cellsWithFields(statement.query, target)
  if (cells.length === 0) return undefined
  let found: readonly Column[]
  try {
    const body = await frontEnd.parseQuery(`SELECT ${cells.map(({ sql }) => sql).join(', ')}`)
    found = await queries.columnsOf(body, context)
  } catch (error) {
    if (error instanceof SqlError) return error
    throw error
  }
  for (const [i, { row, column, place }] of cells.entries()) {
    const position = placeOf(place, target)
    checkFields(column, found[i]?.type ?? '', { position, place: `row ${row}, ` })
  }
  return undefined
}

/** What is read in place of the query where it is a list that would make others of its values. */
async function fittedBody(
  statement: InsertStatement,
  which: 'changed' | 'all',
  { frontEnd, target }: InsertParts,
): Promise<QueryBody> {
  const values = fittedValues(statement.query, target, which)
  if (values === undefined) return statement
  const read = await frontEnd.parseQuery(values)
  return { ...read, source: { sql: read.source.sql, toUser: () => undefined } }
}

/** What is wrong in a list is told by its own text, where that is wrong in the same way: it has the places. */
async function fittedColumns(
  fitted: QueryBody,
  own: QueryBody,
  { queries, context }: InsertParts,
): Promise<readonly Column[]> {
  try {
    return await queries.columnsOf(fitted, context)
  } catch (error) {
    if (fitted === own || !(error instanceof SqlError)) throw error
    const told = await queries.columnsOf(own, context).catch((cause: unknown) => cause)
    throw told instanceof SqlError && told.error === error.error ? told : error
  }
}
