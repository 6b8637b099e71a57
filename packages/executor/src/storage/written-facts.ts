import type { Column } from '@nyala/client/protocol'
import type { WrittenFacts } from './inspector.ts'
import { fileStatisticsOf } from './listed-statistics.ts'
import { parseFooter } from './parquet-footer.ts'

/** Length of the footer and magic bytes, at the end of the file. */
const TRAILER_BYTES = 8

/** What the footer says of a Parquet file that was made in memory here, of these columns. Pure. */
export function writtenFactsOf(file: Uint8Array, columns: readonly Column[]): WrittenFacts {
  const end = file.byteLength - TRAILER_BYTES
  const view = new DataView(file.buffer, file.byteOffset, file.byteLength)
  const footer = parseFooter(file.subarray(end - view.getUint32(end, true), end))
  return {
    rows: footer.rows,
    bytes: file.byteLength,
    statistics: fileStatisticsOf(footer, columns),
    columnBytes: footer.columns.map((column) => column?.bytes ?? null),
    rowGroupBytes: footer.rowGroups.map(({ bytes }) => bytes),
  }
}
