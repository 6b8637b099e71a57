import type {
  Cte,
  Distinct,
  Expression,
  GroupBy,
  Limit,
  OrderItem,
  Query,
  RecursiveQuery,
  Select,
  SetOperation,
} from '../ir.ts'
import { keySet, type Raw, type ReadContext } from './context.ts'
import { readOrderModifier } from './read-function.ts'
import { readFrom, readSample } from './read-table.ts'

const STATEMENT_KEYS = keySet('node', 'named_param_map')

/** A statement, also that of a subquery: its node and the numbers of its parameters, which the nodes repeat. */
export function readStatementNode(context: ReadContext, raw: Raw): Query {
  context.checkKeys(raw, STATEMENT_KEYS, 'statement')
  return readQuery(context, context.object(raw['node'], 'node'))
}

const SELECT_KEYS = keySet(
  'type',
  'modifiers',
  'cte_map',
  'select_list',
  'from_table',
  'where_clause',
  'group_expressions',
  'group_sets',
  'aggregate_handling',
  'having',
  'sample',
  'qualify',
)
const SET_OPERATION_KEYS = keySet(
  'type',
  'modifiers',
  'cte_map',
  'setop_type',
  'left',
  'right',
  'setop_all',
  'children',
)
const RECURSIVE_KEYS = keySet(
  'type',
  'modifiers',
  'cte_map',
  'cte_name',
  'union_all',
  'left',
  'right',
  'aliases',
  'key_targets',
)

export function readQuery(context: ReadContext, raw: Raw): Query {
  const type = context.string(raw, 'type')
  if (type === 'SELECT_NODE') return readSelect(context, raw)
  if (type === 'SET_OPERATION_NODE') return readSetOperation(context, raw)
  return context.unknown(`query node ${type}`)
}

const query = (context: ReadContext, raw: Raw, key: string): Query =>
  readQuery(context, context.object(raw[key], key))

function readSelect(context: ReadContext, raw: Raw): Select {
  context.checkKeys(raw, SELECT_KEYS, 'SELECT_NODE')
  const { distinct, orderBy, limit } = readModifiers(context, raw)
  return {
    kind: 'select',
    ctes: readCtes(context, raw),
    distinct,
    items: context.objects(raw, 'select_list').map((item) => context.item(item)),
    from: readFrom(context, raw['from_table']),
    where: context.optional(raw['where_clause']),
    groupBy: readGroupBy(context, raw),
    having: context.optional(raw['having']),
    qualify: context.optional(raw['qualify']),
    sample: readSample(context, raw['sample']),
    orderBy,
    limit,
  }
}

type Operation = Pick<SetOperation, 'operator' | 'byName'>
const OPERATIONS: ReadonlyMap<string, Operation> = new Map([
  ['UNION', { operator: 'union', byName: false }],
  ['UNION_BY_NAME', { operator: 'union', byName: true }],
  ['EXCEPT', { operator: 'except', byName: false }],
  ['INTERSECT', { operator: 'intersect', byName: false }],
])

function readSetOperation(context: ReadContext, raw: Raw): SetOperation {
  context.checkKeys(raw, SET_OPERATION_KEYS, 'SET_OPERATION_NODE')
  if (raw['children'] !== undefined && context.list(raw, 'children').length > 0) {
    context.unknown('a set operation of more than two queries')
  }
  const { distinct, orderBy, limit } = readModifiers(context, raw)
  if (distinct !== undefined) context.unknown('DISTINCT of a set operation')
  return {
    kind: 'setOperation',
    ctes: readCtes(context, raw),
    ...context.oneOf(raw, 'setop_type', OPERATIONS),
    all: context.boolean(raw, 'setop_all'),
    left: query(context, raw, 'left'),
    right: query(context, raw, 'right'),
    orderBy,
    limit,
  }
}

const LIMIT_KEYS = keySet('type', 'limit', 'offset')
const DISTINCT_KEYS = keySet('type', 'distinct_on_targets')

interface Modifiers {
  readonly distinct?: Distinct | undefined
  readonly orderBy: readonly OrderItem[]
  readonly limit?: Limit | undefined
}

/** DISTINCT, ORDER BY and LIMIT, each at most once and in this order: any other list means something else. */
function readModifiers(context: ReadContext, raw: Raw): Modifiers {
  const modifiers = [...context.objects(raw, 'modifiers')]
  const next = (...types: readonly string[]): Raw | undefined =>
    types.includes(String(modifiers[0]?.['type'])) ? modifiers.shift() : undefined
  const distinct = next('DISTINCT_MODIFIER')
  const order = next('ORDER_MODIFIER')
  const limit = next('LIMIT_MODIFIER', 'LIMIT_PERCENT_MODIFIER')
  if (modifiers.length > 0) context.unknown(`modifier ${String(modifiers[0]?.['type'])}`)
  return {
    distinct: distinct && readDistinct(context, distinct),
    orderBy: order === undefined ? [] : readOrderModifier(context, order),
    limit: limit && readLimit(context, limit),
  }
}

