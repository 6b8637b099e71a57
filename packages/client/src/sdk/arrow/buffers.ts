import { SqlError } from '../../protocol/errors.ts'
import type { RawBatch } from './message.ts'

/** Columns of a batch may take no bytes at all, so its rows need a limit of their own. */
const BATCH_ROWS_MAX = 16 * 1024 * 1024

/** Walks the field nodes and buffers of one batch in the order in which its columns own them. */
export class BatchCursor {
  readonly #batch: RawBatch
  #node = 0
  #buffer = 0

  constructor(batch: RawBatch) {
    if (batch.length > BATCH_ROWS_MAX) {
      throw new SqlError('protocol_violation', `arrow batch of ${batch.length} rows is too long`)
    }
    this.#batch = batch
  }

  node(): { readonly length: number; readonly nullCount: number } {
    const node = this.#batch.nodes[this.#node++]
    if (node === undefined) throw new SqlError('protocol_violation', 'arrow batch lacks a column')
    // A bit is the least that a value of a list takes; the values of other columns are as many as the rows.
    if (node[0] > Math.max(this.#batch.length, this.#batch.body.byteLength * 8)) {
      throw new SqlError('protocol_violation', `arrow column of ${node[0]} values is too long`)
    }
    return { length: node[0], nullCount: node[1] }
  }

  buffer(): Uint8Array {
    const extent = this.#batch.buffers[this.#buffer++]
    if (extent === undefined) throw new SqlError('protocol_violation', 'arrow batch lacks a buffer')
    const [offset, length] = extent
    if (offset + length > this.#batch.body.byteLength) {
      throw new SqlError('protocol_violation', 'arrow buffer reaches beyond its message')
    }
    return this.#batch.body.subarray(offset, offset + length)
  }

  /** The validity bits of a node, or undefined where nothing is null. */
  validity(nullCount: number): Uint8Array | undefined {
    const bits = this.buffer()
    return nullCount === 0 || bits.byteLength === 0 ? undefined : bits
  }
}

interface TypedArrayType<A> {
  new (buffer: ArrayBufferLike, byteOffset: number, length: number): A
  readonly BYTES_PER_ELEMENT: number
}

/** `count` elements over a buffer, without a copy where its alignment allows. Throws when it is too short. */
export function elements<A>(type: TypedArrayType<A>, buffer: Uint8Array, count: number): A {
  const bytes = count * type.BYTES_PER_ELEMENT
  if (buffer.byteLength < bytes) {
    throw new SqlError('protocol_violation', `arrow buffer of ${buffer.byteLength} bytes is short`)
  }
  if (buffer.byteOffset % type.BYTES_PER_ELEMENT === 0) {
    return new type(buffer.buffer, buffer.byteOffset, count)
  }
  const copy = new Uint8Array(buffer.subarray(0, bytes))
  return new type(copy.buffer, 0, count)
}

/** Offsets as plain numbers, of 32 or 64 bits; `count` values have `count + 1` of them. None at all mean no values. */
export function readOffsets(buffer: Uint8Array, count: number, wide: boolean): ArrayLike<number> {
  if (buffer.byteLength === 0) return new Int32Array(count + 1)
  if (!wide) return elements(Int32Array, buffer, count + 1)
  return Float64Array.from(elements(BigInt64Array, buffer, count + 1), Number)
}

/**
 * The values of a column that has no children: read one at a time, or all at once. The loops over whole columns are
 * there for the commonest types: a call through a function that changes with the column costs more than the value.
 */
export type LeafValues = unknown[] | ((row: number) => unknown)

/** The values of a leaf with null where the validity bit is off. */
export function leafColumn(
  length: number,
  validity: Uint8Array | undefined,
  values: LeafValues,
): unknown[] {
  if (typeof values === 'function') return fill(length, validity, values)
  if (validity === undefined) return values
  for (let row = 0; row < length; row++) {
    if ((((validity[row >> 3] as number) >> (row & 7)) & 1) === 0) values[row] = null
  }
  return values
}

/** One value a row, null where the validity bit is off. */
export function fill(
  length: number,
  validity: Uint8Array | undefined,
  get: (row: number) => unknown,
): unknown[] {
  const values = new Array<unknown>(length)
  if (validity === undefined) {
    for (let row = 0; row < length; row++) values[row] = get(row)
    return values
  }
  for (let row = 0; row < length; row++) {
    const valid = ((validity[row >> 3] as number) >> (row & 7)) & 1
    values[row] = valid === 1 ? get(row) : null
  }
  return values
}
