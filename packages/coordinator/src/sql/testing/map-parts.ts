import { unreachable } from '@nyala/client/base'
import type {
  Case,
  Cte,
  Expression,
  FrameBound,
  Limit,
  OrderItem,
  Pivot,
  Query,
  RecursiveQuery,
  Select,
  SelectItem,
  SetOperation,
  Star,
  TableRef,
  WindowCall,
} from '../ir.ts'

/** What to do with the direct parts of a node. */
export interface PartMapper {
  readonly expression: (expression: Expression) => Expression
  readonly query: (query: Query) => Query
  readonly table: (table: TableRef) => TableRef
}

/** The list itself when no element changed, so that untouched trees are shared. */
export function mapList<T>(list: readonly T[], f: (item: T) => T): readonly T[] {
  let isChanged = false
  const mapped = list.map((item) => {
    const next = f(item)
    isChanged ||= next !== item
    return next
  })
  return isChanged ? mapped : list
}

/** The node itself when no field changed. */
function withFields<T extends object>(node: T, fields: Partial<T>): T {
  const keys = Object.keys(fields) as (keyof T)[]
  return keys.every((key) => fields[key] === node[key]) ? node : { ...node, ...fields }
}

const maybe = <T>(value: T | undefined, f: (value: T) => T): T | undefined =>
  value === undefined ? undefined : f(value)

const mapOrder = (items: readonly OrderItem[], m: PartMapper): readonly OrderItem[] =>
  mapList(items, (item) => withFields(item, { expression: m.expression(item.expression) }))

const mapItems = (items: readonly SelectItem[], m: PartMapper): readonly SelectItem[] =>
  mapList(items, (item) => withFields(item, { expression: m.expression(item.expression) }))

type PartsOf<E extends Expression> = (e: E, m: PartMapper) => Expression

type WithOperand = Extract<
  Expression,
  { readonly kind: 'cast' | 'not' | 'isNull' | 'isTruth' | 'collate' | 'field' | 'try' | 'unpack' }
>

const leaf = (e: Expression): Expression => e
const list = (items: readonly Expression[], m: PartMapper): readonly Expression[] =>
  mapList(items, m.expression)
const operand = (e: WithOperand, m: PartMapper): Expression =>
  withFields(e, { operand: m.expression(e.operand) })

/** One mapper a kind; a new kind does not compile without one. */
const MAPPERS: {
  readonly [K in Expression['kind']]: PartsOf<Extract<Expression, { readonly kind: K }>>
} = {
  column: leaf,
  constant: leaf,
  parameter: leaf,
  positional: leaf,
  cast: operand,
  not: operand,
  isNull: operand,
  isTruth: operand,
  collate: operand,
  field: operand,
  try: operand,
  unpack: operand,
  function: (e, m) =>
    withFields(e, {
      args: list(e.args, m),
      filter: maybe(e.filter, m.expression),
      orderBy: mapOrder(e.orderBy, m),
    }),
  window: mapWindow,
  comparison: (e, m) => withFields(e, { left: m.expression(e.left), right: m.expression(e.right) }),
  conjunction: (e, m) => withFields(e, { operands: list(e.operands, m) }),
  coalesce: (e, m) => withFields(e, { args: list(e.args, m) }),
  grouping: (e, m) => withFields(e, { args: list(e.args, m) }),
  array: (e, m) => withFields(e, { elements: list(e.elements, m) }),
  between: (e, m) =>
    withFields(e, {
      operand: m.expression(e.operand),
      lower: m.expression(e.lower),
      upper: m.expression(e.upper),
    }),
  in: (e, m) => withFields(e, { operand: m.expression(e.operand), list: list(e.list, m) }),
  case: mapCase,
  interval: (e, m) => withFields(e, { value: m.expression(e.value) }),
  scalarSubquery: (e, m) => withFields(e, { query: m.query(e.query) }),
  exists: (e, m) => withFields(e, { query: m.query(e.query) }),
  anySubquery: (e, m) =>
    withFields(e, { operand: m.expression(e.operand), query: m.query(e.query) }),
  star: mapStar,
  lambda: (e, m) => withFields(e, { body: m.expression(e.body) }),
  subscript: (e, m) =>
    withFields(e, { operand: m.expression(e.operand), index: m.expression(e.index) }),
  slice: (e, m) =>
    withFields(e, {
      operand: m.expression(e.operand),
      lower: maybe(e.lower, m.expression),
      upper: maybe(e.upper, m.expression),
      step: maybe(e.step, m.expression),
    }),
}

/** The expression with its direct parts mapped: operands, arguments, and the query of a subquery. */
export function mapExpressionParts(e: Expression, m: PartMapper): Expression {
  // The table gives each kind its own mapper, which the type of a lookup cannot say.
  const map = MAPPERS[e.kind] as PartsOf<Expression>
  return map(e, m)
}

