import { scanId } from '../plan/physical-plan.ts'
import { visitTree } from '../sql/ir/tree.ts'
import type { Expression, Query, TableRef } from '../sql/ir.ts'

/** A conjunct that every row of a scan must satisfy to have any part in the result. */
export interface ScanPredicate {
  readonly expression: Expression
  /** A name without a table in it may be that of a column which a join has merged with another's. */
  readonly isMerged: boolean
}

export function scanPredicates(query: Query, scan: number): readonly ScanPredicate[] {
  const found: ScanPredicate[] = []
  visitTree(query, (node) => {
    if (node.kind !== 'select') return undefined
    const { from, where } = node as Extract<Query, { kind: 'select' }>
    if (from === undefined) return undefined
    const on = requiredConditions(from, scan)
    if (on === undefined) return undefined
    const isMerged = merges(from)
    for (const expression of [...on, ...conjuncts(where)]) found.push({ expression, isMerged })
    return undefined
  })
  return found
}

/**
 * Conditions of inner joins around a scan; undefined where the scan does not stand in this FROM, or where a join may
 * keep rows whether or not the scan has a partner, so that a filter on it is no filter on its rows.
 */
function requiredConditions(from: TableRef, scan: number): readonly Expression[] | undefined {
  // Where columns are renamed, the name of a partition column may be that of another.
  if (from.kind === 'table')
    return scanId(from) === scan && from.columnAliases.length === 0 ? [] : undefined
  if (from.kind !== 'join' || from.form === 'positional' || from.form === 'asof') return undefined
  const left = requiredConditions(from.left, scan)
  const right = requiredConditions(from.right, scan)
  const inner = left ?? right
  if (inner === undefined) return undefined
  const isKept =
    from.type === 'inner' ||
    (from.type === 'right' && right !== undefined) ||
    (['left', 'semi', 'anti'].includes(from.type) && left !== undefined)
  if (!isKept) return undefined
  return from.type === 'inner' ? [...inner, ...conjuncts(from.condition)] : inner
}

const merges = (from: TableRef): boolean =>
  from.kind === 'join' &&
  (from.form === 'natural' || from.using.length > 0 || merges(from.left) || merges(from.right))

const conjuncts = (expression: Expression | undefined): readonly Expression[] => {
  if (expression === undefined) return []
  return expression.kind === 'conjunction' && expression.operator === 'and'
    ? expression.operands.flatMap(conjuncts)
    : [expression]
}
