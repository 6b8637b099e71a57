import type { Query } from '../sql/ir.ts'
import { renderExpression } from '../sql/renderer.ts'
import { cellKind, valuesOf } from '../sql/values-lists.ts'
import { assignedSql } from './assigned-value.ts'
import { type InsertTarget, placesOf } from './assignment.ts'

/**
 * The rows of `INSERT … VALUES` in which a column has texts and values of another kind: there each value is one of the
 * table's column by itself, as `('NaN'), (1e300)` are of DOUBLE. As a list of their own they may have no type. Undefined
 * for everything else. Pure. Fails as {@link placesOf} does.
 */
export function fittedValues(query: Query, target: InsertTarget): string | undefined {
  const rows = valuesOf(query)
  if (rows === undefined) return undefined
  const width = rows[0]?.length ?? 0
  const isMixed = Array.from({ length: width }, (_, column) => {
    const kinds = new Set(rows.flatMap((row) => row.slice(column, column + 1).map(cellKind)))
    return kinds.has('text') && (kinds.has('other') || kinds.has('float'))
  })
  if (!isMixed.includes(true)) return undefined
  const places = placesOf(width, target)
  const columns = isMixed.map((_, place) => target.table.columns[places.indexOf(place)])
  const texts = rows.map((row) => {
    const cells = row.map((cell, place) => {
      const column = columns[place]
      const sql = renderExpression(cell)
      if (isMixed[place] !== true || column === undefined) return sql
      // What is NULL is refused of all rows together.
      const { name, type } = column
      return assignedSql(`(${sql})`, { name, type })
    })
    return `(${cells.join(', ')})`
  })
  return `VALUES ${texts.join(', ')}`
}
