import type { Expression, Query, Values } from './ir.ts'
import { mapTree } from './ir/tree.ts'
import { simpleType } from './sql-types.ts'

/** `text` is a quoted one, which is of no type until something says which; NULL is of none either. */
export type CellKind = 'text' | 'null' | 'float' | 'other'

/** What a value of a list is by its form. Pure. */
export function cellKind(cell: Expression): CellKind {
  if (cell.kind === 'constant') {
    if (cell.value === null) return 'null'
    if (cell.type.kind !== 'simple') return 'other'
    return cell.type.name === 'VARCHAR' ? 'text' : floatOrOther(cell.type.name)
  }
  if (cell.kind === 'cast' && cell.type.kind === 'simple') return floatOrOther(cell.type.name)
  const [operand] = cell.kind === 'function' && cell.name === '-' ? cell.args : []
  const isNegative = operand !== undefined && cell.kind === 'function' && cell.args.length === 1
  return isNegative && cellKind(operand) === 'float' ? 'float' : 'other'
}

const floatOrOther = (name: string): CellKind =>
  name === 'DOUBLE' || name === 'FLOAT' ? 'float' : 'other'

/** The rows of a query that is a list of values and nothing else. Pure. */
export function valuesOf(query: Query): Values['rows'] | undefined {
  if (query.kind !== 'select' || query.from?.kind !== 'values') return undefined
  const { ctes, orderBy, items, where, groupBy, having, qualify, sample, limit, distinct } = query
  const isMore = [where, groupBy, having, qualify, sample, limit, distinct].some(
    (part) => part !== undefined,
  )
  const isStar = items.length === 1 && items[0]?.expression.kind === 'star'
  return isMore || ctes.length + orderBy.length > 0 || !isStar ? undefined : query.from.rows
}

/**
 * A query in whose lists of values texts beside floating-point numbers are cast to DOUBLE: `VALUES ('NaN'), (1e300)`. The
 * kernel does so only where a number comes first, and refuses the list else. The same query where there is no such list.
 * Pure.
 */
export const castBesideFloats = (query: Query): Query =>
  mapTree(query, (node) => {
    if (node.kind !== 'values') return undefined
    const { rows } = node as unknown as Values
    const kinds = rows.map((row) => row.map(cellKind))
    const isMixed = (rows[0] ?? []).map((_, column) => {
      const found = new Set(kinds.map((row) => row[column]))
      return found.has('text') && found.has('float')
    })
    if (!isMixed.includes(true)) return undefined
    const cast = rows.map((row, i) =>
      row.map((cell, column) =>
        isMixed[column] === true && kinds[i]?.[column] === 'text' ? asDouble(cell) : cell,
      ),
    )
    return { ...node, rows: cast }
  })

const asDouble = (operand: Expression): Expression => ({
  ...{ kind: 'cast', try: false, operand },
  type: simpleType('DOUBLE'),
})
