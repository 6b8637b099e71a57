import { BatchSink, type BatchPlaces, type Integers } from './batch-sink.ts'
import type { GrowableBuffer } from './growable-buffer.ts'

/** Writes the body as Arrow has it. */
export class PlainSink extends BatchSink {
  #at: number

  constructor(target: Uint8Array, places: BatchPlaces) {
    super(target, places)
    this.#at = places.body
  }

  /** Padded with zeros to a multiple of 8. */
  buffer(source: Uint8Array, length: number): void {
    this.extent(length)
    this.target.set(source.byteLength === length ? source : source.subarray(0, length), this.#at)
    this.#pad(length)
  }

  integers({ values, count, storedWidth, width }: Integers): void {
    if (storedWidth === width) return this.buffer(values.bytes, values.length)
    this.extent(count * width)
    const { buffer, byteOffset } = this.target
    const target = new Int32Array(buffer, byteOffset + this.#at, (count * width) >> 2)
    if (storedWidth === 8) extendLongs(values.int32, target)
    else if (storedWidth === 4) extendInts(values.int32, target)
    else extendInts(values.int16, target)
    this.#pad(count * width)
  }

  text(offsets: GrowableBuffer, bytes: GrowableBuffer): void {
    this.buffer(offsets.bytes, offsets.length)
    this.buffer(bytes.bytes, bytes.length)
  }

  indexedText(): boolean {
    return false
  }

  #pad(length: number): void {
    this.#at += length
    for (let rest = -length & 7; rest > 0; rest--) this.target[this.#at++] = 0
  }
}

/** Longs to Arrow's 16 bytes. */
function extendLongs(source: Int32Array, target: Int32Array): void {
  for (let at = 0, from = 0; at < target.length; at += 4, from += 2) {
    const high = source[from + 1] as number
    const sign = high >> 31
    target[at] = source[from] as number
    target[at + 1] = high
    target[at + 2] = sign
    target[at + 3] = sign
  }
}

function extendInts(source: Int32Array | Int16Array, target: Int32Array): void {
  for (let at = 0, i = 0; at < target.length; at += 4, i++) {
    const value = source[i] as number
    const sign = value >> 31
    target[at] = value
    target[at + 1] = sign
    target[at + 2] = sign
    target[at + 3] = sign
  }
}
