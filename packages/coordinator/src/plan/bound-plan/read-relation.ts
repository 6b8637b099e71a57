import type { Expression } from '../../sql/ir.ts'
import { columnRef, columnsOf, type PlanColumn, type Relation } from '../logical/relation.ts'
import {
  checkEmpty,
  checkKeys,
  childOf,
  countOf,
  keySet,
  listOf,
  objectsOf,
  type Raw,
  refuse,
  textOf,
  truthOf,
} from './raw.ts'
import {
  allColumns,
  checkType,
  conjunctsOf,
  type Found,
  type OperatorReader,
  type PlanScope,
  scopeOf,
} from './plan-scope.ts'
import { readAggregate } from './read-aggregate.ts'
import { type Inputs, readAll, readExpression, readOrder, typeOf } from './read-expression.ts'
import { joinReaders } from './read-join.ts'
import { readGet, readValues } from './read-leaf.ts'
import { readTableFunction } from './read-table-function.ts'
import { readType } from './read-type.ts'
import { readWindowColumn } from './read-window.ts'

const keys = (...more: readonly string[]): ReadonlySet<string> =>
  keySet('type', 'children', ...more)

/** 2^64 - 1, which JSON.parse rounds: none. */
const NO_INDEX = 2 ** 64

const SET_KEYS = keys('table_index', 'column_count', 'setop_all', 'allow_out_of_order')

const READERS: Readonly<Record<string, OperatorReader>> = {
  LOGICAL_GET: {
    keys: keys(
      'table_index',
      'returned_types',
      'names',
      'projection_ids',
      'table_filters',
      'name',
      'arguments',
      'original_arguments',
      'catalog_name',
      'schema_name',
      'has_serialize',
      'function_data',
      'parameters',
      'named_parameters',
      'input_table_types',
      'input_table_names',
      'projected_input',
      'column_indexes',
      'extra_info',
      'ordinality_idx',
    ),
    read(raw, plan) {
      if (raw['ordinality_idx'] !== NO_INDEX) return refuse('WITH ORDINALITY')
      if (raw['name'] === 'seq_scan') return readGet(raw, plan)
      return readTableFunction(raw, plan, readRelation)
    },
  },
  LOGICAL_DUMMY_SCAN: {
    keys: keys('table_index'),
    read: () => ({ relation: { kind: 'values', columns: [], rows: [[]] }, columns: [undefined] }),
  },
  LOGICAL_EXPRESSION_GET: {
    keys: keys('table_index', 'expr_types', 'expressions'),
    read: (raw, plan) => readValues(raw, onlyChild(raw, plan), plan),
  },
  LOGICAL_FILTER: { keys: keys('expressions', 'projection_map'), read: readFilter },
  LOGICAL_PROJECTION: { keys: keys('table_index', 'expressions'), read: readProjection },
  LOGICAL_AGGREGATE_AND_GROUP_BY: {
    keys: keys(
      'expressions',
      'group_index',
      'aggregate_index',
      'groupings_index',
      'groups',
      'grouping_sets',
      'grouping_functions',
      'distinct_validity',
    ),
    read: readAggregation,
  },
  LOGICAL_DISTINCT: {
    keys: keys('distinct_type', 'distinct_targets', 'order_by'),
    read: readDistinct,
  },
  LOGICAL_ORDER_BY: { keys: keys('orders', 'projections'), read: readSort },
  LOGICAL_LIMIT: { keys: keys('limit_val', 'offset_val'), read: readLimit },
  LOGICAL_WINDOW: { keys: keys('window_index', 'expressions'), read: readWindow },
  LOGICAL_UNNEST: { keys: keys('unnest_index', 'expressions'), read: readUnnest },
  LOGICAL_UNION: { keys: SET_KEYS, read: (raw, plan) => readSet('union', raw, plan) },
  LOGICAL_EXCEPT: { keys: SET_KEYS, read: (raw, plan) => readSet('except', raw, plan) },
  LOGICAL_INTERSECT: { keys: SET_KEYS, read: (raw, plan) => readSet('intersect', raw, plan) },
  LOGICAL_MATERIALIZED_CTE: {
    keys: keys('table_index', 'column_count', 'ctename', 'materialize'),
    read: readWith,
  },
  LOGICAL_CTE_REF: {
    keys: keys('table_index', 'cte_index', 'chunk_types', 'bound_columns', 'is_recurring'),
    read: readCteUse,
  },
  ...joinReaders(readRelation),
}

