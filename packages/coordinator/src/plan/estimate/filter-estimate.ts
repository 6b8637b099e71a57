/**
 * What a condition leaves of a relation. The factors are those of System R (Selinger et al. 1979): 1/distinct for an
 * equality, the part of the range for an inequality, 1/10 and 1/3 where nothing is known; values lie evenly over their range,
 * columns are independent. Conditions on one column narrow it one after the other, so `a >= 1 AND a < 5` is a range.
 */
import type { Comparison, ComparisonOperator, Expression } from '../../sql/ir.ts'
import { columnName, MIRRORED } from '../logical/expressions.ts'
import { type Bound, compareBounds, position } from './bounds.ts'
import { type ColumnEstimate, estimated, type Estimated, thinned } from './column-estimate.ts'
import { knownValue } from './constants.ts'
import { estimateExpression } from './expression-estimate.ts'
import { TEXT_MATCHES } from '../logical/text-match.ts'

const EQUALITY = 0.1
const INEQUALITY = 1 / 3
/** Of a list of values of which it is not known how many there could be. */
const IN_MAX = 0.5
const UNKNOWN = 1 / 3
/** Of a LIKE with wildcards; each further piece of text makes it rarer. */
const LIKE = 0.1
const LIKE_PIECE = 0.5
const TRUTH = 0.5

export const filterBy = (input: Estimated, conjuncts: readonly Expression[]): Estimated =>
  conjuncts.reduce(applyConjunct, input)

/** A condition's part of the rows, and what it says of one column's values. */
interface Effect {
  readonly part: number
  readonly column?: { readonly name: string; readonly estimate: ColumnEstimate } | undefined
}

function applyConjunct(input: Estimated, e: Expression): Estimated {
  if (e.kind === 'conjunction' && e.operator === 'and') return filterBy(input, e.operands)
  if (e.kind === 'between') {
    const side = (operator: ComparisonOperator, right: Expression): Comparison => ({
      kind: 'comparison',
      operator,
      left: e.operand,
      right,
    })
    return filterBy(input, [side('>=', e.lower), side('<=', e.upper)])
  }
  const { part, column } = effectOf(input, e)
  const rows = input.rows * Math.min(1, Math.max(0, part))
  const columns = new Map(thinned(input.columns, input.rows, rows))
  if (column !== undefined) {
    const { estimate } = column
    columns.set(column.name, {
      ...estimate,
      distinct: Math.max(Math.min(1, rows), Math.min(estimate.distinct, rows)),
    })
  }
  return estimated(rows, columns)
}

/** The part of the rows, from 0 to 1, for which a condition is true. */
export const selectivity = (input: Estimated, e: Expression): number =>
  input.rows <= 0 ? 1 : filterBy(input, [e]).rows / input.rows

function effectOf(input: Estimated, e: Expression): Effect {
  switch (e.kind) {
    case 'constant':
      return { part: e.value === true ? 1 : e.value === false || e.value === null ? 0 : UNKNOWN }
    case 'column':
      return { part: TRUTH }
    case 'comparison':
      return compare(input, e)
    case 'conjunction': {
      // Independent alternatives: 1 − Π(1 − p).
      let none = 1
      for (const operand of e.operands) none *= 1 - selectivity(input, operand)
      return { part: 1 - none }
    }
    case 'not':
      return { part: 1 - selectivity(input, e.operand) }
    case 'isTruth': {
      const found = selectivity(input, e.operand)
      return { part: e.value !== e.negated ? found : 1 - found }
    }
    case 'isNull': {
      const { nulls } = estimateExpression(e.operand, input.columns, input.rows)
      return {
        part: e.negated ? 1 - nulls : nulls,
        column: narrowed(input, e.operand, { nulls: e.negated ? 0 : 1 }),
      }
    }
    case 'in': {
      const { distinct, nulls } = estimateExpression(e.operand, input.columns, input.rows)
      // Of what is computed it is not known how many values there are: often far fewer than of what it is computed from.
      const each = columnName(e.operand) === undefined ? EQUALITY : 1 / Math.max(1, distinct)
      const most = columnName(e.operand) === undefined ? IN_MAX : 1
      const part = Math.min(most, e.list.length * each) * (1 - nulls)
      if (e.negated) return { part: 1 - nulls - part }
      return { part, column: narrowed(input, e.operand, { nulls: 0, distinct: e.list.length }) }
    }
    case 'function':
      return { part: like(input, e) }
    default:
      return { part: UNKNOWN }
  }
}

function compare(input: Estimated, e: Comparison): Effect {
  const value = knownValue(e.right)
  if (value !== undefined) return compareValue(input, e.left, e.operator, value.value)
  const first = knownValue(e.left)
  if (first !== undefined) return compareValue(input, e.right, MIRRORED[e.operator], first.value)
  const left = estimateExpression(e.left, input.columns, input.rows)
  const right = estimateExpression(e.right, input.columns, input.rows)
  const present = (1 - left.nulls) * (1 - right.nulls)
  const equal = 1 / Math.max(1, left.distinct, right.distinct)
  switch (e.operator) {
    case '=':
    case 'is not distinct from':
      return { part: equal * present }
    case '<>':
    case 'is distinct from':
      return { part: (1 - equal) * present }
    case '<':
    case '<=':
    case '>':
    case '>=':
      return { part: INEQUALITY * present }
  }
}

