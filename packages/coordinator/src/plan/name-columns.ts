import type { Column } from '@nyala/client/protocol'
import { someNode } from '../sql/ir/tree.ts'
import type { Expression, Query, Select } from '../sql/ir.ts'

/**
 * The query with the names of its result as the user's own text would have them: the kernel names what has no alias by
 * its text, and in a task the text of a subquery says which files are read.
 */
export function nameColumns(query: Query, columns: readonly Column[] | undefined): Query {
  if (columns === undefined) return query
  const first = firstSelect(query)
  return first !== undefined && hasPlainItems(first, columns)
    ? named(query, columns)
    : renamed(query, columns)
}

/** The SELECT that names the columns of a query; none where they are matched by name. */
function firstSelect(query: Query): Select | undefined {
  if (query.kind !== 'setOperation') return query
  return query.byName ? undefined : firstSelect(query.left)
}

const isMany = (e: Expression): boolean => e.kind === 'star' || e.kind === 'unpack'

const hasPlainItems = ({ items }: Select, columns: readonly Column[]): boolean =>
  items.length === columns.length && !items.some(({ expression }) => isMany(expression))

/** Names given where they are made: to the items of a SELECT, or of the first one of a set operation. */
function named(query: Query, columns: readonly Column[]): Query {
  if (query.kind === 'setOperation') return { ...query, left: named(query.left, columns) }
  const items = query.items.map((item, i) => {
    if (item.alias !== undefined || item.expression.kind === 'column') return item
    return { ...item, alias: columns[i]?.name }
  })
  return { ...query, items } satisfies Select
}

/** Names given from outside, where a star takes them from within and one of them would say what files are read. */
function renamed(query: Query, columns: readonly Column[]): Query {
  if (!someNode(query, isNamedByTables)) return query
  // Names of the result may be equal, these may not.
  const columnAliases = columns.map((_, i) => `column_${i}`)
  const from = { kind: 'subquery', query, alias: 'named', columnAliases } as const
  const items = columns.map(({ name }, i) => ({
    expression: { kind: 'column', path: [`column_${i}`] } as const,
    alias: name,
  }))
  return { kind: 'select', ctes: [], orderBy: [], items, from }
}

/** True for a SELECT with a subquery in an expression that has no name. */
const isNamedByTables = (node: { readonly kind?: unknown }): boolean =>
  node.kind === 'select' &&
  (node as Select).items.some(
    ({ alias, expression }) =>
      alias === undefined &&
      !isMany(expression) &&
      someNode(expression, (n) => n.kind === 'select' || n.kind === 'setOperation'),
  )
