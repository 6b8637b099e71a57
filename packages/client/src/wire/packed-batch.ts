/**
 * A packed record batch: the payload of frames of kind `packed`. It holds one encapsulated Arrow IPC message whose
 * buffers are written in fewer bytes; unpacking gives that message back bit for bit. Numbers are little-endian.
 *
 *   offset  size  field
 *        0     4  rows
 *        4     4  bytes of the head: the Arrow message up to its body, a multiple of 8
 *        8     4  bytes of the body once it is unpacked, a multiple of 8
 *       12     4  number of descriptors
 *       16    16  each descriptor:
 *                   0  1  encoding
 *                   1  1  bytes of a value in the Arrow buffer
 *                   2  1  bytes of a value here
 *                   3  1  0
 *                   4  4  values; of `plain`, bytes
 *                   8  4  parameter of the encoding
 *                  12  4  bytes here, without padding
 *                   A descriptor of zeros stands for no buffer.
 *        …     …  head, then the packed buffers in the order of Arrow's; each begins at a multiple of 8
 *
 * | encoding  | here | parameter | stands for |
 * | --------- | ---- | --------- | ---------- |
 * | `plain`   | the bytes | – | one buffer |
 * | `integers` | unsigned of 1 or 2 bytes above a base, or signed of 4 or 8 | base, 32 bits | one buffer of 4, 8 or 16 bytes a value, sign extended |
 * | `lengths` | unsigned of 1 or 2 bytes | – | one buffer: the offsets, one more than there are lengths |
 * | `words`   | entries, their ends, their bytes (padded to 4), an index of 1 byte for each value | bytes of all values | two buffers: offsets, bytes |
 */
export const PACKED_HEADER_BYTES = 16
export const PACKED_DESCRIPTOR_BYTES = 16
/** The numbers of the encodings. */
export const PACKING = { plain: 0, integers: 1, lengths: 2, words: 3 } as const
/** Entries of one dictionary: an index is one byte. */
export const WORDS_MAX = 256
/** Once unpacked a batch is no larger than a message may be, whatever a damaged header says. */
const UNPACKED_BYTES_MAX = 64 * 1024 * 1024
const ALIGNMENT = 8

/** Rows of a packed batch, without unpacking it. */
export const packedRows = (payload: Uint8Array): number =>
  payload.byteLength < PACKED_HEADER_BYTES ? 0 : viewOf(payload).getUint32(0, true)

/** The Arrow message in a packed batch, in memory of its own. Throws RangeError where the batch is damaged. */
export function unpackBatch(payload: Uint8Array): Uint8Array {
  return new Unpacking(payload).run()
}

interface Descriptor {
  readonly encoding: number
  readonly width: number
  readonly packedWidth: number
  readonly count: number
  readonly parameter: number
}

class Unpacking {
  readonly #source: Uint8Array
  readonly #target: Uint8Array
  readonly #headBytes: number
  readonly #descriptors: number
  /** Where the next packed buffer begins. */
  #from: number
  /** Where the next Arrow buffer begins. */
  #to: number

