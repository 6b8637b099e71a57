/**
 * The least of a FlatBuffers writer that Arrow's schema messages need. Objects are appended front to back and refer to
 * children written after them, so each table is written in two steps: its fixed part with holes, then the holes.
 */
export class FlatbufferWriter {
  #bytes = new Uint8Array(1024)
  #view = new DataView(this.#bytes.buffer)
  #length = 4

  /**
   * A table of the given fields in order of their ids; `undefined` leaves a field at its default. Returns the table's
   * position and that of each field's value, so that references can be filled in later.
   */
  table(fields: readonly (Field | undefined)[]): { readonly at: number; readonly slots: number[] } {
    const vtableBytes = 4 + 2 * fields.length
    this.#align(8, vtableBytes)
    const vtable = this.#take(vtableBytes)
    const at = this.#take(4)
    const slots = fields.map((field) => {
      if (field === undefined) return 0
      this.#align(field.bytes, 0)
      return this.#take(field.bytes)
    })
    this.#view.setUint16(vtable, vtableBytes, true)
    this.#view.setUint16(vtable + 2, this.#length - at, true)
    this.#view.setInt32(at, at - vtable, true)
    fields.forEach((field, i) => {
      const slot = slots[i] ?? 0
      this.#view.setUint16(vtable + 4 + 2 * i, slot === 0 ? 0 : slot - at, true)
      if (field !== undefined) this.#put(slot, field)
    })
    return { at, slots }
  }

  /** A string; returns its position. */
  text(text: string): number {
    const encoded = new TextEncoder().encode(text)
    this.#align(4, 0)
    const at = this.#take(4 + encoded.byteLength + 1)
    this.#view.setUint32(at, encoded.byteLength, true)
    this.#bytes.set(encoded, at + 4)
    return at
  }

  /** A vector of references, to be filled in; returns its position, its elements start 4 bytes after. */
  references(count: number): number {
    this.#align(4, 0)
    const at = this.#take(4 + 4 * count)
    this.#view.setUint32(at, count, true)
    return at
  }

  /** Makes the reference at `slot` point at `target`, which lies behind it. */
  refer(slot: number, target: number): void {
    this.#view.setUint32(slot, target - slot, true)
  }

  /** The finished buffer, its length a multiple of 8. */
  finish(root: number): Uint8Array {
    this.#view.setUint32(0, root, true)
    this.#align(8, 0)
    return this.#bytes.slice(0, this.#length)
  }

  #put(slot: number, field: Field): void {
    if (field.bytes === 1) this.#view.setUint8(slot, field.value)
    else if (field.bytes === 2) this.#view.setInt16(slot, field.value, true)
    else if (field.bytes === 4) this.#view.setInt32(slot, field.value, true)
    else this.#view.setBigInt64(slot, BigInt(field.value), true)
  }

  /** Pads so that what follows `skip` further bytes is aligned. */
  #align(alignment: number, skip: number): void {
    while ((this.#length + skip) % alignment !== 0) this.#take(1)
  }

  #take(bytes: number): number {
    const at = this.#length
    this.#length += bytes
    if (this.#length > this.#bytes.byteLength) this.#grow()
    return at
  }

  #grow(): void {
    const larger = new Uint8Array(Math.max(2 * this.#bytes.byteLength, this.#length))
    larger.set(this.#bytes)
    this.#bytes = larger
    this.#view = new DataView(larger.buffer)
  }
}

export interface Field {
  readonly bytes: 1 | 2 | 4 | 8
  readonly value: number
}

export const u8 = (value: number): Field => ({ bytes: 1, value })
export const i16 = (value: number): Field => ({ bytes: 2, value })
export const i32 = (value: number): Field => ({ bytes: 4, value })
export const i64 = (value: number): Field => ({ bytes: 8, value })
/** A reference that {@link FlatbufferWriter.refer} fills in. */
export const reference: Field = { bytes: 4, value: 0 }
