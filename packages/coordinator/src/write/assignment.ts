import { type Column, type Position, positionAt, SqlError } from '@nyala/client/protocol'
import { type ColumnRecord, foldName } from '@nyala/metastore'
import { didYouMean } from '../bind/nearest.ts'
import { quoteIdentifier, quoteLiteral } from '../sql/escape.ts'
import type { InsertHeader } from '../sql/statement.ts'
import { assignedSql, missingSql } from './assigned-value.ts'
import { checkFields } from './struct-fields.ts'

/** What INSERT says besides its query, and the text that positions refer to. */
export interface InsertTarget {
  readonly table: { readonly name: string; readonly columns: readonly ColumnRecord[] }
  readonly columns: InsertHeader['columns']
  /** Values that are not the query's, as texts, by the columns' folded names. */
  readonly constants?: ReadonlyMap<string, string | null> | undefined
  readonly at: number
  readonly text: string
}

/**
 * The rows of a query as rows of a table: every column of the table, in its order, as its type; NULL where INSERT does
 * not name it. Pure. Fails with `syntax_error`, `undefined_column`, `duplicate_column`, and with `datatype_mismatch` where
 * values have a field that their column does not have.
 */
export function assignmentSql(sql: string, found: readonly Column[], target: InsertTarget): string {
  const places = placesOf(found.length, target)
  const names = Array.from({ length: found.length }, () => '')
  const items = target.table.columns.map((column, i) => {
    const { name } = column
    const place = places[i]
    if (place !== undefined) names[place] = name
    const constant = target.constants?.get(foldName(name))
    if (typeof constant === 'string')
      return named(assignedSql(quoteLiteral(constant), column), name)
    if (place === undefined) return named(missingSql(column), name)
    const source = found[place]?.type
    if (source !== undefined) checkFields(column, source, { position: placeOf(place, target) })
    return itemSql(column, source)
  })
  return wrapped(sql, items, names)
}

/** Where INSERT says which column a value is for; where it does not, the name of the table. */
export const placeOf = (place: number, { columns, at, text }: InsertTarget): Position =>
  positionAt(text, columns?.[place]?.at ?? at)

/** The rows of a query with columns of other names and types. Pure. */
export function castSql(sql: string, columns: readonly ColumnRecord[]): string {
  const items = columns.map((column) => itemSql(column, undefined))
  return wrapped(
    sql,
    items,
    columns.map((column) => column.name),
  )
}

const itemSql = (column: ColumnRecord, type: string | undefined): string =>
  named(assignedSql(`"source".${quoteIdentifier(column.name)}`, column, type), column.name)

const named = (sql: string, name: string): string => `${sql} AS ${quoteIdentifier(name)}`

const wrapped = (sql: string, items: readonly string[], names: readonly string[]): string =>
  `SELECT ${items.join(', ')} FROM (${sql}) AS "source"(${names.map(quoteIdentifier).join(', ')})`

/** For each column of the table the place of its value among the query's; undefined where there is none. */
export function placesOf(found: number, target: InsertTarget): readonly (number | undefined)[] {
  const { table, columns: named, text } = target
  const wanted = named?.length ?? table.columns.length
  if (found !== wanted) {
    const what = named === undefined ? `table "${table.name}" has` : 'INSERT names'
    throw new SqlError('syntax_error', `the query has ${found} columns, ${what} ${wanted}`, {
      position: positionAt(text, target.at),
      hint: 'name the columns that the query has values for: INSERT INTO t (a, b) …',
    })
  }
  if (named === undefined) return table.columns.map((_, i) => i)
  const places = new Map<string, number>()
  named.forEach(({ name, at }, place) => {
    const key = foldName(name)
    const position: Position = positionAt(text, at)
    if (places.has(key)) {
      throw new SqlError('duplicate_column', `column "${name}" is named twice`, { position })
    }
    if (!table.columns.some((column) => foldName(column.name) === key)) {
      const names = table.columns.map((column) => column.name)
      throw new SqlError(
        'undefined_column',
        `column "${name}" does not exist in table "${table.name}"`,
        { position, hint: didYouMean(name, names) },
      )
    }
    places.set(key, place)
  })
  return table.columns.map((column) => places.get(foldName(column.name)))
}
