import type { Expression, FunctionCall } from '../../sql/ir.ts'
import { decimalType, simpleType, type SqlType } from '../../sql/sql-types.ts'
import { columnRef, type ComputedAggregate, type PlanColumn } from '../logical/relation.ts'

/** How an aggregate over all rows is made of aggregates over parts of them. */
export interface Merge {
  /** What each part computes. */
  readonly partials: readonly ComputedAggregate[]
  /** What is computed over the parts' values. */
  readonly finals: readonly ComputedAggregate[]
  /** The aggregate, over the columns of `finals`. */
  readonly value: Expression
}

const BIGINT = simpleType('BIGINT')
const DOUBLE = simpleType('DOUBLE')
const HUGEINT = simpleType('HUGEINT')

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

/** The merge of one aggregate, or the reason why it has none. FILTER goes into the parts. */
export function mergeOf(computed: ComputedAggregate): Merge | string {
  const { expression: call, column } = computed
  const name = call.name.toLowerCase()
  if (call.distinct && name !== 'min' && name !== 'max') return `${name}(DISTINCT …) has no parts`
  if (call.orderBy.length > 0) return `${name}(… ORDER BY …) has no parts`
  if (COUNTS.has(name)) return mergeCount(computed)
  const isUnary = call.args.length === 1
  if (isUnary && (SELF_MERGING.has(name) || CONDITIONAL_COUNTS.has(name))) {
    const part = partOf(column, 'part', column.type)
    const again = CONDITIONAL_COUNTS.has(name) ? 'sum' : name
    return {
      partials: [{ ...computed, column: part }],
      finals: [aggregate(column, again, part)],
      value: columnRef(column),
    }
  }
  if (isUnary && (name === 'avg' || name === 'mean')) return mergeAverage(computed)
  return `aggregate ${name} has no rule to merge its parts`
}

/** A sum over no parts is NULL where a count over no rows is 0. */
function mergeCount(computed: ComputedAggregate): Merge {
  const { column } = computed
  const part = partOf(column, 'part', BIGINT)
  const sum = partOf(column, 'sum', HUGEINT)
  return {
    partials: [{ ...computed, column: part }],
    finals: [aggregate(sum, 'sum', part)],
    value: {
      kind: 'cast',
      operand: {
        kind: 'coalesce',
        args: [columnRef(sum), { kind: 'constant', type: BIGINT, value: '0' }],
      },
      type: BIGINT,
      try: false,
    },
  }
}

/**
 * The sum of all divided by their count as the kernel does it: a decimal's digits as one whole number, so that there is
 * one rounding. Rounded twice, one average in seven would be another number.
 */
function mergeAverage(computed: ComputedAggregate): Merge | string {
  const { column, expression } = computed
  const [type] = computed.argumentTypes
  const sumType = type === undefined ? undefined : typeOfSum(type)
  if (sumType === undefined || column.type.kind !== 'simple' || column.type.name !== 'DOUBLE') {
    return 'the average of such a type has no parts'
  }
  const sumPart = partOf(column, 'sum', sumType)
  const countPart = partOf(column, 'count', BIGINT)
  const sum = partOf(column, 'sum_all', sumType)
  const count = partOf(column, 'count_all', HUGEINT)
  const scale = sumType.kind === 'decimal' ? sumType.scale : 0
  const scaled = (of: PlanColumn): Expression =>
    scale > 0 ? call('*', [asDouble(of), powerOfTen(scale)], true) : asDouble(of)
  // A decimal times its power of ten is nearly whole, and has been a whole number.
  const dividend = scale > 0 ? call('round', [scaled(sum)]) : asDouble(sum)
  return {
    partials: [
      { ...computed, column: sumPart, expression: { ...expression, name: 'sum' } },
      { ...computed, column: countPart, expression: { ...expression, name: 'count' } },
    ],
    finals: [aggregate(sum, 'sum', sumPart), aggregate(count, 'sum', countPart)],
    value: call('/', [dividend, scaled(count)], true),
  }
}

const asDouble = (of: PlanColumn): Expression => ({
  kind: 'cast',
  operand: columnRef(of),
  type: DOUBLE,
  try: false,
})

const powerOfTen = (scale: number): Expression => ({
  kind: 'constant',
  type: DOUBLE,
  value: `1e${scale}`,
})

/** The type of a sum as the kernel has it. */
function typeOfSum(type: SqlType): SqlType | undefined {
  if (type.kind === 'decimal') return decimalType(38, type.scale)
  if (type.kind !== 'simple') return undefined
  switch (type.name) {
    case 'TINYINT':
    case 'SMALLINT':
    case 'INTEGER':
    case 'BIGINT':
    case 'HUGEINT':
      return HUGEINT
    case 'DOUBLE':
      return DOUBLE
    default:
      return undefined
  }
}

const partOf = (column: PlanColumn, what: string, type: SqlType): PlanColumn => ({
  name: `${column.name}$${what}`,
  type,
})

const aggregate = (column: PlanColumn, name: string, over: PlanColumn): ComputedAggregate => ({
  column,
  expression: call(name, [columnRef(over)]),
  argumentTypes: [over.type],
})

const call = (name: string, args: readonly Expression[], operator = false): FunctionCall => ({
  kind: 'function',
  name,
  args,
  distinct: false,
  orderBy: [],
  operator,
})

/** Bit `from` of a number, moved to bit `to`. */
export function bitOf(number: Expression, from: number, to: number): Expression {
  const literal = (n: number): Expression => ({ kind: 'constant', type: BIGINT, value: String(n) })
  const bit = call('&', [call('>>', [number, literal(from)], true), literal(1)], true)
  return call('<<', [bit, literal(to)], true)
}
