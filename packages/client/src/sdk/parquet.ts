import type { Table } from 'apache-arrow'
import { SqlError } from '../protocol/errors.ts'
import { ownTable } from './foreign-arrow.ts'

export type ParquetCompression = 'uncompressed' | 'snappy' | 'gzip' | 'brotli' | 'lz4_raw' | 'zstd'

export interface ParquetWriteOptions {
  /** Default `snappy`. */
  readonly compression?: ParquetCompression | undefined
  /** Rows in a row group at most; default 122,880, as DuckDB writes. */
  readonly rowGroupRows?: number | undefined
}

/** Parquet in WebAssembly, between files and Arrow IPC streams. All of a file is in memory at once. */
export interface ParquetCodec {
  toIpc(file: Uint8Array): Uint8Array
  fromIpc(stream: Uint8Array, options: ParquetWriteOptions): Uint8Array
}

type Wasm = typeof import('parquet-wasm')

const ROW_GROUP_ROWS = 122_880

const COMPRESSIONS: Readonly<Record<ParquetCompression, keyof Wasm['Compression']>> = {
  uncompressed: 'UNCOMPRESSED',
  snappy: 'SNAPPY',
  gzip: 'GZIP',
  brotli: 'BROTLI',
  lz4_raw: 'LZ4_RAW',
  zstd: 'ZSTD',
}

/** The codec over a loaded and initialised parquet-wasm. */
export const codecOf = (wasm: Wasm): ParquetCodec => ({
  toIpc: (file) => translated('read', () => wasm.readParquet(file).intoIPCStream()),
  fromIpc: (stream, options) => translated('write', () => encode(wasm, stream, options)),
})

function encode(wasm: Wasm, stream: Uint8Array, options: ParquetWriteOptions): Uint8Array {
  const properties = new wasm.WriterPropertiesBuilder()
    .setCompression(wasm.Compression[COMPRESSIONS[options.compression ?? 'snappy']])
    .setMaxRowGroupSize(options.rowGroupRows ?? ROW_GROUP_ROWS)
    .build()
  return wasm.writeParquet(wasm.Table.fromIPCStream(stream), properties)
}

/** The codec throws bare strings and errors of its own. */
function translated<T>(verb: 'read' | 'write', action: () => T): T {
  try {
    return action()
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error)
    throw new SqlError('data_exception', `cannot ${verb} parquet: ${reason}`, { cause: error })
  }
}

/** The two functions that users call, over whichever codec the platform loads. */
export function parquetFunctions(load: () => Promise<ParquetCodec>): {
  parquetToTable(file: Uint8Array): Promise<Table>
  tableToParquet(table: Table, options?: ParquetWriteOptions): Promise<Uint8Array>
} {
  return {
    async parquetToTable(file) {
      const [codec, { tableFromIPC }] = await Promise.all([load(), import('apache-arrow')])
      return tableFromIPC(codec.toIpc(file))
    },
    async tableToParquet(table, options = {}) {
      const [codec, arrow] = await Promise.all([load(), import('apache-arrow')])
      return codec.fromIpc(arrow.tableToIPC(ownTable(arrow, table), 'stream'), options)
    },
  }
}
