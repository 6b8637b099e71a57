import { quoteIdentifier } from '../escape.ts'
import type { FunctionCall, SelectItem, Values } from '../ir.ts'
import type { Layout } from './layout.ts'

/** `expression AS "alias"`. */
export function renderItem(item: SelectItem, layout: Layout): string {
  const text = layout.expression(item.expression)
  return item.alias === undefined ? text : `${text} AS ${quoteIdentifier(item.alias)}`
}

/** `VALUES (1, 2), (3, 4)`. */
export const renderRows = (values: Values, layout: Layout): string =>
  `VALUES ${values.rows.map((row) => `(${layout.expressions(row)})`).join(', ')}`

export const renderCallOf = (call: FunctionCall, layout: Layout): string => layout.expression(call)
