import type { ComparisonOperator, Constant, Expression, OrderItem } from '../../sql/ir.ts'
import { type SqlType, typeText } from '../../sql/sql-types.ts'
import type { KernelFunctions } from '../../bind/functions.ts'
import type { ColumnNames } from './column-names.ts'
import { columnRef, type PlanColumn } from '../logical/relation.ts'
import {
  checkKeys,
  childOf,
  countOf,
  keySet,
  objectsOf,
  type Raw,
  refuse,
  textOf,
  truthOf,
} from './raw.ts'
import { readConstant } from './read-constant.ts'
import { readFunction } from './read-function.ts'
import { BOOLEAN, equalTypes, isWritable, readType } from './read-type.ts'

/** Columns by position; a hole is one that only stands for the number of rows. */
export type Inputs = readonly (PlanColumn | undefined)[]

export interface Scope {
  readonly inputs: Inputs
  readonly functions: KernelFunctions
  readonly names: ColumnNames
  /** The number of the operator that the inputs are of, where references are by it. */
  readonly table?: number | undefined
  /** Inside a lambda: what its positions are, instead of inputs. */
  readonly lambda?: readonly Expression[] | undefined
}

type Reader = (raw: Raw, scope: Scope) => Expression

const keys = (...more: readonly string[]): ReadonlySet<string> =>
  keySet('expression_class', 'type', 'alias', 'query_location', ...more)

const READERS: Readonly<
  Record<string, { readonly keys: ReadonlySet<string>; readonly read: Reader }>
> = {
  BOUND_REF: { keys: keys('return_type', 'index'), read: readRef },
  BOUND_COLUMN_REF: { keys: keys('return_type', 'binding', 'depth'), read: readColumnRef },
  BOUND_CONSTANT: { keys: keys('value'), read: (raw) => readConstant(childOf(raw, 'value')) },
  BOUND_CAST: { keys: keys('child', 'return_type', 'try_cast'), read: readCast },
  BOUND_COMPARISON: { keys: keys('left', 'right'), read: readComparison },
  BOUND_CONJUNCTION: { keys: keys('children'), read: readConjunction },
  BOUND_OPERATOR: { keys: keys('return_type', 'children'), read: readOperator },
  BOUND_CASE: { keys: keys('return_type', 'case_checks', 'else_expr'), read: readCase },
  BOUND_BETWEEN: {
    keys: keys('input', 'lower', 'upper', 'lower_inclusive', 'upper_inclusive'),
    read: readBetween,
  },
  BOUND_FUNCTION: {
    keys: keys(
      'return_type',
      'children',
      'name',
      'arguments',
      'original_arguments',
      'catalog_name',
      'schema_name',
      'has_serialize',
      'function_data',
      'is_operator',
    ),
    read: (raw, scope) =>
      readFunction(raw, typeOf(raw), {
        functions: scope.functions,
        names: scope.names,
        read: (child) => readExpression(child, scope),
        readLambda: (body, lambda) => readExpression(body, { ...scope, lambda }),
      }),
  },
}

/** An expression over columns by position, as one over columns by name. */
export function readExpression(raw: Raw, scope: Scope): Expression {
  const kind = textOf(raw, 'expression_class')
  const reader = Object.hasOwn(READERS, kind) ? READERS[kind] : undefined
  if (reader === undefined) return refuse(`an expression of class ${kind}`)
  checkKeys(raw, reader.keys, kind)
  return reader.read(raw, scope)
}

export const readAll = (raws: readonly Raw[], scope: Scope): readonly Expression[] =>
  raws.map((raw) => readExpression(raw, scope))

/** The type of an expression that was, or will be, read. */
export function typeOf(raw: Raw): SqlType {
  switch (raw['expression_class']) {
    case 'BOUND_COMPARISON':
    case 'BOUND_CONJUNCTION':
    case 'BOUND_BETWEEN':
      return BOOLEAN
    case 'BOUND_CONSTANT':
      return readType(childOf(raw, 'value')['type'])
    default:
      return readType(raw['return_type'])
  }
}

const BINDING_KEYS = keySet('table_index', 'column_index')

function readColumnRef(raw: Raw, { inputs, table }: Scope): Expression {
  const binding = childOf(raw, 'binding')
  checkKeys(binding, BINDING_KEYS, 'a reference')
  if (table === undefined || raw['depth'] !== 0 || binding['table_index'] !== table) {
    return refuse('a reference that is not resolved')
  }
  return columnAt(countOf(binding['column_index'], 'column_index'), raw, inputs)
}

function readRef(raw: Raw, { inputs, lambda }: Scope): Expression {
  const index = countOf(raw['index'], 'index')
  if (lambda !== undefined) {
    readType(raw['return_type'])
    return lambda[index] ?? refuse('a lambda over what is not known')
  }
  return columnAt(index, raw, inputs)
}

function columnAt(index: number, raw: Raw, inputs: Inputs): Expression {
  const column = inputs[index]
  if (column === undefined) return refuse(`a reference to column ${index} of ${inputs.length}`)
  const type = readType(raw['return_type'])
  // A position that was misread would most often be of another type.
  if (!equalTypes(type, column.type)) {
    return refuse(
      `a reference of type ${typeText(type)} to "${column.name}" ${typeText(column.type)}`,
    )
  }
  return columnRef(column)
}

