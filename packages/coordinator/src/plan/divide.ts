import { assert } from '@nyala/client/base'
import type { Column } from '@nyala/client/protocol'
import { foldName } from '@nyala/metastore'
import { isAggregate, isUnrepeatable, type KernelFunctions } from '../bind/functions.ts'
import { mapTree, sameTree, someNode, visitTree } from '../bind/tree.ts'
import type {
  BaseTable,
  ColumnRef,
  Constant,
  Expression,
  FunctionCall,
  OrderItem,
  Query,
  Select,
  SelectItem,
  TableRef,
} from '../sql/ir.ts'
import { mergeAggregate } from './merge-aggregate.ts'

/**
 * Cutting a query in two: a partial query that each task runs over a part of one table's files, and a final query over
 * the rows of all partial ones. Sound because each rule below takes only queries Q for which
 *
 *     Q(T₁ ∪ … ∪ Tₙ, R…) = final(partial(T₁, R…) ∪ all … ∪ all partial(Tₙ, R…))
 *
 * where T is the divided table and R are all others, read whole by every task. Whatever is not recognised is left
 * alone, and runs as one fragment.
 */
export interface Division {
  readonly rule: 'aggregate' | 'distinct' | 'topN' | 'rows'
  /** The scan whose files are divided. */
  readonly scan: number
  readonly partial: Query
  /** The query over the exchange; absent where the partial rows are the result. `types` are those of its columns. */
  readonly final?: ((exchange: BaseTable) => Query) | undefined
}

/** The name of the exchange in a final query. */
export const EXCHANGE_ALIAS = 'parts'

export interface DivideContext {
  /** Columns of the result, as the user sees them. */
  readonly columns: readonly Column[]
  /** Names of the columns of a scan; empty where the number is not known. */
  scanColumns(scan: number): readonly string[]
  /** Bytes of a scan's files. */
  scanBytes(scan: number): number
  readonly functions: KernelFunctions
}

/** The division of a query, or the reason why there is none. */
export function divide(query: Query, context: DivideContext): Division | string {
  if (query.kind !== 'select') return 'set operations run as one fragment'
  if (isUnrepeatable(query, context.functions))
    return 'it calls a function whose value differs between tasks'
  if (someNode(query, (n) => (n as { sample?: unknown }).sample !== undefined))
    return 'it takes a sample, which would differ between tasks'
  if (query.from === undefined) return 'it reads no table'
  if (query.limit?.percent === true) return 'LIMIT in per cent needs all rows'
  const candidates = dividableScans(query.from, context.functions)
  const scan = candidates.toSorted((a, b) => context.scanBytes(b) - context.scanBytes(a))[0]
  if (scan === undefined) return 'no table of it can be read in parts'
  const select = canonical(query, context)
  if (usesAlias([query.having, query.qualify], query))
    return 'a name that is an alias and may be a column'
  const aggregated = select.groupBy !== undefined || hasAggregate(select, context.functions)
  if (aggregated) return divideAggregate(select, scan, context)
  if (select.qualify !== undefined || hasWindow(select)) return 'window functions need all rows'
  if (select.having !== undefined) return 'HAVING without aggregates'
  if (select.distinct !== undefined) return divideDistinct(select, scan, context)
  if (select.orderBy.length > 0 || select.limit !== undefined)
    return divideTopN(select, scan, context)
  // As it was written: the rows go to the user, names and all.
  return { rule: 'rows', scan, partial: query }
}

/** Scans that a row-wise FROM may be divided by: the query distributes over the union of their parts. */
export function dividableScans(from: TableRef, functions: KernelFunctions): readonly number[] {
  switch (from.kind) {
    case 'table': {
      const id = scanId(from)
      return id === undefined || from.sample !== undefined ? [] : [id]
    }
    case 'join': {
      if (from.form === 'positional' || from.form === 'asof' || from.sample !== undefined) return []
      const left = dividableScans(from.left, functions)
      const right = dividableScans(from.right, functions)
      switch (from.type) {
        case 'inner':
          return [...left, ...right]
        case 'left':
        case 'semi':
        case 'anti':
          return left
        case 'right':
          return right
        case 'full':
          return []
      }
    }
    case 'subquery':
      return from.sample === undefined ? rowWiseScans(from.query, functions) : []
    case 'tableFunction':
    case 'values':
    case 'pivot':
      return []
  }
}

