import { type BatchSink, paddedBytes } from './batch-sink.ts'
import { ColumnBuilder, KEEP_BYTES } from './column-builder.ts'
import { GrowableBuffer } from './growable-buffer.ts'
import type { VectorView } from './vector-view.ts'

const sum = (builders: readonly ColumnBuilder[], of: (b: ColumnBuilder) => number): number =>
  builders.reduce((total, builder) => total + of(builder), 0)

/** LIST has one child; MAP is a list of entries whose key and value are the two children. */
export class ListBuilder extends ColumnBuilder {
  readonly nodes: number
  readonly buffers: number
  readonly #children: readonly ColumnBuilder[]
  readonly #isMap: boolean
  readonly #offsets = new GrowableBuffer(1024)
  #childCount = 0

  constructor(children: readonly ColumnBuilder[], isMap: boolean) {
    super()
    this.#children = children
    this.#isMap = isMap
    // The entries of a map are a struct of their own, without NULLs.
    this.nodes = 1 + sum(children, (child) => child.nodes) + (isMap ? 1 : 0)
    this.buffers = 2 + sum(children, (child) => child.buffers) + (isMap ? 1 : 0)
    this.#offsets.length = 4
  }

  append(view: VectorView, from: number, count: number): void {
    const first = this.validity.count
    this.validity.append(view.validity, from, count)
    this.#offsets.reserve(4 * count)
    this.#offsets.length += 4 * count
    const offsets = this.#offsets.int32
    const entries = entriesOf(view)
    let start = 0
    let end = 0
    for (let i = 0; i < count; i++) {
      // What lies under a NULL means nothing.
      if (this.validity.isValid(first + i)) {
        const offset = entries[4 * (from + i)] as number
        const length = entries[4 * (from + i) + 2] as number
        if (length > 0 && offset !== end) {
          this.#appendChildren(view, start, end)
          start = offset
          end = offset
        }
        end += length
        this.#childCount += length
      }
      offsets[first + i + 1] = this.#childCount
    }
    this.#appendChildren(view, start, end)
  }

  measure(view: VectorView, from: number, count: number): number {
    const entries = entriesOf(view)
    let bytes = 4 * count
    for (let i = from; i < from + count; i++) {
      if (view.validity !== null && !isValid(view.validity, i)) continue
      const offset = entries[4 * i] as number
      const length = entries[4 * i + 2] as number
      this.#children.forEach((child, k) => {
        bytes += child.measure(view.children[k] as VectorView, offset, length)
      })
    }
    return bytes
  }

  bodyBytes(): number {
    const children = sum(this.#children, (child) => child.bodyBytes())
    return this.validityBytes() + paddedBytes(this.#offsets.length) + children
  }

  write(sink: BatchSink): void {
    this.writeValidity(sink)
    sink.buffer(this.#offsets.bytes, this.#offsets.length)
    if (this.#isMap) {
      sink.node(this.#childCount, 0)
      sink.buffer(NOTHING, 0)
    }
    for (const child of this.#children) child.write(sink)
  }

  reset(): void {
    this.validity.reset()
    this.#offsets.reset(KEEP_BYTES)
    this.#offsets.length = 4
    this.#offsets.int32[0] = 0
    this.#childCount = 0
    for (const child of this.#children) child.reset()
  }

  #appendChildren(view: VectorView, start: number, end: number): void {
    if (start === end) return
    this.#children.forEach((child, k) => {
      child.append(view.children[k] as VectorView, start, end - start)
    })
  }
}

/** STRUCT: children side by side. ARRAY: one child, `size` values for each, NULL or not. */
export class StructBuilder extends ColumnBuilder {
  readonly nodes: number
  readonly buffers: number
  readonly #children: readonly ColumnBuilder[]
  readonly #size: number

  constructor(children: readonly ColumnBuilder[], size = 1) {
    super()
    this.#children = children
    this.#size = size
    this.nodes = 1 + sum(children, (child) => child.nodes)
    this.buffers = 1 + sum(children, (child) => child.buffers)
  }

  append(view: VectorView, from: number, count: number): void {
    this.validity.append(view.validity, from, count)
    this.#children.forEach((child, k) => {
      child.append(view.children[k] as VectorView, from * this.#size, count * this.#size)
    })
  }

  measure(view: VectorView, from: number, count: number): number {
    let bytes = 0
    this.#children.forEach((child, k) => {
      bytes += child.measure(view.children[k] as VectorView, from * this.#size, count * this.#size)
    })
    return bytes
  }

  bodyBytes(): number {
    return this.validityBytes() + sum(this.#children, (child) => child.bodyBytes())
  }

  write(sink: BatchSink): void {
    this.writeValidity(sink)
    for (const child of this.#children) child.write(sink)
  }

  reset(): void {
    this.validity.reset()
    for (const child of this.#children) child.reset()
  }
}

const NOTHING = new Uint8Array(0)

/** list_entry_t: offset and length, 8 bytes each; both stay below 2^32. */
const entriesOf = (view: VectorView): Uint32Array =>
  new Uint32Array(view.data.buffer, view.data.byteOffset, view.data.byteLength >> 2)

const isValid = (mask: Uint8Array, i: number): boolean =>
  (((mask[i >> 3] as number) >> (i & 7)) & 1) === 1
