import type { ColumnBounds } from '@nyala/executor/protocol'
import { foldName } from '@nyala/metastore'
import type { SqlType } from '../../sql/sql-types.ts'
import { parseType } from '../../sql/type-text.ts'
import type { ManifestFile } from '../../table/manifest.ts'
import type { Scan } from '../scan.ts'
import {
  type Bound,
  compareBounds,
  convertBound,
  type Domain,
  domainOf,
  parseBound,
} from './bounds.ts'

/** What is known of a column in some rows of a file. */
export interface RowsBounds {
  readonly rows: number
  /** Undefined where it is not known. */
  readonly nulls: number | undefined
  /** No value is less; absent where nothing is known, or there is no value. */
  readonly min: Bound | undefined
  readonly max: Bound | undefined
  /** `min` and `max` are values of the column. */
  readonly exact: boolean
  /** Distinct values, as whoever wrote the file has counted them. */
  readonly distinct?: number | undefined
}

/** How to find a column of a scan in its files. Made once for a scan and a column. */
export interface ColumnReader {
  readonly type: SqlType
  readonly domain: Domain | undefined
  /** For each row group, or, where there is but one entry, for the whole file. */
  boundsOf(file: ManifestFile): readonly RowsBounds[]
}

const readers = new WeakMap<Scan['schemas'], Map<string, ColumnReader | undefined>>()

/** The column of that name in the scan's table; undefined where it has none. */
export function columnReader(scan: Scan, name: string): ColumnReader | undefined {
  const known = readers.get(scan.schemas) ?? new Map<string, ColumnReader | undefined>()
  readers.set(scan.schemas, known)
  const key = `${scan.database}.${scan.table}.${foldName(name)}`
  if (!known.has(key)) known.set(key, makeReader(scan, name))
  return known.get(key)
}

function makeReader(scan: Scan, name: string): ColumnReader | undefined {
  const folded = foldName(name)
  const partition = scan.partitionColumns.findIndex((c) => foldName(c.name) === folded)
  const column =
    scan.partitionColumns[partition] ?? scan.columns.find((c) => foldName(c.name) === folded)
  const type = column === undefined ? undefined : typeOrNone(column.type)
  if (type === undefined) return undefined
  const domain = domainOf(type)
  const boundsOf =
    partition >= 0 ? partitionBounds(scan, partition, domain) : fileBounds(scan, folded, domain)
  const memo = new WeakMap<ManifestFile, readonly RowsBounds[]>()
  return {
    type,
    domain,
    boundsOf: (file) => {
      const found = memo.get(file) ?? boundsOf(file)
      memo.set(file, found)
      return found
    },
  }
}

function typeOrNone(text: string): SqlType | undefined {
  try {
    return parseType(text)
  } catch {
    // A type that only the kernel knows.
    return undefined
  }
}

type BoundsOf = (file: ManifestFile) => readonly RowsBounds[]

const unknown = (rows: number): RowsBounds => ({
  rows,
  nulls: undefined,
  min: undefined,
  max: undefined,
  exact: false,
})
const allNull = (rows: number): RowsBounds => ({ ...unknown(rows), nulls: rows })

function partitionBounds(scan: Scan, index: number, domain: Domain | undefined): BoundsOf {
  return ({ partition, rows }) => {
    const text = scan.partitions?.[partition]?.[index]
    if (text === null) return [allNull(rows)]
    const value = text === undefined || domain === undefined ? undefined : parseBound(text, domain)
    if (value === undefined)
      return [{ ...unknown(rows), ...(text === undefined ? {} : { nulls: 0 }) }]
    return [{ rows, nulls: 0, min: value, max: value, exact: true }]
  }
}

/** Where the column lies in each schema of the table's files, and how its values become those of the table's type. */
function fileBounds(scan: Scan, folded: string, domain: Domain | undefined): BoundsOf {
  const places = scan.schemas.map((schema) => {
    const index = schema.findIndex((c) => foldName(c.name) === folded)
    const type = index < 0 ? undefined : typeOrNone(schema[index]?.type ?? '')
    return { index, domain: type === undefined ? undefined : domainOf(type) }
  })
  return (file) => {
    const place = places[file.schema]
    if (place === undefined) return [unknown(file.rows)]
    if (place.index < 0) return [allNull(file.rows)]
    const bounds = file.statistics?.[place.index]
    if (bounds === undefined || bounds === null) return [unknown(file.rows)]
    return readBounds(file, bounds, { from: place.domain, to: domain })
  }
}

function readBounds(
  file: ManifestFile,
  bounds: ColumnBounds,
  by: { readonly from: Domain | undefined; readonly to: Domain | undefined },
): readonly RowsBounds[] {
  const groups = bounds.nulls.length
  const isWhole = groups !== file.rowGroups.length
  if (isWhole && groups !== 1) return [unknown(file.rows)]
  return bounds.nulls.map((nulls, i) => {
    const rows = isWhole ? file.rows : (file.rowGroups[i]?.rows ?? 0)
    const min = read(bounds.min[i], by)
    const max = read(bounds.max[i], by)
    const known = min !== undefined && max !== undefined
    const distinct = bounds.distinct?.[i] ?? -1
    return {
      rows,
      distinct: distinct > 0 ? distinct : undefined,
      nulls: nulls < 0 ? undefined : nulls,
      min: known ? min : undefined,
      max: known ? max : undefined,
      exact: known && bounds.inexact !== true,
    }
  })
}

function read(
  value: number | string | null | undefined,
  { from, to }: { readonly from: Domain | undefined; readonly to: Domain | undefined },
): Bound | undefined {
  if (value === null || value === undefined || from === undefined || to === undefined)
    return undefined
  if (typeof value === 'number') return convertBound(BigInt(value), from, to)
  if (from.kind === 'text') return convertBound(value, from, to)
  return /^-?\d+$/.test(value) ? convertBound(BigInt(value), from, to) : undefined
}

/** What is known of rows of several kinds together: nothing, where one of them is not known. */
export function boundsTogether(all: readonly RowsBounds[]): RowsBounds {
  let rows = 0
  let nulls: number | undefined = 0
  let min: Bound | undefined
  let max: Bound | undefined
  let [known, exact] = [true, true]
  for (const one of all) {
    rows += one.rows
    nulls = nulls === undefined || one.nulls === undefined ? undefined : nulls + one.nulls
    if (one.rows === one.nulls) continue
    if (one.min === undefined || one.max === undefined) known = false
    else {
      if (min === undefined || compareBounds(one.min, min) < 0) min = one.min
      if (max === undefined || compareBounds(one.max, max) > 0) max = one.max
      exact &&= one.exact
    }
  }
  return {
    rows,
    nulls,
    min: known ? min : undefined,
    max: known ? max : undefined,
    exact: known && exact,
  }
}
