import type { Expression, FunctionCall } from '../sql/ir.ts'

/** How an aggregate over all rows is made of aggregates over parts of them. */
export interface Merge {
  /** What each part computes. */
  readonly partials: readonly Expression[]
  /** The whole, over the columns that hold the parts' values. */
  final(values: readonly Expression[]): Expression
}

const call = (name: string, args: readonly Expression[], operator = false): FunctionCall => ({
  kind: 'function',
  name,
  args,
  distinct: false,
  orderBy: [],
  operator,
})

const DOUBLE = { kind: 'simple', name: 'DOUBLE' } as const
const BIGINT = { kind: 'simple', name: 'BIGINT' } as const
const zero: Expression = { kind: 'constant', type: BIGINT, value: '0' }

/** Aggregates that merge by being applied again to their own results. */
const SELF_MERGING: ReadonlySet<string> = new Set([
  'sum',
  'min',
  'max',
  'bool_and',
  'bool_or',
  'bit_and',
  'bit_or',
  'bit_xor',
  'any_value',
])

const COUNTS: ReadonlySet<string> = new Set(['count', 'count_star'])
/** A sum of ones to the kernel, hence NULL where there is nothing to count. */
const CONDITIONAL_COUNTS: ReadonlySet<string> = new Set(['count_if', 'countif'])

/**
 * The merge of one aggregate, or the reason why it has none. FILTER goes into the parts. The sum of an average is
 * divided by its count at the end, in DOUBLE as the kernel does; a type for which that is not its average is refused
 * later, when the final query turns out to have another type than the user's.
 */
export function mergeAggregate(aggregate: FunctionCall): Merge | string {
  const name = aggregate.name.toLowerCase()
  if (aggregate.distinct) return `${name}(DISTINCT …) needs all rows`
  if (aggregate.orderBy.length > 0) return `${name}(… ORDER BY …) needs all rows`
  if (COUNTS.has(name)) {
    return {
      partials: [aggregate],
      // A sum over no parts is NULL where a count over no rows is 0.
      final: ([n]) => ({
        kind: 'cast',
        operand: { kind: 'coalesce', args: [call('sum', of(n)), zero] },
        type: BIGINT,
        try: false,
      }),
    }
  }
  if (CONDITIONAL_COUNTS.has(name)) {
    return { partials: [aggregate], final: ([n]) => call('sum', of(n)) }
  }
  if (SELF_MERGING.has(name) && aggregate.args.length === 1) {
    return { partials: [aggregate], final: ([value]) => call(name, of(value)) }
  }
  if ((name === 'avg' || name === 'mean') && aggregate.args.length === 1) {
    return {
      partials: [
        { ...aggregate, name: 'sum' },
        { ...aggregate, name: 'count' },
      ],
      final: ([sum, n]) =>
        call(
          '/',
          [
            { kind: 'cast', operand: call('sum', of(sum)), type: DOUBLE, try: false },
            { kind: 'cast', operand: call('sum', of(n)), type: DOUBLE, try: false },
          ],
          true,
        ),
    }
  }
  return `aggregate ${name} has no rule to merge its parts`
}

const of = (value: Expression | undefined): readonly Expression[] =>
  value === undefined ? [] : [value]
