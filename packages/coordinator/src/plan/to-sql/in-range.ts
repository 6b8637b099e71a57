import type { Expression } from '../../sql/ir.ts'
import { simpleType } from '../../sql/sql-types.ts'
import { anyOf, comparison } from '../logical/expressions.ts'
import {
  columnRef,
  type ExchangeRelation,
  type Relation,
  type SortRange,
} from '../logical/relation.ts'
import { sortKey } from '../logical/sort-key.ts'
import { RANGE_MARK } from '../physical-plan.ts'

/**
 * The rows of an exchange that are in the range of the task. Ranges follow one another without a gap: each begins where
 * the one before ends, the first has no beginning, and the last no end. A range that has no bounds, as there were fewer
 * rows than ranges, has no rows.
 */
export function inRange(exchange: ExchangeRelation, range: SortRange): Relation {
  const { part, low, high } = range.columns
  const bounds: Relation = {
    kind: 'filter',
    input: { kind: 'exchange', exchange: range.bounds, columns: [part, low, high], whole: true },
    conjuncts: [comparison(columnRef(part), '=', { kind: 'parameter', name: RANGE_MARK })],
  }
  const key = sortKey(range.orderBy)
  // Said with OR, so that the kernel compares each row with the bounds and does not sort all rows to join them.
  const residual = [
    anyOf([comparison(columnRef(part), '=', ONE), comparison(key, '>=', columnRef(low))]),
    anyOf([
      { kind: 'isNull', operand: columnRef(high), negated: false },
      comparison(key, '<', columnRef(high)),
    ]),
  ]
  const left = { ...exchange, range: undefined }
  return { kind: 'join', type: 'inner', left, right: bounds, conditions: [], residual }
}

const ONE: Expression = { kind: 'constant', type: simpleType('INTEGER'), value: '1' }
