import { foldName } from '@nyala/metastore'
import { isAggregate, type KernelFunctions } from '../bind/functions.ts'
import { mapTree, someNode, visitTree } from '../sql/ir/tree.ts'
import type { BaseTable, ColumnRef, Expression, FunctionCall, Select, TableRef } from '../sql/ir.ts'
import type { DivideContext } from './division.ts'

export function scanId(ref: BaseTable): number | undefined {
  const match = /^\u0000scan (\d+)\u0000$/.exec(ref.table)
  return match === null ? undefined : Number(match[1])
}

/** Calls `visit` for the parts of a select's own level: not for what stands inside subqueries. */
export function visitLevel(tree: unknown, visit: (node: { readonly kind: string }) => void): void {
  visitTree(tree, (node) => {
    if (node.kind === 'select' || node.kind === 'setOperation') return false
    visit(node)
    return undefined
  })
}

export function hasAggregate(select: Select, functions: KernelFunctions): boolean {
  let found = false
  visitLevel([select.items, select.having, select.orderBy], (node) => {
    found ||=
      node.kind === 'grouping' ||
      (node.kind === 'function' && isAggregate(node as FunctionCall, functions))
  })
  return found
}

export function hasWindow(select: Select): boolean {
  let found = false
  visitLevel([select.items, select.orderBy], (node) => {
    found ||= node.kind === 'window'
  })
  return found
}

export const hasSubquery = (tree: unknown): boolean =>
  someNode(
    tree,
    (n) => n.kind === 'scalarSubquery' || n.kind === 'exists' || n.kind === 'anySubquery',
  )

export const hasStar = (tree: unknown): boolean =>
  someNode(tree, (n) => n.kind === 'star' || n.kind === 'unpack')

/**
 * The select with column names of its own level in one form, `alias.column`, wherever all tables of FROM are scans and
 * the name belongs to exactly one of them: so that `l_tax` and `lineitem.l_tax` are seen to be the same.
 */
export function canonical(select: Select, context: DivideContext): Select {
  const leaves = select.from === undefined ? [] : leafTables(select.from)
  if (leaves === undefined) return select
  const owners = new Map<string, string[]>()
  const spelt = new Map<string, string>()
  for (const leaf of leaves) {
    for (const name of context.scanColumns(scanId(leaf) ?? -1)) {
      const alias = leaf.alias ?? leaf.table
      owners.set(foldName(name), [...(owners.get(foldName(name)) ?? []), alias])
      spelt.set(`${foldName(alias)}.${foldName(name)}`, name)
    }
  }
  const qualify = (ref: ColumnRef): ColumnRef | undefined => {
    const [first = '', second = ''] = ref.path
    const found = owners.get(foldName(first))
    const alias = leaves.find((l) => foldName(l.alias ?? '') === foldName(first))?.alias
    if (ref.path.length > 1 && alias !== undefined) {
      const column = spelt.get(`${foldName(alias)}.${foldName(second)}`)
      return column === undefined
        ? undefined
        : { kind: 'column', path: [alias, column, ...ref.path.slice(2)] }
    }
    const owner = found?.length === 1 ? found[0] : undefined
    if (owner === undefined) return undefined
    return {
      kind: 'column',
      path: [
        owner,
        spelt.get(`${foldName(owner)}.${foldName(first)}`) ?? first,
        ...ref.path.slice(1),
      ],
    }
  }
  const change = <T>(tree: T): T =>
    mapTree(tree, (node) => {
      if (node.kind === 'select' || node.kind === 'setOperation') return node
      // Its parameters hide columns of the same names.
      if (node.kind === 'lambda') return node
      return node.kind === 'column' ? qualify(node as ColumnRef) : undefined
    })
  const { groupBy, having } = select
  return {
    ...select,
    items: select.items.map((item) => ({ ...item, expression: change(item.expression) })),
    ...(groupBy === undefined
      ? {}
      : { groupBy: { ...groupBy, expressions: change(groupBy.expressions) } }),
    ...(having === undefined ? {} : { having: change(having) }),
  }
}

/**
 * True when `tree` has an unqualified name that is also the alias of another expression of the select list: which of
 * the two is meant depends on the clause, so such a query is left to the kernel.
 */
export function usesAlias(tree: unknown, select: Select): boolean {
  const aliases = new Map<string, Expression>()
  for (const item of select.items) {
    if (item.alias !== undefined) aliases.set(foldName(item.alias), item.expression)
  }
  return someNode(tree, (node) => {
    if (node.kind !== 'column') return false
    const { path } = node as ColumnRef
    const expression = aliases.get(foldName(path[0] ?? ''))
    if (expression === undefined) return false
    const isSame =
      expression.kind === 'column' &&
      foldName(expression.path.at(-1) ?? '') === foldName(path[0] ?? '')
    return !isSame
  })
}

/** The scans whose columns can be named, of a FROM that is made of scans and joins alone, each under its own names. */
export function leafTables(from: TableRef): readonly BaseTable[] | undefined {
  if (from.kind === 'table') {
    return scanId(from) === undefined || from.columnAliases.length > 0 ? undefined : [from]
  }
  // Columns of USING and NATURAL belong to both sides.
  if (from.kind !== 'join' || from.using.length > 0 || from.form === 'natural') return undefined
  const left = leafTables(from.left)
  if (from.type === 'semi' || from.type === 'anti') return left
  const right = leafTables(from.right)
  return left === undefined || right === undefined ? undefined : [...left, ...right]
}