function compareValue(
  input: Estimated,
  operand: Expression,
  operator: ComparisonOperator,
  value: Bound | null,
): Effect {
  const column = estimateExpression(operand, input.columns, input.rows)
  const { nulls } = column
  if (value === null) {
    if (operator === 'is not distinct from') return { part: nulls }
    return { part: operator === 'is distinct from' ? 1 - nulls : 0 }
  }
  const isKnown = columnName(operand) !== undefined || column.min !== undefined
  const equal = isInside(column, value)
    ? isKnown
      ? 1 / Math.max(1, column.distinct)
      : EQUALITY
    : 0
  switch (operator) {
    case '=':
    case 'is not distinct from':
      return {
        part: equal * (1 - nulls),
        column: narrowed(input, operand, { nulls: 0, distinct: 1, min: value, max: value }),
      }
    case '<>':
    case 'is distinct from':
      return { part: (1 - equal) * (1 - nulls) }
    case '<':
    case '<=':
    case '>':
    case '>=': {
      const part = rangePart(column, operator, value)
      const isBelow = operator === '<' || operator === '<='
      return {
        part: part * (1 - nulls),
        column: narrowed(input, operand, {
          nulls: 0,
          distinct: column.distinct * part,
          ...(isBelow ? { max: least(column.max, value) } : { min: greatest(column.min, value) }),
        }),
      }
    }
  }
}

/** The part of a column's values on one side of a value, by where it lies between the least and the greatest. */
function rangePart(
  { min, max }: ColumnEstimate,
  operator: '<' | '<=' | '>' | '>=',
  value: Bound,
): number {
  if (min === undefined || max === undefined) return INEQUALITY
  if (typeof min !== typeof value) return INEQUALITY
  // Between whole numbers each has a width of one; a text is a point.
  const step = typeof value === 'bigint' ? 1 : 0
  const [low, high, at] = [position(min), position(max), position(value)]
  const size = high - low + step
  if (size <= 0) return holds(compareBounds(min, value), operator) ? 1 : 0
  const isStrict = operator === '<' || operator === '>'
  const below = operator === '<' || operator === '<='
  const covered = below ? at - low + (isStrict ? 0 : step) : high - at + (isStrict ? 0 : step)
  return Math.min(1, Math.max(0, covered / size))
}

const holds = (order: number, operator: '<' | '<=' | '>' | '>='): boolean =>
  operator === '<'
    ? order < 0
    : operator === '<='
      ? order <= 0
      : operator === '>'
        ? order > 0
        : order >= 0

const isInside = ({ min, max }: ColumnEstimate, value: Bound): boolean =>
  min === undefined ||
  max === undefined ||
  typeof min !== typeof value ||
  (compareBounds(min, value) <= 0 && compareBounds(value, max) <= 0)

const least = (a: Bound | undefined, b: Bound): Bound =>
  a !== undefined && typeof a === typeof b && compareBounds(a, b) < 0 ? a : b
const greatest = (a: Bound | undefined, b: Bound): Bound =>
  a !== undefined && typeof a === typeof b && compareBounds(a, b) > 0 ? a : b

/** The column with what a condition says of it; conditions on anything but a column say nothing of one. */
function narrowed(
  input: Estimated,
  operand: Expression,
  change: Partial<ColumnEstimate>,
): Effect['column'] {
  const name = columnName(operand)
  const column = name === undefined ? undefined : input.columns.get(name)
  if (name === undefined || column === undefined) return undefined
  // What a condition on the column itself leaves is all that it can be joined by.
  const base = change.distinct === undefined ? {} : { base: Math.max(1, change.distinct) }
  return { name, estimate: { ...column, ...change, ...base } }
}

function like(input: Estimated, { name, args }: Extract<Expression, { kind: 'function' }>): number {
  const match = TEXT_MATCHES.get(name)
  const [operand, pattern] = args
  if (match === undefined || operand === undefined || pattern === undefined) return UNKNOWN
  const isLike = match.pattern === 'like'
  const text = knownValue(pattern)?.value
  const { nulls, distinct } = estimateExpression(operand, input.columns, input.rows)
  const pieces =
    typeof text === 'string' && isLike ? text.split(/[%_]+/).filter((p) => p !== '') : []
  const isExact = isLike && typeof text === 'string' && !/[%_]/.test(text)
  const found = isExact
    ? 1 / Math.max(1, distinct)
    : Math.max(1 / Math.max(1, distinct), LIKE * LIKE_PIECE ** Math.max(0, pieces.length - 1))
  const part = Math.min(1, typeof text === 'string' && text === '%' && isLike ? 1 : found)
  return (match.isNegated ? 1 - part : part) * (1 - nulls)
}