/** One operator of the bound plan with all below it. */
export function readRelation(raw: Raw, plan: PlanScope): Found {
  const type = textOf(raw, 'type')
  const reader = Object.hasOwn(READERS, type) ? READERS[type] : undefined
  if (reader === undefined) return refuse(operatorName(type))
  checkKeys(raw, reader.keys, operatorName(type))
  return reader.read(raw, plan)
}

const operatorName = (type: string): string =>
  `the operator ${type.replace('LOGICAL_', '').replaceAll('_', ' ')}`

function onlyChild(raw: Raw, plan: PlanScope): Found {
  const [child, ...more] = objectsOf(raw, 'children')
  if (child === undefined || more.length > 0) return refuse(`${textOf(raw, 'type')} of one input`)
  return readRelation(child, plan)
}

// ---------------------------------------------------------------------------------------------
// Operators of one input

function readFilter(raw: Raw, plan: PlanScope): Found {
  const input = onlyChild(raw, plan)
  const conjuncts = readAll(objectsOf(raw, 'expressions'), scopeOf(plan, input.columns)).flatMap(
    conjunctsOf,
  )
  const map = listOf(raw, 'projection_map')
  const columns =
    map.length === 0 ? input.columns : map.map((i) => input.columns[countOf(i, 'projection_map')])
  return { relation: { kind: 'filter', input: input.relation, conjuncts }, columns }
}

function readProjection(raw: Raw, plan: PlanScope): Found {
  const input = onlyChild(raw, plan)
  const scope = scopeOf(plan, input.columns)
  const columns = new ColumnPass(input.columns)
  const items = objectsOf(raw, 'expressions').map((item) => {
    const expression = readExpression(item, scope)
    const column =
      columns.pass(expression) ??
      plan.names.column(textOf(item, 'alias'), fallbackName(expression), typeOf(item))
    return { column, expression }
  })
  return {
    relation: { kind: 'project', input: input.relation, items },
    columns: items.map((item) => item.column),
  }
}

/** A relation of just the columns that the kernel counts, in its order: where columns go by position. */
function exactly({ relation, columns }: Found): {
  readonly relation: Relation
  readonly columns: readonly PlanColumn[]
} {
  const wanted = allColumns(columns)
  const own = columnsOf(relation)
  const isSame = own.length === wanted.length && own.every((c, i) => c.name === wanted[i]?.name)
  if (isSame) return { relation, columns: wanted }
  const items = wanted.map((column) => ({ column, expression: columnRef(column) }))
  return { relation: { kind: 'project', input: relation, items }, columns: wanted }
}

/** Columns that an operator passes on as they are keep their names, each once. */
class ColumnPass {
  readonly #left: Map<string, PlanColumn>

  constructor(inputs: Inputs) {
    this.#left = new Map(inputs.flatMap((c) => (c === undefined ? [] : [[c.name, c] as const])))
  }

  /** The column that `expression` is, the first time that it is asked for. */
  pass(expression: Expression): PlanColumn | undefined {
    if (expression.kind !== 'column') return undefined
    const name = expression.path[0] ?? ''
    const column = this.#left.get(name)
    this.#left.delete(name)
    return column
  }
}

/** A name for what has none: that of the outermost function. */
function fallbackName(expression: Expression): string {
  if (expression.kind === 'column') return expression.path[0] ?? 'column'
  if (expression.kind === 'window' || expression.kind === 'function') {
    if (expression.name === 'count_star') return 'count'
    return /^[a-z]\w*$/.test(expression.name) ? expression.name : 'value'
  }
  return 'value'
}

