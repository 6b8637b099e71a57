import { DecodeError, type Infer, type Schema, s } from '@nyala/client/base'
import { column } from '@nyala/client/protocol'

/**
 * What the footer of a file says of one column, each list with an entry for each row group, or with one for the whole
 * file. Whole numbers stand for days, microseconds (TIMESTAMP_NS: nanoseconds), units of the last decimal place, and 0 or 1 for a
 * BOOLEAN; those that a number cannot hold are their digits. The type of the column in the file's schema tells which.
 */
export interface ColumnBounds {
  /** -1 where it is not known. */
  readonly nulls: readonly number[]
  /** No value is less; null where nothing is known, or all values are NULL. */
  readonly min: readonly (number | string | null)[]
  readonly max: readonly (number | string | null)[]
  /** Some `min` or `max` need not be a value of the column. */
  readonly inexact?: boolean
  /** Distinct values, -1 where that is not known; absent where it is nowhere. Estimates rest on it, answers never do. */
  readonly distinct?: readonly number[]
}

/** By the columns of the file's schema; null where nothing is known. */
export type FileStatistics = readonly (ColumnBounds | null)[]

/** Decoded by hand: a manifest has hundreds of thousands of these values, and none of them needs a path of its own. */
export const fileStatistics: Schema<FileStatistics> = {
  shape: 'fileStatistics',
  decode(value, path) {
    if (Array.isArray(value) && value.every(isColumnBounds)) return value
    throw new DecodeError(`${path}: expected statistics of columns`)
  },
}

function isColumnBounds(value: unknown): value is ColumnBounds | null {
  if (value === null) return true
  if (typeof value !== 'object') return false
  const { nulls, min, max, inexact, distinct } = value as Partial<
    Record<keyof ColumnBounds, unknown>
  >
  if (!Array.isArray(nulls) || !Array.isArray(min) || !Array.isArray(max)) return false
  if (min.length !== nulls.length || max.length !== nulls.length) return false
  if (inexact !== undefined && typeof inexact !== 'boolean') return false
  const isCounted = Array.isArray(distinct) && distinct.length === nulls.length
  if (distinct !== undefined && !(isCounted && distinct.every(Number.isSafeInteger))) return false
  return nulls.every(Number.isSafeInteger) && min.every(isBound) && max.every(isBound)
}

const isBound = (value: unknown): boolean =>
  value === null || typeof value === 'string' || Number.isSafeInteger(value)

/** One Parquet file as found by a listing. */
export const listedFile = s.object({
  path: s.string,
  bytes: s.natural,
  modifiedMs: s.number,
  rows: s.natural,
  /** Rows and compressed bytes of each row group, in file order. */
  rowGroups: s.array(s.object({ rows: s.natural, bytes: s.natural })),
  /** Index into `schemas`. */
  schema: s.natural,
  statistics: s.optional(fileStatistics),
  /** Values of the `key=value` directories between the location and the file, in order; decoded, NULL is null. */
  partition: s.array(s.object({ key: s.string, value: s.nullable(s.string) })),
})
export type ListedFile = Infer<typeof listedFile>

export const listing = s.object({
  /** The real path of what was listed, symbolic links resolved. */
  location: s.string,
  files: s.array(listedFile),
  /** The distinct schemas of the files: SQL names and types as the kernel reads them. */
  schemas: s.array(s.array(column)),
})
export type Listing = Infer<typeof listing>
