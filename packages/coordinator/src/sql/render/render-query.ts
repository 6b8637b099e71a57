import { assert } from '@nyala/client/base'
import { quoteIdentifier } from '../escape.ts'
import type {
  Cte,
  Expression,
  GroupBy,
  Limit,
  Query,
  RecursiveQuery,
  Select,
  SetOperation,
  Values,
} from '../ir.ts'
import type { Layout } from './layout.ts'
import { renderOrderBy } from './render-function.ts'
import { groupByText } from './render-group-by.ts'
import { renderItem, renderRows } from './render-parts.ts'
import { renderSample, renderTable } from './render-table.ts'

/** A query without parentheses around it. */
export function renderQuery(query: Query, layout: Layout): string {
  const body =
    query.kind === 'select' ? renderSelect(query, layout) : renderSetOperation(query, layout)
  return [...renderWith(query.ctes, layout), ...body, ...renderTail(query, layout)].join(
    layout.line,
  )
}

type Clauses = readonly string[]

function renderTail(query: Query, layout: Layout): Clauses {
  return [
    ...(query.orderBy.length === 0 ? [] : [renderOrderBy(query.orderBy, layout)]),
    ...(query.limit === undefined ? [] : [renderLimit(query.limit, layout)]),
  ]
}

function renderLimit(limit: Limit, layout: Layout): string {
  const count = limit.count === undefined ? '' : `LIMIT ${layout.expression(limit.count)}`
  const percent = limit.percent ? ' %' : ''
  const offset = limit.offset === undefined ? '' : `OFFSET ${layout.expression(limit.offset)}`
  return [`${count}${percent}`, offset].filter((part) => part !== '').join(' ')
}

function renderWith(ctes: readonly Cte[], layout: Layout): Clauses {
  if (ctes.length === 0) return []
  const isRecursive = ctes.some((cte) => cte.query.kind === 'recursive')
  const texts = ctes.map((cte) => renderCte(cte, isRecursive, layout))
  return [`WITH ${isRecursive ? 'RECURSIVE ' : ''}${texts.join(`,${layout.line}`)}`]
}

function renderCte(cte: Cte, isRecursiveList: boolean, layout: Layout): string {
  const columns = cte.columns.length === 0 ? '' : `(${cte.columns.map(quoteIdentifier).join(', ')})`
  const key = cte.key.length === 0 ? '' : ` USING KEY (${layout.expressions(cte.key)})`
  const hint = cte.materialized === true ? 'MATERIALIZED ' : ''
  const name = `${quoteIdentifier(cte.name)}${columns}${key} AS ${hint}`
  if (cte.query.kind === 'recursive') return `${name}${renderRecursive(cte.query, layout)}`
  // After RECURSIVE every UNION would be read as a recursion.
  const isUnion = cte.query.kind === 'setOperation' && cte.query.operator === 'union'
  const query = isRecursiveList && isUnion ? wrapped(cte.query) : cte.query
  return `${name}${layout.subquery(query)}`
}

function renderRecursive(query: RecursiveQuery, layout: Layout): string {
  const inner = layout.deeper()
  const union = query.all ? 'UNION ALL' : 'UNION'
  const parts = [inner.subquery(query.left), union, inner.subquery(query.right)]
  const text = parts.join(inner.line)
  return layout.isReadable ? `(${inner.line}${text}${layout.line})` : `(${text})`
}

/** `SELECT * FROM (query)`. */
const wrapped = (query: Query): Select => ({
  kind: 'select',
  ctes: [],
  items: [
    {
      expression: { kind: 'star', exclude: [], replace: [], rename: [], columns: false },
    },
  ],
  from: { kind: 'subquery', query, columnAliases: [] },
  orderBy: [],
})

function renderSetOperation(query: SetOperation, layout: Layout): Clauses {
  const words = [
    query.operator.toUpperCase(),
    query.all ? ' ALL' : '',
    query.byName ? ' BY NAME' : '',
  ].join('')
  return [layout.subquery(query.left), words, layout.subquery(query.right)]
}

function renderSelect(query: Select, layout: Layout): Clauses {
  const values = valuesOf(query)
  if (values !== undefined) return [renderRows(values, layout)]
  return [
    renderItems(query, layout),
    ...(query.from === undefined ? [] : [`FROM ${renderTable(query.from, layout)}`]),
    ...condition('WHERE', query.where, layout),
    ...(query.groupBy === undefined ? [] : [renderGroupBy(query.groupBy, layout)]),
    ...condition('HAVING', query.having, layout),
    ...condition('QUALIFY', query.qualify, layout),
    ...(query.sample === undefined ? [] : [`USING SAMPLE ${renderSample(query.sample)}`]),
  ]
}

/** The rows of a query that is nothing but VALUES. */
function valuesOf(query: Select): Values | undefined {
  const [item] = query.items
  const isStar =
    query.items.length === 1 &&
    item?.expression.kind === 'star' &&
    item.alias === undefined &&
    !item.expression.columns &&
    item.expression.table === undefined &&
    item.expression.exclude.length + item.expression.replace.length === 0 &&
    item.expression.rename.length === 0
  const { from, where, groupBy, having, qualify, sample, distinct } = query
  const hasClause = [where, groupBy, having, qualify, sample, distinct].some((c) => c !== undefined)
  if (!isStar || hasClause || from?.kind !== 'values') return undefined
  return from.columnAliases.length === 0 && from.sample === undefined ? from : undefined
}

function renderItems(query: Select, layout: Layout): string {
  assert(query.items.length > 0, 'a query has a select list')
  const { distinct } = query
  const on =
    distinct === undefined || distinct.on.length === 0
      ? ''
      : ` ON (${layout.expressions(distinct.on)})`
  const select = distinct === undefined ? 'SELECT' : `SELECT DISTINCT${on}`
  const inner = layout.deeper()
  const items = query.items.map((item) => renderItem(item, inner))
  const isShort = items.length === 1 || !layout.isReadable
  return isShort
    ? `${select} ${items.join(', ')}`
    : `${select}${inner.line}${items.join(`,${inner.line}`)}`
}

function condition(word: string, e: Expression | undefined, layout: Layout): Clauses {
  if (e === undefined) return []
  const inner = layout.deeper()
  if (!layout.isReadable || e.kind !== 'conjunction' || e.operator !== 'and') {
    return [`${word} ${layout.expression(e)}`]
  }
  return [`${word} ${e.operands.map((o) => inner.expression(o)).join(`${inner.line}AND `)}`]
}

const renderGroupBy = (groupBy: GroupBy, layout: Layout): string =>
  `GROUP BY ${groupByText(groupBy, (e) => layout.expression(e))}`
