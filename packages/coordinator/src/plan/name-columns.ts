import type { Column } from '@nyala/client/protocol'
import { someNode } from '../sql/ir/tree.ts'
import type { Expression, Query, Select, Star } from '../sql/ir.ts'

/**
 * The query with the names of its result as the user's own text would have them: the kernel names what has no alias by
 * its text, and in a task the text of a subquery says which files are read.
 */
export function nameColumns(query: Query, columns: readonly Column[] | undefined): Query {
  if (columns === undefined) return query
  if (query.kind === 'setOperation')
    return query.byName ? renamed(query, columns) : named(query, columns)
  return hasPlainItems(query, columns) ? named(query, columns) : renamed(query, columns)
}

/** Names given where they are made: to the items of a SELECT, or of the first one of a set operation. */
function named(query: Query, columns: readonly Column[]): Query {
  if (query.kind === 'setOperation') return { ...query, left: nameColumns(query.left, columns) }
  const items = query.items.map((item, i) => {
    if (item.alias !== undefined || item.expression.kind === 'column') return item
    return { ...item, alias: columns[i]?.name }
  })
  return { ...query, items } satisfies Select
}

const isMany = (e: Expression): boolean => e.kind === 'star' || e.kind === 'unpack'

const hasPlainItems = ({ items }: Select, columns: readonly Column[]): boolean =>
  items.length === columns.length && !items.some(({ expression }) => isMany(expression))

const ALL: Star = { kind: 'star', exclude: [], replace: [], rename: [], columns: false }

/** Names given from outside, where a star takes them from within and one of them would say what files are read. */
function renamed(query: Query, columns: readonly Column[]): Query {
  const names = columns.map((c) => c.name)
  const isUnique = new Set(names.map((name) => name.toLowerCase())).size === names.length
  if (!someNode(query, isNamedByTables) || !isUnique) return query
  const from = { kind: 'subquery', query, alias: 'named', columnAliases: names } as const
  return { kind: 'select', ctes: [], orderBy: [], items: [{ expression: ALL }], from }
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