/** Scans of a subquery that makes its rows one by one: filters and projections only. */
function rowWiseScans(query: Query, functions: KernelFunctions): readonly number[] {
  const isRowWise =
    query.kind === 'select' &&
    query.ctes.length === 0 &&
    query.distinct === undefined &&
    query.groupBy === undefined &&
    query.having === undefined &&
    query.qualify === undefined &&
    query.sample === undefined &&
    query.limit === undefined &&
    query.orderBy.length === 0 &&
    !hasWindow(query) &&
    !hasAggregate(query, functions)
  return isRowWise && query.from !== undefined ? dividableScans(query.from, functions) : []
}

export function scanId(ref: BaseTable): number | undefined {
  const match = /^\u0000scan (\d+)\u0000$/.exec(ref.table)
  return match === null ? undefined : Number(match[1])
}

/** Calls `visit` for the parts of a select's own level: not for what stands inside subqueries. */
function visitLevel(tree: unknown, visit: (node: { readonly kind: string }) => void): void {
  visitTree(tree, (node) => {
    if (node.kind === 'select' || node.kind === 'setOperation') return false
    visit(node)
    return undefined
  })
}

function hasAggregate(select: Select, functions: KernelFunctions): boolean {
  let found = false
  visitLevel([select.items, select.having, select.orderBy], (node) => {
    found ||=
      node.kind === 'grouping' ||
      (node.kind === 'function' && isAggregate(node as FunctionCall, functions))
  })
  return found
}

function hasWindow(select: Select): boolean {
  let found = false
  visitLevel([select.items, select.orderBy], (node) => {
    found ||= node.kind === 'window'
  })
  return found
}

const hasSubquery = (tree: unknown): boolean =>
  someNode(
    tree,
    (n) => n.kind === 'scalarSubquery' || n.kind === 'exists' || n.kind === 'anySubquery',
  )

const hasStar = (tree: unknown): boolean =>
  someNode(tree, (n) => n.kind === 'star' || n.kind === 'unpack')

/**
 * The select with column names of its own level in one form, `alias.column`, wherever all tables of FROM are scans and
 * the name belongs to exactly one of them: so that `l_tax` and `lineitem.l_tax` are seen to be the same.
 */
function canonical(select: Select, context: DivideContext): Select {
  const leaves = select.from === undefined ? [] : leafTables(select.from)
  if (leaves === undefined) return select
  const owners = new Map<string, string[]>()
  const spelt = new Map<string, string>()
  for (const leaf of leaves) {
    if (leaf.columnAliases.length > 0) return select
    for (const name of context.scanColumns(scanId(leaf) ?? -1)) {
      const alias = leaf.alias ?? leaf.table
      owners.set(foldName(name), [...(owners.get(foldName(name)) ?? []), alias])
      spelt.set(`${foldName(alias)}.${foldName(name)}`, name)
    }
  }
  const qualify = (ref: ColumnRef): ColumnRef | undefined => {
    const [first = '', second = ''] = ref.path
    const found = owners.get(foldName(first))
    const alias = leaves.find((l) => foldName(l.alias ?? '') === foldName(first))?.alias
    if (ref.path.length > 1 && alias !== undefined) {
      const column = spelt.get(`${foldName(alias)}.${foldName(second)}`)
      return column === undefined
        ? undefined
        : { kind: 'column', path: [alias, column, ...ref.path.slice(2)] }
    }
    const owner = found?.length === 1 ? found[0] : undefined
    if (owner === undefined) return undefined
    return {
      kind: 'column',
      path: [
        owner,
        spelt.get(`${foldName(owner)}.${foldName(first)}`) ?? first,
        ...ref.path.slice(1),
      ],
    }
  }
  const change = <T>(tree: T): T =>
    mapTree(tree, (node) => {
      if (node.kind === 'select' || node.kind === 'setOperation') return node
      // Its parameters hide columns of the same names.
      if (node.kind === 'lambda') return node
      return node.kind === 'column' ? qualify(node as ColumnRef) : undefined
    })
  const { groupBy, having } = select
  return {
    ...select,
    items: select.items.map((item) => ({ ...item, expression: change(item.expression) })),
    ...(groupBy === undefined
      ? {}
      : { groupBy: { ...groupBy, expressions: change(groupBy.expressions) } }),
    ...(having === undefined ? {} : { having: change(having) }),
  }
}

