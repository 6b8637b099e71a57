import { MORE_THAN_ONE_ROW } from '@nyala/executor/protocol'
import type { KernelFunctions } from '../../bind/functions.ts'
import type { Expression, FunctionCall, IntervalUnit, Lambda } from '../../sql/ir.ts'
import type { SqlType } from '../../sql/sql-types.ts'
import type { ColumnNames } from './column-names.ts'
import { decimalResult, digitsOf, isWider } from './decimal-arithmetic.ts'
import { checkKeys, childOf, keySet, objectsOf, type Raw, refuse, textOf, truthOf } from './raw.ts'
import { equalTypes, readType } from './read-type.ts'

export interface FunctionScope {
  readonly functions: KernelFunctions
  readonly names: ColumnNames
  readonly read: (raw: Raw) => Expression
  /** Reads the body of a lambda, where positions are these. */
  readonly readLambda: (raw: Raw, positions: readonly Expression[]) => Expression
}

/**
 * A scalar function by the name that the binder chose. Its arguments have the types that it was chosen for, so binding
 * it again chooses the same.
 */
export function readFunction(raw: Raw, type: SqlType, scope: FunctionScope): Expression {
  const name = functionName(raw)
  const args = objectsOf(raw, 'children').map(scope.read)
  if (scope.functions.unrepeatable.has(name) && !isSubqueryError(name, args)) {
    return refuse(`it calls ${name}, whose value differs from call to call`)
  }
  const call: FunctionCall = {
    kind: 'function',
    name,
    args,
    distinct: false,
    orderBy: [],
    operator: truthOf(raw, 'is_operator'),
  }
  if (raw['function_data'] !== undefined) return withData(raw, { type, call, scope })
  return intervalOf(call) ?? call
}

export function functionName(raw: Raw): string {
  const schema = raw['schema_name']
  if (schema !== '' && schema !== 'main') return refuse(`a function of schema ${String(schema)}`)
  return textOf(raw, 'name')
}

/** What the binder adds to a scalar subquery: the one call of `error` that is no doing of the user's. */
const isSubqueryError = (name: string, args: readonly Expression[]): boolean =>
  name === 'error' &&
  args[0]?.kind === 'constant' &&
  String(args[0].value).startsWith(MORE_THAN_ONE_ROW)

/** Functions that know more than their arguments say: only those for which it can be written. */
function withData(
  raw: Raw,
  about: { readonly type: SqlType; readonly call: FunctionCall; readonly scope: FunctionScope },
): Expression {
  const { type, call, scope } = about
  const data = childOf(raw, 'function_data')
  const fields = type.kind === 'struct' && type.fields.length === call.args.length
  if ((call.name === 'struct_pack' || call.name === 'row') && fields) {
    checkKeys(data, STRUCT_KEYS, call.name)
    checkType(data['variable_return_type'], type)
    if (call.name === 'row') return { ...call, schema: 'main' }
    return { ...call, argNames: type.fields.map((f) => f.name), schema: 'main' }
  }
  if (data['lambda_expr'] !== undefined) {
    checkType(data['return_type'], type)
    return withLambda(data, call, scope)
  }
  if (LIST_AGGREGATES.has(call.name)) return withAggregate(data, call)
  const operator = ARITHMETIC[call.name]
  if (operator !== undefined && type.kind === 'decimal' && call.args.length === 2) {
    checkKeys(data, DECIMAL_KEYS, call.name)
    checkType(data['return_type'], type)
    const args = decimalArguments(operator, raw, call)
    return args === undefined
      ? refuse(`${call.name} of decimals that are not alike`)
      : { ...call, args }
  }
  return refuse(`${call.name} with what it was bound to (${Object.keys(data).join(', ')})`)
}

const STRUCT_KEYS = keySet('variable_return_type')

function checkType(raw: unknown, type: SqlType): void {
  if (!equalTypes(readType(raw), type)) refuse('a function that was bound to another type')
}

const LIST_AGGREGATES: ReadonlySet<string> = new Set([
  'list_aggr',
  'list_aggregate',
  'array_aggr',
  'array_aggregate',
  'aggregate',
])
const LIST_AGGREGATE_KEYS = keySet('bind_data')
const AGGREGATE_BIND_KEYS = keySet('stype', 'aggr_expr')

/** An aggregate over a list: bound by its name and the type of the list, so both say all that there is to say. */
function withAggregate(data: Raw, call: FunctionCall): Expression {
  checkKeys(data, LIST_AGGREGATE_KEYS, call.name)
  const bound = childOf(data, 'bind_data')
  checkKeys(bound, AGGREGATE_BIND_KEYS, call.name)
  const aggregate = childOf(bound, 'aggr_expr')
  const [, name, ...more] = call.args
  const isPlain =
    name?.kind === 'constant' &&
    more.length === 0 &&
    String(name.value).toLowerCase() === functionName(aggregate) &&
    aggregate['function_data'] === undefined &&
    aggregate['aggregate_type'] === 'NON_DISTINCT'
  return isPlain ? call : refuse(`${call.name} of an aggregate with options`)
}

