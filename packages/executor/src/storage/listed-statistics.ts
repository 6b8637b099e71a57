import type { Column } from '@nyala/client/protocol'
import type { FileStatistics, ListedFile } from '../protocol/index.ts'
import { columnBounds, familyOfType, statisticsSize, wholeFile } from './column-statistics.ts'
import type { ParquetFooter } from './parquet-footer.ts'

/** A listing travels in one message of at most 64 MiB, and a manifest is read as a whole: the most of it that is this. */
const STATISTICS_SIZE_MAX = 16 * 1024 * 1024

/** What a footer says of the columns as the kernel sees them; undefined where that is nothing. */
export function fileStatisticsOf(
  footer: ParquetFooter,
  columns: readonly Column[],
): FileStatistics | undefined {
  if (footer.columns.length !== columns.length) return undefined
  const statistics = columns.map(({ name, type }, i) => {
    const found = footer.columns[i]
    if (found === undefined || footer.names[i] !== name) return null
    // Where the two do not agree on what the values are, only how many there are is what it is.
    const agrees = found.family !== undefined && found.family === familyOfType(type)
    return columnBounds(
      agrees
        ? found.chunks
        : found.chunks.map((chunk) => ({ ...chunk, min: null, max: null, exact: false })),
    )
  })
  return statistics.every((column) => column === null) ? undefined : statistics
}

/** Files with what is known of them: of each row group where there is room, else of each file, else nothing. */
export function withStatistics(
  files: readonly ListedFile[],
  statistics: readonly (FileStatistics | undefined)[],
): readonly ListedFile[] {
  for (const reduce of [undefined, wholeFile]) {
    const reduced = statistics.map((s) => (s === undefined || reduce === undefined ? s : reduce(s)))
    let size = 0
    for (const one of reduced) if (one !== undefined) size += statisticsSize(one)
    if (size > STATISTICS_SIZE_MAX) continue
    return files.map((file, i) => {
      const found = reduced[i]
      return found === undefined ? file : { ...file, statistics: found }
    })
  }
  return files
}
