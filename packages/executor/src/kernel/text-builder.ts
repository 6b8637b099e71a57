import duckdb from '@duckdb/node-bindings'
import { type BatchSink, paddedBytes } from './batch-sink.ts'
import { ColumnBuilder, KEEP_BYTES } from './column-builder.ts'
import { GrowableBuffer } from './growable-buffer.ts'
import { NOT_FOUND, TextDictionary } from './text-dictionary.ts'
import type { VectorView } from './vector-view.ts'

const INITIAL_BYTES = 1024
/** A string_t of up to this many bytes holds them itself; a longer one points to them. */
const INLINE_BYTES_MAX = 12
/**
 * Strings of a streamed vector lie back to back, so neighbours are read as one range. A gap of at most this many bytes
 * between two strings cannot hold a whole page, so every byte of the range lies on a mapped page.
 */
const GAP_BYTES_MAX = 4095
/** Shorter pieces are copied byte by byte: making a view of them costs more. */
const COPY_LOOP_BYTES_MAX = 48
const TWO_TO_32 = 4294967296

/** Bytes and offsets of a column of variable width; subclasses fill it. */
export abstract class VariableBuilder extends ColumnBuilder {
  readonly nodes = 1
  readonly buffers = 3
  protected readonly offsets: GrowableBuffer = new GrowableBuffer(INITIAL_BYTES)
  protected readonly bytes: GrowableBuffer = new GrowableBuffer(INITIAL_BYTES)

  constructor() {
    super()
    this.offsets.length = 4
  }

  bodyBytes(): number {
    const offsets = paddedBytes(this.offsets.length)
    return this.validityBytes() + offsets + paddedBytes(this.bytes.length)
  }

  write(sink: BatchSink): void {
    this.writeValidity(sink)
    sink.text(this.offsets, this.bytes)
  }

  reset(): void {
    this.validity.reset()
    this.offsets.reset(KEEP_BYTES)
    this.offsets.length = 4
    this.offsets.int32[0] = 0
    this.bytes.reset(KEEP_BYTES)
  }
}

/**
 * VARCHAR and BLOB.
 *
 * ```
 *   indexed ──more distinct values than a dictionary holds──► plain (until the end of the result)
 * ```
 *
 * While indexed, a value is an index into a dictionary, and `offsets` and `bytes` are empty.
 */
export class TextBuilder extends VariableBuilder {
  /** Where the last range that was read lies in memory; JavaScript's numbers hold addresses exactly. */
  #rangeStart = 0
  #rangeEnd = 0
  #range: Uint8Array = new Uint8Array(0)
  #dictionary: TextDictionary | undefined = new TextDictionary()
  readonly #indexes = new GrowableBuffer(INITIAL_BYTES)
  #indexedBytes = 0

  append(view: VectorView, from: number, count: number): void {
    const indexed = this.#dictionary === undefined ? 0 : this.#appendIndexed(view, from, count)
    if (indexed < count) this.#appendPlain(view, from + indexed, count - indexed)
    this.#range = NOTHING
    this.#rangeEnd = 0
  }

