import { type BatchSink, paddedBytes } from './batch-sink.ts'
import { GrowableBuffer } from './growable-buffer.ts'
import { ValidityBuilder } from './validity-builder.ts'
import type { VectorView } from './vector-view.ts'

/** Memory that a builder keeps from one batch to the next. */
export const KEEP_BYTES = 4 * 1024 * 1024
/** Small, as a result may have a thousand columns and one row. */
export const INITIAL_BYTES = 1024

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
  /** Bytes of the plain Arrow body that `write` makes, packed or not. */
  abstract bodyBytes(): number
  abstract write(sink: BatchSink): void
  abstract reset(): void

  protected writeValidity(sink: BatchSink): void {
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

  write(sink: BatchSink): void {
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
    this.values.append(slice(view, from * this.width, count * this.width))
  }

  override write(sink: BatchSink): void {
    const { values, width } = this
    // Any bits of this width may pass for whole numbers, as they come back as they were.
    if (width !== 4 && width !== 8) return super.write(sink)
    this.writeValidity(sink)
    sink.integers({ values, count: this.validity.count, storedWidth: width, width })
  }
}

/** `length` bytes of a vector's own values from byte `first`. */
export function slice({ data }: VectorView, first: number, length: number): Uint8Array {
  const all = first === 0 && length === data.byteLength
  return all ? data : data.subarray(first, first + length)
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

  write(sink: BatchSink): void {
    this.writeValidity(sink)
    sink.buffer(this.#bits.bytes, this.#bits.length)
  }

  reset(): void {
    this.validity.reset()
    this.#bits.reset(KEEP_BYTES)
  }
}
