import { equalIr } from '../../sql/ir/equal.ts'
import { visitTree } from '../../sql/ir/tree.ts'
import type { ColumnRef, Expression } from '../../sql/ir.ts'
import { columnsOf, type JoinRelation, type Relation } from '../logical/relation.ts'

/** Adds the names of all columns that stand in a tree of expressions. */
export function addColumns(tree: unknown, names: Set<string>): Set<string> {
  visitTree(tree, (node) => {
    if (node.kind === 'column') names.add((node as ColumnRef).path[0] ?? '')
    return undefined
  })
  return names
}

/** The names that stand in a tree, beside those given. */
export const withColumnsOf = (tree: unknown, names: ReadonlySet<string>): ReadonlySet<string> =>
  addColumns(tree, new Set(names))

/** True when rows in buckets by `list` that agree in all of `keys` are in one bucket. No list says nothing. */
export const isSubset = (list: readonly Expression[], keys: readonly Expression[]): boolean =>
  list.length > 0 && list.every((p) => keys.some((w) => equalIr(p, w)))

/** What a join needs of its two sides, for the columns that are needed of the join. */
export function joinNeeds(
  join: JoinRelation,
  needed: ReadonlySet<string>,
): { readonly left: ReadonlySet<string>; readonly right: ReadonlySet<string> } {
  const all = addColumns([join.conditions, join.residual], new Set(needed))
  const of = (side: Relation): ReadonlySet<string> =>
    new Set(columnsOf(side).flatMap((c) => (all.has(c.name) ? [c.name] : [])))
  return { left: of(join.left), right: of(join.right) }
}

/** The names of all columns of a relation. */
export const allNames = (relation: Relation): ReadonlySet<string> =>
  new Set(columnsOf(relation).map((c) => c.name))
