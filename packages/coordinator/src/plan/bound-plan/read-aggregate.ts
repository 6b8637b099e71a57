import type { Constant, Expression, FunctionCall } from '../../sql/ir.ts'
import type { SqlType } from '../../sql/sql-types.ts'
import {
  checkKeys,
  childOf,
  keySet,
  listOf,
  objectOf,
  objectsOf,
  type Raw,
  refuse,
  textOf,
} from './raw.ts'
import { readConstant } from './read-constant.ts'
import { readAll, readExpression, readOrder, type Scope, typeOf } from './read-expression.ts'
import { functionName } from './read-function.ts'

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
    args: [...readAll(children, scope), ...taken],
    types: [...children.map(typeOf), ...taken.map((constant) => constant.type)],
  }
}

const SEPARATOR_KEYS = keySet('separator')
const QUANTILE_KEYS = keySet('quantiles', 'order', 'desc')

function takenArguments(name: string, raw: Raw): readonly Constant[] {
  if (raw['function_data'] === undefined) return []
  const data = childOf(raw, 'function_data')
  if (name === 'string_agg' || name === 'group_concat' || name === 'listagg') {
    checkKeys(data, SEPARATOR_KEYS, name)
    const value = textOf(data, 'separator')
    return [{ kind: 'constant', type: { kind: 'simple', name: 'VARCHAR' }, value }]
  }
  if (name === 'median' || name === 'mad') {
    checkKeys(data, QUANTILE_KEYS, name)
    return []
  }
  if (name === 'quantile_cont' || name === 'quantile_disc') {
    checkKeys(data, QUANTILE_KEYS, name)
    const [value, ...more] = listOf(data, 'quantiles')
    if (more.length > 0 || data['desc'] !== false) return refuse(`${name} of several fractions`)
    return [readConstant(objectOf(value, 'a fraction'))]
  }
  return refuse(`${name} with what it was bound to (${Object.keys(data).join(', ')})`)
}
