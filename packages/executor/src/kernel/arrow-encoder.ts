import duckdb, { type DataChunk } from '@duckdb/node-bindings'
import { assert } from '@nyala/client/base'
import { PACKED_DESCRIPTOR_BYTES, PACKED_HEADER_BYTES } from '@nyala/client/wire'
import { encapsulate, encodeSchema, IPC_PREFIX_BYTES } from './arrow-schema.ts'
import type { BatchSink } from './batch-sink.ts'
import { BooleanBuilder, type ColumnBuilder, FixedBuilder } from './column-builder.ts'
import { EnumBuilder, HugeintBuilder, UuidBuilder } from './literal-builders.ts'
import { ListBuilder, StructBuilder } from './nested-builders.ts'
import { DecimalBuilder, IntervalBuilder } from './number-builders.ts'
import { PackingSink } from './packing-sink.ts'
import { PlainSink } from './plain-sink.ts'
import { TextBuilder } from './text-builder.ts'
import { type VectorView, viewVector } from './vector-view.ts'
import type { WireField, WireType } from './wire-type.ts'

const METADATA_VERSION_V5 = 4
const HEADER_RECORD_BATCH = 3
/** Smaller batches are not worth the packing. */
const PACK_BYTES_MIN = 16 * 1024

/** A message behind the room that was asked for. */
export interface EncodedBatch {
  readonly kind: 'arrow' | 'packed'
  readonly bytes: Uint8Array
}

/**
 * Arrow IPC messages from the kernel's chunks. One native call or two a column and chunk, plain loops, and buffers
 * that are used again; the metadata of a batch has a fixed layout for a given schema and is only patched.
 */
export class ArrowEncoder {
  readonly schema: Uint8Array
  readonly #columns: readonly WireField[]
  readonly #builders: readonly ColumnBuilder[]
  readonly #template: BatchTemplate
  readonly #buffers: number
  readonly #packingBytes: number
  #rows = 0

  constructor(columns: readonly WireField[]) {
    this.#columns = columns
    this.schema = encodeSchema(columns)
    this.#builders = columns.map((column) => builderOf(column.type))
    const nodes = this.#builders.reduce((sum, builder) => sum + builder.nodes, 0)
    const buffers = this.#builders.reduce((sum, builder) => sum + builder.buffers, 0)
    this.#template = batchTemplate(nodes, buffers)
    this.#buffers = buffers
    // No buffer is longer packed than plain, but for its padding.
    this.#packingBytes = PACKED_HEADER_BYTES + buffers * (PACKED_DESCRIPTOR_BYTES + 8)
  }

  /** Rows appended since the last batch. */
  get rows(): number {
    return this.#rows
  }

  /** Bytes of the batch if it were encoded now. */
  get batchBytes(): number {
    let bytes = this.#template.message.byteLength
    for (const builder of this.#builders) bytes += builder.bodyBytes()
    return bytes
  }

  /** Opens the columns of a chunk. The chunk must outlive every use of what is returned. */
  open(chunk: DataChunk, rows: number): readonly VectorView[] {
    return this.#columns.map((column, i) =>
      viewVector(duckdb.data_chunk_get_vector(chunk, i), column.type, rows),
    )
  }