  override bodyBytes(): number {
    if (this.#dictionary === undefined) return super.bodyBytes()
    const offsets = paddedBytes(4 * (this.#indexes.length + 1))
    return this.validityBytes() + offsets + paddedBytes(this.#indexedBytes)
  }

  override write(sink: BatchSink): void {
    const dictionary = this.#dictionary
    if (dictionary === undefined) return super.write(sink)
    this.writeValidity(sink)
    const indexes = this.#indexes.bytes.subarray(0, this.#indexes.length)
    if (sink.indexedText({ indexes, dictionary, bytes: this.#indexedBytes })) return
    this.#spellOut(dictionary)
    sink.text(this.offsets, this.bytes)
  }

  override reset(): void {
    super.reset()
    this.#indexes.reset(KEEP_BYTES)
    this.#indexedBytes = 0
  }

  #appendPlain(view: VectorView, from: number, count: number): void {
    const first = this.validity.count
    this.validity.append(view.validity, from, count)
    const words = wordsOf(view)
    const start = this.bytes.length
    const end = this.#appendOffsets(words, view.validity, { first, from, count })
    // Inline strings are copied as three words, which may write beyond their end.
    this.bytes.reserve(end - start + INLINE_BYTES_MAX)
    if (end > start) this.#appendBytes(view, words, { first, from, count })
    this.bytes.length = end
  }

  /** Returns how many values the dictionary took; where not all of them, it is given up. */
  #appendIndexed(view: VectorView, from: number, count: number): number {
    const dictionary = this.#dictionary as TextDictionary
    const words = wordsOf(view)
    const mask = view.validity
    this.#indexes.reserve(count)
    const indexes = this.#indexes.bytes
    const shift = this.#indexes.length - from
    const last = from + count
    let bytes = 0
    let i = from
    for (; i < last; i++) {
      const length = words[4 * i] as number
      let entry = 0
      if (length > 0 && (mask === null || isValid(mask, i))) {
        entry =
          length > INLINE_BYTES_MAX
            ? this.#longEntry(view, words, { row: i, last })
            : dictionary.short(
                length,
                (words[4 * i + 1] as number) | 0,
                (words[4 * i + 2] as number) | 0,
                (words[4 * i + 3] as number) | 0,
              )
        if (entry === NOT_FOUND) break
        bytes += length
      }
      indexes[i + shift] = entry
    }
    const taken = i - from
    this.validity.append(mask, from, taken)
    this.#indexes.length += taken
    this.#indexedBytes += bytes
    if (taken < count) {
      this.#spellOut(dictionary)
      this.#dictionary = undefined
    }
    return taken
  }

  #longEntry(view: VectorView, words: Uint32Array, stretch: Stretch): number {
    const { row } = stretch
    const length = words[4 * row] as number
    const start = addressOf(words, row)
    if (start < this.#rangeStart || start + length > this.#rangeEnd) {
      this.#openRange(view, words, stretch)
    }
    const dictionary = this.#dictionary as TextDictionary
    const prefix = (words[4 * row + 1] as number) | 0
    return dictionary.long(this.#range, start - this.#rangeStart, length, prefix)
  }

  /** The indexed values as offsets and bytes. */
  #spellOut(dictionary: TextDictionary): void {
    const count = this.#indexes.length
    const indexes = this.#indexes.bytes
    this.offsets.length = 4
    this.bytes.length = 0
    this.offsets.reserve(4 * count)
    this.offsets.length = 4 * (count + 1)
    this.bytes.reserve(this.#indexedBytes)
    const offsets = this.offsets.int32
    for (let i = 0; i < count; i++) {
      this.bytes.append(dictionary.bytesOf(indexes[i] as number))
      offsets[i + 1] = this.bytes.length
    }
  }

  measure(view: VectorView, from: number, count: number): number {
    const words = wordsOf(view)
    const mask = view.validity
    let bytes = 4 * count
    for (let i = from; i < from + count; i++) {
      if (mask === null || isValid(mask, i)) bytes += words[4 * i] as number
    }
    return bytes
  }

  /** Returns where the bytes will end. */
  #appendOffsets(words: Uint32Array, mask: Uint8Array | null, rows: Rows): number {
    this.offsets.reserve(4 * rows.count)
    this.offsets.length += 4 * rows.count
    const offsets = this.offsets.int32
    let end = this.bytes.length
    let row = rows.first
    for (let i = rows.from; i < rows.from + rows.count; i++) {
      // What lies under a NULL means nothing.
      if (mask === null || isValid(mask, i)) end += words[4 * i] as number
      offsets[++row] = end
    }
    return end
  }

  #appendBytes(view: VectorView, words: Uint32Array, rows: Rows): void {
    const offsets = this.offsets.int32
    const target = this.bytes.view
    const shift = rows.first - rows.from
    const last = rows.from + rows.count
    let i = rows.from
    while (i < last) {
      const at = offsets[i + shift] as number
      const length = (offsets[i + shift + 1] as number) - at
      if (length > INLINE_BYTES_MAX) {
        i = this.#appendLong(view, words, { ...rows, from: i, count: last - i, first: i + shift })
        continue
      }
      if (length > 0) {
        target.setUint32(at, words[4 * i + 1] as number, true)
        target.setUint32(at + 4, words[4 * i + 2] as number, true)
        target.setUint32(at + 8, words[4 * i + 3] as number, true)
      }
      i++
    }
  }

  /** Copies the long string at `rows.from` and those that follow it without a gap; returns the first row not copied. */
  #appendLong(view: VectorView, words: Uint32Array, rows: Rows): number {
    const offsets = this.offsets.int32
    const at = offsets[rows.first] as number
    const start = addressOf(words, rows.from)
    let row = rows.first + 1
    let i = rows.from + 1
    let end = start + (offsets[row] as number) - at
    const last = rows.from + rows.count
    while (i < last) {
      const length = (offsets[row + 1] as number) - (offsets[row] as number)
      if (length > 0 && (length <= INLINE_BYTES_MAX || addressOf(words, i) !== end)) break
      end += length
      i++
      row++
    }
    if (start < this.#rangeStart || end > this.#rangeEnd)
      this.#openRange(view, words, { row: rows.from, last })
    this.#copy(start - this.#rangeStart, end - this.#rangeStart, at)
    return i
  }

  #copy(from: number, to: number, at: number): void {
    const range = this.#range
    const target = this.bytes.bytes
    if (to - from > COPY_LOOP_BYTES_MAX) {
      target.set(from === 0 && to === range.byteLength ? range : range.subarray(from, to), at)
      return
    }
    for (let k = from, t = at; k < to; k++, t++) target[t] = range[k] as number
  }

  /** Reads the range from the long string at `row` to the last one that lies behind it without a large gap. */
  #openRange(view: VectorView, words: Uint32Array, { row, last }: Stretch): void {
    const mask = view.validity
    const start = addressOf(words, row)
    let end = start + (words[4 * row] as number)
    for (let i = row + 1; i < last; i++) {
      const length = words[4 * i] as number
      if (length <= INLINE_BYTES_MAX || (mask !== null && !isValid(mask, i))) continue
      const address = addressOf(words, i)
      if (address < end || address - end > GAP_BYTES_MAX) break
      end = address + length
    }
    const pointerAt = view.data.byteOffset + 16 * row + 8
    this.#range = duckdb.get_data_from_pointer(
      view.data.buffer as ArrayBuffer,
      pointerAt,
      end - start,
    )
    this.#rangeStart = start
    this.#rangeEnd = end
  }
}

/** Values from number `row` of a vector up to, and without, number `last`. */
interface Stretch {
  readonly row: number
  readonly last: number
}

interface Rows {
  /** Number of the first row in the builder. */
  readonly first: number
  /** Number of the first row in the vector. */
  readonly from: number
  readonly count: number
}

const NOTHING = new Uint8Array(0)

const wordsOf = (view: VectorView): Uint32Array =>
  new Uint32Array(view.data.buffer, view.data.byteOffset, view.data.byteLength >> 2)

const isValid = (mask: Uint8Array, i: number): boolean =>
  (((mask[i >> 3] as number) >> (i & 7)) & 1) === 1

const addressOf = (words: Uint32Array, i: number): number =>
  (words[4 * i + 3] as number) * TWO_TO_32 + (words[4 * i + 2] as number)
