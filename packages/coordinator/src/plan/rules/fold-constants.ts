/**
 * Expressions of constants become constants, where their value can be told exactly; every other is left alone.
 *
 * The type of an expression never changes, since functions around it were chosen by it. A comparison of a widened column
 * with a constant becomes one of the column itself, which statistics and partitions say something about.
 */
import type { Case, Comparison, Constant, Expression } from '../../sql/ir.ts'
import { sameType, simpleType, type SqlType } from '../../sql/sql-types.ts'
import {
  allOf,
  anyOf,
  comparison,
  FALSE,
  isNeverTrue,
  isTrue,
  MIRRORED,
  TRUE,
  UNKNOWN,
} from '../logical/expressions.ts'
import { mapExpressions, mapList } from '../logical/map-expressions.ts'
import { mapRelation, type Relation } from '../logical/relation.ts'
import { isNullSafe, isRepeatable, isWidening } from '../logical/safety.ts'
import { type ColumnTypes, typeOf, typesOfRelation } from '../logical/types.ts'
import { castConstant, isInteger, shiftedDate } from './fold-values.ts'

export function foldConstants(root: Relation, types = typesOfRelation(root)): Relation {
  const known = new WeakMap<object, Expression>()
  const fold = (e: Expression): Expression => {
    const before = known.get(e)
    if (before !== undefined) return before
    const after = foldExpression(e, types, fold)
    known.set(e, after)
    return after
  }
  return mapRelation(root, (part) => mapExpressions(part, fold))
}

type Fold = (e: Expression) => Expression

/** An expression with its parts folded, and itself where they are constants. */
function foldExpression(e: Expression, types: ColumnTypes, fold: Fold): Expression {
  switch (e.kind) {
    case 'cast': {
      const operand = fold(e.operand)
      const value = operand.kind === 'constant' ? castConstant(operand, e.type) : undefined
      return value ?? (operand === e.operand ? e : { ...e, operand })
    }
    case 'comparison': {
      const left = fold(e.left)
      const right = fold(e.right)
      const same = left === e.left && right === e.right ? e : { ...e, left, right }
      return foldComparison(same, types)
    }
    case 'conjunction':
      return foldConjunction(e.operator, mapList(e.operands, fold), e)
    case 'not':
      return foldNot(fold(e.operand), e, fold)
    case 'isNull': {
      const operand = fold(e.operand)
      if (operand.kind === 'constant') return truth((operand.value === null) !== e.negated)
      return operand === e.operand ? e : { ...e, operand }
    }
    case 'between': {
      const [operand, lower, upper] = [fold(e.operand), fold(e.lower), fold(e.upper)]
      const isSame = operand === e.operand && lower === e.lower && upper === e.upper
      return foldBetween(isSame ? e : { ...e, operand, lower, upper }, types)
    }
    case 'in': {
      const operand = fold(e.operand)
      const list = mapList(e.list, fold)
      return foldIn(operand === e.operand && list === e.list ? e : { ...e, operand, list }, types)
    }
    case 'case': {
      const branches = mapList(e.branches, (branch) => {
        const when = fold(branch.when)
        const then = fold(branch.then)
        return when === branch.when && then === branch.then ? branch : { when, then }
      })
      const otherwise = fold(e.else)
      const isSame = branches === e.branches && otherwise === e.else
      return foldCase(isSame ? e : { ...e, branches, else: otherwise })
    }
    case 'coalesce': {
      const args = mapList(e.args, fold)
      return args === e.args ? e : { ...e, args }
    }
    case 'function': {
      const folded = mapList(e.args, fold)
      const shifted = shiftedDate({ ...e, args: folded })
      if (shifted !== undefined) return shifted
      // The kernel chooses a function by what its arguments look like: a literal is not the same as a cast of it.
      const args = mapList(e.args, (arg) => asBefore(fold(arg), arg))
      return args === e.args ? e : { ...e, args }
    }
    default:
      return e
  }
}

const asBefore = (after: Expression, before: Expression): Expression =>
  after.kind === 'constant' ? before : after

const truth = (value: boolean): Constant => (value ? TRUE : FALSE)

/**
 * TRUE and FALSE among the operands of AND and OR; NULL stays. What is dropped beside a FALSE might have raised an error,
 * as it might not where the kernel looks at the FALSE first.
 */
function foldConjunction(
  operator: 'and' | 'or',
  operands: readonly Expression[],
  before: Expression,
): Expression {
  const decides = (e: Expression): boolean =>
    e.kind === 'constant' && e.value === (operator === 'or')
  const isIdle = (e: Expression): boolean =>
    e.kind === 'constant' && e.value === (operator === 'and')
  if (operands.some(decides)) return truth(operator === 'or')
  const rest = operands.filter((e) => !isIdle(e))
  if (
    before.kind === 'conjunction' &&
    operands === before.operands &&
    rest.length === operands.length
  )
    return before
  return operator === 'and' ? allOf(rest) : anyOf(rest)
}

const NEGATED = {
  '=': '<>',
  '<>': '=',
  '<': '>=',
  '<=': '>',
  '>': '<=',
  '>=': '<',
  'is distinct from': 'is not distinct from',
  'is not distinct from': 'is distinct from',
} as const

function foldNot(operand: Expression, before: Expression, fold: Fold): Expression {
  const not = (e: Expression): Expression => ({ kind: 'not', operand: e })
  switch (operand.kind) {
    case 'constant':
      return operand.value === null ? UNKNOWN : truth(operand.value === false)
    case 'not':
      return operand.operand
    case 'isNull':
    case 'in':
      return { ...operand, negated: !operand.negated }
    case 'comparison':
      return { ...operand, operator: NEGATED[operand.operator] }
    case 'conjunction': {
      const operator = operand.operator === 'and' ? 'or' : 'and'
      return { kind: 'conjunction', operator, operands: operand.operands.map((e) => fold(not(e))) }
    }
    default:
      return before.kind === 'not' && before.operand === operand ? before : not(operand)
  }
}

