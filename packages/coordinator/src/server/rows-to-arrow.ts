import { crc32 } from 'node:zlib'
import type { Column } from '@nyala/client/protocol'
import { encodeFrame } from '@nyala/client/wire'
import type { Vector } from 'apache-arrow'

/** A result that the coordinator makes itself: SHOW, DESCRIBE, EXPLAIN. Cells are text, whole numbers or NULL. */
export interface LocalResult {
  readonly command: string
  readonly columns: readonly LocalColumn[]
  readonly rows: readonly (readonly (string | number | bigint | null)[])[]
}

export interface LocalColumn extends Column {
  readonly type: 'VARCHAR' | 'BIGINT'
}

export const text = (name: string): LocalColumn => ({ name, type: 'VARCHAR' })
export const count = (name: string): LocalColumn => ({ name, type: 'BIGINT' })

/** Bytes of the end-of-stream marker of an Arrow IPC stream. */
const END_OF_STREAM_BYTES = 8

/** The frames of a local result: the schema, and one batch where there are rows. */
export async function localFrames(result: LocalResult): Promise<readonly Uint8Array[]> {
  // Loaded at first use: most statements never need an encoder in this process.
  const arrow = await import('apache-arrow')
  const typeOf = (column: LocalColumn): InstanceType<typeof arrow.Utf8 | typeof arrow.Int64> =>
    column.type === 'BIGINT' ? new arrow.Int64() : new arrow.Utf8()
  const vectors = result.columns.map((column, i): Vector => {
    const cells = result.rows.map((row) => {
      const cell = row[i] ?? null
      return cell !== null && column.type === 'BIGINT' ? BigInt(cell) : cell
    })
    return arrow.vectorFromArray(cells, typeOf(column)) as Vector
  })
  const schema = new arrow.Schema(
    result.columns.map((c) => new arrow.Field(c.name, typeOf(c), true)),
  )
  const schemaBytes = arrow.tableToIPC(new arrow.Table(schema), 'stream')
  const head = schemaBytes.subarray(0, schemaBytes.byteLength - END_OF_STREAM_BYTES)
  const payloads = [head]
  if (result.rows.length > 0) {
    const children = vectors.map((vector) => vector.data[0]).filter((data) => data !== undefined)
    const data = arrow.makeData({
      type: new arrow.Struct(schema.fields),
      length: result.rows.length,
      nullCount: 0,
      children,
    })
    const batch = new arrow.RecordBatch(schema, data)
    const all = arrow.tableToIPC(new arrow.Table(schema, [batch]), 'stream')
    payloads.push(all.subarray(head.byteLength, all.byteLength - END_OF_STREAM_BYTES))
  }
  return payloads.map((payload, sequence) =>
    encodeFrame({ kind: 'arrow', last: false, call: 0, sequence, crc: crc32(payload), payload }),
  )
}
