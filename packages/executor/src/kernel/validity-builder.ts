import { GrowableBuffer } from './growable-buffer.ts'

/** Set bits in each byte. */
const BITS = Uint8Array.from({ length: 256 }, (_, byte) => {
  let bits = 0
  for (let rest = byte; rest > 0; rest >>= 1) bits += rest & 1
  return bits
})

/**
 * A validity bitmap in Arrow's layout, put together from pieces that need not start on a byte.
 * No memory is touched before the first NULL, as most columns never have one.
 */
export class ValidityBuilder {
  /** Values appended. */
  count = 0
  nullCount = 0
  readonly #bits = new GrowableBuffer(64)

  /** Bytes of the bitmap; none where every value is valid. */
  get bytes(): Uint8Array {
    return this.nullCount === 0 ? NOTHING : this.#bits.bytes.subarray(0, (this.count + 7) >> 3)
  }

  /** Appends `count` values from number `from` of a mask, or as many valid ones where there is no mask. */
  append(mask: Uint8Array | null, from: number, count: number): void {
    if (mask === null) return this.#appendValid(count)
    if (this.nullCount === 0) this.#fill(0, this.count)
    const before = this.count
    this.#ensure(before + count)
    if ((from & 7) === 0) this.#appendBytes(mask, from >> 3, count)
    else this.#appendBits(mask, from, count)
    this.count = before + count
  }

  isValid(at: number): boolean {
    return this.nullCount === 0 || (((this.#bits.bytes[at >> 3] as number) >> (at & 7)) & 1) === 1
  }

  reset(): void {
    this.count = 0
    this.nullCount = 0
  }

  #appendValid(count: number): void {
    if (this.nullCount > 0) this.#fill(this.count, count)
    this.count += count
  }

  #appendBytes(mask: Uint8Array, firstByte: number, count: number): void {
    const shift = this.count & 7
    const target = this.#bits.bytes
    let at = this.count >> 3
    const wholeBytes = count >> 3
    let valid = 0
    for (let i = 0; i < wholeBytes; i++) {
      const byte = mask[firstByte + i] as number
      valid += BITS[byte] as number
      if (shift === 0) {
        target[at++] = byte
        continue
      }
      target[at] = ((target[at] as number) & ((1 << shift) - 1)) | (byte << shift)
      target[++at] = byte >> (8 - shift)
    }
    this.nullCount += 8 * wholeBytes - valid
    const rest = count & 7
    if (rest > 0) this.#appendRest(mask[firstByte + wholeBytes] as number, 8 * wholeBytes, rest)
  }

  #appendRest(byte: number, offset: number, count: number): void {
    for (let i = 0; i < count; i++) this.#put(this.count + offset + i, ((byte >> i) & 1) === 1)
  }

  #appendBits(mask: Uint8Array, from: number, count: number): void {
    for (let i = 0; i < count; i++) {
      const bit = from + i
      this.#put(this.count + i, (((mask[bit >> 3] as number) >> (bit & 7)) & 1) === 1)
    }
  }

  #put(at: number, valid: boolean): void {
    if (valid) this.#set(at)
    else {
      this.#clear(at)
      this.nullCount++
    }
  }

  #set(at: number): void {
    const bytes = this.#bits.bytes
    bytes[at >> 3] = (bytes[at >> 3] as number) | (1 << (at & 7))
  }

  #clear(at: number): void {
    const bytes = this.#bits.bytes
    bytes[at >> 3] = (bytes[at >> 3] as number) & ~(1 << (at & 7))
  }

  /** Marks values valid: bit by bit at the ends, by the byte in between. */
  #fill(from: number, count: number): void {
    this.#ensure(from + count)
    const end = from + count
    let at = from
    while (at < end && (at & 7) !== 0) this.#set(at++)
    const bytes = (end - at) >> 3
    if (bytes > 0) this.#bits.bytes.fill(255, at >> 3, (at >> 3) + bytes)
    at += 8 * Math.max(bytes, 0)
    while (at < end) this.#set(at++)
  }

  /** Makes room for `count` values, and for the byte after them that a shifted append touches. */
  #ensure(count: number): void {
    const bits = this.#bits
    bits.length = Math.min((this.count + 7) >> 3, bits.bytes.byteLength)
    bits.reserve(((count + 7) >> 3) + 1 - bits.length)
  }
}

const NOTHING = new Uint8Array(0)
