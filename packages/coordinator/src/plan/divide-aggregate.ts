import { foldName } from '@nyala/metastore'
import { mergeAggregate } from './merge-aggregate.ts'
import { isAggregate, type KernelFunctions } from '../bind/functions.ts'
import { equalIr } from '../sql/ir/equal.ts'
import { mapTree, someNode, visitTree } from '../sql/ir/tree.ts'
import type {
  ColumnRef,
  Constant,
  Expression,
  FunctionCall,
  OrderItem,
  Query,
  Select,
  SelectItem,
} from '../sql/ir.ts'
import { hasSubquery, hasStar, leafTables } from './query-shape.ts'
import { keyName, valueName, part, type Division, type DivideContext } from './division.ts'

/** Aggregation: partial groups by task, merged by key. */
export function divideAggregate(
  select: Select,
  scan: number,
  context: DivideContext,
): Division | string {
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

/** True when a column stands outside of any aggregate. */
function hasBareColumn(tree: unknown, functions: KernelFunctions): boolean {
  let found = false
  visitTree(tree, (node) => {
    found ||= node.kind === 'column'
    return node.kind !== 'function' || !isAggregate(node as FunctionCall, functions)
  })
  return found
}

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
    if (all.some(isConstant)) return 'GROUP BY ALL over a constant'
    // The kernel groups by such columns as well, whether or not they are in the select list.
    return hasBareColumn(select.having, context.functions)
      ? 'GROUP BY ALL with columns in HAVING'
      : all
  }
  const all = groupBy.expressions.map((_, i) => i)
  if (groupBy.sets.length !== 1 || !equalIr(groupBy.sets[0], all))
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
  if (item === undefined || equalIr(item.expression, expression)) return expression
  const leaves = select.from === undefined ? undefined : leafTables(select.from)
  return leaves === undefined ? 'GROUP BY a name that may be an alias' : item.expression
}

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
      const key = this.#keys.findIndex((k) => equalIr(k, node))
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
      const same = select.items.findIndex((i) => equalIr(i.expression, expression))
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
    const known = this.#seen.findIndex((c) => equalIr(c, call))
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
