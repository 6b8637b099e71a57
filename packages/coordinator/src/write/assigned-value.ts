import { refusedValue } from '@nyala/executor/protocol'
import type { ColumnRecord } from '@nyala/metastore'
import { quoteIdentifier, quoteLiteral } from '../sql/escape.ts'
import type { Expression } from '../sql/ir.ts'
import { someNode } from '../sql/ir/tree.ts'

/** Of a value, in the text of an error. */
const SHOWN_CHARACTERS = 80
/** What casts inside a value are told by the kernel; tried ones would put NULL there. */
const NESTED = /\]$|^(?:STRUCT|MAP|UNION)\b/
const SUBQUERIES: ReadonlySet<string> = new Set<Expression['kind']>([
  'scalarSubquery',
  'exists',
  'anySubquery',
])
/** Each holds all values of those before it. */
const WHOLE_NUMBERS = ['TINYINT', 'SMALLINT', 'INTEGER', 'BIGINT', 'HUGEINT']

/**
 * A value as that of a column: cast to its type, and refused, by an error that names the column and the value, where it
 * does not fit or may not be NULL. `value` is SQL without effects, as it may be computed again to be shown, and without
 * subqueries where {@link namesTwice} says so; `source` is its type where that is known. Pure.
 */
export function assignedSql(
  value: string,
  column: Pick<ColumnRecord, 'name' | 'type' | 'notNull'>,
  source?: string,
): string {
  const cast = `CAST(${value} AS ${column.type})`
  const isPlain = isNested(column.type) || holdsAll(column.type, source)
  const fitted = isPlain ? [cast] : [`TRY_CAST(${value} AS ${column.type})`, misfit(value, column)]
  const parts = [...fitted, ...(column.notNull === true ? [notNullError(column)] : [])]
  return parts.length === 1 ? cast : `COALESCE(${parts.join(', ')})`
}

/** `CAST(NULL …)`, or the error where that is not allowed. Pure. */
export const missingSql = (column: Pick<ColumnRecord, 'name' | 'type' | 'notNull'>): string =>
  assignedSql('NULL', column, column.type)

/** What an error of a value names. */
export const namedColumn = ({ name, type }: Pick<ColumnRecord, 'name' | 'type'>): string =>
  `column ${quoteIdentifier(name)} of type ${type}`

/** {@link assignedSql} may write the value of such a column more than once, and a subquery would run as often. Pure. */
export const namesTwice = ({ type }: Pick<ColumnRecord, 'type'>): boolean =>
  !isNested(type) && !holdsAll(type, undefined)

/** Whether an expression is, or has in it, a subquery. Pure. */
export const hasSubquery = (expression: Expression): boolean =>
  someNode(expression, ({ kind }) => SUBQUERIES.has(kind))

/** Whether values of a type have values in them. Pure. */
export const isNested = (type: string): boolean => NESTED.test(type)

function holdsAll(type: string, source: string | undefined): boolean {
  if (type === 'VARCHAR' || type === source) return true
  const from = source === undefined ? -1 : WHOLE_NUMBERS.indexOf(source)
  return from >= 0 && from <= WHOLE_NUMBERS.indexOf(type)
}

/** NULL where the value is; else the error. */
function misfit(value: string, column: Pick<ColumnRecord, 'name' | 'type'>): string {
  const type = `typeof(${value})`
  const isNumber = `${type} LIKE '%INT%' OR ${type} LIKE 'DECIMAL%' OR ${type} IN ('FLOAT', 'DOUBLE')`
  const [range, text] = [
    refusedValue('numeric_value_out_of_range'),
    refusedValue('invalid_text_representation'),
  ].map(quoteLiteral)
  const kind = `CASE WHEN ${isNumber} THEN ${range} ELSE ${text} END`
  const shown = `left(CAST(${value} AS VARCHAR), ${SHOWN_CHARACTERS})`
  const what = quoteLiteral(`${namedColumn(column)} cannot hold "`)
  return `CASE WHEN (${value}) IS NOT NULL THEN error(${kind} || ${what} || ${shown} || '"') END`
}

const notNullError = (column: Pick<ColumnRecord, 'name' | 'type'>): string =>
  `error(${quoteLiteral(`${refusedValue('not_null_violation')}${namedColumn(column)} must not be NULL`)})`
