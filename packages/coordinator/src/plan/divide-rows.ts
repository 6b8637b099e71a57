import { assert } from '@nyala/client/base'
import { foldName } from '@nyala/metastore'
import { equalIr } from '../sql/ir/equal.ts'
import type { Constant, Expression, OrderItem, Query, Select, SelectItem } from '../sql/ir.ts'
import { hasStar, usesAlias } from './query-shape.ts'
import { keyName, part, type Division, type DivideContext } from './division.ts'

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

export function divideDistinct(
  select: Select,
  scan: number,
  context: DivideContext,
): Division | string {
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

export function divideTopN(
  select: Select,
  scan: number,
  context: DivideContext,
): Division | string {
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
  const same = select.items.findIndex((i) => equalIr(i.expression, expression))
  assert(same < select.items.length, 'findIndex stays within the list')
  return same < 0 ? undefined : same
}