function foldComparison(e: Comparison, types: ColumnTypes): Expression {
  const { left, right, operator } = e
  if (left.kind === 'constant' && right.kind === 'constant') return compareConstants(e) ?? e
  const constant = left.kind === 'constant' ? left : right
  if (constant.kind !== 'constant') return e
  if (constant.value === null) {
    // What the other side would raise is not asked for.
    if (!isNullSafe(operator)) return isRepeatable(left) && isRepeatable(right) ? UNKNOWN : e
    return e
  }
  if (left.kind === 'constant') {
    return foldComparison(comparison(right, MIRRORED[operator], left), types)
  }
  const narrow = narrowed(left, constant, types)
  return narrow === undefined ? e : comparison(narrow.operand, operator, narrow.constant)
}

function foldBetween(
  e: Extract<Expression, { readonly kind: 'between' }>,
  types: ColumnTypes,
): Expression {
  const { operand, lower, upper } = e
  if (lower.kind !== 'constant' || upper.kind !== 'constant') return e
  if (lower.value === null || upper.value === null) return e
  const low = narrowed(operand, lower, types)
  const high = narrowed(operand, upper, types)
  if (low === undefined || high === undefined) return e
  return { ...e, operand: low.operand, lower: low.constant, upper: high.constant }
}

function foldIn(e: Extract<Expression, { readonly kind: 'in' }>, types: ColumnTypes): Expression {
  const narrow = e.list.map((item) =>
    item.kind === 'constant' && item.value !== null ? narrowed(e.operand, item, types) : undefined,
  )
  const [first] = narrow
  if (first === undefined || !narrow.every((item) => item !== undefined)) return e
  return { ...e, operand: first.operand, list: narrow.map((item) => item.constant) }
}

/** Branches whose condition is a constant. */
function foldCase(e: Case): Expression {
  const never = e.branches.filter((branch) => !isNeverTrue(branch.when))
  const always = never.findIndex((branch) => isTrue(branch.when))
  if (never.length === e.branches.length && always < 0) return e
  const branches = always < 0 ? never : never.slice(0, always)
  const otherwise = never[always]?.then ?? e.else
  return branches.length === 0 ? otherwise : { ...e, branches, else: otherwise }
}

/**
 * `CAST(column AS wider) < constant` as `column < constant`, where the constant is a value of the column's type: a cast
 * that widens keeps the order, and what is equal. DATE is a TIMESTAMP at midnight.
 */
function narrowed(
  e: Expression,
  constant: Constant,
  types: ColumnTypes,
): { readonly operand: Expression; readonly constant: Constant } | undefined {
  if (e.kind !== 'cast' || e.try || e.operand.kind !== 'column') return undefined
  const type = typeOf(e.operand, types)
  if (type === undefined || !isNarrowable(type, e.type)) return undefined
  const value = castConstant(constant, type)
  return value && { operand: e.operand, constant: value }
}

function isNarrowable(from: SqlType, to: SqlType): boolean {
  if (sameType(from, simpleType('DATE'))) return sameType(to, simpleType('TIMESTAMP'))
  const isExact = (type: SqlType): boolean => isInteger(type) || type.kind === 'decimal'
  return isExact(from) && isExact(to) && isWidening(from, to)
}

/** Comparisons of constants whose text says which is larger. */
function compareConstants({ operator, left, right }: Comparison): Constant | undefined {
  if (left.kind !== 'constant' || right.kind !== 'constant') return undefined
  if (left.value === null || right.value === null) {
    if (!isNullSafe(operator)) return UNKNOWN
    const isSame = left.value === right.value
    return truth(isSame === (operator === 'is not distinct from'))
  }
  const order = orderOf(left, right)
  if (order === undefined) return undefined
  switch (operator) {
    case '=':
    case 'is not distinct from':
      return truth(order === 0)
    case '<>':
    case 'is distinct from':
      return truth(order !== 0)
    case '<':
      return truth(order < 0)
    case '<=':
      return truth(order <= 0)
    case '>':
      return truth(order > 0)
    case '>=':
      return truth(order >= 0)
  }
}

const sign = (isLess: boolean, isMore: boolean): number => (isLess ? -1 : isMore ? 1 : 0)

function orderOf(left: Constant, right: Constant): number | undefined {
  if (!sameType(left.type, right.type)) return undefined
  const [a, b] = [left.value, right.value]
  if (typeof a !== 'string' || typeof b !== 'string') {
    return typeof a === 'boolean' && typeof b === 'boolean' ? sign(!a && b, a && !b) : undefined
  }
  if (isInteger(left.type) || left.type.kind === 'decimal') {
    const [x, y] = [digits(a), digits(b)]
    return x === undefined || y === undefined ? undefined : sign(x < y, x > y)
  }
  if (left.type.kind !== 'simple') return undefined
  if (left.type.name === 'DATE') {
    const isPlain = /^\d{4}-\d{2}-\d{2}$/.test(a) && /^\d{4}-\d{2}-\d{2}$/.test(b)
    return isPlain ? sign(a < b, a > b) : undefined
  }
  // Collation by bytes and by UTF-16 differ; that two texts are the same does not.
  return left.type.name === 'VARCHAR' && a === b ? 0 : undefined
}

/** A number of one type as its digits, which are as many behind the point for both. */
const digits = (text: string): bigint | undefined =>
  /^-?\d+(?:\.\d+)?$/.test(text) ? BigInt(text.replace('.', '')) : undefined
