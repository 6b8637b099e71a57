import { SqlError } from '@nyala/client/protocol'
import type { BatchSink } from './batch-sink.ts'
import { ColumnBuilder, FixedBuilder, INITIAL_BYTES, KEEP_BYTES, slice } from './column-builder.ts'
import { GrowableBuffer } from './growable-buffer.ts'
import type { VectorView } from './vector-view.ts'

const ARROW_WIDTH = 16

/** DECIMAL: 2, 4 or 8 bytes in the kernel and here, extended to Arrow's 16 where the batch is written or unpacked. */
export class DecimalBuilder extends ColumnBuilder {
  readonly nodes = 1
  readonly buffers = 2
  readonly #storedWidth: 2 | 4 | 8
  readonly #values = new GrowableBuffer(INITIAL_BYTES)

  constructor(storedWidth: 2 | 4 | 8) {
    super()
    this.#storedWidth = storedWidth
  }

  append(view: VectorView, from: number, count: number): void {
    this.validity.append(view.validity, from, count)
    this.#values.append(slice(view, from * this.#storedWidth, count * this.#storedWidth))
  }

  measure(_view: VectorView, _from: number, count: number): number {
    return count * ARROW_WIDTH
  }

  bodyBytes(): number {
    return this.validityBytes() + this.validity.count * ARROW_WIDTH
  }

  write(sink: BatchSink): void {
    this.writeValidity(sink)
    sink.integers({
      values: this.#values,
      count: this.validity.count,
      storedWidth: this.#storedWidth,
      width: ARROW_WIDTH,
    })
  }

  reset(): void {
    this.validity.reset()
    this.#values.reset(KEEP_BYTES)
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
