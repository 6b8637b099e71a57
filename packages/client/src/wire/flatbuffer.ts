import { SqlError } from '../protocol/errors.ts'

/**
 * Reads tables of a FlatBuffers message, as far as Arrow's metadata needs it. Every access is bounds-checked by
 * DataView, so a damaged message gives an error and never a wrong answer from beyond its end.
 */
export class FlatTable {
  readonly #view: DataView
  readonly #position: number

  private constructor(view: DataView, position: number) {
    this.#view = view
    this.#position = position
  }

  static root(bytes: Uint8Array): FlatTable {
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    return new FlatTable(view, view.getUint32(0, true))
  }

  #field(slot: number): number {
    const vtable = this.#position - this.#view.getInt32(this.#position, true)
    const entry = 4 + slot * 2
    if (entry >= this.#view.getUint16(vtable, true)) return 0
    const offset = this.#view.getUint16(vtable + entry, true)
    return offset === 0 ? 0 : this.#position + offset
  }

  byte(slot: number, absent = 0): number {
    const at = this.#field(slot)
    return at === 0 ? absent : this.#view.getUint8(at)
  }

  int16(slot: number, absent = 0): number {
    const at = this.#field(slot)
    return at === 0 ? absent : this.#view.getInt16(at, true)
  }

  int32(slot: number, absent = 0): number {
    const at = this.#field(slot)
    return at === 0 ? absent : this.#view.getInt32(at, true)
  }

  /** An int64 that must fit a JavaScript number: lengths, offsets and ids. */
  int64(slot: number): number {
    const at = this.#field(slot)
    return at === 0 ? 0 : safeInt64(this.#view, at)
  }

  bigint(slot: number): bigint {
    const at = this.#field(slot)
    return at === 0 ? 0n : this.#view.getBigInt64(at, true)
  }

  text(slot: number): string | undefined {
    const at = this.#field(slot)
    if (at === 0) return undefined
    const start = at + this.#view.getUint32(at, true)
    const length = this.#view.getUint32(start, true)
    const bytes = new Uint8Array(this.#view.buffer, this.#view.byteOffset + start + 4, length)
    return new TextDecoder().decode(bytes)
  }

  table(slot: number): FlatTable | undefined {
    const at = this.#field(slot)
    return at === 0 ? undefined : new FlatTable(this.#view, at + this.#view.getUint32(at, true))
  }

  tables(slot: number): readonly FlatTable[] {
    const at = this.#field(slot)
    if (at === 0) return []
    const start = at + this.#view.getUint32(at, true)
    const count = this.#count(start, 4)
    return Array.from({ length: count }, (_, i) => {
      const item = start + 4 + i * 4
      return new FlatTable(this.#view, item + this.#view.getUint32(item, true))
    })
  }

  /** The number of items of a vector, which must lie within the message. */
  #count(start: number, itemBytes: number): number {
    const count = this.#view.getUint32(start, true)
    if (start + 4 + count * itemBytes <= this.#view.byteLength) return count
    throw new RangeError(`vector of ${count} items reaches beyond its message`)
  }

  /** A vector of structs that are two int64 each: field nodes and buffers. */
  pairs(slot: number): readonly (readonly [number, number])[] {
    const at = this.#field(slot)
    if (at === 0) return []
    const start = at + this.#view.getUint32(at, true)
    const count = this.#count(start, 16)
    return Array.from({ length: count }, (_, i) => {
      const item = start + 4 + i * 16
      return [safeInt64(this.#view, item), safeInt64(this.#view, item + 8)] as const
    })
  }
}

function safeInt64(view: DataView, at: number): number {
  const value = Number(view.getBigInt64(at, true))
  if (Number.isSafeInteger(value) && value >= 0) return value
  throw new SqlError('protocol_violation', `arrow metadata has a length of ${value}`)
}
