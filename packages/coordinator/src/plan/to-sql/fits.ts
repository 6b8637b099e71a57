/** What a block can still take up without becoming a table of another. */
import type { Expression } from '../../sql/ir.ts'
import { equalIr } from '../../sql/ir/equal.ts'
import { someNode } from '../../sql/ir/tree.ts'
import { columnName, keyOf } from '../logical/expressions.ts'
import type { AggregateRelation, SortRelation } from '../logical/relation.ts'
import { type Block, canInline, hasSets, isDistinct, orderInBlock } from './block.ts'
import type { Output } from './emit-block.ts'

/** True when a block can be written with just these columns selected. */
export function canEmit(block: Block, outputs: readonly Output[]): boolean {
  if (!isDistinct(block) && !block.hasUnnest) return true
  const named = outputs.map((o) => o.column)
  const isAll = new Set(named).size === block.columns.size
  return isAll && (!block.hasUnnest || named.length === block.columns.size)
}

/** True when a projection of the block can be said in its own select list. */
export function canProject(block: Block, items: readonly Expression[]): boolean {
  if (isDistinct(block) || block.hasUnnest) {
    const named = items.map(columnName)
    const isAll = new Set(named).size === block.columns.size && named.length === block.columns.size
    return isAll && named.every((name) => name !== undefined && block.columns.has(name))
  }
  if (hasSets(block) && !items.every((e) => e.kind === 'column' || e.kind === 'constant'))
    return false
  return canInline(block, items)
}

/** True when the block can still be ordered, with `needed` selected above. */
export function canSort(
  block: Block,
  orderBy: SortRelation['orderBy'],
  needed: ReadonlySet<string>,
): boolean {
  if (block.limit !== undefined) return false
  const terms = orderBy.map((item) => item.expression)
  const names = terms.map(columnName)
  const arePlainTerms = names.every((name) => name !== undefined)
  if (block.orderBy.length > 0) {
    return equalIr(block.orderBy, orderInBlock(orderBy, block))
  }
  if (isDistinct(block) || block.hasUnnest || hasSets(block)) {
    return arePlainTerms && names.every((name) => name !== undefined && needed.has(name))
  }
  if (block.distinct !== undefined) return false
  // What is selected too is ordered by as a column of the select list.
  if (arePlainTerms) return true
  const computed = terms.filter((e) => columnName(e) === undefined)
  return canInline(block, computed, needed)
}

/**
 * True when keys can be written as what they are computed from: a constant would be the number of a column, a subquery
 * is not seen to be the same when it is selected, and of two keys alike one could not tell which is NULL in which
 * grouping set.
 */
export function canGroup(values: readonly Expression[], { sets }: AggregateRelation): boolean {
  if (!values.every(isKey)) return false
  return sets.length === 1 || new Set(values.map(keyOf)).size === values.length
}

const isKey = (value: Expression): boolean =>
  value.kind !== 'constant' &&
  !someNode(value, ({ kind }) => kind === 'select' || kind === 'setOperation' || kind === 'lambda')
