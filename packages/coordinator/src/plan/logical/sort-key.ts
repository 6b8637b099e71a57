import type { Expression, FunctionCall, OrderItem } from '../../sql/ir.ts'
import { simpleType } from '../../sql/sql-types.ts'

/** Sort keys are bytes that compare as the rows do. */
export const SORT_KEY_TYPE = simpleType('BLOB')

/** A call of a function of the kernel. */
export const callOf = (name: string, ...args: readonly Expression[]): FunctionCall => ({
  kind: 'function',
  name,
  args,
  distinct: false,
  orderBy: [],
  operator: false,
})

/** True where the order says of each term which way it goes and where NULLs stand. */
export const isExplicit = (orderBy: readonly OrderItem[]): boolean =>
  orderBy.every(({ direction, nulls }) => direction !== 'default' && nulls !== 'default')

/**
 * A value for each row that is smaller where the row comes first, and the same for rows that the order does not tell
 * apart. It is what the kernel itself sorts by, so that NULL, NaN, −0.0 and text stand where its ORDER BY has them. The
 * order must be explicit.
 */
export const sortKey = (orderBy: readonly OrderItem[]): Expression =>
  callOf(
    'create_sort_key',
    ...orderBy.flatMap(({ expression, direction, nulls }): readonly Expression[] => [
      expression,
      text(`${direction} nulls ${nulls}`.toUpperCase()),
    ]),
    // A key of a few numbers alone would be a BIGINT, another type than bounds have that nobody has written.
    text(''),
    text('ASC NULLS LAST'),
  )

const text = (value: string): Expression => ({
  kind: 'constant',
  type: simpleType('VARCHAR'),
  value,
})
