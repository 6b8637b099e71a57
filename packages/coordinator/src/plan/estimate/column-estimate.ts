import { simpleType, type SqlType } from '../../sql/sql-types.ts'
import type { Bound, Domain } from './bounds.ts'

/** What is believed of a column of a relation. */
export interface ColumnEstimate {
  readonly type: SqlType
  /** Number of distinct values, NULL not counted; at least 1 unless there are no rows. */
  readonly distinct: number
  /**
   * Distinct values, and rows, where the column comes from, before filters on other columns thinned it: two columns that
   * are joined are taken to have come from one set of values, of which a filtered side has but a part.
   */
  readonly base: number
  readonly baseRows: number
  /** Part of the rows, from 0 to 1. */
  readonly nulls: number
  readonly min: Bound | undefined
  readonly max: Bound | undefined
  readonly domain: Domain | undefined
  /** Average bytes of a value. */
  readonly width: number
}

export type ColumnEstimates = ReadonlyMap<string, ColumnEstimate>

/** What is believed of a relation. */
export interface Estimated {
  readonly rows: number
  readonly bytes: number
  readonly columns: ColumnEstimates
}

export function estimated(rows: number, columns: ColumnEstimates): Estimated {
  let width = 0
  for (const column of columns.values()) width += column.width * (1 - column.nulls)
  return { rows, bytes: rows * width, columns }
}

/** A text of which nothing is known. */
const TEXT_WIDTH = 16
const NESTED_WIDTH = 48

export function widthOf(type: SqlType): number {
  if (type.kind === 'decimal')
    return type.width <= 4 ? 2 : type.width <= 9 ? 4 : type.width <= 18 ? 8 : 16
  if (type.kind === 'named') return TEXT_WIDTH
  if (type.kind !== 'simple') return NESTED_WIDTH
  switch (type.name) {
    case 'BOOLEAN':
    case 'TINYINT':
    case 'UTINYINT':
    case 'NULL':
      return 1
    case 'SMALLINT':
    case 'USMALLINT':
      return 2
    case 'INTEGER':
    case 'UINTEGER':
    case 'FLOAT':
    case 'DATE':
      return 4
    case 'HUGEINT':
    case 'UHUGEINT':
    case 'INTERVAL':
    case 'UUID':
      return 16
    case 'VARCHAR':
    case 'BLOB':
    case 'BIT':
    case 'BIGNUM':
    case 'VARIANT':
      return TEXT_WIDTH
    default:
      return 8
  }
}

/** A column of which only the type is known. */
export const unknownColumn = (type: SqlType, distinct: number): ColumnEstimate => ({
  type,
  distinct: Math.max(1, distinct),
  base: Math.max(1, distinct),
  baseRows: Math.max(1, distinct),
  nulls: 0,
  min: undefined,
  max: undefined,
  domain: undefined,
  width: widthOf(type),
})

export const BOOLEAN_COLUMN: ColumnEstimate = unknownColumn(simpleType('BOOLEAN'), 2)

/**
 * Distinct values among `rows` rows drawn from `before` rows with `distinct` of them, each value having equally many rows:
 * D(1 − (1 − n/N)^(N/D)). Yao 1977, as Cardenas 1975 gave it.
 */
export function distinctAmong(distinct: number, before: number, rows: number): number {
  if (rows >= before || before <= 0 || distinct <= 0) return Math.min(distinct, Math.max(rows, 0))
  const found = distinct * (1 - (1 - rows / before) ** (before / distinct))
  return Math.min(rows, Math.max(Math.min(1, rows), found))
}

/** Distinct values that `rows` draws from a range of `range` values give: D(1 − e^(−n/D)). */
export const distinctOfRange = (range: number, rows: number): number =>
  range <= 0
    ? 0
    : Math.max(Math.min(1, rows), Math.min(rows, range * (1 - Math.exp(-rows / range))))

/** Draws of which each has a value eight times over have all of the values, but for one of three thousand. */
const DRAWS_OF_ALL = 8
const HALVINGS = 40

/** The number of values of which `rows` draws gave `found`: the inverse of {@link distinctOfRange}. */
export function distinctOfSample(found: number, rows: number): number {
  if (found * DRAWS_OF_ALL <= rows) return found
  if (found >= rows) return Number.POSITIVE_INFINITY
  let [low, high] = [found, found * 2]
  while (distinctOfRange(high, rows) < found) high *= 2
  for (let i = 0; i < HALVINGS; i++) {
    const middle = (low + high) / 2
    if (distinctOfRange(middle, rows) < found) low = middle
    else high = middle
  }
  return high
}

/** The columns once only `rows` of `before` rows are left, whichever they are. */
export function thinned(columns: ColumnEstimates, before: number, rows: number): ColumnEstimates {
  if (rows >= before) return columns
  const found = new Map<string, ColumnEstimate>()
  for (const [name, column] of columns) {
    const distinct = distinctAmong(column.distinct, before * (1 - column.nulls), rows)
    found.set(name, { ...column, distinct: Math.max(Math.min(1, rows), distinct) })
  }
  return found
}

/**
 * Distinct combinations of columns. Independent columns would multiply; those that are grouped by together seldom are, so
 * each counts less than the one before it: d₁ · d₂^½ · d₃^¼ …, the exponential back-off that SQL Server uses for
 * predicates. Never more than there are rows.
 */
export function combinations(distinct: readonly number[], rows: number): number {
  let product = 1
  let exponent = 1
  for (const d of distinct.toSorted((a, b) => b - a)) {
    product *= Math.max(1, d) ** exponent
    exponent /= 2
  }
  const found = Math.max(distinctOfRange(product, Math.max(rows, 0)), ...distinct)
  return Math.min(Math.max(rows, 0), found)
}
