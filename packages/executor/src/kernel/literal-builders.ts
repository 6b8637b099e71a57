import { VariableBuilder } from './text-builder.ts'
import type { VectorView } from './vector-view.ts'

/** ENUM: an index in the kernel, its text in the result. */
export class EnumBuilder extends VariableBuilder {
  readonly #indexWidth: 1 | 2 | 4
  readonly #values: readonly Uint8Array[]
  readonly #longest: number

  constructor(indexWidth: 1 | 2 | 4, values: readonly Uint8Array[]) {
    super()
    this.#indexWidth = indexWidth
    this.#values = values
    this.#longest = values.reduce((most, value) => Math.max(most, value.byteLength), 0)
  }

  append(view: VectorView, from: number, count: number): void {
    const first = this.validity.count
    this.validity.append(view.validity, from, count)
    const indexes = this.#indexes(view)
    this.offsets.reserve(4 * count)
    this.offsets.length += 4 * count
    this.bytes.reserve(count * this.#longest)
    for (let i = 0; i < count; i++) {
      const value = this.#values[indexes[from + i] as number]
      if (value !== undefined && this.validity.isValid(first + i)) this.bytes.append(value)
      this.offsets.int32[first + i + 1] = this.bytes.length
    }
  }

  measure(_view: VectorView, _from: number, count: number): number {
    return count * (4 + this.#longest)
  }

  #indexes(view: VectorView): Uint8Array | Uint16Array | Uint32Array {
    const { buffer, byteOffset, byteLength } = view.data
    if (this.#indexWidth === 1) return view.data
    if (this.#indexWidth === 2) return new Uint16Array(buffer, byteOffset, byteLength >> 1)
    return new Uint32Array(buffer, byteOffset, byteLength >> 2)
  }
}

const UUID_BYTES = 36
const HEX = new TextEncoder().encode('0123456789abcdef')
const DASH = 0x2d
/** Position of each byte of a UUID, most significant first, in its text. */
const UUID_AT = [0, 2, 4, 6, 9, 11, 14, 16, 19, 21, 24, 26, 28, 30, 32, 34] as const
const DASHES_AT = [8, 13, 18, 23] as const

/** UUID: a 128-bit number whose top bit is flipped so that it sorts as a signed one. */
export class UuidBuilder extends VariableBuilder {
  append(view: VectorView, from: number, count: number): void {
    const first = this.validity.count
    this.validity.append(view.validity, from, count)
    this.offsets.reserve(4 * count)
    this.offsets.length += 4 * count
    this.bytes.reserve(count * UUID_BYTES)
    const offsets = this.offsets.int32
    for (let i = 0; i < count; i++) {
      if (this.validity.isValid(first + i)) this.#appendOne(view.data, 16 * (from + i))
      offsets[first + i + 1] = this.bytes.length
    }
  }

  measure(_view: VectorView, _from: number, count: number): number {
    return count * (4 + UUID_BYTES)
  }

  #appendOne(source: Uint8Array, start: number): void {
    const target = this.bytes.bytes
    const at = this.bytes.length
    for (let k = 0; k < 16; k++) {
      const byte = (source[start + 15 - k] as number) ^ (k === 0 ? 0x80 : 0)
      const to = at + (UUID_AT[k] as number)
      target[to] = HEX[byte >> 4] as number
      target[to + 1] = HEX[byte & 15] as number
    }
    for (const dash of DASHES_AT) target[at + dash] = DASH
    this.bytes.length = at + UUID_BYTES
  }
}

/** Sign and 39 digits. */
const HUGEINT_BYTES_MAX = 40

/** HUGEINT and UHUGEINT as decimal digits. */
export class HugeintBuilder extends VariableBuilder {
  readonly #signed: boolean

  constructor(signed: boolean) {
    super()
    this.#signed = signed
  }

  append(view: VectorView, from: number, count: number): void {
    const first = this.validity.count
    this.validity.append(view.validity, from, count)
    this.offsets.reserve(4 * count)
    this.offsets.length += 4 * count
    this.bytes.reserve(count * HUGEINT_BYTES_MAX)
    const source = new DataView(view.data.buffer, view.data.byteOffset, view.data.byteLength)
    for (let i = 0; i < count; i++) {
      if (this.validity.isValid(first + i)) this.#appendOne(source, 16 * (from + i))
      this.offsets.int32[first + i + 1] = this.bytes.length
    }
  }

  measure(_view: VectorView, _from: number, count: number): number {
    return count * (4 + HUGEINT_BYTES_MAX)
  }

  #appendOne(source: DataView, at: number): void {
    const high = this.#signed ? source.getBigInt64(at + 8, true) : source.getBigUint64(at + 8, true)
    const text = ((high << 64n) | source.getBigUint64(at, true)).toString()
    const target = this.bytes.bytes
    let to = this.bytes.length
    for (let k = 0; k < text.length; k++) target[to++] = text.charCodeAt(k)
    this.bytes.length = to
  }
}
