import type { Expression, FunctionCall, IntervalUnit, Lambda, OrderItem } from '../ir.ts'
import { keySet, placed, type Raw, type ReadContext } from './context.ts'

/** A function or operator; the constructs the parser spells as functions come back as what they were. */
export function readFunction(context: ReadContext, raw: Raw): Expression {
  const call = readCall(context, raw)
  return asInterval(call) ?? call
}

/** A function call, also the one of a table function. */
export function readCall(context: ReadContext, raw: Raw): FunctionCall {
  if (raw['type'] !== 'FUNCTION') context.unknown(`function ${String(raw['type'])}`, raw)
  if (context.boolean(raw, 'export_state')) {
    context.refuse('EXPORT_STATE', context.at(raw))
  }
  const name = context.string(raw, 'function_name')
  const isOperator = context.boolean(raw, 'is_operator')
  if (isOperator && (raw['schema'] !== '' || !OPERATOR_NAME.test(name))) {
    context.refuse('OPERATOR(…)', context.at(raw), 'write the operator itself')
  }
  const children = context.objects(raw, 'children')
  const takesLambda = LAMBDA_FUNCTIONS.has(name.toLowerCase())
  const args = children.map((argument) =>
    takesLambda && argument['class'] === 'LAMBDA'
      ? readLambda(context, argument)
      : context.anyExpression(argument),
  )
  const names = children.map((argument) => context.optionalString(argument, 'alias'))
  return {
    kind: 'function',
    name,
    ...qualified(context, raw),
    args,
    ...(names.some((n) => n !== undefined) ? { argNames: names } : {}),
    distinct: context.boolean(raw, 'distinct'),
    filter: context.optional(raw['filter']),
    orderBy: readOrderModifier(context, context.object(raw['order_bys'], 'order_bys')),
    operator: isOperator,
    ...placed(context.at(raw)),
  }
}

/** Schema and catalog of a function, where the text named them. */
export function qualified(
  context: ReadContext,
  raw: Raw,
): { readonly schema?: string; readonly catalog?: string } {
  const schema = context.optionalString(raw, 'schema')
  const catalog = context.optionalString(raw, 'catalog')
  return {
    ...(schema === undefined ? {} : { schema }),
    ...(catalog === undefined ? {} : { catalog }),
  }
}

const OPERATOR_NAME = /^(?:[-+*/%<>=~!@&|^]+|!__postfix)$/

/** The functions of DuckDB that take a lambda; elsewhere `a -> b` is JSON extraction. */
const LAMBDA_FUNCTIONS: ReadonlySet<string> = new Set([
  'list_transform',
  'list_apply',
  'apply',
  'array_apply',
  'array_transform',
  'list_filter',
  'filter',
  'array_filter',
  'list_reduce',
  'reduce',
  'array_reduce',
])

const LAMBDA_KEYS = keySet('class', 'type', 'alias', 'query_location', 'lhs', 'expr')

function readLambda(context: ReadContext, raw: Raw): Expression {
  context.checkKeys(raw, LAMBDA_KEYS, 'lambda')
  const left = context.object(raw['lhs'], 'lhs')
  const parameters = lambdaParameters(context.expression(left))
  if (parameters === undefined) {
    return context.refuse('a lambda whose parameters are not plain names', context.at(raw))
  }
  // The two forms differ only in the schema of the row that holds several parameters.
  const isArrow = left['class'] === 'FUNCTION' && left['schema'] === 'main'
  const lambda: Lambda = {
    kind: 'lambda',
    parameters,
    body: context.expression(context.object(raw['expr'], 'expr')),
    syntax: isArrow ? 'arrow' : 'keyword',
    ...placed(context.at(raw)),
  }
  return lambda
}

function lambdaParameters(left: Expression): readonly string[] | undefined {
  const columns = left.kind === 'function' && left.name === 'row' ? left.args : [left]
  const names: string[] = []
  for (const column of columns) {
    const [name, ...rest] = column.kind === 'column' ? column.path : []
    if (name === undefined || rest.length > 0) return undefined
    names.push(name)
  }
  return names
}