  constructor(payload: Uint8Array) {
    const source = payload.byteOffset % ALIGNMENT === 0 ? payload : new Uint8Array(payload)
    check(source.byteLength >= PACKED_HEADER_BYTES, 'header')
    const view = viewOf(source)
    this.#headBytes = view.getUint32(4, true)
    const bodyBytes = view.getUint32(8, true)
    this.#descriptors = view.getUint32(12, true)
    const bytes = this.#headBytes + bodyBytes
    check(bytes % ALIGNMENT === 0 && this.#headBytes % ALIGNMENT === 0, 'sizes')
    check(bytes <= UNPACKED_BYTES_MAX, 'size')
    this.#from = PACKED_HEADER_BYTES + this.#descriptors * PACKED_DESCRIPTOR_BYTES
    check(this.#from + this.#headBytes <= source.byteLength, 'head')
    this.#source = source
    this.#target = new Uint8Array(bytes)
    this.#to = this.#headBytes
  }

  run(): Uint8Array {
    const source = this.#source
    this.#target.set(source.subarray(this.#from, this.#from + this.#headBytes))
    this.#from += this.#headBytes
    const view = viewOf(source)
    for (let i = 0; i < this.#descriptors; i++) {
      const at = PACKED_HEADER_BYTES + i * PACKED_DESCRIPTOR_BYTES
      const bytes = view.getUint32(at + 12, true)
      check(this.#from + bytes <= source.byteLength, 'buffer')
      this.#unpack(source.subarray(this.#from, this.#from + bytes), {
        encoding: view.getUint8(at),
        width: view.getUint8(at + 1),
        packedWidth: view.getUint8(at + 2),
        count: view.getUint32(at + 4, true),
        parameter: view.getInt32(at + 8, true),
      })
      this.#from += padded(bytes)
    }
    check(this.#to === this.#target.byteLength, 'body')
    return this.#target
  }

  #unpack(source: Uint8Array, descriptor: Descriptor): void {
    const { count, packedWidth, parameter } = descriptor
    switch (descriptor.encoding) {
      case PACKING.plain:
        check(source.byteLength === count, 'plain buffer')
        return this.#take(count).set(source)
      case PACKING.integers:
        return this.#unpackIntegers(source, descriptor)
      case PACKING.lengths: {
        check(source.byteLength === count * packedWidth && packedWidth <= 2, 'lengths')
        const offsets = wordsOf(this.#take(4 * (count + 1)))
        return packedWidth === 1 ? sumBytes(offsets, source) : sumShorts(offsets, shortsOf(source))
      }
      case PACKING.words:
        return this.#unpackWords(source, count, parameter)
      default:
        throw new RangeError(`packed batch: encoding ${descriptor.encoding} is not known`)
    }
  }

  #unpackIntegers(source: Uint8Array, descriptor: Descriptor): void {
    const { count, width, packedWidth, parameter: base } = descriptor
    check(source.byteLength === count * packedWidth, 'integers')
    check(width === 4 || width === 8 || width === 16, 'width of integers')
    const target = wordsOf(this.#take(count * width))
    const stride = width >> 2
    switch (packedWidth) {
      case 1:
        return widenBytes(target, source, { stride, base })
      case 2:
        return widenShorts(target, shortsOf(source), { stride, base })
      case 4:
        return widenWords(target, wordsOf(source), stride)
      case 8:
        check(width === 16, 'width of integers')
        return widenLongs(target, wordsOf(source))
      default:
        return check(false, 'width of packed integers')
    }
  }

  #unpackWords(source: Uint8Array, count: number, bytes: number): void {
    check(source.byteLength >= 4 && bytes >= 0, 'dictionary')
    const size = viewOf(source).getUint32(0, true)
    const textAt = 4 + 4 * size
    check(size <= WORDS_MAX && textAt <= source.byteLength, 'dictionary')
    const ends = new Uint32Array(source.buffer, source.byteOffset + 4, size)
    const textBytes = (((size === 0 ? 0 : ends[size - 1]) as number) + 3) & ~3
    check(textBytes >= 0 && source.byteLength === textAt + textBytes + count, 'indexes')
    const entries = new Entries(ends, source.subarray(textAt, textAt + textBytes))
    const indexes = source.subarray(textAt + textBytes)
    const offsets = wordsOf(this.#take(4 * (count + 1)))
    const target = this.#take(bytes)
    writeOffsets(offsets, indexes, entries)
    check((offsets[count] as number) === bytes, 'text')
    writeWords(target, indexes, entries)
  }

  /** The next Arrow buffer, all zero. */
  #take(bytes: number): Uint8Array {
    const from = this.#to
    this.#to += padded(bytes)
    check(this.#to <= this.#target.byteLength, 'body')
    return this.#target.subarray(from, from + bytes)
  }
}

const wordsOf = (bytes: Uint8Array): Int32Array =>
  new Int32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength >> 2)

const shortsOf = (bytes: Uint8Array): Uint16Array =>
  new Uint16Array(bytes.buffer, bytes.byteOffset, bytes.byteLength >> 1)

interface Widening {
  /** Words of a value. */
  readonly stride: number
  readonly base: number
}

/** A loop for each type: one for all would look up the type of every value. The target is all zero. */
function widenBytes(target: Int32Array, source: Uint8Array, { stride, base }: Widening): void {
  for (let i = 0, at = 0; i < source.length; i++, at += stride) {
    const value = (base + (source[i] as number)) | 0
    target[at] = value
    if (value < 0) fillSign(target, at, stride)
  }
}

function widenShorts(target: Int32Array, source: Uint16Array, { stride, base }: Widening): void {
  for (let i = 0, at = 0; i < source.length; i++, at += stride) {
    const value = (base + (source[i] as number)) | 0
    target[at] = value
    if (value < 0) fillSign(target, at, stride)
  }
}

function widenWords(target: Int32Array, source: Int32Array, stride: number): void {
  for (let i = 0, at = 0; i < source.length; i++, at += stride) {
    const value = source[i] as number
    target[at] = value
    if (value < 0) fillSign(target, at, stride)
  }
}

function fillSign(target: Int32Array, at: number, stride: number): void {
  for (let k = 1; k < stride; k++) target[at + k] = -1
}

/** Pairs of words to four. */
function widenLongs(target: Int32Array, source: Int32Array): void {
  for (let i = 0, at = 0; i < source.length; i += 2, at += 4) {
    const high = source[i + 1] as number
    const sign = high >> 31
    target[at] = source[i] as number
    target[at + 1] = high
    target[at + 2] = sign
    target[at + 3] = sign
  }
}

function sumBytes(target: Int32Array, lengths: Uint8Array): void {
  let end = 0
  for (let i = 0; i < lengths.length; i++) {
    end += lengths[i] as number
    target[i + 1] = end
  }
}

function sumShorts(target: Int32Array, lengths: Uint16Array): void {
  let end = 0
  for (let i = 0; i < lengths.length; i++) {
    end += lengths[i] as number
    target[i + 1] = end
  }
}

const HEAD_BYTES = 32
const HEAD_WORDS = HEAD_BYTES / 4

/** The entries of a dictionary; those that are not there have no bytes. */
class Entries {
  readonly lengths: Uint32Array = new Uint32Array(WORDS_MAX)
  /** Of each entry its first bytes, so that most are written as whole words. */
  readonly heads: Int32Array = new Int32Array(HEAD_WORDS * WORDS_MAX)
  readonly #text: Uint8Array
  readonly #ends: Uint32Array

