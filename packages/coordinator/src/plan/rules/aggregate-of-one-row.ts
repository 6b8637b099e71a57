/**
 * Groups of one row each, or of all of one row, need no aggregation. The kernel puts one around each scalar subquery, to
 * see that it has no second row; where the subquery is an aggregate itself there is never one.
 */
import type { Expression, FunctionCall } from '../../sql/ir.ts'
import { simpleType } from '../../sql/sql-types.ts'
import { hasOneRow } from '../logical/properties.ts'
import {
  type AggregateRelation,
  type Computed,
  mapRelation,
  type Relation,
} from '../logical/relation.ts'

export const aggregateOfOneRow = (root: Relation): Relation =>
  mapRelation(root, (part) => (part.kind === 'aggregate' ? withoutAggregates(part) : part))

function withoutAggregates(relation: AggregateRelation): Relation {
  const { input, keys, sets, aggregates } = relation
  if (keys.length > 0 || sets.length !== 1 || !hasOneRow(input)) return relation
  const items: Computed[] = []
  for (const { column, expression } of aggregates) {
    const value = valueOf(expression)
    if (value === undefined) return relation
    items.push({ column, expression: value })
  }
  return { kind: 'project', input, items }
}

/** Aggregates whose value over one row has the type and value of their argument. */
const OF_ITSELF: ReadonlySet<string> = new Set(['first', 'last', 'any_value', 'min', 'max'])

function valueOf(call: FunctionCall): Expression | undefined {
  if (call.filter !== undefined) return undefined
  if (call.name === 'count_star')
    return { kind: 'constant', type: simpleType('BIGINT'), value: '1' }
  return OF_ITSELF.has(call.name) && call.args.length === 1 ? call.args[0] : undefined
}
