import { PACKED_DESCRIPTOR_BYTES, PACKING } from '@nyala/client/wire'
import {
  BatchSink,
  type BatchPlaces,
  type IndexedText,
  type Integers,
  paddedBytes,
} from './batch-sink.ts'
import type { GrowableBuffer } from './growable-buffer.ts'

const BYTE_VALUES = 256
const SHORT_VALUES = 65_536
/** Rows between two looks whether there is still anything to gain. */
const STRIP = 1024

interface Packed {
  readonly encoding: number
  readonly width: number
  readonly packedWidth: number
  readonly count: number
  readonly parameter: number
}

/** Writes the body in fewer bytes, as `packed-batch.ts` in the client describes. */
export class PackingSink extends BatchSink {
  #descriptorAt: number
  /** Where the next packed buffer begins, a multiple of 8 in the target. */
  #at: number

  constructor(target: Uint8Array, places: BatchPlaces & { readonly descriptors: number }) {
    super(target, places)
    this.#descriptorAt = places.descriptors
    this.#at = places.body
  }

  /** Bytes of the target in use. */
  get end(): number {
    return this.#at
  }

  buffer(source: Uint8Array, length: number): void {
    this.extent(length)
    this.#plain(source, length)
  }

  integers(integers: Integers): void {
    const { values, count, storedWidth, width } = integers
    this.extent(count * width)
    const range = rangeOf(integers)
    if (range === undefined) {
      if (storedWidth === width) return this.#plain(values.bytes, count * width)
      return this.#wide(integers, width)
    }
    const spread = range.most - range.least
    const packedWidth = spread < BYTE_VALUES ? 1 : spread < SHORT_VALUES ? 2 : 4
    if (packedWidth === storedWidth && storedWidth === width) {
      return this.#plain(values.bytes, count * width)
    }
    const base = packedWidth === 4 ? 0 : range.least
    this.#narrow(integers, packedWidth, base)
    this.#describe(
      { encoding: PACKING.integers, width, packedWidth, count, parameter: base },
      count * packedWidth,
    )
  }

  text(offsets: GrowableBuffer, bytes: GrowableBuffer): void {
    const count = (offsets.length >> 2) - 1
    this.extent(offsets.length)
    const longest = longestOf(offsets.int32, count)
    if (longest < SHORT_VALUES) {
      const packedWidth = longest < BYTE_VALUES ? 1 : 2
      if (packedWidth === 1) lengthsToBytes(offsets.int32, this.#bytes(count))
      else lengthsToShorts(offsets.int32, this.#shorts(count))
      this.#describe(
        { encoding: PACKING.lengths, width: 4, packedWidth, count, parameter: 0 },
        count * packedWidth,
      )
    } else {
      this.#plain(offsets.bytes, offsets.length)
    }
    this.buffer(bytes.bytes, bytes.length)
  }

  indexedText({ indexes, dictionary, bytes }: IndexedText): boolean {
    const count = indexes.byteLength
    const size = dictionary.packedBytes + count
    // A dictionary from earlier batches may be larger than what this one has of it.
    if (size > paddedBytes(4 * (count + 1)) + bytes) return false
    this.extent(4 * (count + 1))
    this.extent(bytes)
    dictionary.write(this.target, this.#at)
    this.target.set(indexes, this.#at + dictionary.packedBytes)
    this.#describe(
      { encoding: PACKING.words, width: 4, packedWidth: 1, count, parameter: bytes },
      size,
    )
    return true
  }

  #plain(source: Uint8Array, length: number): void {
    this.target.set(source.byteLength === length ? source : source.subarray(0, length), this.#at)
    this.#describe(
      { encoding: PACKING.plain, width: 1, packedWidth: 1, count: length, parameter: 0 },
      length,
    )
  }

  /** Values that need all of their stored width, which is less than Arrow's. */
  #wide({ values, count, storedWidth }: Integers, width: number): void {
    const bytes = count * storedWidth
    this.target.set(values.bytes.subarray(0, bytes), this.#at)
    this.#describe(
      { encoding: PACKING.integers, width, packedWidth: storedWidth, count, parameter: 0 },
      bytes,
    )
  }

  /** A loop for each pair of types: one for all would look up the type of every value. */
  #narrow({ values, count, storedWidth }: Integers, packedWidth: 1 | 2 | 4, base: number): void {
    if (storedWidth === 8) {
      if (packedWidth === 1) return longsToBytes(values.int32, this.#bytes(count), base)
      if (packedWidth === 2) return longsToShorts(values.int32, this.#shorts(count), base)
      return longsToInts(values.int32, this.#ints(count))
    }
    if (storedWidth === 4) {
      if (packedWidth === 1) return intsToBytes(values.int32, this.#bytes(count), base)
      if (packedWidth === 2) return intsToShorts(values.int32, this.#shorts(count), base)
      return this.#ints(count).set(values.int32.subarray(0, count))
    }
    // Decimals of two bytes keep their width.
    const target = this.#shorts(count)
    for (let i = 0; i < count; i++) target[i] = (values.int16[i] as number) - base
  }

  #bytes(count: number): Uint8Array {
    return new Uint8Array(this.target.buffer, this.target.byteOffset + this.#at, count)
  }

  #shorts(count: number): Uint16Array {
    return new Uint16Array(this.target.buffer, this.target.byteOffset + this.#at, count)
  }

  #ints(count: number): Int32Array {
    return new Int32Array(this.target.buffer, this.target.byteOffset + this.#at, count)
  }

  #describe(packed: Packed, bytes: number): void {
    const { view } = this
    const at = this.#descriptorAt
    view.setUint8(at, packed.encoding)
    view.setUint8(at + 1, packed.width)
    view.setUint8(at + 2, packed.packedWidth)
    view.setUint8(at + 3, 0)
    view.setUint32(at + 4, packed.count, true)
    view.setInt32(at + 8, packed.parameter, true)
    view.setUint32(at + 12, bytes, true)
    this.#descriptorAt = at + PACKED_DESCRIPTOR_BYTES
    this.#at += bytes
    for (let rest = -bytes & 7; rest > 0; rest--) this.target[this.#at++] = 0
  }
}

interface Range {
  readonly least: number
  readonly most: number
}

/** The range of the values, or undefined where they would not become narrower. */
function rangeOf({ values, count, storedWidth, width }: Integers): Range | undefined {
  if (count === 0) return undefined
  if (storedWidth === 8) return rangeOfLongs(values.int32, count)
  if (storedWidth === 4) return rangeOfInts(values.int32, count, width === storedWidth)
  return { least: -SHORT_VALUES / 2, most: SHORT_VALUES / 2 - 1 }
}

/** Of longs that are all within 32 bits. */
function rangeOfLongs(words: Int32Array, count: number): Range | undefined {
  let least = words[0] as number
  let most = least
  for (let i = 0; i < 2 * count; i += 2) {
    const value = words[i] as number
    if (words[i + 1] !== value >> 31) return undefined
    if (value < least) least = value
    if (value > most) most = value
  }
  return { least, most }
}

/** With `onlyShort`, of values that are all within 16 bits of each other. */
function rangeOfInts(values: Int32Array, count: number, onlyShort: boolean): Range | undefined {
  let least = values[0] as number
  let most = least
  for (let from = 0; from < count; from += STRIP) {
    const to = Math.min(count, from + STRIP)
    for (let i = from; i < to; i++) {
      const value = values[i] as number
      if (value < least) least = value
      if (value > most) most = value
    }
    if (onlyShort && most - least >= SHORT_VALUES) return undefined
  }
  return { least, most }
}

function longsToBytes(source: Int32Array, target: Uint8Array, base: number): void {
  const count = target.length
  for (let i = 0; i < count; i++) target[i] = (source[2 * i] as number) - base
}

function longsToShorts(source: Int32Array, target: Uint16Array, base: number): void {
  const count = target.length
  for (let i = 0; i < count; i++) target[i] = (source[2 * i] as number) - base
}

function longsToInts(source: Int32Array, target: Int32Array): void {
  const count = target.length
  for (let i = 0; i < count; i++) target[i] = source[2 * i] as number
}

function intsToBytes(source: Int32Array, target: Uint8Array, base: number): void {
  const count = target.length
  for (let i = 0; i < count; i++) target[i] = (source[i] as number) - base
}

function intsToShorts(source: Int32Array, target: Uint16Array, base: number): void {
  const count = target.length
  for (let i = 0; i < count; i++) target[i] = (source[i] as number) - base
}

function longestOf(offsets: Int32Array, count: number): number {
  let longest = 0
  let start = 0
  for (let i = 1; i <= count; i++) {
    const end = offsets[i] as number
    if (end - start > longest) longest = end - start
    start = end
  }
  return longest
}

function lengthsToBytes(offsets: Int32Array, target: Uint8Array): void {
  const count = target.length
  for (let i = 0; i < count; i++) target[i] = (offsets[i + 1] as number) - (offsets[i] as number)
}

function lengthsToShorts(offsets: Int32Array, target: Uint16Array): void {
  const count = target.length
  for (let i = 0; i < count; i++) target[i] = (offsets[i + 1] as number) - (offsets[i] as number)
}
