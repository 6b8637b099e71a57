import { equalIr } from '../../sql/ir/equal.ts'
import type { Expression, OrderItem } from '../../sql/ir.ts'
import { substitute } from '../logical/expressions.ts'
import { columnRef, columnsOf, type Relation, type SetRelation } from '../logical/relation.ts'

/** The first rows that are asked for of a union, and in what order. */
export interface Wanted {
  readonly rows: number
  readonly orderBy: readonly OrderItem[] | undefined
}

/**
 * A UNION ALL of which the first rows are wanted, without the limits of its inputs that ask for as many rows, or more, in
 * the same order. Each part of an input is limited anyway, and the rows of all inputs together: the first rows of one
 * input alone would be an exchange and a stage more for nothing. A limit that asks for less, or in another order, means
 * something and stays.
 */
export function withoutOwnLimits(relation: Relation, wanted: Wanted): Relation {
  if (relation.kind !== 'set' || relation.operator !== 'union' || !relation.all) return relation
  const inputs = relation.inputs.map((input) =>
    withoutLimit(input, { ...wanted, orderBy: orderOf(input, relation, wanted.orderBy) }),
  )
  if (inputs.every((input, i) => input === relation.inputs[i])) return relation
  return { ...relation, inputs }
}

function withoutLimit(relation: Relation, wanted: Wanted): Relation {
  // Only what has no order is limited below a projection.
  if (relation.kind === 'project' && wanted.orderBy === undefined) {
    const input = withoutLimit(relation.input, wanted)
    return input === relation.input ? relation : { ...relation, input }
  }
  if (relation.kind !== 'limit' || relation.offset > 0) return relation
  if (relation.count === undefined || relation.count < wanted.rows) return relation
  const { input } = relation
  if (input.kind !== 'sort') return wanted.orderBy === undefined ? input : relation
  return wanted.orderBy !== undefined && equalIr(input.orderBy, wanted.orderBy)
    ? input.input
    : relation
}

/** An order of the union's columns as one of an input's. */
function orderOf(
  input: Relation,
  union: SetRelation,
  orderBy: readonly OrderItem[] | undefined,
): readonly OrderItem[] | undefined {
  const values = new Map<string, Expression>()
  for (const [i, column] of columnsOf(input).entries())
    values.set(union.columns[i]?.name ?? '', columnRef(column))
  return orderBy?.map((item) => ({ ...item, expression: substitute(item.expression, values) }))
}