function readCast(raw: Raw, scope: Scope): Expression {
  const child = childOf(raw, 'child')
  const type = readType(raw['return_type'])
  if (!isWritable(type)) return refuse('a cast to a struct without names')
  const isTry = truthOf(raw, 'try_cast')
  const operand = readExpression(child, scope)
  if (operand.kind === 'constant') {
    // The kernel tells a literal from a value of its type, and casts the one to the other.
    if (equalTypes(type, operand.type)) return operand
    const truth = type === BOOLEAN ? truthOfText(operand) : undefined
    if (truth !== undefined) return truth
  }
  return { kind: 'cast', operand, type, try: isTry }
}

/** TRUE and FALSE are casts of texts to the kernel. */
function truthOfText({ type, value }: Constant): Constant | undefined {
  if (type.kind !== 'simple' || type.name !== 'VARCHAR') return undefined
  if (value !== 't' && value !== 'f') return undefined
  return { kind: 'constant', type: BOOLEAN, value: value === 't' }
}

const COMPARISONS: Readonly<Record<string, ComparisonOperator>> = {
  COMPARE_EQUAL: '=',
  COMPARE_NOTEQUAL: '<>',
  COMPARE_LESSTHAN: '<',
  COMPARE_GREATERTHAN: '>',
  COMPARE_LESSTHANOREQUALTO: '<=',
  COMPARE_GREATERTHANOREQUALTO: '>=',
  COMPARE_DISTINCT_FROM: 'is distinct from',
  COMPARE_NOT_DISTINCT_FROM: 'is not distinct from',
}

export function comparisonOperator(raw: Raw, key: string): ComparisonOperator {
  const name = textOf(raw, key)
  return COMPARISONS[name] ?? refuse(`the comparison ${name}`)
}

function readComparison(raw: Raw, scope: Scope): Expression {
  return {
    kind: 'comparison',
    operator: comparisonOperator(raw, 'type'),
    left: readExpression(childOf(raw, 'left'), scope),
    right: readExpression(childOf(raw, 'right'), scope),
  }
}

function readConjunction(raw: Raw, scope: Scope): Expression {
  const type = textOf(raw, 'type')
  if (type !== 'CONJUNCTION_AND' && type !== 'CONJUNCTION_OR')
    return refuse(`the conjunction ${type}`)
  const operands = readAll(objectsOf(raw, 'children'), scope)
  const [only] = operands
  if (only === undefined) return refuse('a conjunction of nothing')
  if (operands.length === 1) return only
  return { kind: 'conjunction', operator: type === 'CONJUNCTION_AND' ? 'and' : 'or', operands }
}

function readOperator(raw: Raw, scope: Scope): Expression {
  readType(raw['return_type'])
  const type = textOf(raw, 'type')
  const operands = readAll(objectsOf(raw, 'children'), scope)
  const [operand, ...list] = operands
  if (operand === undefined) return refuse(`the operator ${type} of nothing`)
  switch (type) {
    case 'COMPARE_IN':
    case 'COMPARE_NOT_IN':
      if (list.length === 0) return refuse('an empty list')
      return { kind: 'in', operand, list, negated: type === 'COMPARE_NOT_IN' }
    case 'OPERATOR_COALESCE':
      return { kind: 'coalesce', args: operands }
    default:
  }
  if (list.length > 0) return refuse(`the operator ${type} of more than one`)
  switch (type) {
    case 'OPERATOR_NOT':
      return { kind: 'not', operand }
    case 'OPERATOR_IS_NULL':
    case 'OPERATOR_IS_NOT_NULL':
      return { kind: 'isNull', operand, negated: type === 'OPERATOR_IS_NOT_NULL' }
    case 'OPERATOR_TRY':
      return { kind: 'try', operand }
    default:
      return refuse(`the operator ${type}`)
  }
}

const CASE_KEYS = keySet('when_expr', 'then_expr')

function readCase(raw: Raw, scope: Scope): Expression {
  readType(raw['return_type'])
  const branches = objectsOf(raw, 'case_checks').map((check) => {
    checkKeys(check, CASE_KEYS, 'CASE')
    return {
      when: readExpression(childOf(check, 'when_expr'), scope),
      then: readExpression(childOf(check, 'then_expr'), scope),
    }
  })
  if (branches.length === 0) return refuse('CASE of nothing')
  return { kind: 'case', branches, else: readExpression(childOf(raw, 'else_expr'), scope) }
}

function readBetween(raw: Raw, scope: Scope): Expression {
  if (!truthOf(raw, 'lower_inclusive') || !truthOf(raw, 'upper_inclusive')) {
    return refuse('BETWEEN without its bounds')
  }
  return {
    kind: 'between',
    operand: readExpression(childOf(raw, 'input'), scope),
    lower: readExpression(childOf(raw, 'lower'), scope),
    upper: readExpression(childOf(raw, 'upper'), scope),
  }
}

const ORDER_KEYS = keySet('type', 'null_order', 'expression')

/** Terms of an ORDER BY, with the direction and the place of NULLs spelt out. */
export function readOrder(raws: readonly Raw[], scope: Scope): readonly OrderItem[] {
  return raws.map((raw) => {
    checkKeys(raw, ORDER_KEYS, 'ORDER BY')
    const direction = textOf(raw, 'type')
    const nulls = textOf(raw, 'null_order')
    if (direction !== 'ASCENDING' && direction !== 'DESCENDING') return refuse(`order ${direction}`)
    if (nulls !== 'NULLS FIRST' && nulls !== 'NULLS LAST') return refuse(`order of ${nulls}`)
    return {
      expression: readExpression(childOf(raw, 'expression'), scope),
      direction: direction === 'ASCENDING' ? 'asc' : 'desc',
      nulls: nulls === 'NULLS FIRST' ? 'first' : 'last',
    }
  })
}
