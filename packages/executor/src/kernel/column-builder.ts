import { type BodySink, paddedBytes } from './body-sink.ts'
import { GrowableBuffer } from './growable-buffer.ts'
import { ValidityBuilder } from './validity-builder.ts'
import type { VectorView } from './vector-view.ts'

/** Memory that a builder keeps from one batch to the next. */
export const KEEP_BYTES = 4 * 1024 * 1024
/** Small, as a result may have a thousand columns and one row. */
const INITIAL_BYTES = 1024

/**
 * One Arrow column, or one level of a nested one, filled from the kernel's vectors chunk by chunk.
 * Buffers are reused: what `write` has written stays valid only where it was copied to.
 */
export abstract class ColumnBuilder {
  readonly validity: ValidityBuilder = new ValidityBuilder()
  /** Nodes and buffers of this level and all below. */
  abstract readonly nodes: number
  abstract readonly buffers: number

  /** Appends `count` values from number `from` of the vector. */
  abstract append(view: VectorView, from: number, count: number): void
  /** About how many bytes `append` would add. */
  abstract measure(view: VectorView, from: number, count: number): number
  /** Bytes that `write` will put into the body. */
  abstract bodyBytes(): number
  abstract write(sink: BodySink): void
  abstract reset(): void

  protected writeValidity(sink: BodySink): void {
    sink.node(this.validity.count, this.validity.nullCount)
    const bytes = this.validity.bytes
    sink.buffer(bytes, bytes.byteLength)
  }

  protected validityBytes(): number {
    return paddedBytes(this.validity.bytes.byteLength)
  }
}

/** A column whose values all have the same width in Arrow; subclasses convert. */
export abstract class FlatBuilder extends ColumnBuilder {
  readonly nodes = 1
  readonly buffers = 2
  protected readonly values: GrowableBuffer = new GrowableBuffer(INITIAL_BYTES)
  protected readonly width: number

  constructor(width: number) {
    super()
    this.width = width
  }

  measure(_view: VectorView, _from: number, count: number): number {
    return count * this.width
  }

  bodyBytes(): number {
    return this.validityBytes() + paddedBytes(this.values.length)
  }

  write(sink: BodySink): void {
    this.writeValidity(sink)
    sink.buffer(this.values.bytes, this.values.length)
  }

  reset(): void {
    this.validity.reset()
    this.values.reset(KEEP_BYTES)
  }
}

/** Values that Arrow and the kernel lay out alike. */
export class FixedBuilder extends FlatBuilder {
  append(view: VectorView, from: number, count: number): void {
    this.validity.append(view.validity, from, count)
    const first = from * this.width
    const last = first + count * this.width
    const all = first === 0 && last === view.data.byteLength
    this.values.append(all ? view.data : view.data.subarray(first, last))
  }
}

/** One byte a value in the kernel, one bit in Arrow. */
export class BooleanBuilder extends ColumnBuilder {
  readonly nodes = 1
  readonly buffers = 2
  readonly #bits = new GrowableBuffer(INITIAL_BYTES)

  append(view: VectorView, from: number, count: number): void {
    const start = this.validity.count
    this.validity.append(view.validity, from, count)
    const wanted = (start + count + 7) >> 3
    this.#bits.reserve(wanted - this.#bits.length)
    const bits = this.#bits.bytes
    bits.fill(0, this.#bits.length, wanted)
    this.#bits.length = wanted
    for (let i = 0; i < count; i++) {
      const at = start + i
      if (view.data[from + i] === 1) bits[at >> 3] = (bits[at >> 3] as number) | (1 << (at & 7))
    }
  }

  measure(_view: VectorView, _from: number, count: number): number {
    return count >> 3
  }

  bodyBytes(): number {
    return this.validityBytes() + paddedBytes(this.#bits.length)
  }

  write(sink: BodySink): void {
    this.writeValidity(sink)
    sink.buffer(this.#bits.bytes, this.#bits.length)
  }

  reset(): void {
    this.validity.reset()
    this.#bits.reset(KEEP_BYTES)
  }
}