const LAMBDA_KEYS = keySet('return_type', 'lambda_expr', 'has_index', 'has_initial')
/** Functions that take a lambda, and how many parameters it has without the index. */
const LAMBDA_PARAMETERS: Readonly<Record<string, number>> = {
  list_transform: 1,
  array_transform: 1,
  list_apply: 1,
  array_apply: 1,
  apply: 1,
  list_filter: 1,
  array_filter: 1,
  filter: 1,
  list_reduce: 2,
  array_reduce: 2,
  reduce: 2,
}

/** The lambda stands behind the list; what it reads of the row are further arguments, counted after its parameters. */
function withLambda(data: Raw, call: FunctionCall, scope: FunctionScope): Expression {
  checkKeys(data, LAMBDA_KEYS, call.name)
  const [list, ...more] = call.args
  const parameters = LAMBDA_PARAMETERS[call.name]
  if (list === undefined || parameters === undefined) return refuse(`${call.name} of a lambda`)
  const count = parameters + (truthOf(data, 'has_index') ? 1 : 0)
  const initial = truthOf(data, 'has_initial') ? more.slice(0, 1) : []
  const captured = more.slice(initial.length)
  const any: SqlType = { kind: 'simple', name: 'NULL' }
  const names = Array.from({ length: count }, () => scope.names.column('', 'x', any).name)
  // The last parameter is the first position.
  const positions = names.toReversed().map((name): Expression => ({ kind: 'column', path: [name] }))
  const body = scope.readLambda(childOf(data, 'lambda_expr'), [...positions, ...captured])
  const lambda: Lambda = { kind: 'lambda', parameters: names, body, syntax: 'keyword' }
  return { ...call, args: [list, lambda, ...initial] }
}

const ARITHMETIC: Readonly<Record<string, 'sum' | 'product'>> = {
  '+': 'sum',
  '-': 'sum',
  '*': 'product',
}
const DECIMAL_KEYS = keySet('check_overflow', 'return_type', 'arguments')

/**
 * The arguments of decimal arithmetic without the casts that the binder put around them: it chooses the type of the
 * result by theirs, so with the casts it would choose a wider one. Undefined where none of the ways to take casts away
 * gives the type again.
 */
function decimalArguments(
  operator: 'sum' | 'product',
  raw: Raw,
  call: FunctionCall,
): readonly Expression[] | undefined {
  const wanted = readType(raw['return_type'])
  const isChecked = childOf(raw, 'function_data')['check_overflow']
  const [first = [], second = []] = objectsOf(raw, 'children').map((child, i) =>
    withoutCast(child, call.args[i]),
  )
  for (const a of first) {
    for (const b of second) {
      const found = decimalResult(operator, a.digits, b.digits)
      if (found === undefined || found.checksOverflow !== isChecked) continue
      if (a.type.kind !== 'decimal' && b.type.kind !== 'decimal') continue
      if (wanted.kind !== 'decimal' || found.width !== wanted.width || found.scale !== wanted.scale)
        continue
      return [a.expression, b.expression]
    }
  }
  return undefined
}

interface Candidate {
  readonly expression: Expression
  readonly type: SqlType
  readonly digits: { readonly width: number; readonly scale: number }
}

/** An argument without its outermost cast, where that changes no value, and with it. */
function withoutCast(raw: Raw, expression: Expression | undefined): readonly Candidate[] {
  if (expression === undefined) return []
  const found: Candidate[] = []
  const add = (part: Expression, type: SqlType): void => {
    const digits = digitsOf(type)
    if (digits !== undefined) found.push({ expression: part, type, digits })
  }
  const type = readType(raw['return_type'] ?? childOf(raw, 'value')['type'])
  if (expression.kind === 'cast' && !expression.try && raw['expression_class'] === 'BOUND_CAST') {
    const child = childOf(raw, 'child')
    const inner = readType(child['return_type'] ?? childOf(child, 'value')['type'])
    const digits = digitsOf(inner)
    if (digits !== undefined && type.kind === 'decimal' && isWider(type, digits)) {
      add(expression.operand, inner)
    }
  }
  add(expression, type)
  return found
}

const UNITS: Readonly<Record<string, IntervalUnit>> = {
  to_years: 'year',
  to_months: 'month',
  to_days: 'day',
  to_hours: 'hour',
  to_minutes: 'minute',
  to_weeks: 'week',
}

/** `INTERVAL (n) DAY`, which the kernel makes `to_days(CAST(trunc(CAST(n AS DOUBLE)) AS INTEGER))`. */
function intervalOf(call: FunctionCall): Expression | undefined {
  const unit = UNITS[call.name]
  const [whole] = call.args
  if (unit === undefined || whole?.kind !== 'cast' || whole.try) return undefined
  const trunc = whole.operand
  if (trunc.kind !== 'function' || trunc.name !== 'trunc') return undefined
  const [double] = trunc.args
  if (double?.kind !== 'cast' || double.try) return undefined
  if (double.type.kind !== 'simple' || double.type.name !== 'DOUBLE') return undefined
  return { kind: 'interval', value: double.operand, unit }
}
