/**
 * What a predicate can come to over rows of which only bounds are known: which of TRUE, FALSE and NULL are possible. Never
 * too little: an outcome that is left out cannot come.
 */
import type { Comparison, ComparisonOperator, Expression } from '../../sql/ir.ts'
import { columnName, MIRRORED } from '../logical/expressions.ts'
import { type Bound, compareBounds, convertBound, type Domain, domainOf } from './bounds.ts'
import type { RowsBounds } from './column-bounds.ts'
import { type Known, knownValue } from './constants.ts'
import { TEXT_MATCHES } from '../logical/text-match.ts'

/** A set of outcomes, as bits. */
export type Outcomes = number
export const CAN_BE_TRUE = 1
export const CAN_BE_FALSE = 2
export const CAN_BE_NULL = 4
const ANY: Outcomes = 7

/** The bounds of a column of the plan in the rows in question, and of what type its values are. */
export type BoundsOfColumn = (name: string) => Range | undefined

export function outcomesOf(e: Expression, columns: BoundsOfColumn): Outcomes {
  switch (e.kind) {
    case 'constant':
      if (e.value === null) return CAN_BE_NULL
      return e.value === true ? CAN_BE_TRUE : e.value === false ? CAN_BE_FALSE : ANY
    case 'comparison':
      return comparison(e, columns)
    case 'conjunction':
      return e.operands
        .map((operand) => outcomesOf(operand, columns))
        .reduce(e.operator === 'and' ? both : either)
    case 'not':
      return opposite(outcomesOf(e.operand, columns))
    case 'between': {
      const from: Comparison = {
        kind: 'comparison',
        operator: '>=',
        left: e.operand,
        right: e.lower,
      }
      const to: Comparison = { kind: 'comparison', operator: '<=', left: e.operand, right: e.upper }
      return both(comparison(from, columns), comparison(to, columns))
    }
    case 'in': {
      const found = e.list
        .map((right) =>
          comparison({ kind: 'comparison', operator: '=', left: e.operand, right }, columns),
        )
        .reduce(either, CAN_BE_FALSE)
      return e.negated ? opposite(found) : found
    }
    case 'isNull': {
      const found = nullness(rangeOf(e.operand, columns))
      return e.negated ? opposite(found) : found
    }
    case 'isTruth':
      return truth(outcomesOf(e.operand, columns), e)
    case 'function':
      return prefix(e, columns)
    default:
      return ANY
  }
}

/** Of AND: FALSE where one is, else NULL where one is, else TRUE. */
function both(a: Outcomes, b: Outcomes): Outcomes {
  let found = (a | b) & CAN_BE_FALSE
  if (a & b & CAN_BE_TRUE) found |= CAN_BE_TRUE
  const [otherA, otherB] = [a & (CAN_BE_TRUE | CAN_BE_NULL), b & (CAN_BE_TRUE | CAN_BE_NULL)]
  if ((a & CAN_BE_NULL && otherB) || (b & CAN_BE_NULL && otherA)) found |= CAN_BE_NULL
  return found
}

const either = (a: Outcomes, b: Outcomes): Outcomes => opposite(both(opposite(a), opposite(b)))

const opposite = (a: Outcomes): Outcomes =>
  (a & CAN_BE_TRUE ? CAN_BE_FALSE : 0) | (a & CAN_BE_FALSE ? CAN_BE_TRUE : 0) | (a & CAN_BE_NULL)

function truth(
  of: Outcomes,
  { value, negated }: { readonly value: boolean; readonly negated: boolean },
): Outcomes {
  const wanted = value ? CAN_BE_TRUE : CAN_BE_FALSE
  const found = (of & wanted ? CAN_BE_TRUE : 0) | (of & ~wanted ? CAN_BE_FALSE : 0)
  return negated ? opposite(found) : found
}

interface Range {
  readonly bounds: RowsBounds
  readonly domain: Domain | undefined
  /** True for a value that none of the rows has, though it may lie between the bounds. */
  readonly excludes?: ((value: Bound) => boolean) | undefined
}

/** A column, or one that is cast to a wider type in a way that keeps the order and never fails. */
function rangeOf(e: Expression, columns: BoundsOfColumn): Range | undefined {
  const name = columnName(e)
  if (name !== undefined) return columns(name)
  if (e.kind !== 'cast') return undefined
  const inner = rangeOf(e.operand, columns)
  const to = domainOf(e.type)
  if (inner?.domain === undefined || to === undefined) return undefined
  const { min, max } = inner.bounds
  if (min === undefined || max === undefined) {
    // Whether the cast would fail does not matter where there is no value; else it does.
    return isAllNull(inner.bounds) ? { bounds: inner.bounds, domain: to } : undefined
  }
  const low = convertBound(min, inner.domain, to)
  const high = convertBound(max, inner.domain, to)
  if (low === undefined || high === undefined) return undefined
  return { bounds: { ...inner.bounds, min: low, max: high }, domain: to }
}

const isAllNull = ({ nulls, rows }: RowsBounds): boolean => nulls === rows