/**
 * True when `tree` has an unqualified name that is also the alias of another expression of the select list: which of
 * the two is meant depends on the clause, so such a query is left to the kernel.
 */
function usesAlias(tree: unknown, select: Select): boolean {
  const aliases = new Map<string, Expression>()
  for (const item of select.items) {
    if (item.alias !== undefined) aliases.set(foldName(item.alias), item.expression)
  }
  return someNode(tree, (node) => {
    if (node.kind !== 'column') return false
    const { path } = node as ColumnRef
    const expression = aliases.get(foldName(path[0] ?? ''))
    if (expression === undefined) return false
    const isSame =
      expression.kind === 'column' &&
      foldName(expression.path.at(-1) ?? '') === foldName(path[0] ?? '')
    return !isSame
  })
}

/** The scans of a FROM that is made of scans and joins alone. */
function leafTables(from: TableRef): readonly BaseTable[] | undefined {
  if (from.kind === 'table') return scanId(from) === undefined ? undefined : [from]
  // Columns of USING and NATURAL belong to both sides.
  if (from.kind !== 'join' || from.using.length > 0 || from.form === 'natural') return undefined
  const left = leafTables(from.left)
  const right = leafTables(from.right)
  return left === undefined || right === undefined ? undefined : [...left, ...right]
}

// ---------------------------------------------------------------------------------------------
// Aggregation: partial groups by task, merged by key.

function divideAggregate(select: Select, scan: number, context: DivideContext): Division | string {
  if (hasStar(select.items)) return 'a star beside aggregates'
  if (select.items.length !== context.columns.length) return 'items that are more than one column'
  const keys = groupKeys(select, context)
  if (typeof keys === 'string') return keys
  if (hasSubquery([select.items, select.having, select.orderBy, select.qualify])) {
    return 'a subquery beside aggregates'
  }
  const calls: FunctionCall[] = []
  const merge = new AggregateRewrite(keys, calls, context.functions)
  const names = context.columns.map((c) => c.name)
  const items = select.items.map((item, i): SelectItem => ({
    expression: merge.rewrite(item.expression),
    alias: names[i],
  }))
  const having = select.having === undefined ? undefined : merge.rewrite(select.having)
  const qualify = select.qualify === undefined ? undefined : merge.rewrite(select.qualify)
  const orderBy = merge.rewriteOrder(select, names)
  if (merge.refusal !== undefined) return merge.refusal
  const partialItems = [
    ...keys.map((expression, i): SelectItem => ({ expression, alias: keyName(i) })),
    ...merge.partials.map((expression, i): SelectItem => ({ expression, alias: valueName(i) })),
  ]
  const partial: Query = {
    ...levelOf(select),
    items: partialItems,
    ...(keys.length === 0
      ? {}
      : { groupBy: { all: false, expressions: keys, sets: [keys.map((_, i) => i)] } }),
  }
  return {
    rule: 'aggregate',
    scan,
    partial,
    final: (exchange) => ({
      kind: 'select',
      ctes: [],
      items,
      from: exchange,
      ...(select.distinct === undefined ? {} : { distinct: select.distinct }),
      ...(keys.length === 0
        ? {}
        : {
            groupBy: {
              all: false,
              expressions: keys.map((_, i) => part(keyName(i))),
              sets: [keys.map((_, i) => i)],
            },
          }),
      ...(having === undefined ? {} : { having }),
      ...(qualify === undefined ? {} : { qualify }),
      orderBy,
      ...(select.limit === undefined ? {} : { limit: select.limit }),
    }),
  }
}

