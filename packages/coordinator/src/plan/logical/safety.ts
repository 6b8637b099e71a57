/**
 * Which expressions may be computed elsewhere than where they were written.
 *
 * A rule may compute an expression for rows that it did not meet before (a filter below a join meets rows without a
 * partner) only when it cannot raise an error; and more or less often than before only when it gives the same value
 * each time. Both are decided by what is known to be harmless: what is not listed stays where it is.
 *
 * What cannot raise: comparisons, AND, OR, NOT, IS NULL, BETWEEN, IN and LIKE; CASE and COALESCE of such; casts that
 * widen, or to text; functions listed in `TOTAL`; and +, - and * of DOUBLE, which end in infinity. What may: a cast from
 * text, a cast that narrows, arithmetic of whole numbers and decimals (overflow), of dates and intervals (range), and any
 * function that is not listed, `error` among them.
 */
import type { Cast, Expression, FunctionCall } from '../../sql/ir.ts'
import type { SqlType } from '../../sql/sql-types.ts'
import { type ColumnTypes, typeOf } from './types.ts'
import { TEXT_MATCHES } from './text-match.ts'

/** Functions that the kernel calls VOLATILE: another value each time, or something done besides. */
export const VOLATILE_FUNCTIONS: ReadonlySet<string> = new Set([
  'uuid',
  'uuidv4',
  'uuidv7',
  'gen_random_uuid',
  'random',
  'setseed',
  'error',
  'nextval',
  'currval',
  'sleep_ms',
  'stats',
  'write_log',
  'current_query',
  'current_query_id',
  'current_transaction_id',
  'current_connection_id',
])

/** Scalar functions that give a value for all arguments. */
const TOTAL: ReadonlySet<string> = new Set([
  ...TEXT_MATCHES.keys(),
  ...[
    '||',
    'concat',
    'length',
    'len',
    'strlen',
    'lower',
    'lcase',
    'upper',
    'ucase',
    'trim',
    'ltrim',
    'rtrim',
  ],
  ...['year', 'month', 'day', 'quarter', 'dayofmonth', 'dayofweek', 'dayofyear', 'hour', 'minute'],
  ...['struct_extract', 'struct_extract_at', 'isnan', 'isinf', 'isfinite'],
])

/** Whose arguments but the first must be constants of an ordinary size. */
const TOTAL_FOR_CONSTANTS: ReadonlySet<string> = new Set(['substring', 'substr', 'left', 'right'])

/** Functions that are NULL when any argument is. */
const STRICT: ReadonlySet<string> = new Set([
  ...TEXT_MATCHES.keys(),
  ...['+', '-', '*', '/', '//', '%', '||', 'trunc', 'round', 'abs', 'length', 'strlen', 'lower'],
  ...['upper', 'trim', 'ltrim', 'rtrim', 'year', 'month', 'day', 'quarter', 'substring', 'substr'],
])

const KINDS: ReadonlySet<Expression['kind']> = new Set([
  ...([
    'column',
    'constant',
    'cast',
    'comparison',
    'conjunction',
    'not',
    'isNull',
    'isTruth',
  ] as const),
  ...(['between', 'in', 'case', 'coalesce', 'interval', 'collate', 'array', 'subscript'] as const),
  ...(['slice', 'field', 'function'] as const),
])

const repeatable = new WeakMap<object, boolean>()

/** True when an expression has the same value whenever it is computed for the same row, or raises the same error. */
export function isRepeatable(e: Expression): boolean {
  const known = repeatable.get(e)
  if (known !== undefined) return known
  const is =
    KINDS.has(e.kind) &&
    (e.kind !== 'function' || !VOLATILE_FUNCTIONS.has(e.name.toLowerCase())) &&
    childrenOf(e).every(isRepeatable)
  repeatable.set(e, is)
  return is
}

const safe = new WeakMap<object, { readonly types: ColumnTypes; readonly is: boolean }>()

/** True when an expression is repeatable and has a value, NULL included, for every row. */
export function isSafe(e: Expression, types: ColumnTypes): boolean {
  const known = safe.get(e)
  if (known?.types === types) return known.is
  const is = isRepeatable(e) && isTotal(e, types)
  safe.set(e, { types, is })
  return is
}

function isTotal(e: Expression, types: ColumnTypes): boolean {
  switch (e.kind) {
    case 'column':
    case 'constant':
      return true
    case 'comparison':
    case 'conjunction':
    case 'not':
    case 'isNull':
    case 'isTruth':
    case 'between':
    case 'in':
    case 'case':
    case 'coalesce':
    case 'field':
      return childrenOf(e).every((child) => isTotal(child, types))
    case 'cast':
      return (e.try || isTotalCast(e, types)) && isTotal(e.operand, types)
    case 'function':
      return isTotalFunction(e, types) && e.args.every((arg) => isTotal(arg, types))
    default:
      return false
  }
}

const ARITHMETIC: ReadonlySet<string> = new Set([
  ...['+', '-', '*', '/', '//', '%', 'abs', 'round', 'floor', 'ceil', 'ceiling', 'trunc', 'sign'],
  ...['date_trunc', 'date_part', 'datepart', 'substring', 'substr', 'least', 'greatest'],
])

/**
 * True when a repeatable expression can raise an error only where a number or a date leaves the range of its type. The
 * kernel itself computes such expressions for values that the query would not have met.
 */