function readAggregation(raw: Raw, plan: PlanScope): Found {
  const input = onlyChild(raw, plan)
  const scope = scopeOf(plan, input.columns)
  const groups = objectsOf(raw, 'groups')
  const sets = readSets(raw, 'grouping_sets', groups.length)
  const isPlain = sets.length === 1 && sets[0]?.length === groups.length
  const pass = new ColumnPass(isPlain ? input.columns : [])
  const groupKeys = groups.map((group) => {
    const expression = readExpression(group, scope)
    const column =
      pass.pass(expression) ??
      plan.names.column(textOf(group, 'alias'), fallbackName(expression), typeOf(group))
    return { column, expression }
  })
  const aggregates = objectsOf(raw, 'expressions').map((aggregate) => {
    const { call, argumentTypes } = readAggregate(aggregate, scope)
    const column = plan.names.column(
      textOf(aggregate, 'alias'),
      fallbackName(call),
      typeOf(aggregate),
    )
    return { column, expression: call, argumentTypes }
  })
  const groupings = listOf(raw, 'grouping_functions').map((list) => ({
    column: plan.names.column('', 'grouping', { kind: 'simple', name: 'BIGINT' }),
    keys: indexes(list, groups.length),
  }))
  const found = [...groupKeys, ...aggregates, ...groupings].map(({ column }) => column)
  return {
    relation: {
      kind: 'aggregate',
      input: input.relation,
      keys: groupKeys,
      sets,
      aggregates,
      groupings,
    },
    columns: found,
  }
}

/** No set is written where there is one of all keys. */
function readSets(raw: Raw, key: string, groups: number): readonly (readonly number[])[] {
  const sets = listOf(raw, key).map((set) => indexes(set, groups))
  return sets.length > 0 ? sets : [Array.from({ length: groups }, (_, i) => i)]
}

function indexes(value: unknown, below: number): readonly number[] {
  if (!Array.isArray(value)) return refuse('a grouping set')
  return value.map((index) => {
    const n = countOf(index, 'index')
    return n < below ? n : refuse('a grouping set')
  })
}

const DISTINCT_ORDER_KEYS = keySet('orders')

function readDistinct(raw: Raw, plan: PlanScope): Found {
  const input = exactly(onlyChild(raw, plan))
  const scope = scopeOf(plan, input.columns)
  const type = textOf(raw, 'distinct_type')
  if (type !== 'DISTINCT' && type !== 'DISTINCT_ON') return refuse(type)
  const targets = readAll(objectsOf(raw, 'distinct_targets'), scope)
  const named = new Set(targets.map((t) => (t.kind === 'column' ? t.path[0] : undefined)))
  const isWhole = input.columns.every((c) => named.has(c.name))
  let orderBy: ReturnType<typeof readOrder> = []
  if (raw['order_by'] !== undefined) {
    const order = childOf(raw, 'order_by')
    checkKeys(order, DISTINCT_ORDER_KEYS, 'an order')
    orderBy = readOrder(objectsOf(order, 'orders'), scope)
  }
  const on = isWhole ? undefined : targets
  if (type === 'DISTINCT' && on !== undefined) return refuse('DISTINCT of some columns')
  return {
    relation: {
      kind: 'distinct',
      input: input.relation,
      on,
      orderBy: on === undefined ? [] : orderBy,
    },
    columns: input.columns,
  }
}

function readSort(raw: Raw, plan: PlanScope): Found {
  const input = onlyChild(raw, plan)
  checkEmpty(raw, 'projections')
  const orderBy = readOrder(objectsOf(raw, 'orders'), scopeOf(plan, input.columns))
  return { relation: { kind: 'sort', input: input.relation, orderBy }, columns: input.columns }
}

const LIMIT_KEYS = keySet('type', 'constant_integer', 'constant_percentage')

function readLimit(raw: Raw, plan: PlanScope): Found {
  const input = onlyChild(raw, plan)
  const count = readLimitValue(raw, 'limit_val')
  const offset = readLimitValue(raw, 'offset_val') ?? 0
  return {
    relation: { kind: 'limit', input: input.relation, count, offset },
    columns: input.columns,
  }
}