/** FROM, WHERE and WITH of a select, without what comes after grouping. */
const levelOf = (select: Select): Pick<Select, 'kind' | 'ctes' | 'from' | 'where' | 'orderBy'> => ({
  kind: 'select',
  ctes: select.ctes,
  orderBy: [],
  ...(select.from === undefined ? {} : { from: select.from }),
  ...(select.where === undefined ? {} : { where: select.where }),
})

/** The expressions that are grouped by, with ordinals, aliases and GROUP BY ALL spelt out. */
function groupKeys(select: Select, context: DivideContext): readonly Expression[] | string {
  const { groupBy } = select
  if (groupBy === undefined) return []
  if (groupBy.all) {
    const isAggregated = (e: Expression): boolean =>
      someNode(e, (n) => n.kind === 'function' && isAggregate(n as FunctionCall, context.functions))
    const all = select.items.map((item) => item.expression).filter((e) => !isAggregated(e))
    // The kernel does not group by these, so that without rows there is one group or none.
    const isConstant = (e: Expression): boolean => !someNode(e, (n) => n.kind === 'column')
    return all.some(isConstant) ? 'GROUP BY ALL over a constant' : all
  }
  const all = groupBy.expressions.map((_, i) => i)
  if (groupBy.sets.length !== 1 || !sameTree(groupBy.sets[0], all))
    return 'grouping sets need all rows'
  const keys: Expression[] = []
  for (const expression of groupBy.expressions) {
    const key = groupKey(expression, select)
    if (typeof key === 'string') return key
    keys.push(key)
  }
  if (hasSubquery(keys)) return 'a subquery in GROUP BY'
  return keys
}

function groupKey(expression: Expression, select: Select): Expression | string {
  if (expression.kind === 'constant') {
    const ordinal = Number(expression.value)
    const item = Number.isInteger(ordinal) ? select.items[ordinal - 1] : undefined
    return item?.expression ?? 'GROUP BY a constant'
  }
  if (expression.kind !== 'column') return expression
  const [name = ''] = expression.path
  const item =
    expression.path.length > 1
      ? undefined
      : select.items.find((i) => i.alias !== undefined && foldName(i.alias) === foldName(name))
  // A name that is left unqualified is no column of a scan, or of more than one; where it is an alias too, the kernel
  // would decide, and so it shall.
  if (item === undefined || sameTree(item.expression, expression)) return expression
  const leaves = select.from === undefined ? undefined : leafTables(select.from)
  return leaves === undefined ? 'GROUP BY a name that may be an alias' : item.expression
}

const keyName = (i: number): string => `key_${i}`
const valueName = (i: number): string => `value_${i}`

/**
 * A column of the exchange. It is named with its table, as an alias of the user's may be spelt like it, and in ORDER BY
 * and HAVING an alias comes before a column.
 */
const part = (name: string): ColumnRef => ({ kind: 'column', path: [EXCHANGE_ALIAS, name] })

/** Rewrites expressions above an aggregation to ones over the columns of the exchange. */
class AggregateRewrite {
  readonly partials: Expression[] = []
  refusal: string | undefined
  readonly #keys: readonly Expression[]
  readonly #seen: FunctionCall[]
  readonly #merged: Expression[] = []
  readonly #functions: KernelFunctions

  constructor(keys: readonly Expression[], seen: FunctionCall[], functions: KernelFunctions) {
    this.#keys = keys
    this.#seen = seen
    this.#functions = functions
  }

