import { SqlError } from '@nyala/client/protocol'
import { FixedBuilder, FlatBuilder } from './column-builder.ts'
import type { VectorView } from './vector-view.ts'

/** DECIMAL: 2, 4 or 8 bytes in the kernel, extended to Arrow's 16. */
export class DecimalBuilder extends FlatBuilder {
  readonly #storedWidth: 2 | 4 | 8

  constructor(storedWidth: 2 | 4 | 8) {
    super(16)
    this.#storedWidth = storedWidth
  }

  append(view: VectorView, from: number, count: number): void {
    this.validity.append(view.validity, from, count)
    this.values.reserve(16 * count)
    const target = this.values.int32
    const { buffer, byteOffset } = view.data
    const at = this.values.length >> 2
    this.values.length += 16 * count
    if (this.#storedWidth === 8) {
      return extendLongs(new Int32Array(buffer, byteOffset + 8 * from, 2 * count), target, at)
    }
    const source =
      this.#storedWidth === 4
        ? new Int32Array(buffer, byteOffset + 4 * from, count)
        : new Int16Array(buffer, byteOffset + 2 * from, count)
    extendInts(source, target, at)
  }
}

function extendLongs(source: Int32Array, target: Int32Array, start: number): void {
  let at = start
  for (let i = 0; i < source.length; i += 2) {
    const high = source[i + 1] as number
    const sign = high >> 31
    target[at] = source[i] as number
    target[at + 1] = high
    target[at + 2] = sign
    target[at + 3] = sign
    at += 4
  }
}

function extendInts(source: Int32Array | Int16Array, target: Int32Array, start: number): void {
  let at = start
  for (let i = 0; i < source.length; i++) {
    const value = source[i] as number
    const sign = value >> 31
    target[at] = value
    target[at + 1] = sign
    target[at + 2] = sign
    target[at + 3] = sign
    at += 4
  }
}

const NANOS_PER_MICRO = 1000n
const MICROS_MAX = 9_223_372_036_854_775n

/** INTERVAL: months, days and microseconds; Arrow counts nanoseconds, which reach 292 years. */
export class IntervalBuilder extends FixedBuilder {
  constructor() {
    super(16)
  }

  override append(view: VectorView, from: number, count: number): void {
    const at = this.values.length
    super.append(view, from, count)
    const target = this.values.view
    const first = this.validity.count - count
    for (let i = 0; i < count; i++) {
      const offset = at + 16 * i + 8
      const micros = target.getBigInt64(offset, true)
      if (micros > MICROS_MAX || micros < -MICROS_MAX) {
        // What lies under a NULL means nothing.
        if (!this.validity.isValid(first + i)) continue
        throw new SqlError(
          'numeric_value_out_of_range',
          `interval of ${micros} microseconds is out of the range of results`,
          { hint: 'cast it to VARCHAR, or use days and months' },
        )
      }
      target.setBigInt64(offset, micros * NANOS_PER_MICRO, true)
    }
  }
}
