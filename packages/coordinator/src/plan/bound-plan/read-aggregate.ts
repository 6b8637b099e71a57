import type { Expression, FunctionCall } from '../../sql/ir.ts'
import { simpleType, type SqlType } from '../../sql/sql-types.ts'
import { checkKeys, childOf, keySet, listOf, objectsOf, type Raw, refuse, textOf } from './raw.ts'
import { readConstant } from './read-constant.ts'
import { readAll, readExpression, readOrder, type Scope, typeOf } from './read-expression.ts'
import { functionName } from './read-function.ts'
import { readType } from './read-type.ts'

export interface BoundAggregate {
  readonly call: FunctionCall
  readonly argumentTypes: readonly SqlType[]
}

const KEYS = keySet(
  'expression_class',
  'type',
  'alias',
  'query_location',
  'return_type',
  'children',
  'name',
  'arguments',
  'original_arguments',
  'catalog_name',
  'schema_name',
  'has_serialize',
  'function_data',
  'aggregate_type',
  'filter',
  'order_bys',
)
const ORDERS_KEYS = keySet('orders')

export function readAggregate(raw: Raw, scope: Scope): BoundAggregate {
  if (raw['expression_class'] !== 'BOUND_AGGREGATE') refuse('an aggregate that is none')
  checkKeys(raw, KEYS, 'an aggregate')
  const kind = textOf(raw, 'aggregate_type')
  if (kind !== 'DISTINCT' && kind !== 'NON_DISTINCT') refuse(`an aggregate of type ${kind}`)
  const name = functionName(raw)
  const { args, types } = readArguments(name, raw, scope)
  const filter =
    raw['filter'] === undefined ? undefined : readExpression(childOf(raw, 'filter'), scope)
  return {
    call: {
      kind: 'function',
      name,
      args,
      distinct: kind === 'DISTINCT',
      ...(filter === undefined ? {} : { filter }),
      orderBy: readOrders(raw, scope),
      operator: false,
    },
    argumentTypes: types,
  }
}

function readOrders(raw: Raw, scope: Scope): FunctionCall['orderBy'] {
  if (raw['order_bys'] === undefined) return []
  const orders = childOf(raw, 'order_bys')
  checkKeys(orders, ORDERS_KEYS, 'an order')
  return readOrder(objectsOf(orders, 'orders'), scope)
}

/** The arguments as they were written: those that the binder took away are found in what it made of them. */
export function readArguments(
  name: string,
  raw: Raw,
  scope: Scope,
): { readonly args: readonly Expression[]; readonly types: readonly SqlType[] } {
  const children = objectsOf(raw, 'children')
  const taken = takenArguments(name, raw)
  const original = raw['original_arguments'] === undefined ? [] : listOf(raw, 'original_arguments')
  if (original.length > 0 && original.length !== children.length + taken.length) {
    refuse(`${name} with arguments that the binder has taken away`)
  }
  return {
    args: [...readAll(children, scope), ...taken.map((part) => part.expression)],
    types: [...children.map(typeOf), ...taken.map((part) => part.type)],
  }
}

const SEPARATOR_KEYS = keySet('separator')
const QUANTILE_KEYS = keySet('quantiles', 'order', 'desc')
const APPROXIMATE_KEYS = keySet('quantiles')

interface Taken {
  readonly expression: Expression
  readonly type: SqlType
}

/** One fraction, or the list of them: which, the type of the argument says. */
function fractions(raw: Raw, values: readonly Expression[], type: SqlType): readonly Taken[] {
  const wanted = readType(listOf(raw, 'original_arguments')[1])
  const [only, ...more] = values
  if (wanted.kind === 'list') {
    const args = values
    const list: Expression = { ...LIST, args }
    return [{ expression: list, type: { kind: 'list', element: type } }]
  }
  if (only === undefined || more.length > 0) return refuse('a number of fractions')
  return [{ expression: only, type }]
}

const LIST: FunctionCall = {
  kind: 'function',
  name: 'list_value',
  schema: 'main',
  args: [],
  distinct: false,
  orderBy: [],
  operator: false,
}

function floatOf(value: unknown): Expression {
  if (typeof value !== 'number') return refuse('a fraction that is no number')
  return { kind: 'constant', type: simpleType('FLOAT'), value: String(value) }
}

function takenArguments(name: string, raw: Raw): readonly Taken[] {
  if (raw['function_data'] === undefined) return []
  const data = childOf(raw, 'function_data')
  if (name === 'string_agg' || name === 'group_concat' || name === 'listagg') {
    checkKeys(data, SEPARATOR_KEYS, name)
    const value = textOf(data, 'separator')
    const type = simpleType('VARCHAR')
    return [{ expression: { kind: 'constant', type, value }, type }]
  }
  if (name === 'median' || name === 'mad') {
    checkKeys(data, QUANTILE_KEYS, name)
    return []
  }
  if (name === 'quantile_cont' || name === 'quantile_disc') {
    checkKeys(data, QUANTILE_KEYS, name)
    if (data['desc'] !== false) return refuse(`${name} from above`)
    return fractions(raw, objectsOf(data, 'quantiles').map(readConstant), simpleType('DOUBLE'))
  }
  if (name === 'approx_quantile') {
    checkKeys(data, APPROXIMATE_KEYS, name)
    const values = listOf(data, 'quantiles').map(floatOf)
    return fractions(raw, values, simpleType('FLOAT'))
  }
  return refuse(`${name} with what it was bound to (${Object.keys(data).join(', ')})`)
}
