/**
 * Takes the parts of a record batch in Arrow's order: numbers into the metadata, bytes into the body behind it.
 * The caller has computed the sizes and allocated the target.
 */
export class BodySink {
  readonly #target: Uint8Array
  readonly #view: DataView
  readonly #bodyAt: number
  #nodeAt: number
  #bufferAt: number
  #at: number

  constructor(
    target: Uint8Array,
    at: { readonly nodes: number; readonly buffers: number; readonly body: number },
  ) {
    this.#target = target
    this.#view = new DataView(target.buffer, target.byteOffset, target.byteLength)
    this.#nodeAt = at.nodes
    this.#bufferAt = at.buffers
    this.#bodyAt = at.body
    this.#at = at.body
  }

  /** Bytes of the body so far, padding included. */
  get bodyBytes(): number {
    return this.#at - this.#bodyAt
  }

  node(length: number, nullCount: number): void {
    this.#putLong(this.#nodeAt, length)
    this.#putLong(this.#nodeAt + 8, nullCount)
    this.#nodeAt += 16
  }

  /** The first `length` bytes of `source`, padded with zeros to a multiple of 8. */
  buffer(source: Uint8Array, length: number): void {
    this.#putLong(this.#bufferAt, this.#at - this.#bodyAt)
    this.#putLong(this.#bufferAt + 8, length)
    this.#bufferAt += 16
    this.#target.set(source.byteLength === length ? source : source.subarray(0, length), this.#at)
    this.#at += length
    while ((this.#at - this.#bodyAt) % 8 !== 0) this.#target[this.#at++] = 0
  }

  /** Lengths here stay below 2^32: a message is at most 64 MiB. */
  #putLong(at: number, value: number): void {
    this.#view.setUint32(at, value, true)
    this.#view.setUint32(at + 4, 0, true)
  }
}

/** Bytes that a buffer of `length` takes in a body. */
export const paddedBytes = (length: number): number => (length + 7) & ~7
