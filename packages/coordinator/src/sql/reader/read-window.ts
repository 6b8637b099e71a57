import type { Expression, FrameBound, WindowFrame } from '../ir.ts'
import { keySet, placed, type Raw, type ReadContext } from './context.ts'
import { qualified, readOrders } from './read-function.ts'

/** The parser names the window functions it knows; all others, aggregates and errors alike, are WINDOW_AGGREGATE. */
const WINDOW_TYPES = keySet(
  'WINDOW_AGGREGATE',
  'WINDOW_ROW_NUMBER',
  'WINDOW_FIRST_VALUE',
  'WINDOW_LAST_VALUE',
  'WINDOW_NTH_VALUE',
  'WINDOW_RANK',
  'WINDOW_RANK_DENSE',
  'WINDOW_PERCENT_RANK',
  'WINDOW_CUME_DIST',
  'WINDOW_NTILE',
  'WINDOW_LEAD',
  'WINDOW_LAG',
  'WINDOW_FILL',
)

export function readWindow(context: ReadContext, raw: Raw): Expression {
  const type = context.string(raw, 'type')
  if (!WINDOW_TYPES.has(type)) context.unknown(`window function ${type}`, raw)
  const args = [
    ...context.expressions(raw, 'children'),
    ...optional(context, raw, 'offset_expr'),
    ...optional(context, raw, 'default_expr'),
  ]
  return {
    kind: 'window',
    name: context.string(raw, 'function_name'),
    ...qualified(context, raw),
    args,
    distinct: context.boolean(raw, 'distinct'),
    ignoreNulls: context.boolean(raw, 'ignore_nulls'),
    filter: context.optional(raw['filter_expr']),
    argOrderBy: readOrders(context, raw, 'arg_orders'),
    partitionBy: context.expressions(raw, 'partitions'),
    orderBy: readOrders(context, raw, 'orders'),
    frame: readFrame(context, raw),
    ...placed(context.at(raw)),
  }
}

function optional(context: ReadContext, raw: Raw, key: string): readonly Expression[] {
  const expression = context.optional(raw[key])
  return expression === undefined ? [] : [expression]
}

type BoundKind = FrameBound['kind']
type Unit = WindowFrame['unit']

/** Bounds carry the unit, except the unbounded ones. */
const BOUNDS: ReadonlyMap<string, readonly [BoundKind, Unit | undefined]> = new Map([
  ['UNBOUNDED_PRECEDING', ['unboundedPreceding', undefined]],
  ['UNBOUNDED_FOLLOWING', ['unboundedFollowing', undefined]],
  ['CURRENT_ROW_ROWS', ['currentRow', 'rows']],
  ['CURRENT_ROW_RANGE', ['currentRow', 'range']],
  ['CURRENT_ROW_GROUPS', ['currentRow', 'groups']],
  ['EXPR_PRECEDING_ROWS', ['preceding', 'rows']],
  ['EXPR_PRECEDING_RANGE', ['preceding', 'range']],
  ['EXPR_PRECEDING_GROUPS', ['preceding', 'groups']],
  ['EXPR_FOLLOWING_ROWS', ['following', 'rows']],
  ['EXPR_FOLLOWING_RANGE', ['following', 'range']],
  ['EXPR_FOLLOWING_GROUPS', ['following', 'groups']],
])
const EXCLUSIONS: ReadonlyMap<string, WindowFrame['exclude']> = new Map([
  ['NO_OTHER', 'no others'],
  ['CURRENT_ROW', 'current row'],
  ['GROUP', 'group'],
  ['TIES', 'ties'],
])

function readFrame(context: ReadContext, raw: Raw): WindowFrame | undefined {
  const [startKind, startUnit] = context.oneOf(raw, 'start', BOUNDS)
  const [endKind, endUnit] = context.oneOf(raw, 'end', BOUNDS)
  const exclude = context.oneOf(raw, 'exclude_clause', EXCLUSIONS)
  if (startUnit !== undefined && endUnit !== undefined && startUnit !== endUnit) {
    context.unknown('a frame of two units', raw)
  }
  const isDefault =
    startKind === 'unboundedPreceding' && endKind === 'currentRow' && endUnit === 'range'
  const start = bound(context, raw, startKind, 'start_expr')
  const end = bound(context, raw, endKind, 'end_expr')
  if (isDefault && exclude === 'no others') return undefined
  return { unit: startUnit ?? endUnit ?? 'rows', start, end, exclude }
}

function bound(context: ReadContext, raw: Raw, kind: BoundKind, key: string): FrameBound {
  const offset = context.optional(raw[key])
  if (kind === 'preceding' || kind === 'following') {
    return offset === undefined ? context.unknown(`frame without ${key}`, raw) : { kind, offset }
  }
  return offset === undefined ? { kind } : context.unknown(`frame with ${key}`, raw)
}
