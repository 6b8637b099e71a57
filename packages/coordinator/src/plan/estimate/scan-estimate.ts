import { foldName } from '@nyala/metastore'
import type { ScanRelation, ScannedColumn } from '../logical/relation.ts'
import type { Scan } from '../scan.ts'
import { type Bound, compareBounds, domainOf, parseBound, position } from './bounds.ts'
import { boundsTogether, columnReader, type RowsBounds } from './column-bounds.ts'
import {
  type ColumnEstimate,
  distinctAmong,
  distinctOfRange,
  distinctOfSample,
  type Estimated,
  estimated,
  widthOf,
} from './column-estimate.ts'

/** Distinct values of a column of which nothing is known grow slower than its rows. */
const UNKNOWN_DISTINCT_EXPONENT = 0.75
/** Of floating-point numbers most differ. */
const FLOAT_DISTINCT = 0.9

/** Rows of the scan's files that are left after pruning, and what statistics and footers say of the columns. */
export function estimateScan(scan: Scan, relation: ScanRelation): Estimated {
  let rows = 0
  for (const file of scan.files) {
    const left = scan.rowGroupsLeft?.get(file)
    if (left === undefined) rows += file.rows
    else for (const group of left) rows += file.rowGroups[group]?.rows ?? 0
  }
  const columns = relation.columns.map(
    (column) => [column.name, estimateColumn(scan, column, rows)] as const,
  )
  return estimated(rows, new Map(columns))
}

function estimateColumn(scan: Scan, column: ScannedColumn, rows: number): ColumnEstimate {
  const computed = scan.statistics?.found.columns.find(
    (c) => foldName(c.name) === foldName(column.source),
  )
  const domain = domainOf(column.type)
  const footers = footerBounds(scan, column.source)
  const text = (value: string | null | undefined): Bound | undefined =>
    value === null || value === undefined || domain === undefined
      ? undefined
      : parseBound(value, domain)
  const total = scan.statistics?.found.rows ?? 0
  const nulls =
    footers.nulls ??
    (computed === undefined || total === 0 ? 0 : Math.min(1, computed.nulls / total))
  const min = footers.min ?? text(computed?.min)
  const max = footers.max ?? text(computed?.max)
  const values = rows * (1 - nulls)
  const distinct =
    computed !== undefined && total > 0
      ? distinctAmong(computed.distinct, total, values)
      : guessDistinct(column, {
          min,
          max,
          values,
          counted: footers.distinct,
          partitions: partitionValues(scan, column.source),
        })
  return {
    type: column.type,
    distinct: Math.max(Math.min(1, rows), distinct),
    base: Math.max(1, distinct),
    baseRows: rows,
    nulls,
    min,
    max,
    domain,
    width:
      computed !== undefined && computed.sizeAverage >= 0
        ? computed.sizeAverage
        : widthOf(column.type),
  }
}

function guessDistinct(
  { type }: ScannedColumn,
  known: {
    readonly min: Bound | undefined
    readonly max: Bound | undefined
    readonly values: number
    readonly counted: number | undefined
    readonly partitions: number | undefined
  },
): number {
  const { min, max, values, counted, partitions } = known
  if (partitions !== undefined) return Math.min(partitions, values)
  if (min !== undefined && max !== undefined) {
    if (compareBounds(min, max) === 0) return Math.min(1, values)
    if (typeof min === 'bigint') return distinctOfRange(position(max) - position(min) + 1, values)
    // One character each: flags and codes.
    if (min.length <= 1 && typeof max === 'string' && max.length <= 1)
      return distinctOfRange(Math.abs(max.charCodeAt(0) - (min.charCodeAt(0) || 0)) + 1, values)
  }
  if (counted !== undefined) return Math.min(counted, values)
  if (type.kind === 'simple' && (type.name === 'DOUBLE' || type.name === 'FLOAT'))
    return values * FLOAT_DISTINCT
  if (type.kind === 'simple' && type.name === 'BOOLEAN') return Math.min(2, values)
  return values ** UNKNOWN_DISTINCT_EXPONENT
}

/** The number of values of a partition column that the scan's files have; undefined for other columns. */
function partitionValues(scan: Scan, source: string): number | undefined {
  const index = scan.partitionColumns.findIndex((c) => foldName(c.name) === foldName(source))
  if (index < 0 || scan.partitions === undefined) return undefined
  const values = new Set<string | null | undefined>()
  for (const file of scan.files) values.add(scan.partitions[file.partition]?.[index])
  return values.size
}

interface FooterBounds {
  readonly nulls: number | undefined
  readonly min: Bound | undefined
  readonly max: Bound | undefined
  /** Distinct values of all row groups together, by those that are counted of each. */
  readonly distinct: number | undefined
}

/** What the footers of all files say together; nothing where one of them is silent. */
function footerBounds(scan: Scan, source: string): FooterBounds {
  const reader = columnReader(scan, source)
  const silent = { nulls: undefined, min: undefined, max: undefined, distinct: undefined }
  if (reader === undefined) return silent
  const found: RowsBounds[] = []
  for (const file of scan.files) {
    const left = scan.rowGroupsLeft?.get(file)
    const bounds = reader.boundsOf(file)
    const isByGroup = left !== undefined && bounds.length === file.rowGroups.length
    for (const [i, one] of bounds.entries()) if (!isByGroup || left.includes(i)) found.push(one)
  }
  const { rows, nulls, min, max } = boundsTogether(found)
  const part = nulls === undefined || rows === 0 ? undefined : nulls / rows
  return { nulls: part, min, max, distinct: distinctTogether(found) }
}

/**
 * Where the row groups follow each other in the order of the column they have few values in common, else all are taken
 * for draws from the same values, of which the one with most says how many there are.
 */
function distinctTogether(groups: readonly RowsBounds[]): number | undefined {
  let sum = 0
  let most = { distinct: 0, values: 1 }
  for (const { rows, nulls = 0, distinct } of groups) {
    if (rows === nulls) continue
    if (distinct === undefined) return undefined
    sum += distinct
    if (distinct > most.distinct) most = { distinct, values: rows - nulls }
  }
  const estimate = distinctOfSample(most.distinct, most.values)
  return estimate < sum && !isAscending(groups) ? estimate : sum
}

/** True where no row group has a value below one of the group before it. */
function isAscending(groups: readonly RowsBounds[]): boolean {
  let last: Bound | undefined
  for (const { rows, nulls, min, max } of groups) {
    if (rows === nulls) continue
    if (min === undefined || max === undefined) return false
    if (last !== undefined && compareBounds(min, last) < 0) return false
    last = max
  }
  return true
}
