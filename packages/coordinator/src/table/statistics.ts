import { type Infer, s } from '@nyala/client/base'
import type { TableRecord } from '@nyala/metastore'

/** What COMPUTE STATS found, kept in an immutable file beside the manifest. */
export const columnStatistics = s.object({
  name: s.string,
  type: s.string,
  /** Estimated number of distinct values, NULL not counted. */
  distinct: s.natural,
  nulls: s.natural,
  /** As text; null where there is no value or the type has no order. */
  min: s.nullable(s.string),
  max: s.nullable(s.string),
  /** Bytes of the longest and the average value; -1 where all values have the size of the type. */
  sizeMax: s.number,
  sizeAverage: s.number,
})
export type ColumnStatistics = Infer<typeof columnStatistics>

export const tableStatistics = s.object({
  format: s.literal(1),
  /** Milliseconds since 1970-01-01 UTC. */
  computedAt: s.number,
  /** Path of the manifest whose files were read; absent where it was written by a version that did not say. */
  manifest: s.optional(s.string),
  rows: s.natural,
  columns: s.array(columnStatistics),
})
export type TableStatistics = Infer<typeof tableStatistics>

/** True where the table has been listed anew since its statistics were computed, so that its files may be others. */
export const isStale = (statistics: TableStatistics, table: TableRecord): boolean =>
  statistics.manifest === undefined
    ? statistics.computedAt < table.refreshedAt
    : statistics.manifest !== table.manifest?.path