export function raisesOnOverflowOnly(e: Expression, types: ColumnTypes): boolean {
  if (!isRepeatable(e)) return false
  const isFine = (part: Expression): boolean => {
    if (isTotal(part, types)) return true
    if (part.kind === 'cast') {
      const from = typeOf(part.operand, types)
      return !isSimple(from, 'VARCHAR') && (from !== undefined || part.operand.kind === 'function')
        ? childrenOf(part).every(isFine)
        : false
    }
    if (part.kind === 'function' && !isTotalFunction(part, types)) {
      if (!ARITHMETIC.has(part.name.toLowerCase())) return false
    }
    return childrenOf(part).length > 0 && childrenOf(part).every(isFine)
  }
  return isFine(e)
}

function isTotalFunction(e: FunctionCall, types: ColumnTypes): boolean {
  const name = e.name.toLowerCase()
  if (TOTAL.has(name)) return true
  const [, ...rest] = e.args
  if (TOTAL_FOR_CONSTANTS.has(name)) return rest.every(isSmallNumber)
  return isSimple(typeOf(e, types), 'DOUBLE')
}

/** Literals of up to nine digits, through casts. */
function isSmallNumber(e: Expression): boolean {
  if (e.kind === 'cast') return isSmallNumber(e.operand)
  return e.kind === 'constant' && typeof e.value === 'string' && /^-?\d{1,9}$/.test(e.value)
}

const isSimple = (type: SqlType | undefined, name: string): boolean =>
  type?.kind === 'simple' && type.name === name

/** Digits before the point that a type of whole numbers may need, and those that it has room for in any case. */
const WHOLE: Readonly<Record<string, { readonly rank: number; readonly digits: number }>> = {
  TINYINT: { rank: 1, digits: 3 },
  SMALLINT: { rank: 2, digits: 5 },
  INTEGER: { rank: 3, digits: 10 },
  BIGINT: { rank: 4, digits: 19 },
  HUGEINT: { rank: 5, digits: 39 },
}

/** True for casts whose values all fit: widening, or to text. */
export function isTotalCast(e: Cast, types: ColumnTypes): boolean {
  const from = typeOf(e.operand, types)
  return from !== undefined && isWidening(from, e.type)
}

/** True when every value of one type is one of the other, or has a text. */
export function isWidening(from: SqlType, to: SqlType): boolean {
  if (isSimple(to, 'VARCHAR')) return from.kind === 'simple' || from.kind === 'decimal'
  if (isSimple(from, 'NULL')) return true
  if (from.kind === 'decimal') {
    if (to.kind !== 'decimal') return isSimple(to, 'DOUBLE')
    return to.scale >= from.scale && to.width - to.scale >= from.width - from.scale
  }
  if (from.kind !== 'simple') return false
  const whole = WHOLE[from.name]
  if (to.kind === 'decimal') return whole !== undefined && to.width - to.scale >= whole.digits
  if (to.kind !== 'simple') return false
  if (from.name === to.name) return true
  if (whole === undefined) return from.name === 'FLOAT' && to.name === 'DOUBLE'
  return to.name === 'DOUBLE' || to.name === 'FLOAT' || whole.rank <= (WHOLE[to.name]?.rank ?? 0)
}

/** The columns for which the expression is NULL whenever one of them is. */
export function strictColumns(e: Expression): readonly string[] {
  switch (e.kind) {
    case 'column':
      return [e.path[0] ?? '']
    case 'cast':
    case 'collate':
    case 'not':
      return strictColumns(e.operand)
    case 'function':
      return STRICT.has(e.name.toLowerCase()) ? e.args.flatMap(strictColumns) : []
    case 'comparison':
      return isNullSafe(e.operator) ? [] : [...strictColumns(e.left), ...strictColumns(e.right)]
    case 'in':
      return strictColumns(e.operand)
    case 'between':
      // A NULL bound may still say no: `1 BETWEEN NULL AND 0` is FALSE. A NULL operand says NULL.
      return strictColumns(e.operand)
    default:
      return []
  }
}

export const isNullSafe = (operator: string): boolean => operator.startsWith('is ')

/** The columns without whose values the condition is not true: a row with NULL in one of them does not pass. */
export function rejectedNulls(condition: Expression): readonly string[] {
  if (condition.kind === 'isNull') return condition.negated ? strictColumns(condition.operand) : []
  if (condition.kind === 'isTruth') {
    const isPlain = !condition.negated
    return isPlain ? strictColumns(condition.operand) : []
  }
  if (condition.kind !== 'conjunction') {
    if (condition.kind === 'between') {
      return [condition.operand, condition.lower, condition.upper].flatMap(strictColumns)
    }
    return strictColumns(condition)
  }
  const lists = condition.operands.map(rejectedNulls)
  if (condition.operator === 'and') return lists.flat()
  const [first = [], ...rest] = lists
  return first.filter((name) => rest.every((list) => list.includes(name)))
}

/** The expressions that an expression of a kind that may be moved is made of. */
function childrenOf(e: Expression): readonly Expression[] {
  switch (e.kind) {
    case 'comparison':
      return [e.left, e.right]
    case 'conjunction':
      return e.operands
    case 'cast':
    case 'not':
    case 'isNull':
    case 'isTruth':
    case 'collate':
    case 'field':
      return [e.operand]
    case 'between':
      return [e.operand, e.lower, e.upper]
    case 'in':
      return [e.operand, ...e.list]
    case 'case':
      return [...e.branches.flatMap(({ when, then }) => [when, then]), e.else]
    case 'coalesce':
      return e.args
    case 'array':
      return e.elements
    case 'interval':
      return [e.value]
    case 'subscript':
      return [e.operand, e.index]
    case 'slice':
      return [e.operand, ...[e.lower, e.upper, e.step].filter((part) => part !== undefined)]
    case 'function': {
      const more = e.filter === undefined ? [] : [e.filter]
      return [...e.args, ...more, ...e.orderBy.map((item) => item.expression)]
    }
    default:
      return []
  }
}