  rewrite<T>(tree: T): T {
    const out = mapTree(tree, (node) => {
      const key = this.#keys.findIndex((k) => sameTree(k, node))
      if (key >= 0) return part(keyName(key))
      if (node.kind === 'function' && isAggregate(node as FunctionCall, this.#functions)) {
        return this.#merge(node as FunctionCall)
      }
      if (node.kind === 'grouping') this.refusal ??= 'GROUPING needs grouping sets'
      if (node.kind === 'lambda') {
        this.refusal ??= 'a lambda beside aggregates'
        return node
      }
      if (node.kind === 'column') {
        this.refusal ??= `column "${(node as ColumnRef).path.join('.')}" beside aggregates is not a group key as written`
      }
      return undefined
    })
    return out
  }

  /** ORDER BY may name output columns, by name or number; those stay as they are. */
  rewriteOrder(select: Select, names: readonly string[]): readonly OrderItem[] {
    return select.orderBy.map((item) => {
      const { expression } = item
      if (expression.kind === 'star') this.refusal ??= 'ORDER BY ALL'
      if (expression.kind === 'constant') return item
      if (expression.kind === 'column' && expression.path.length === 1) {
        const [name = ''] = expression.path
        const found = names.findIndex((n) => foldName(n) === foldName(name))
        if (found >= 0) return { ...item, expression: ordinal(found) }
      }
      // The same expression as an item's: by number, as names of the exchange mean nothing to the user's order.
      const same = select.items.findIndex((i) => sameTree(i.expression, expression))
      if (same >= 0) return { ...item, expression: ordinal(same) }
      const short = expression.kind === 'column' ? this.#keyByColumn(expression) : undefined
      return { ...item, expression: short ?? this.rewrite(expression) }
    })
  }

  /** ORDER BY was not made canonical, as its names may be aliases; a column that is a key under its short name is it. */
  #keyByColumn(ref: ColumnRef): Expression | undefined {
    const last = foldName(ref.path.at(-1) ?? '')
    const found = this.#keys.findIndex(
      (k) =>
        k.kind === 'column' &&
        k.path.length === 2 &&
        foldName(k.path[1] ?? '') === last &&
        (ref.path.length === 1 || foldName(ref.path[0] ?? '') === foldName(k.path[0] ?? '')),
    )
    return found < 0 ? undefined : part(keyName(found))
  }

  #merge(call: FunctionCall): Expression {
    const known = this.#seen.findIndex((c) => sameTree(c, call))
    const before = this.#merged[known]
    if (before !== undefined) return before
    const merge = mergeAggregate(call)
    if (typeof merge === 'string') {
      this.refusal ??= merge
      return call
    }
    const first = this.partials.length
    this.partials.push(...merge.partials)
    const merged = merge.final(merge.partials.map((_, i) => part(valueName(first + i))))
    this.#seen.push(call)
    this.#merged.push(merged)
    return merged
  }
}

const ordinal = (index: number): Constant => ({
  kind: 'constant',
  type: { kind: 'simple', name: 'INTEGER' },
  value: String(index + 1),
})

// ---------------------------------------------------------------------------------------------
// Rows: distinct, top-N.

/** The partial rows with columns named by number, whatever the query calls them. */
function numbered(query: Query, width: number): Query {
  return {
    kind: 'select',
    ctes: [],
    orderBy: [],
    items: [{ expression: star() }],
    from: {
      kind: 'subquery',
      query,
      alias: 'part',
      columnAliases: Array.from({ length: width }, (_, i) => keyName(i)),
    },
  }
}

const star = (): Expression => ({
  kind: 'star',
  exclude: [],
  replace: [],
  rename: [],
  columns: false,
})

function divideDistinct(select: Select, scan: number, context: DivideContext): Division | string {
  if (select.distinct === undefined || select.distinct.on.length > 0)
    return 'DISTINCT ON needs all rows'
  const order = outputOrder(select, context)
  if (order === undefined) return 'DISTINCT ordered by what is not in its output'
  const { limit: _limit, ...rest } = select
  return {
    rule: 'distinct',
    scan,
    partial: numbered({ ...rest, orderBy: [] }, context.columns.length),
    final: (exchange) => ({
      kind: 'select',
      ctes: [],
      distinct: { on: [] },
      items: outputs(context),
      from: exchange,
      orderBy: order,
      ...(select.limit === undefined ? {} : { limit: select.limit }),
    }),
  }
}

