import { assert } from '@nyala/client/base'
import { quoteIdentifier, quoteLiteral, quotePath } from '../escape.ts'
import type {
  Expression,
  FrameBound,
  FunctionCall,
  OrderItem,
  WindowCall,
  WindowFrame,
} from '../ir.ts'
import type { Layout } from './layout.ts'

/** Operators with a word of their own. */
const WORDS: ReadonlyMap<string, string> = new Map([
  ['~~', 'LIKE'],
  ['!~~', 'NOT LIKE'],
  ['~~*', 'ILIKE'],
  ['!~~*', 'NOT ILIKE'],
  ['~~~', 'GLOB'],
])
const SYMBOLS = /^[-+*/%<>=~!@&|^]+$/
const POSTFIX = '!__postfix'

export function renderFunction(call: FunctionCall, layout: Layout): string {
  if (call.operator) {
    const text = renderOperator(call, layout)
    if (text !== undefined) return text
  }
  return renderLiteralLike(call, layout) ?? renderCall(call, layout)
}

function renderOperator(call: FunctionCall, layout: Layout): string | undefined {
  const [left, right] = call.args
  if (left === undefined) return undefined
  if (call.name === POSTFIX) return `(${layout.expression(left)} !)`
  const symbol = WORDS.get(call.name) ?? call.name
  if (symbol === call.name && !SYMBOLS.test(symbol)) return undefined
  // The space keeps `- -a` from becoming a comment.
  if (right === undefined) return `(${symbol} ${layout.expression(left)})`
  return `(${layout.expression(left)} ${symbol} ${layout.expression(right)})`
}

/** `[1, 2]`, `{'a': 1}` and `ROW(1, 2)`, which the parser makes functions of schema `main`. */
function renderLiteralLike(call: FunctionCall, layout: Layout): string | undefined {
  if (call.schema !== 'main' || call.catalog !== undefined || !isBare(call)) return undefined
  const names = call.argNames ?? []
  const isNamed = names.some((name) => name !== undefined)
  if (call.name === 'list_value' && !isNamed) return `[${layout.expressions(call.args)}]`
  if (call.name === 'row' && !isNamed) return `ROW(${layout.expressions(call.args)})`
  const isStruct = call.name === 'struct_pack' && call.args.length > 0
  if (!isStruct || !call.args.every((_, i) => names[i] !== undefined)) return undefined
  const fields = call.args.map(
    (arg, i) => `${quoteLiteral(names[i] ?? '')}: ${layout.expression(arg)}`,
  )
  return `{${fields.join(', ')}}`
}

const isBare = (call: FunctionCall): boolean =>
  !call.distinct && call.filter === undefined && call.orderBy.length === 0

function renderCall(call: FunctionCall, layout: Layout): string {
  const names = call.argNames
  assert(names === undefined || names.length === call.args.length, 'one name for each argument')
  const args = call.args.map((arg, i) => {
    const name = names?.[i]
    return `${name === undefined ? '' : `${quoteIdentifier(name)} := `}${layout.expression(arg)}`
  })
  const filter = renderFilter(call.filter, layout)
  if (isCountStar(call)) return `count(*)${filter}`
  const order = renderOrderBy(call.orderBy, layout)
  const name = functionName(call)
  const distinct = call.distinct ? 'DISTINCT ' : ''
  if (args.length === 0 && order !== '') return `${name}() WITHIN GROUP (${order})${filter}`
  return `${name}(${distinct}${spaced(args.join(', '), order)})${filter}`
}

const isCountStar = (call: FunctionCall): boolean =>
  call.name === 'count_star' &&
  call.schema === undefined &&
  call.args.length === 0 &&
  call.orderBy.length === 0 &&
  !call.distinct

const functionName = (call: FunctionCall | WindowCall): string =>
  quotePath([call.catalog, call.schema, call.name].filter((part) => part !== undefined))

const spaced = (...parts: readonly string[]): string => parts.filter((p) => p !== '').join(' ')

const renderFilter = (filter: Expression | undefined, layout: Layout): string =>
  filter === undefined ? '' : ` FILTER (WHERE ${layout.expression(filter)})`

/** `ORDER BY …`, or nothing. */
export function renderOrderBy(items: readonly OrderItem[], layout: Layout): string {
  if (items.length === 0) return ''
  return `ORDER BY ${items.map((item) => renderOrderItem(item, layout)).join(', ')}`
}

function renderOrderItem(item: OrderItem, layout: Layout): string {
  const e = item.expression
  const isAll = e.kind === 'star' && e.columns && e.pattern === undefined && e.table === undefined
  return spaced(
    isAll ? 'ALL' : layout.expression(e),
    item.direction === 'default' ? '' : item.direction.toUpperCase(),
    item.nulls === 'default' ? '' : `NULLS ${item.nulls.toUpperCase()}`,
  )
}

export function renderWindow(call: WindowCall, layout: Layout): string {
  const isCount = call.name.toLowerCase() === 'count' && call.args.length === 0 && !call.distinct
  const args = spaced(
    call.distinct ? 'DISTINCT' : '',
    isCount ? '*' : layout.expressions(call.args),
    renderOrderBy(call.argOrderBy, layout),
    call.ignoreNulls ? 'IGNORE NULLS' : '',
  )
  const partition = layout.expressions(call.partitionBy)
  const window = spaced(
    partition === '' ? '' : `PARTITION BY ${partition}`,
    renderOrderBy(call.orderBy, layout),
    call.frame === undefined ? '' : renderFrame(call.frame, layout),
  )
  return `${functionName(call)}(${args})${renderFilter(call.filter, layout)} OVER (${window})`
}

function renderFrame(frame: WindowFrame, layout: Layout): string {
  const bounds = `BETWEEN ${renderBound(frame.start, layout)} AND ${renderBound(frame.end, layout)}`
  const exclude = frame.exclude === 'no others' ? '' : `EXCLUDE ${frame.exclude.toUpperCase()}`
  return spaced(frame.unit.toUpperCase(), bounds, exclude)
}

function renderBound(bound: FrameBound, layout: Layout): string {
  switch (bound.kind) {
    case 'unboundedPreceding':
      return 'UNBOUNDED PRECEDING'
    case 'unboundedFollowing':
      return 'UNBOUNDED FOLLOWING'
    case 'currentRow':
      return 'CURRENT ROW'
    case 'preceding':
      return `${layout.expression(bound.offset)} PRECEDING`
    case 'following':
      return `${layout.expression(bound.offset)} FOLLOWING`
  }
}