function readDistinct(context: ReadContext, raw: Raw): Distinct {
  context.checkKeys(raw, DISTINCT_KEYS, 'distinct')
  return { on: context.expressions(raw, 'distinct_on_targets') }
}

function readLimit(context: ReadContext, raw: Raw): Limit {
  context.checkKeys(raw, LIMIT_KEYS, 'limit')
  return {
    count: context.optional(raw['limit']),
    offset: context.optional(raw['offset']),
    percent: raw['type'] === 'LIMIT_PERCENT_MODIFIER',
  }
}

const HANDLING: ReadonlyMap<string, boolean> = new Map([
  ['STANDARD_HANDLING', false],
  ['FORCE_AGGREGATES', true],
])

function readGroupBy(context: ReadContext, raw: Raw): GroupBy | undefined {
  const all = context.oneOf(raw, 'aggregate_handling', HANDLING)
  const expressions = context.expressions(raw, 'group_expressions')
  const sets = context.list(raw, 'group_sets').map((set) => {
    const isIndexes = Array.isArray(set) && set.every((i) => Number.isInteger(i))
    return isIndexes ? (set as readonly number[]) : context.unknown('a grouping set')
  })
  if (all && sets.length > 0) context.unknown('GROUP BY ALL with grouping sets')
  return all || sets.length > 0 ? { all, ...inOrderOfSets(expressions, sets) } : undefined
}

/**
 * Expressions numbered by their first use in a set. The parser numbers ROLLUP (a), CUBE (b) by the text
 * and GROUPING SETS by use; with one numbering for both, equal groupings have equal trees.
 */
function inOrderOfSets(
  expressions: readonly Expression[],
  sets: readonly (readonly number[])[],
): Pick<GroupBy, 'expressions' | 'sets'> {
  const order = [...new Set([...sets.flat(), ...expressions.keys()])]
  const numbers = new Map(order.map((old, i) => [old, i]))
  return {
    expressions: order.flatMap((old) => expressions[old] ?? []),
    sets: sets.map((set) => set.map((old) => numbers.get(old) ?? old).toSorted((a, b) => a - b)),
  }
}

const MAP_KEYS = keySet('map')
const CTE_ENTRY_KEYS = keySet('key', 'value')
const CTE_KEYS = keySet('aliases', 'query', 'materialized', 'key_targets')

function readCtes(context: ReadContext, raw: Raw): readonly Cte[] {
  const map = context.object(raw['cte_map'], 'cte_map')
  context.checkKeys(map, MAP_KEYS, 'cte_map')
  return context.objects(map, 'map').map((entry) => {
    context.checkKeys(entry, CTE_ENTRY_KEYS, 'cte')
    return readCte(context, context.string(entry, 'key'), context.object(entry['value'], 'cte'))
  })
}

function readCte(context: ReadContext, name: string, raw: Raw): Cte {
  context.checkKeys(raw, CTE_KEYS, 'cte')
  // The parser drops MATERIALIZED, which only advises; another value would be a new meaning.
  if (raw['materialized'] !== 'CTE_MATERIALIZE_DEFAULT') context.unknown('MATERIALIZED')
  const statement = context.object(raw['query'], 'query')
  context.checkKeys(statement, STATEMENT_KEYS, 'statement')
  const node = context.object(statement['node'], 'node')
  const columns = context.strings(raw, 'aliases')
  const isRecursive = node['type'] === 'RECURSIVE_CTE_NODE'
  return {
    name,
    columns,
    query: isRecursive ? readRecursive(context, node, name) : readQuery(context, node),
    key: context.objects(raw, 'key_targets').map((target) => context.expression(target)),
  }
}

function readRecursive(context: ReadContext, raw: Raw, name: string): RecursiveQuery {
  context.checkKeys(raw, RECURSIVE_KEYS, 'RECURSIVE_CTE_NODE')
  const { distinct, orderBy, limit } = readModifiers(context, raw)
  if (distinct !== undefined || orderBy.length > 0 || limit !== undefined) {
    context.unknown('ORDER BY or LIMIT of a recursive WITH')
  }
  if (readCtes(context, raw).length > 0) context.unknown('WITH inside a recursive WITH')
  if (raw['cte_name'] !== name) context.unknown('name of a recursive WITH')
  return {
    kind: 'recursive',
    all: context.boolean(raw, 'union_all'),
    left: query(context, raw, 'left'),
    right: query(context, raw, 'right'),
  }
}
