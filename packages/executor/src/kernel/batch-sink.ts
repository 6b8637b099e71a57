import type { GrowableBuffer } from './growable-buffer.ts'
import type { TextDictionary } from './text-dictionary.ts'

/** Where the numbers of a batch lie in its target, and where its bytes begin. */
export interface BatchPlaces {
  readonly nodes: number
  readonly buffers: number
  readonly body: number
}

/** Whole numbers as the kernel stores them, to be sign extended to Arrow's width. */
export interface Integers {
  readonly values: GrowableBuffer
  readonly count: number
  readonly storedWidth: 2 | 4 | 8
  readonly width: 4 | 8 | 16
}

/** Text as indexes into a dictionary. */
export interface IndexedText {
  readonly indexes: Uint8Array
  readonly dictionary: TextDictionary
  /** Of all values together. */
  readonly bytes: number
}

/**
 * Takes the parts of a record batch in Arrow's order: numbers into the metadata, bytes into the body behind it.
 * The caller has computed the sizes and allocated the target. What the metadata says is always the plain Arrow batch.
 */
export abstract class BatchSink {
  protected readonly target: Uint8Array
  protected readonly view: DataView
  #nodeAt: number
  #bufferAt: number
  #bodyBytes = 0

  constructor(target: Uint8Array, places: BatchPlaces) {
    this.target = target
    this.view = new DataView(target.buffer, target.byteOffset, target.byteLength)
    this.#nodeAt = places.nodes
    this.#bufferAt = places.buffers
  }

  /** Bytes of the plain body so far, padding included. */
  get bodyBytes(): number {
    return this.#bodyBytes
  }

  node(length: number, nullCount: number): void {
    this.#putLong(this.#nodeAt, length)
    this.#putLong(this.#nodeAt + 8, nullCount)
    this.#nodeAt += 16
  }

  /** The first `length` bytes of `source`. */
  abstract buffer(source: Uint8Array, length: number): void
  abstract integers(integers: Integers): void
  /** Two buffers; the offsets begin with 0. */
  abstract text(offsets: GrowableBuffer, bytes: GrowableBuffer): void
  /** The same from a dictionary; false where this sink wants the text itself. */
  abstract indexedText(text: IndexedText): boolean

  /** A buffer of the plain body. */
  protected extent(length: number): void {
    this.#putLong(this.#bufferAt, this.#bodyBytes)
    this.#putLong(this.#bufferAt + 8, length)
    this.#bufferAt += 16
    this.#bodyBytes += paddedBytes(length)
  }

  /** Lengths here stay below 2^32: a message is at most 64 MiB. */
  #putLong(at: number, value: number): void {
    this.view.setUint32(at, value, true)
    this.view.setUint32(at + 4, 0, true)
  }
}

/** Bytes that a buffer of `length` takes in a body. */
export const paddedBytes = (length: number): number => (length + 7) & ~7