  /** About how many bytes these rows will add to the batch. */
  measure(views: readonly VectorView[], from: number, count: number): number {
    let bytes = 0
    for (let i = 0; i < this.#builders.length; i++) {
      bytes += (this.#builders[i] as ColumnBuilder).measure(views[i] as VectorView, from, count)
    }
    return bytes
  }

  append(views: readonly VectorView[], from: number, count: number): void {
    for (let i = 0; i < this.#builders.length; i++) {
      ;(this.#builders[i] as ColumnBuilder).append(views[i] as VectorView, from, count)
    }
    this.#rows += count
  }

  /**
   * Writes the batch behind the first `headBytes` of a buffer that `allocate` gives, and begins the next one.
   * `headBytes` must be a multiple of 8. `plain`: not packed, for readers of Arrow that know nothing of that.
   */
  finishBatch(
    headBytes: number,
    allocate: (bytes: number) => Uint8Array,
    plain = false,
  ): EncodedBatch {
    const bytes = this.batchBytes
    const batch =
      plain || bytes < PACK_BYTES_MIN
        ? this.#finishPlain(headBytes, allocate(headBytes + bytes))
        : this.#finishPacked(headBytes, allocate(headBytes + bytes + this.#packingBytes))
    this.#rows = 0
    return batch
  }

  #finishPlain(headBytes: number, target: Uint8Array): EncodedBatch {
    const { message, at } = this.#template
    target.set(message, headBytes)
    const sink = new PlainSink(target, {
      nodes: headBytes + at.nodes,
      buffers: headBytes + at.buffers,
      body: headBytes + message.byteLength,
    })
    this.#writeColumns(sink)
    this.#patchMessage(target, headBytes, sink.bodyBytes)
    return { kind: 'arrow', bytes: target }
  }

  #finishPacked(headBytes: number, target: Uint8Array): EncodedBatch {
    const { message, at } = this.#template
    const descriptors = headBytes + PACKED_HEADER_BYTES
    const messageAt = descriptors + this.#buffers * PACKED_DESCRIPTOR_BYTES
    target.fill(0, descriptors, messageAt)
    target.set(message, messageAt)
    const sink = new PackingSink(target, {
      nodes: messageAt + at.nodes,
      buffers: messageAt + at.buffers,
      body: messageAt + message.byteLength,
      descriptors,
    })
    const rows = this.#rows
    this.#writeColumns(sink)
    this.#patchMessage(target, messageAt, sink.bodyBytes)
    const view = new DataView(target.buffer, target.byteOffset + headBytes, PACKED_HEADER_BYTES)
    view.setUint32(0, rows, true)
    view.setUint32(4, message.byteLength, true)
    view.setUint32(8, sink.bodyBytes, true)
    view.setUint32(12, this.#buffers, true)
    return { kind: 'packed', bytes: target.subarray(0, sink.end) }
  }

  #writeColumns(sink: BatchSink): void {
    for (const builder of this.#builders) {
      assert(builder.validity.count === this.#rows, 'a column of a batch misses rows')
      builder.write(sink)
      builder.reset()
    }
  }

  #patchMessage(target: Uint8Array, messageAt: number, bodyBytes: number): void {
    const { at } = this.#template
    const view = new DataView(target.buffer, target.byteOffset, target.byteLength)
    view.setUint32(messageAt + at.rows, this.#rows, true)
    view.setUint32(messageAt + at.bodyLength, bodyBytes, true)
  }
}

function builderOf(type: WireType): ColumnBuilder {
  switch (type.kind) {
    case 'boolean':
      return new BooleanBuilder()
    case 'fixed':
      return new FixedBuilder(type.width)
    case 'decimal':
      return type.storedWidth === 16 ? new FixedBuilder(16) : new DecimalBuilder(type.storedWidth)
    case 'text':
    case 'binary':
      return new TextBuilder()
    case 'enum':
      return new EnumBuilder(type.indexWidth, type.values)
    case 'uuid':
      return new UuidBuilder()
    case 'hugeint':
      return new HugeintBuilder(type.signed)
    case 'interval':
      return new IntervalBuilder()
    case 'list':
      return new ListBuilder([builderOf(type.child)], false)
    case 'map':
      return new ListBuilder([builderOf(type.key), builderOf(type.value)], true)
    case 'array':
      return new StructBuilder([builderOf(type.child)], type.size)
    case 'struct':
      return new StructBuilder(type.fields.map((field) => builderOf(field.type)))
  }
}

interface BatchTemplate {
  /** The encapsulated message up to its body, all numbers 0. */
  readonly message: Uint8Array
  /** Where the numbers lie in it. */
  readonly at: {
    readonly bodyLength: number
    readonly rows: number
    readonly nodes: number
    readonly buffers: number
  }
}

/**
 * The metadata of a record batch as a FlatBuffer laid out by hand: vtable and table of Message, vtable and table of
 * RecordBatch, then the two vectors of structs, which must start on multiples of 8.
 *
 *    0 root │ 4 vtable │ 16 Message │ 36 vtable │ 48 RecordBatch │ 68 count, nodes │ 76+16n count, buffers
 */
function batchTemplate(nodes: number, buffers: number): BatchTemplate {
  const nodesAt = 72
  const buffersAt = nodesAt + 16 * nodes + 8
  const metadata = new Uint8Array(buffersAt + 16 * buffers)
  const view = new DataView(metadata.buffer)
  const shorts = (at: number, values: readonly number[]): void =>
    values.forEach((value, i) => view.setUint16(at + 2 * i, value, true))
  view.setUint32(0, 16, true)
  // Message: version, header type, header, body length.
  shorts(4, [12, 20, 16, 18, 4, 8])
  view.setInt32(16, 16 - 4, true)
  view.setUint32(20, 48 - 20, true)
  view.setInt16(32, METADATA_VERSION_V5, true)
  view.setUint8(34, HEADER_RECORD_BATCH)
  // RecordBatch: length, nodes, buffers.
  shorts(36, [10, 20, 8, 4, 16])
  view.setInt32(48, 48 - 36, true)
  view.setUint32(52, nodesAt - 4 - 52, true)
  view.setUint32(64, buffersAt - 4 - 64, true)
  view.setUint32(nodesAt - 4, nodes, true)
  view.setUint32(buffersAt - 4, buffers, true)
  return {
    message: encapsulate(metadata),
    at: {
      bodyLength: IPC_PREFIX_BYTES + 24,
      rows: IPC_PREFIX_BYTES + 56,
      nodes: IPC_PREFIX_BYTES + nodesAt,
      buffers: IPC_PREFIX_BYTES + buffersAt,
    },
  }
}
