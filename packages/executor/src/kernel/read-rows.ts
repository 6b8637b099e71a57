import duckdb, { type Connection, type DataChunk, type Result } from '@duckdb/node-bindings'
import { assert } from '@nyala/client/base'
import { type VectorView, viewVector } from './vector-view.ts'
import { type WireType, wireTypeOf } from './wire-type.ts'

/** NULL, a number where it is exact, or text; anything else is not read and comes as undefined. */
export type Cell = string | number | null | undefined

/** Runs a statement whose result is small and reads it whole. Rejects with the kernel's error. */
export async function readRows(
  connection: Connection,
  sql: string,
): Promise<readonly (readonly Cell[])[]> {
  return readResult(await duckdb.query(connection, sql))
}

/** Reads the rows of a materialised result. */
export function readResult(result: Result): readonly (readonly Cell[])[] {
  const types = Array.from({ length: duckdb.column_count(result) }, (_, i) =>
    wireTypeOf(duckdb.column_logical_type(result, i)),
  )
  const rows: (readonly Cell[])[] = []
  const chunks = duckdb.result_chunk_count(result)
  for (let i = 0; i < chunks; i++) {
    rows.push(...readChunk(duckdb.result_get_chunk(result, i), types))
  }
  return rows
}

function readChunk(
  chunk: DataChunk,
  types: readonly (WireType | undefined)[],
): readonly (readonly Cell[])[] {
  const count = duckdb.data_chunk_get_size(chunk)
  const columns = types.map((type, i) => {
    if (type === undefined) return undefined
    const view = viewVector(duckdb.data_chunk_get_vector(chunk, i), type, count)
    return Array.from({ length: count }, (_, row) => readCell(view, type, row))
  })
  return Array.from({ length: count }, (_, row) => columns.map((column) => column?.[row]))
}

function readCell(view: VectorView, type: WireType, row: number): Cell {
  if (view.validity !== null && !duckdb.validity_row_is_valid(view.validity, row)) return null
  if (type.kind === 'text') return readText(view.data, row)
  if (type.kind !== 'fixed' || type.arrow.kind !== 'int') return undefined
  const memory = new DataView(view.data.buffer, view.data.byteOffset, view.data.byteLength)
  if (type.width === 4) return memory.getInt32(4 * row, true)
  if (type.width !== 8) return undefined
  const value = Number(memory.getBigInt64(8 * row, true))
  assert(Number.isSafeInteger(value), () => `number ${value} is not exact`)
  return value
}

const INLINE_BYTES_MAX = 12

function readText(data: Uint8Array, row: number): string {
  const at = 16 * row
  const length = new DataView(data.buffer, data.byteOffset).getUint32(at, true)
  const bytes =
    length <= INLINE_BYTES_MAX
      ? data.subarray(at + 4, at + 4 + length)
      : duckdb.get_data_from_pointer(data.buffer as ArrayBuffer, data.byteOffset + at + 8, length)
  return new TextDecoder().decode(bytes)
}
