/**
 * A whole result in order, made by all executors: all rows are written as they come, one task looks at a sample of their
 * sort keys and says where ranges of about equal size begin, and then each task sorts the rows of one range. What the
 * tasks have is the result when it is read one after the other.
 *
 * The ranges are those of the whole sort key, so that many rows with one value of the first column are no task's alone.
 * They are chosen when the rows are there: what is right does not depend on them, and how even they are depends on the
 * sample alone. Every task reads all rows to find its own, which takes a fraction of what sorting a row takes, and
 * nothing is put into buckets, which would take nearly as much as sorting.
 */
import type { Expression, WindowCall } from '../../sql/ir.ts'
import { simpleType } from '../../sql/sql-types.ts'
import { anyOf, comparison } from '../logical/expressions.ts'
import {
  columnRef,
  columnsOf,
  type ExchangeRelation,
  type PlanColumn,
  type Relation,
  type SortRange,
  type SortRelation,
} from '../logical/relation.ts'
import { callOf, isExplicit, SORT_KEY_TYPE, sortKey } from '../logical/sort-key.ts'
import { RANGE_NS, STAGE_NS } from './cost.ts'
import type { Fragmenter } from './fragmenter.ts'
import { SINGLE, type Stream, streamOf } from './stream.ts'

/** With more, the tasks would do little but read all rows. */
const RANGES_MAX = 16
/** Rows of the sample for each range: ranges then differ by some hundredths. */
const SAMPLED_PER_RANGE = 1_000
/** By ranges, an order is to take at most this part of the time that one task takes. */
const GAIN_MIN = 0.8

const BIGINT = simpleType('BIGINT')

/** The rows of an exchange by ranges of an order, where that is possible and pays; else undefined. */
export function rangesOf(
  by: Fragmenter,
  sort: SortRelation,
  exchange: ExchangeRelation,
): Stream | undefined {
  const { orderBy } = sort
  const count = Math.min(RANGES_MAX, Math.max(2, by.options.slots))
  if (orderBy.length === 0 || !isExplicit(orderBy) || !pays(by, sort, exchange, count))
    return undefined
  const range = { orderBy, columns: boundColumns(exchange) }
  const bounds = by.drafts.add({
    stream: streamOf(boundsOf(exchange, range, count), SINGLE),
    of: sort,
    needed: new Set(Object.values(range.columns).map((c) => c.name)),
    content: 'bounds',
    why: `where ${count} ranges of about equal size begin, by a sample of the rows`,
    expected: { rows: count, bytes: count * 32 },
  })
  return streamOf(
    { ...exchange, range: { ...range, bounds: bounds.exchange } },
    { kind: 'ranges', exchange: exchange.exchange, count },
  )
}

function pays(
  { costs, drafts, options }: Fragmenter,
  sort: SortRelation,
  exchange: ExchangeRelation,
  count: number,
): boolean {
  const { rows } = drafts.sizeOf(exchange.exchange)
  if (rows >= (options.rangesRowsMin ?? Number.POSITIVE_INFINITY)) return true
  if (options.slots < 2) return false
  const over: Relation = { ...sort, input: exchange }
  // Rows are sent in their order, whoever sorts them: that takes as long as ever.
  const divided = costs.own(over)
  const more = STAGE_NS + costs.sampling(rows) + rows * RANGE_NS
  return more + divided / count < divided * GAIN_MIN
}

/** Columns of bounds, under names that no column of the rows has. */
function boundColumns(exchange: ExchangeRelation): SortRange['columns'] {
  const taken = new Set(columnsOf(exchange).map((c) => c.name))
  const column = (base: string, type: PlanColumn['type']): PlanColumn => ({
    name: fresh(base, taken),
    type,
  })
  return {
    part: column('range_number', BIGINT),
    low: column('range_low', SORT_KEY_TYPE),
    high: column('range_high', SORT_KEY_TYPE),
  }
}

function fresh(base: string, taken: Set<string>): string {
  let name = base
  for (let i = 2; taken.has(name); i++) name = `${base}_${i}`
  taken.add(name)
  return name
}

/**
 * The bounds of ranges: the sort keys of a sample in as many parts of equal size, the smallest of each, and that of the
 * next. Where a key is in several parts those between have the same bounds twice, and no rows.
 */
function boundsOf(
  exchange: ExchangeRelation,
  { orderBy, columns }: Omit<SortRange, 'bounds'>,
  count: number,
): Relation {
  const { part, low, high } = columns
  const key: PlanColumn = { name: `${low.name}_key`, type: SORT_KEY_TYPE }
  const keys: Relation = {
    kind: 'project',
    input: sampleOf(exchange, columns, SAMPLED_PER_RANGE * count),
    items: [{ column: key, expression: sortKey(orderBy) }],
  }
  const parts: Relation = {
    kind: 'window',
    input: keys,
    windows: [{ column: part, expression: overOrder('ntile', [integer(count)], key) }],
  }
  const lows: Relation = {
    kind: 'aggregate',
    input: parts,
    keys: [{ column: part, expression: columnRef(part) }],
    sets: [[0]],
    aggregates: [
      { column: low, expression: callOf('min', columnRef(key)), argumentTypes: [SORT_KEY_TYPE] },
    ],
    groupings: [],
  }
  return {
    kind: 'window',
    input: lows,
    windows: [{ column: high, expression: overOrder('lead', [columnRef(low)], part) }],
  }
}

/** About so many of the rows, all of them where there are fewer, and the first one always. */
function sampleOf(exchange: ExchangeRelation, names: SortRange['columns'], rows: number): Relation {
  const number: PlanColumn = { name: `${names.part.name}_row`, type: BIGINT }
  const total: PlanColumn = { name: `${names.part.name}_rows`, type: BIGINT }
  const numbered: Relation = {
    kind: 'window',
    input: exchange,
    windows: [{ column: number, expression: overAll('row_number') }],
  }
  const counted: Relation = {
    kind: 'aggregate',
    input: exchange,
    keys: [],
    sets: [[]],
    aggregates: [{ column: total, expression: callOf('count_star'), argumentTypes: [] }],
    groupings: [],
  }
  // Without the cast it would be a remainder of HUGEINT, which takes a microsecond.
  const step: Expression = {
    kind: 'cast',
    operand: callOf('greatest', operator('//', columnRef(total), integer(rows)), integer(1)),
    type: simpleType('UBIGINT'),
    try: false,
  }
  return {
    kind: 'filter',
    input: {
      kind: 'join',
      type: 'inner',
      left: numbered,
      right: counted,
      conditions: [],
      residual: [],
    },
    conjuncts: [
      anyOf([
        comparison(columnRef(number), '=', integer(1)),
        // By the hash of its number, so that no rhythm in the rows is met by one of the sample.
        comparison(operator('%', callOf('hash', columnRef(number)), step), '=', integer(0)),
      ]),
    ],
  }
}

const integer = (value: number): Expression => ({
  kind: 'constant',
  type: simpleType('INTEGER'),
  value: String(value),
})

const operator = (name: string, left: Expression, right: Expression): Expression => ({
  ...callOf(name, left, right),
  operator: true,
})

const overAll = (name: string): WindowCall => ({
  kind: 'window',
  name,
  args: [],
  distinct: false,
  ignoreNulls: false,
  argOrderBy: [],
  partitionBy: [],
  orderBy: [],
})

const overOrder = (name: string, args: readonly Expression[], by: PlanColumn): WindowCall => ({
  ...overAll(name),
  args,
  orderBy: [{ expression: columnRef(by), direction: 'asc', nulls: 'last' }],
})