function nullness(range: Range | undefined): Outcomes {
  if (range === undefined) return CAN_BE_TRUE | CAN_BE_FALSE
  const { nulls, rows } = range.bounds
  if (nulls === undefined) return CAN_BE_TRUE | CAN_BE_FALSE
  return (nulls > 0 ? CAN_BE_TRUE : 0) | (nulls < rows ? CAN_BE_FALSE : 0)
}

function comparison({ operator, left, right }: Comparison, columns: BoundsOfColumn): Outcomes {
  const range = rangeOf(left, columns)
  const constant = knownValue(right)
  if (range !== undefined && constant !== undefined) return compare(range, operator, constant)
  const mirrored = rangeOf(right, columns)
  const first = knownValue(left)
  if (mirrored !== undefined && first !== undefined)
    return compare(mirrored, MIRRORED[operator], first)
  return ANY
}

function compare(range: Range, operator: ComparisonOperator, known: Known): Outcomes {
  const { bounds } = range
  const isNullSafe = operator === 'is distinct from' || operator === 'is not distinct from'
  const canBeNull = bounds.nulls !== 0
  const canHaveValue = !isAllNull(bounds)
  if (isNullSafe) {
    const same = distinctness(range, known)
    return operator === 'is distinct from' ? opposite(same) : same
  }
  if (known.value === null) return CAN_BE_NULL
  let found = canBeNull ? CAN_BE_NULL : 0
  if (canHaveValue) found |= compareValues(range, operator, known)
  return found
}

/** Of IS NOT DISTINCT FROM. */
function distinctness(range: Range, known: Known): Outcomes {
  const { bounds } = range
  const canBeNull = bounds.nulls !== 0
  const canHaveValue = !isAllNull(bounds)
  if (known.value === null) {
    return (canBeNull ? CAN_BE_TRUE : 0) | (canHaveValue ? CAN_BE_FALSE : 0)
  }
  return (canBeNull ? CAN_BE_FALSE : 0) | (canHaveValue ? compareValues(range, '=', known) : 0)
}

function compareValues(
  { bounds, domain, excludes }: Range,
  operator: ComparisonOperator,
  known: Known,
): Outcomes {
  const { min, max } = bounds
  const constant = inDomain(known, domain)
  if ((operator === '=' || operator === '<>') && constant !== undefined) {
    if (excludes?.(constant) === true) return operator === '=' ? CAN_BE_FALSE : CAN_BE_TRUE
  }
  if (constant === undefined || min === undefined || max === undefined)
    return CAN_BE_TRUE | CAN_BE_FALSE
  const low = compareBounds(min, constant)
  const high = compareBounds(max, constant)
  const when = (isTrue: boolean, isFalse: boolean): Outcomes =>
    (isTrue ? CAN_BE_TRUE : 0) | (isFalse ? CAN_BE_FALSE : 0)
  switch (operator) {
    case '=':
      return when(low <= 0 && high >= 0, low !== 0 || high !== 0)
    case '<>':
      return when(low !== 0 || high !== 0, low <= 0 && high >= 0)
    case '<':
      return when(low < 0, high >= 0)
    case '<=':
      return when(low <= 0, high > 0)
    case '>':
      return when(high > 0, low <= 0)
    case '>=':
      return when(high >= 0, low < 0)
    case 'is distinct from':
    case 'is not distinct from':
      return ANY
  }
}

/** Both sides of a comparison have one type; a constant of another is not compared. */
function inDomain(known: Known, domain: Domain | undefined): Bound | undefined {
  const own = domainOf(known.type)
  if (domain === undefined || own === undefined || known.value === null) return undefined
  const isSame = own.kind === domain.kind && convertBound(known.value, own, domain)
  return isSame === false ? undefined : isSame
}

/** `column LIKE 'text%'` and its like: no text outside the range of that prefix. */
function prefix(
  { name, args }: Extract<Expression, { kind: 'function' }>,
  columns: BoundsOfColumn,
): Outcomes {
  const [operand, pattern] = args
  if (args.length !== 2 || operand === undefined || pattern === undefined) return ANY
  const range = rangeOf(operand, columns)
  const text = knownValue(pattern)?.value
  if (range === undefined || typeof text !== 'string' || range.domain?.kind !== 'text') return ANY
  const start = prefixOf(name, text)
  if (start === undefined) return ANY
  const { min, max } = range.bounds
  if (isAllNull(range.bounds)) return CAN_BE_NULL
  if (typeof min !== 'string' || typeof max !== 'string') return ANY
  const isBefore = compareBounds(max, start) < 0
  const isBehind = compareBounds(min, start) > 0 && !min.startsWith(start)
  return isBefore || isBehind ? CAN_BE_FALSE | CAN_BE_NULL : ANY
}

function prefixOf(name: string, text: string): string | undefined {
  const match = TEXT_MATCHES.get(name)
  if (match === undefined || match.isNegated || match.ignoresCase) return undefined
  if (match.pattern === 'prefix') return text
  if (match.pattern !== 'like') return undefined
  return /^[^%_\\]*/.exec(text)?.[0]
}