function readLimitValue(raw: Raw, key: string): number | undefined {
  const value = childOf(raw, key)
  const type = textOf(value, 'type')
  if (type === 'UNSET') return undefined
  if (type !== 'CONSTANT_VALUE') return refuse('a computed LIMIT')
  checkKeys(value, LIMIT_KEYS, 'LIMIT')
  return countOf(value['constant_integer'], 'LIMIT')
}

function readWindow(raw: Raw, plan: PlanScope): Found {
  const input = onlyChild(raw, plan)
  const scope = scopeOf(plan, input.columns)
  const windows = objectsOf(raw, 'expressions').map((window) => {
    const expression = readWindowColumn(window, scope)
    const column = plan.names.column(
      textOf(window, 'alias'),
      fallbackName(expression),
      typeOf(window),
    )
    return { column, expression }
  })
  return {
    relation: { kind: 'window', input: input.relation, windows },
    columns: [...input.columns, ...windows.map((w) => w.column)],
  }
}

const UNNEST_KEYS = keySet(
  'expression_class',
  'type',
  'alias',
  'query_location',
  'return_type',
  'child',
)

function readUnnest(raw: Raw, plan: PlanScope): Found {
  const input = onlyChild(raw, plan)
  const scope = scopeOf(plan, input.columns)
  const items = objectsOf(raw, 'expressions').map((item) => {
    if (item['expression_class'] !== 'BOUND_UNNEST') return refuse('UNNEST of no list')
    checkKeys(item, UNNEST_KEYS, 'UNNEST')
    const expression = readExpression(childOf(item, 'child'), scope)
    return { column: plan.names.column(textOf(item, 'alias'), 'unnest', typeOf(item)), expression }
  })
  return {
    relation: { kind: 'unnest', input: input.relation, items },
    columns: [...input.columns, ...items.map((i) => i.column)],
  }
}

// ---------------------------------------------------------------------------------------------
// Set operations and WITH

function readSet(operator: 'union' | 'except' | 'intersect', raw: Raw, plan: PlanScope): Found {
  const inputs = objectsOf(raw, 'children').map((child) => exactly(readRelation(child, plan)))
  const lists = inputs.map((input) => input.columns)
  const [first, ...others] = lists
  const count = countOf(raw['column_count'], 'column_count')
  if (first === undefined || others.length === 0 || (operator !== 'union' && others.length > 1)) {
    return refuse(`${operator} of ${lists.length}`)
  }
  for (const list of lists) {
    if (list.length !== count) return refuse(`${operator} of different numbers of columns`)
    for (const [i, column] of list.entries()) checkType(first[i]?.type, column.type)
  }
  // Names of their own: the values come from more than one column.
  const columns = first.map((column) => plan.names.column(column.name, 'column', column.type))
  const relations = inputs.map((input) => input.relation)
  const all = truthOf(raw, 'setop_all')
  return { relation: { kind: 'set', operator, all, columns, inputs: relations }, columns }
}

function readWith(raw: Raw, plan: PlanScope): Found {
  const [first, second, ...more] = objectsOf(raw, 'children')
  if (first === undefined || second === undefined || more.length > 0) return refuse('WITH of two')
  const definition = exactly(readRelation(first, plan))
  const { columns } = definition
  const id = countOf(raw['table_index'], 'table_index')
  if (plan.ctes.has(id)) refuse('a WITH that is there twice')
  plan.ctes.set(id, columns)
  const body = readRelation(second, plan)
  return {
    relation: { kind: 'with', id, definition: definition.relation, body: body.relation },
    columns: body.columns,
  }
}

function readCteUse(raw: Raw, plan: PlanScope): Found {
  const id = countOf(raw['cte_index'], 'cte_index')
  const definition = plan.ctes.get(id)
  if (definition === undefined || truthOf(raw, 'is_recurring')) return refuse('a recursive WITH')
  const types = listOf(raw, 'chunk_types').map(readType)
  if (types.length !== definition.length) return refuse('a WITH of other columns')
  const columns = definition.map((column, i) => {
    checkType(types[i], column.type)
    return plan.names.column(column.name, 'column', column.type)
  })
  return { relation: { kind: 'cte', id, columns }, columns }
}
