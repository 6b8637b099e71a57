import duckdb, { type LogicalType, type PreparedStatement } from '@duckdb/node-bindings'
import type { Column } from '@nyala/client/protocol'
import { quoteName } from './kernel-instance.ts'
import type { TypeNames } from './sql-type-name.ts'
import { type WireField, type WireType, wireTypeOf } from './wire-type.ts'

/** A column of a statement: its name and type as SQL has them. */
export interface StatementColumn extends Column {
  readonly logical: LogicalType
}

export function columnsOf(
  statement: PreparedStatement,
  typeNames: TypeNames,
): readonly StatementColumn[] {
  return Array.from({ length: duckdb.prepared_statement_column_count(statement) }, (_, i) => {
    const logical = duckdb.prepared_statement_column_logical_type(statement, i)
    const name = duckdb.prepared_statement_column_name(statement, i)
    return { name, type: typeNames.nameOf(logical), logical }
  })
}

/** The columns as they travel, or undefined where the statement must be wrapped in casts first. */
export function wireFieldsOf(
  columns: readonly StatementColumn[],
): readonly WireField[] | undefined {
  const fields: WireField[] = []
  for (const column of columns) {
    const type: WireType | undefined = wireTypeOf(column.logical)
    if (type === undefined) return undefined
    fields.push({ name: column.name, type })
  }
  return fields
}

/**
 * The statement with `castOf` applied to its columns. Columns are addressed by position, so that two of the same name
 * do no harm; `undefined` leaves a column as it is.
 */
export function castColumns<C extends { readonly name: string }>(
  sql: string,
  columns: readonly C[],
  castOf: (column: C) => string | undefined,
): string {
  const items = columns.map((column, i) => {
    const type = castOf(column)
    const value = type === undefined ? `c${i}` : `CAST(c${i} AS ${type})`
    return `${value} AS ${quoteName(column.name)}`
  })
  const aliases = columns.map((_, i) => `c${i}`)
  // The line break ends a comment that the statement may end with.
  return `SELECT ${items.join(', ')} FROM (${withoutSemicolon(sql)}\n) AS t(${aliases.join(', ')})`
}

/** The statement so that it can stand in parentheses. */
export const withoutSemicolon = (sql: string): string => sql.replace(/[;\s]+$/, '')