function mapCase(e: Case, m: PartMapper): Case {
  const branches = mapList(e.branches, (branch) =>
    withFields(branch, { when: m.expression(branch.when), then: m.expression(branch.then) }),
  )
  return withFields(e, { branches, else: m.expression(e.else) })
}

function mapWindow(e: WindowCall, m: PartMapper): WindowCall {
  const bound = (b: FrameBound): FrameBound =>
    b.kind === 'preceding' || b.kind === 'following'
      ? withFields(b, { offset: m.expression(b.offset) })
      : b
  return withFields(e, {
    args: mapList(e.args, m.expression),
    filter: maybe(e.filter, m.expression),
    argOrderBy: mapOrder(e.argOrderBy, m),
    partitionBy: mapList(e.partitionBy, m.expression),
    orderBy: mapOrder(e.orderBy, m),
    frame: maybe(e.frame, (f) => withFields(f, { start: bound(f.start), end: bound(f.end) })),
  })
}

function mapStar(e: Star, m: PartMapper): Star {
  const replace = mapList(e.replace, (r) =>
    withFields(r, { expression: m.expression(r.expression) }),
  )
  return withFields(e, { replace, pattern: maybe(e.pattern, m.expression) })
}

const mapLimit = (limit: Limit, m: PartMapper): Limit =>
  withFields(limit, {
    count: maybe(limit.count, m.expression),
    offset: maybe(limit.offset, m.expression),
  })

/** The query with its direct parts mapped: WITH queries, operands, FROM, and all expressions. */
export function mapQueryParts(query: Query, m: PartMapper): Query {
  return query.kind === 'select' ? mapSelect(query, m) : mapSetOperation(query, m)
}

function mapSelect(query: Select, m: PartMapper): Select {
  return withFields(query, {
    ctes: mapCtes(query.ctes, m),
    distinct: maybe(query.distinct, (d) => withFields(d, { on: mapList(d.on, m.expression) })),
    items: mapItems(query.items, m),
    from: maybe(query.from, m.table),
    where: maybe(query.where, m.expression),
    groupBy: maybe(query.groupBy, (g) =>
      withFields(g, { expressions: mapList(g.expressions, m.expression) }),
    ),
    having: maybe(query.having, m.expression),
    qualify: maybe(query.qualify, m.expression),
    orderBy: mapOrder(query.orderBy, m),
    limit: maybe(query.limit, (limit) => mapLimit(limit, m)),
  })
}

const mapSetOperation = (query: SetOperation, m: PartMapper): SetOperation =>
  withFields(query, {
    ctes: mapCtes(query.ctes, m),
    left: m.query(query.left),
    right: m.query(query.right),
    orderBy: mapOrder(query.orderBy, m),
    limit: maybe(query.limit, (limit) => mapLimit(limit, m)),
  })

const mapCtes = (ctes: readonly Cte[], m: PartMapper): readonly Cte[] =>
  mapList(ctes, (cte) =>
    withFields(cte, {
      query: cte.query.kind === 'recursive' ? mapRecursive(cte.query, m) : m.query(cte.query),
      key: mapList(cte.key, m.expression),
    }),
  )

const mapRecursive = (query: RecursiveQuery, m: PartMapper): RecursiveQuery =>
  withFields(query, { left: m.query(query.left), right: m.query(query.right) })

/** The table reference with its direct parts mapped. */
export function mapTableParts(table: TableRef, m: PartMapper): TableRef {
  switch (table.kind) {
    case 'table':
      return withFields(table, {
        asOf: maybe(table.asOf, (a) => withFields(a, { value: m.expression(a.value) })),
      })
    case 'subquery':
      return withFields(table, { query: m.query(table.query) })
    case 'join':
      return withFields(table, {
        left: m.table(table.left),
        right: m.table(table.right),
        condition: maybe(table.condition, m.expression),
      })
    case 'tableFunction': {
      // Only its parts: the call itself is not an expression that could become another one.
      const call = mapExpressionParts(table.call, m)
      return call.kind === 'function' ? withFields(table, { call }) : table
    }
    case 'values':
      return withFields(table, { rows: mapList(table.rows, (row) => mapList(row, m.expression)) })
    case 'pivot':
      return mapPivot(table, m)
    default:
      return unreachable(table)
  }
}

const mapPivot = (pivot: Pivot, m: PartMapper): Pivot =>
  withFields(pivot, {
    source: m.table(pivot.source),
    aggregates: mapItems(pivot.aggregates, m),
    columns: mapList(pivot.columns, (column) =>
      withFields(column, {
        expressions: mapList(column.expressions, m.expression),
        entries: mapList(column.entries, (entry) =>
          withFields(entry, { star: maybe(entry.star, m.expression) }),
        ),
      }),
    ),
  })
