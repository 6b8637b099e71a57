import type { ColumnRecord } from '@nyala/metastore'
import type { Expression, Query } from '../sql/ir.ts'
import { renderExpression } from '../sql/renderer.ts'
import { cellKind, valuesOf } from '../sql/values-lists.ts'
import { assignedSql, hasSubquery, isNested, namesTwice } from './assigned-value.ts'
import { type InsertTarget, placesOf } from './assignment.ts'
import { hasFields } from './struct-fields.ts'

/**
 * The rows of `INSERT … VALUES` whose values would not be the same as a list of their own, which has one type or none:
 * there each value is one of the table's column by itself, as `('NaN'), (1e300)` are of DOUBLE, `(1.0), (2.55)` of VARCHAR
 * and `([1]), (['2'])` of INTEGER[]. With `all` each value is so: for lists that have no type together. Undefined for everything else. Pure. Fails as {@link placesOf} does.
 */
export function fittedValues(
  query: Query,
  target: InsertTarget,
  which: 'changed' | 'all' = 'changed',
): string | undefined {
  const rows = valuesOf(query)
  if (rows === undefined) return undefined
  const width = rows[0]?.length ?? 0
  const places = placesOf(width, target)
  const fitted = Array.from({ length: width }, (_, place) => {
    const column = target.table.columns[places.indexOf(place)]
    if (column === undefined) return undefined
    const cells = rows.flatMap((row) => row.slice(place, place + 1))
    return which === 'all' || isChangedByOthers(cells, column) ? column : undefined
  })
  if (fitted.every((column) => column === undefined)) return undefined
  const texts = rows.map((row) => {
    const cells = row.map((cell, place) => {
      const column = fitted[place]
      return column === undefined ? renderExpression(cell) : fittedSql(cell, column)
    })
    return `(${cells.join(', ')})`
  })
  return `VALUES ${texts.join(', ')}`
}

/** A value of a list for a column with fields. */
export interface FieldsCell {
  readonly row: number
  readonly column: ColumnRecord
  /** Among the columns of the list. */
  readonly place: number
  readonly sql: string
}

/**
 * The values of `INSERT … VALUES` that may have fields, as such: a list of them has the fields of all. Pure. Fails as
 * {@link placesOf} does.
 */
export function cellsWithFields(query: Query, target: InsertTarget): readonly FieldsCell[] {
  const rows = valuesOf(query) ?? []
  const places = rows.length === 0 ? [] : placesOf(rows[0]?.length ?? 0, target)
  return target.table.columns.flatMap((column, i) => {
    const place = places[i]
    if (place === undefined || !hasFields(column)) return []
    return rows.flatMap((row, k) => {
      const cell = row[place]
      if (cell === undefined || isText(cell)) return []
      return [{ row: k + 1, column, place, sql: renderExpression(cell) }]
    })
  })
}

/** Whether the type that values have together makes others of them than each is by itself in a column. */
function isChangedByOthers(cells: readonly Expression[], { type }: ColumnRecord): boolean {
  if (cells.length === 1) return false
  // Numbers take a scale from each other, which is seen in their texts, and lists and fields a type.
  if (type === 'VARCHAR' || isNested(type)) return !cells.every(isText)
  const kinds = new Set(cells.map(cellKind))
  if (kinds.has('text')) return kinds.has('other') || kinds.has('float')
  // As DOUBLE whole numbers and decimals may lose digits.
  return kinds.has('float') && kinds.has('other') && !FLOATS.has(type)
}

const isText = (cell: Expression): boolean =>
  cell.kind === 'cast'
    ? cell.type.kind === 'simple' && cell.type.name === 'VARCHAR'
    : ['text', 'null'].includes(cellKind(cell))

const FLOATS: ReadonlySet<string> = new Set(['FLOAT', 'DOUBLE'])

/** What is NULL is refused of all rows together. */
const fittedSql = (cell: Expression, { name, type }: ColumnRecord): string =>
  checkedCellSql(cell, { name, type })

/** A value of a list as that of a column, as {@link assignedSql} makes it. Pure. */
export function checkedCellSql(cell: Expression, column: ColumnRecord): string {
  const value = `(${renderExpression(cell)})`
  if (!namesTwice(column) || !hasSubquery(cell)) return assignedSql(value, column)
  return `(SELECT ${assignedSql('"$cell".v', column)} FROM (SELECT ${value} AS v) AS "$cell")`
}
