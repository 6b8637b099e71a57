import { foldName } from '@nyala/metastore'
import type { BaseTable, ColumnRef, Constant, Select } from '../sql/ir.ts'
import { mapTree, someNode } from '../sql/ir/tree.ts'
import { CATALOG_NAME } from './mirror.ts'

/** What a session is asked about itself is known here, not in the kernel. */
export function sessionFunctions<T>(tree: T, database: string): T {
  const constant = (value: string): Constant => ({
    kind: 'constant',
    type: { kind: 'simple', name: 'VARCHAR' },
    value,
  })
  return mapTree(tree, (node) => {
    switch (sessionWord(node, tree)) {
      case 'current_database':
      case 'current_schema':
        return constant(database)
      case 'current_catalog':
        return constant(CATALOG_NAME)
      default:
        return undefined
    }
  })
}

/** The name of a function, or a word that is read like one where nothing in the query has it as its own name. */
function sessionWord(node: { readonly kind: string }, tree: unknown): string | undefined {
  if (node.kind === 'function') return (node as { readonly name?: string }).name?.toLowerCase()
  if (node.kind !== 'column') return undefined
  const { path } = node as ColumnRef
  const word = foldName(path[0] ?? '')
  if (path.length > 1 || (word !== 'current_schema' && word !== 'current_catalog')) return undefined
  const isName = (value: unknown): boolean => typeof value === 'string' && foldName(value) === word
  const isTaken = someNode(tree, (other) => {
    const { alias, columnAliases } = other as Partial<BaseTable>
    const items = other.kind === 'select' ? (other as Select).items : []
    return (
      isName(alias) || columnAliases?.some(isName) === true || items.some((i) => isName(i.alias))
    )
  })
  return isTaken ? undefined : word
}