function divideTopN(select: Select, scan: number, context: DivideContext): Division | string {
  const rows = limitRows(select)
  if (select.limit === undefined) return 'ORDER BY without LIMIT runs as one fragment'
  if (rows === undefined) return 'a LIMIT that is not a number'
  if (select.orderBy.length === 0) return 'LIMIT without ORDER BY stops early by itself'
  const hidden: SelectItem[] = []
  const width = context.columns.length
  const order: OrderItem[] = []
  for (const item of select.orderBy) {
    const known = outputIndex(select, item.expression, context)
    if (known === undefined) {
      if (item.expression.kind === 'star' || item.expression.kind === 'constant')
        return 'ORDER BY ALL'
      if (usesAlias(item.expression, select)) return 'an ORDER BY expression over an alias'
      // Without an alias, which another ORDER BY item could be taken for.
      hidden.push({ expression: item.expression })
    }
    order.push({ ...item, expression: part(keyName(known ?? width + hidden.length - 1)) })
  }
  const partial: Query = {
    ...select,
    items: [...select.items, ...hidden],
    limit: { count: bigint(rows), percent: false },
  }
  return {
    rule: 'topN',
    scan,
    partial: numbered(partial, width + hidden.length),
    final: (exchange) => ({
      kind: 'select',
      ctes: [],
      items: outputs(context),
      from: exchange,
      orderBy: order,
      ...(select.limit === undefined ? {} : { limit: select.limit }),
    }),
  }
}

const outputs = (context: DivideContext): readonly SelectItem[] =>
  context.columns.map((c, i) => ({ expression: part(keyName(i)), alias: c.name }))

/** Rows that a part may have to give: LIMIT plus OFFSET, where both are plain numbers. */
function limitRows(select: Select): number | undefined {
  const value = (expression: Expression | undefined): number | undefined => {
    if (expression === undefined) return 0
    const n =
      expression.kind === 'constant' && typeof expression.value === 'string'
        ? Number(expression.value)
        : NaN
    return Number.isSafeInteger(n) && n >= 0 ? n : undefined
  }
  if (select.limit?.count === undefined) return undefined
  const count = value(select.limit.count)
  const offset = value(select.limit.offset)
  return count === undefined || offset === undefined ? undefined : count + offset
}

const bigint = (value: number): Constant => ({
  kind: 'constant',
  type: { kind: 'simple', name: 'BIGINT' },
  value: String(value),
})

/** ORDER BY over output columns by their number in the exchange; undefined where one is not among them. */
function outputOrder(select: Select, context: DivideContext): readonly OrderItem[] | undefined {
  const order: OrderItem[] = []
  for (const item of select.orderBy) {
    const index = outputIndex(select, item.expression, context)
    if (index === undefined) return undefined
    order.push({ ...item, expression: part(keyName(index)) })
  }
  return order
}

/** Which output column an ORDER BY expression is: by number, by name, or by being the same expression. */
function outputIndex(
  select: Select,
  expression: Expression,
  context: DivideContext,
): number | undefined {
  if (expression.kind === 'constant') {
    const n = Number(expression.value)
    return Number.isInteger(n) && n >= 1 && n <= context.columns.length ? n - 1 : undefined
  }
  if (expression.kind === 'column' && expression.path.length === 1) {
    const name = foldName(expression.path[0] ?? '')
    const found = context.columns.flatMap((c, i) => (foldName(c.name) === name ? [i] : []))
    if (found.length === 1) return found[0]
  }
  // Positions of items are those of columns only where no item is a star.
  if (hasStar(select.items) || select.items.length !== context.columns.length) return undefined
  const same = select.items.findIndex((i) => sameTree(i.expression, expression))
  assert(same < select.items.length, 'findIndex stays within the list')
  return same < 0 ? undefined : same
}
