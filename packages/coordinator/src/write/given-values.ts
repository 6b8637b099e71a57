import { type ColumnRecord, foldName } from '@nyala/metastore'
import { quoteIdentifier } from '../sql/escape.ts'
import type { Expression } from '../sql/ir.ts'
import { renderExpression } from '../sql/renderer.ts'
import type { MergeClause } from '../sql/statement.ts'
import { assignedSql, hasSubquery, missingSql, namesTwice } from './assigned-value.ts'

/** A value that a clause gives a column. */
export interface GivenValue {
  readonly sql: string
  /** It is a subquery, or has one in it. */
  readonly hasSubquery: boolean
}

/** A clause of MERGE, or all of an UPDATE. */
export interface GivingClause {
  /** From 1, in the order of the text. */
  readonly number: number
  readonly action: MergeClause['action']
  /** SQL of BOOLEAN; undefined: always. */
  readonly condition: string | undefined
  /** By the columns' folded names. */
  readonly values: ReadonlyMap<string, GivenValue>
}

/** The columns of rows that clauses give values, and where these rows are. */
export interface GivenRows {
  /** Of the result besides the table's columns: SQL by name. */
  readonly places: ReadonlyMap<string, string>
  readonly columns: readonly GivenColumn[]
  /** From the word FROM to the end. */
  readonly from: string
}

interface GivenColumn {
  readonly column: ColumnRecord
  /** SQL of the value before; undefined: of a new row. */
  readonly old: string | undefined
  /** Its name in the result. */
  readonly as: string
}

export const givenValue = (expression: Expression): GivenValue => ({
  sql: renderExpression(expression),
  hasSubquery: hasSubquery(expression),
})

/** The number of the first clause whose condition is true; 0 for one that does nothing, NULL where there is none. Pure. */
export function actionSql(clauses: readonly GivingClause[]): string {
  if (clauses.length === 0) return 'CAST(NULL AS INTEGER)'
  const cases = clauses.map(
    (clause) => `WHEN ${isMeant(clause)} THEN ${clause.action === 'nothing' ? 0 : clause.number}`,
  )
  return `CASE ${cases.join(' ')} END`
}

/**
 * The query of rows after the first clause whose condition is true, each value checked to be one of its column. Values
 * with subqueries are columns of an inner query, as a check names them more than once: there they are computed for the
 * rows of their clause alone, and in the scope that their text was written for. Pure.
 */
export function givenSql(clauses: readonly GivingClause[], rows: GivenRows): string {
  const { places, columns, from } = rows
  if (!columns.some(({ column }) => isInner(clauses, column))) {
    const items = columns.map((one) => `${plainSql(clauses, one)} AS ${quoteIdentifier(one.as)}`)
    return `SELECT ${[...namedItems(places), ...items].join(', ')} ${from}`
  }
  const inner = new Map([...places, [ACTION, actionSql(clauses)]])
  const outer = new Map([...places.keys()].map((name) => [name, innerColumn(name)]))
  for (const [i, one] of columns.entries()) {
    const parts = partsOf(clauses, one, `v${i}`)
    for (const [name, sql] of parts.inner) inner.set(name, sql)
    outer.set(one.as, parts.outer)
  }
  const query = `SELECT ${namedItems(inner).join(', ')} ${from}`
  return `SELECT ${namedItems(outer).join(', ')} FROM (${query}) AS ${INNER}`
}

/** Which clause a row of the inner query has. */
const ACTION = 'a'
const INNER = quoteIdentifier('$given')

const innerColumn = (name: string): string => `${INNER}.${quoteIdentifier(name)}`

const namedItems = (items: ReadonlyMap<string, string>): readonly string[] =>
  [...items].map(([name, sql]) => `${sql} AS ${quoteIdentifier(name)}`)

const isMeant = ({ condition }: GivingClause): string =>
  condition === undefined ? 'true' : `(${condition}) IS TRUE`

const valueOf = ({ values }: GivingClause, { name }: ColumnRecord): GivenValue | undefined =>
  values.get(foldName(name))

const isInner = (clauses: readonly GivingClause[], column: ColumnRecord): boolean =>
  namesTwice(column) && clauses.some((clause) => valueOf(clause, column)?.hasSubquery === true)

/** The value of a column, computed where it stands. */
function plainSql(clauses: readonly GivingClause[], { column, old }: GivenColumn): string {
  const rest = old ?? missingSql(column)
  if (clauses.every((clause) => valueOf(clause, column) === undefined)) return rest
  const cases = clauses.map((clause) => {
    const value = valueOf(clause, column)
    const result = value === undefined ? rest : assignedSql(value.sql, column)
    return `WHEN ${isMeant(clause)} THEN ${result}`
  })
  return `CASE ${cases.join(' ')} ELSE ${rest} END`
}

/** Columns of the inner query, whose names begin with `name`, and the value of the column by these. */
function partsOf(
  clauses: readonly GivingClause[],
  one: GivenColumn,
  name: string,
): { readonly inner: ReadonlyMap<string, string>; readonly outer: string } {
  const { column, old } = one
  if (!isInner(clauses, column)) {
    return { inner: new Map([[name, plainSql(clauses, one)]]), outer: innerColumn(name) }
  }
  const inner = new Map(old === undefined ? [] : [[name, old]])
  const cases = clauses.flatMap((clause) => {
    const value = valueOf(clause, column)
    if (value === undefined) return []
    const given = `${name}_${clause.number}`
    inner.set(given, `CASE WHEN (${actionSql(clauses)}) = ${clause.number} THEN ${value.sql} END`)
    return [`WHEN ${clause.number} THEN ${assignedSql(innerColumn(given), column)}`]
  })
  const rest = old === undefined ? missingSql(column) : innerColumn(name)
  return { inner, outer: `CASE ${innerColumn(ACTION)} ${cases.join(' ')} ELSE ${rest} END` }
}
