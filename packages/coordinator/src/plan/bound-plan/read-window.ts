import { equalIr } from '../../sql/ir/equal.ts'
import type { Expression, FrameBound, OrderItem, WindowCall, WindowFrame } from '../../sql/ir.ts'
import { checkKeys, childOf, keySet, objectsOf, type Raw, refuse, textOf, truthOf } from './raw.ts'
import { readArguments } from './read-aggregate.ts'
import { readAll, readExpression, readOrder, type Scope } from './read-expression.ts'
import { functionName } from './read-function.ts'

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
  'partitions',
  'orders',
  'filters',
  'ignore_nulls',
  'start',
  'end',
  'start_expr',
  'end_expr',
  'offset_expr',
  'default_expr',
  'exclude_clause',
  'distinct',
  'arg_orders',
)

const NAMES: Readonly<Record<string, string>> = {
  WINDOW_ROW_NUMBER: 'row_number',
  WINDOW_RANK: 'rank',
  WINDOW_RANK_DENSE: 'dense_rank',
  WINDOW_PERCENT_RANK: 'percent_rank',
  WINDOW_CUME_DIST: 'cume_dist',
  WINDOW_NTILE: 'ntile',
  WINDOW_LEAD: 'lead',
  WINDOW_LAG: 'lag',
  WINDOW_FIRST_VALUE: 'first_value',
  WINDOW_LAST_VALUE: 'last_value',
  WINDOW_NTH_VALUE: 'nth_value',
  WINDOW_FILL: 'fill',
}

/** A window function with its frame. */
export function readWindowColumn(raw: Raw, scope: Scope): WindowCall {
  if (raw['expression_class'] !== 'BOUND_WINDOW') return refuse('a window that is none')
  checkKeys(raw, KEYS, 'a window')
  const type = textOf(raw, 'type')
  const isAggregate = type === 'WINDOW_AGGREGATE'
  const name = isAggregate ? functionName(raw) : (NAMES[type] ?? refuse(`the window ${type}`))
  if (!isAggregate && raw['function_data'] !== undefined) return refuse(`${name} with more to it`)
  const { args } = readArguments(name, raw, scope)
  const frame = readFrame(raw, scope)
  return {
    kind: 'window',
    name: name === 'count_star' ? 'count' : name,
    args: [...args, ...readOffset(raw, scope)],
    distinct: truthOf(raw, 'distinct'),
    ignoreNulls: truthOf(raw, 'ignore_nulls'),
    ...(raw['filters'] === undefined
      ? {}
      : { filter: readExpression(childOf(raw, 'filters'), scope) }),
    argOrderBy: readOrder(objectsOf(raw, 'arg_orders'), scope),
    partitionBy: readAll(objectsOf(raw, 'partitions'), scope),
    ...frame,
  }
}

/** Offset and default of `lag` and `lead`. */
function readOffset(raw: Raw, scope: Scope): readonly Expression[] {
  if (raw['offset_expr'] === undefined) {
    return raw['default_expr'] === undefined ? [] : refuse('a default without an offset')
  }
  const offset = readExpression(childOf(raw, 'offset_expr'), scope)
  if (raw['default_expr'] === undefined) return [offset]
  return [offset, readExpression(childOf(raw, 'default_expr'), scope)]
}

const EXCLUDES: Readonly<Record<string, WindowFrame['exclude']>> = {
  NO_OTHER: 'no others',
  CURRENT_ROW: 'current row',
  GROUP: 'group',
  TIES: 'ties',
}
const BOUND = /^(CURRENT_ROW|EXPR_PRECEDING|EXPR_FOLLOWING)_(ROWS|RANGE|GROUPS)$/

interface Ordered {
  readonly orderBy: readonly OrderItem[]
  readonly frame?: WindowFrame
}

function readFrame(raw: Raw, scope: Scope): Ordered {
  const orderBy = readOrder(objectsOf(raw, 'orders'), scope)
  const exclude = EXCLUDES[textOf(raw, 'exclude_clause')] ?? refuse('an unknown EXCLUDE')
  const [start, end] = [textOf(raw, 'start'), textOf(raw, 'end')]
  const isDefault = start === 'UNBOUNDED_PRECEDING' && end === 'CURRENT_ROW_RANGE'
  if (isDefault && exclude === 'no others') return { orderBy }
  const units = [start, end].flatMap((bound) => BOUND.exec(bound)?.[2]?.toLowerCase() ?? [])
  const [unit = 'rows', other = unit] = units
  if (unit !== other) return refuse(`a frame of ${unit} and ${other}`)
  if (unit !== 'rows' && unit !== 'range' && unit !== 'groups') return refuse(`a frame of ${unit}`)
  const range = unit === 'range' ? new RangeOffsets(orderBy) : undefined
  const frame: WindowFrame = {
    unit,
    start: readBound(
      start,
      raw['start_expr'] === undefined ? undefined : childOf(raw, 'start_expr'),
      { scope, range },
    ),
    end: readBound(end, raw['end_expr'] === undefined ? undefined : childOf(raw, 'end_expr'), {
      scope,
      range,
    }),
    exclude,
  }
  return { orderBy: range?.orderBy ?? orderBy, frame }
}

function readBound(
  name: string,
  raw: Raw | undefined,
  { scope, range }: { readonly scope: Scope; readonly range: RangeOffsets | undefined },
): FrameBound {
  if (name === 'UNBOUNDED_PRECEDING') return { kind: 'unboundedPreceding' }
  if (name === 'UNBOUNDED_FOLLOWING') return { kind: 'unboundedFollowing' }
  const kind = BOUND.exec(name)?.[1]
  if (kind === 'CURRENT_ROW') return { kind: 'currentRow' }
  if (raw === undefined || kind === undefined) return refuse(`the bound ${name} of a frame`)
  const value = readExpression(raw, scope)
  const side = kind === 'EXPR_PRECEDING' ? 'preceding' : 'following'
  return { kind: side, offset: range === undefined ? value : range.offset(value, side) }
}

/**
 * Offsets of a RANGE frame. The binder has made of each the value at which the frame ends (`order - offset`) and cast
 * the term of ORDER BY to the type of that; here both are as they were written.
 */
class RangeOffsets {
  #orderBy: readonly OrderItem[]

  constructor(orderBy: readonly OrderItem[]) {
    this.#orderBy = orderBy
  }

  get orderBy(): readonly OrderItem[] {
    return this.#orderBy
  }

  offset(value: Expression, side: 'preceding' | 'following'): Expression {
    const [term, ...more] = this.#orderBy
    if (term === undefined || more.length > 0) return refuse('a range over more than one term')
    const isBack = (side === 'preceding') === (term.direction === 'asc')
    if (value.kind !== 'function' || value.name !== (isBack ? '-' : '+')) return refuse('a range')
    const [from, offset, ...others] = value.args
    if (from === undefined || offset === undefined || others.length > 0) return refuse('a range')
    const { expression } = term
    const isSame = equalIr(from, expression)
    if (!isSame && (expression.kind !== 'cast' || !equalIr(from, expression.operand))) {
      return refuse('a range from elsewhere than its order')
    }
    if (!isSame) this.#orderBy = [{ ...term, expression: from }]
    return offset
  }
}