  constructor(ends: Uint32Array, text: Uint8Array) {
    this.#text = text
    this.#ends = ends
    const heads = new Uint8Array(this.heads.buffer)
    for (let entry = 0, start = 0; entry < ends.length; entry++) {
      const end = ends[entry] as number
      check(start <= end && end <= text.byteLength, 'dictionary')
      this.lengths[entry] = end - start
      heads.set(text.subarray(start, Math.min(end, start + HEAD_BYTES)), HEAD_BYTES * entry)
      start = end
    }
  }

  bytesOf(entry: number): Uint8Array {
    const start = entry === 0 ? 0 : this.#ends[entry - 1]
    return this.#text.subarray(start, this.#ends[entry])
  }
}

function writeOffsets(offsets: Int32Array, indexes: Uint8Array, { lengths }: Entries): void {
  let end = 0
  for (let i = 0; i < indexes.length; i++) {
    end += lengths[indexes[i] as number] as number
    offsets[i + 1] = end
  }
}

/** Whole words go beyond the end of a value where there is room: the next value comes over them. */
function writeWords(target: Uint8Array, indexes: Uint8Array, entries: Entries): void {
  const { lengths, heads } = entries
  const view = viewOf(target)
  const roomy = target.byteLength - HEAD_BYTES
  let at = 0
  for (let i = 0; i < indexes.length; i++) {
    const entry = indexes[i] as number
    const length = lengths[entry] as number
    const from = HEAD_WORDS * entry
    if (length === 1) {
      target[at] = heads[from] as number
    } else if (length > HEAD_BYTES || at > roomy) {
      target.set(entries.bytesOf(entry), at)
    } else {
      view.setInt32(at, heads[from] as number, true)
      view.setInt32(at + 4, heads[from + 1] as number, true)
      for (let word = 2; 4 * word < length; word++) {
        view.setInt32(at + 4 * word, heads[from + word] as number, true)
      }
    }
    at += length
  }
}

const viewOf = (bytes: Uint8Array): DataView =>
  new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)

const padded = (bytes: number): number => (bytes + ALIGNMENT - 1) & -ALIGNMENT

function check(fits: boolean, what: string): void {
  if (!fits) throw new RangeError(`packed batch is damaged: ${what}`)
}
