import { positionAt, SqlError } from '@nyala/client/protocol'
import { type ColumnRecord, foldName } from '@nyala/metastore'
import { isUnrepeatable, type KernelFunctions } from '../bind/functions.ts'
import { didYouMean } from '../bind/nearest.ts'
import { FILE_COLUMN } from '../plan/scan.ts'
import { quoteIdentifier } from '../sql/escape.ts'
import type { BaseTable, Query, Select } from '../sql/ir.ts'
import { someNode } from '../sql/ir/tree.ts'
import { renderExpression } from '../sql/renderer.ts'
import type { DeleteStatement, ObjectName, UpdateStatement } from '../sql/statement.ts'
import { givenSql, type GivenValue, givenValue } from './given-values.ts'
import { PART } from './managed-table.ts'

/** The rows that DELETE or UPDATE is about. */
export interface RowChange {
  readonly table: ObjectName
  /** The name that expressions know the table by, where it is not its own. */
  readonly alias: string | undefined
  /** SQL; undefined: all rows. */
  readonly condition: string | undefined
  /** Of UPDATE: the new values, by the columns' folded names. */
  readonly values: ReadonlyMap<string, GivenValue>
}

/**
 * Reads what the query of DELETE or UPDATE says. Pure. Fails with `feature_not_supported` for clauses that only a query
 * has, for windows, and for functions that give another value each time, as a condition is computed in several places.
 */
export function rowChangeOf(
  statement: DeleteStatement | UpdateStatement,
  context: { readonly text: string; readonly functions: KernelFunctions },
): RowChange {
  const { query } = statement
  const command = statement.kind.toUpperCase()
  const refuse = (what: string, hint?: string): SqlError =>
    new SqlError('feature_not_supported', `${what} in ${command} is not supported`, {
      position: positionAt(context.text, statement.at),
      hint,
    })
  const select = plainSelect(query, statement.kind)
  if (select === undefined) throw refuse('a clause other than WHERE')
  const { from, where, items } = select
  if (isUnrepeatable([where, items], context.functions)) {
    throw refuse('a function that gives another value each time', 'give the value as a parameter')
  }
  const isWindow = (node: { readonly kind: string }): boolean => node.kind === 'window'
  if (someNode(items, isWindow) || (where !== undefined && someNode(where, isWindow))) {
    throw refuse('a window function')
  }
  const columns = statement.kind === 'update' ? statement.columns : []
  const values = new Map(
    columns.map(({ name }, i) => {
      const expression = items[i]?.expression
      if (expression === undefined) throw refuse('a value that is none')
      return [foldName(name), givenValue(expression)]
    }),
  )
  return {
    table: { database: from.schema, name: from.table, at: statement.at },
    alias: from.alias,
    condition: where === undefined ? undefined : renderExpression(where),
    values,
  }
}

/** A SELECT over one table with nothing but a WHERE; of DELETE all columns, of UPDATE some expressions. */
function plainSelect(
  query: Query,
  kind: 'delete' | 'update',
): (Select & { readonly from: BaseTable }) | undefined {
  if (query.kind !== 'select') return undefined
  const { from } = query
  if (from?.kind !== 'table' || from.columnAliases.length > 0) return undefined
  if (from.asOf !== undefined || from.sample !== undefined || from.catalog !== undefined)
    return undefined
  const others = [
    query.distinct,
    query.groupBy,
    query.having,
    query.qualify,
    query.sample,
    query.limit,
  ]
  if (others.some((clause) => clause !== undefined)) return undefined
  if (query.ctes.length + query.orderBy.length > 0) return undefined
  const stars = query.items.filter(({ expression }) => expression.kind === 'star').length
  if (stars !== (kind === 'delete' ? 1 : 0)) return undefined
  if (kind === 'delete' ? query.items.length !== 1 : query.items.some((i) => i.alias !== undefined))
    return undefined
  return { ...query, from }
}

interface Target {
  readonly database: string
  readonly name: string
  readonly columns: readonly ColumnRecord[]
}

/** What is changed stands in the database `$target`; a subquery that names the table reads all of it. */
const source = (table: Target, { alias }: RowChange): string =>
  `${PART} AS ${quoteIdentifier(alias ?? table.name)}`

const column = (table: Target, { alias }: RowChange, name: string): string =>
  `${quoteIdentifier(alias ?? table.name)}.${quoteIdentifier(name)}`

const isMeant = ({ condition }: RowChange): string =>
  condition === undefined ? 'true' : `CAST(${condition} AS BOOLEAN)`

/** Which files hold rows to change, and how many. */
export function touchedSql(table: Target, change: RowChange): string {
  const file = column(table, change, FILE_COLUMN)
  return `SELECT ${file}, count(*) FROM ${source(table, change)} WHERE ${isMeant(change)} GROUP BY ${file}`
}

/** The rows that stay: those of which the condition is not true, be it false or unknown. */
export const keptSql = (table: Target, change: RowChange): string =>
  `SELECT ${table.columns.map(({ name }) => column(table, change, name)).join(', ')} ` +
  `FROM ${source(table, change)} WHERE (${isMeant(change)}) IS NOT TRUE`

/** All rows, with new values in those of which the condition is true. */
export function updatedSql(table: Target, change: RowChange): string {
  const condition = change.condition === undefined ? undefined : isMeant(change)
  const clause = { number: 1, action: 'update', condition, values: change.values } as const
  const columns = table.columns.map((changed) => {
    const { name } = changed
    return { column: changed, old: column(table, change, name), as: name }
  })
  return givenSql([clause], { places: new Map(), columns, from: `FROM ${source(table, change)}` })
}

/** Fails with `undefined_column` or `duplicate_column`. */
export function checkAssigned(
  table: Target,
  columns: UpdateStatement['columns'],
  text: string,
): void {
  const names = table.columns.map(({ name }) => name)
  const known = new Set(names.map(foldName))
  const seen = new Set<string>()
  for (const { name, at } of columns) {
    const position = positionAt(text, at)
    if (seen.has(foldName(name))) {
      throw new SqlError('duplicate_column', `column "${name}" is set twice`, { position })
    }
    seen.add(foldName(name))
    if (known.has(foldName(name))) continue
    const message = `column "${name}" does not exist in table "${table.name}"`
    throw new SqlError('undefined_column', message, { position, hint: didYouMean(name, names) })
  }
}
