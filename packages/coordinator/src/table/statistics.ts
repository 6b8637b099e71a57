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
  /** The manifest whose files were read, by what it says; absent where a version wrote it that did not keep it. */
  manifest: s.optional(s.object({ crc32: s.natural, bytes: s.natural })),
  rows: s.natural,
  columns: s.array(columnStatistics),
})
export type TableStatistics = Infer<typeof tableStatistics>

/** True where the files of the table are not those any more that its statistics were computed from. */
export function isStale(statistics: TableStatistics, table: TableRecord): boolean {
  const { manifest } = statistics
  if (manifest === undefined) return statistics.computedAt < table.refreshedAt
  return manifest.crc32 !== table.manifest?.crc32 || manifest.bytes !== table.manifest.bytes
}