const ORDER_MODIFIER_KEYS = keySet('type', 'orders')
const ORDER_KEYS = keySet('type', 'null_order', 'expression')
const DIRECTIONS: ReadonlyMap<string, OrderItem['direction']> = new Map([
  ['ORDER_DEFAULT', 'default'],
  ['ASCENDING', 'asc'],
  ['DESCENDING', 'desc'],
])
const NULL_ORDERS: ReadonlyMap<string, OrderItem['nulls']> = new Map([
  ['ORDER_DEFAULT', 'default'],
  ['NULLS FIRST', 'first'],
  ['NULLS LAST', 'last'],
])

export function readOrderModifier(context: ReadContext, raw: Raw): readonly OrderItem[] {
  context.checkKeys(raw, ORDER_MODIFIER_KEYS, 'order')
  if (raw['type'] !== 'ORDER_MODIFIER') context.unknown(`order ${String(raw['type'])}`)
  return readOrders(context, raw, 'orders')
}

export function readOrders(context: ReadContext, raw: Raw, key: string): readonly OrderItem[] {
  return context.objects(raw, key).map((order) => {
    context.checkKeys(order, ORDER_KEYS, 'order item')
    return {
      expression: context.expression(context.object(order['expression'], 'expression')),
      direction: context.oneOf(order, 'type', DIRECTIONS),
      nulls: context.oneOf(order, 'null_order', NULL_ORDERS),
    }
  })
}

/** What INTERVAL n UNIT becomes: whole units through trunc and a cast to an integer, the others as DOUBLE. */
const UNITS: ReadonlyMap<string, { readonly unit: IntervalUnit; readonly whole?: string }> =
  new Map([
    ['to_years', { unit: 'year', whole: 'INTEGER' }],
    ['to_months', { unit: 'month', whole: 'INTEGER' }],
    ['to_days', { unit: 'day', whole: 'INTEGER' }],
    ['to_weeks', { unit: 'week', whole: 'INTEGER' }],
    ['to_quarters', { unit: 'quarter', whole: 'INTEGER' }],
    ['to_decades', { unit: 'decade', whole: 'INTEGER' }],
    ['to_centuries', { unit: 'century', whole: 'INTEGER' }],
    ['to_millennia', { unit: 'millennium', whole: 'INTEGER' }],
    ['to_hours', { unit: 'hour', whole: 'BIGINT' }],
    ['to_minutes', { unit: 'minute', whole: 'BIGINT' }],
    ['to_microseconds', { unit: 'microsecond', whole: 'BIGINT' }],
    ['to_seconds', { unit: 'second' }],
    ['to_milliseconds', { unit: 'millisecond' }],
  ])

function asInterval(call: FunctionCall): Expression | undefined {
  const rule = isPlain(call) ? UNITS.get(call.name) : undefined
  const [argument] = call.args
  if (rule === undefined || argument === undefined) return undefined
  const double = rule.whole === undefined ? argument : truncated(argument, rule.whole)
  const value = double === undefined ? undefined : castOperand(double, 'DOUBLE')
  if (value === undefined) return undefined
  return { kind: 'interval', value, unit: rule.unit, ...placed(call.at) }
}

const isPlain = (call: FunctionCall): boolean =>
  call.args.length === 1 &&
  call.argNames === undefined &&
  call.schema === undefined &&
  call.filter === undefined &&
  call.orderBy.length === 0 &&
  !call.distinct &&
  !call.operator

function castOperand(expression: Expression, type: string): Expression | undefined {
  if (expression.kind !== 'cast' || expression.try) return undefined
  return expression.type.kind === 'simple' && expression.type.name === type
    ? expression.operand
    : undefined
}

function truncated(expression: Expression, type: string): Expression | undefined {
  const trunc = castOperand(expression, type)
  if (trunc?.kind !== 'function' || trunc.name !== 'trunc' || !isPlain(trunc)) return undefined
  return trunc.args[0]
}
