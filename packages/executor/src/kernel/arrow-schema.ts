import { FlatbufferWriter, i16, i32, i64, reference, u8 } from './flatbuffer.ts'
import type { FixedArrowType, TimeUnit, WireField, WireType } from './wire-type.ts'

/** Format.fbs, Message.fbs and Schema.fbs of Apache Arrow, version V5. */
const METADATA_VERSION_V5 = 4
const HEADER_SCHEMA = 1
const TYPE = {
  int: 2,
  floatingPoint: 3,
  binary: 4,
  utf8: 5,
  bool: 6,
  decimal: 7,
  date: 8,
  time: 9,
  timestamp: 10,
  interval: 11,
  list: 12,
  struct: 13,
  fixedSizeList: 16,
  map: 17,
} as const
const TIME_UNIT: Readonly<Record<TimeUnit, number>> = {
  second: 0,
  millisecond: 1,
  microsecond: 2,
  nanosecond: 3,
}
const DATE_UNIT_DAY = 0
const INTERVAL_MONTH_DAY_NANO = 2
/** Before the metadata of an encapsulated message: a continuation marker and the metadata's length. */
export const IPC_PREFIX_BYTES = 8

/** The encapsulated IPC message that a stream of these columns starts with. */
export function encodeSchema(columns: readonly WireField[]): Uint8Array {
  const writer = new FlatbufferWriter()
  const message = writer.table([i16(METADATA_VERSION_V5), u8(HEADER_SCHEMA), reference, i64(0)])
  const schema = writer.table([i16(0), reference])
  writer.refer(message.slots[2] ?? 0, schema.at)
  writeFields(writer, schema.slots[1] ?? 0, columns.map(nullable))
  return encapsulate(writer.finish(message.at))
}

/** Puts the prefix of an encapsulated message before metadata whose length is a multiple of 8. */
export function encapsulate(metadata: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(IPC_PREFIX_BYTES + metadata.byteLength)
  const view = new DataView(bytes.buffer)
  view.setUint32(0, 0xffffffff, true)
  view.setInt32(4, metadata.byteLength, true)
  bytes.set(metadata, IPC_PREFIX_BYTES)
  return bytes
}

interface ArrowField {
  readonly name: string
  readonly type: WireType
  readonly nullable: boolean
}

const nullable = (field: WireField): ArrowField => ({ ...field, nullable: field.required !== true })

function writeFields(writer: FlatbufferWriter, slot: number, fields: readonly ArrowField[]): void {
  const vector = writer.references(fields.length)
  writer.refer(slot, vector)
  fields.forEach((field, i) => writer.refer(vector + 4 + 4 * i, writeField(writer, field)))
}

function writeField(writer: FlatbufferWriter, field: ArrowField): number {
  const table = writer.table([
    reference,
    u8(field.nullable ? 1 : 0),
    u8(typeIdOf(field.type)),
    reference,
    undefined,
    reference,
  ])
  const slot = (i: number): number => table.slots[i] ?? 0
  writer.refer(slot(0), writer.text(field.name))
  writeType(writer, slot(3), field.type)
  writeFields(writer, slot(5), childrenOf(field.type))
  return table.at
}

function childrenOf(type: WireType): readonly ArrowField[] {
  switch (type.kind) {
    case 'list':
    case 'array':
      return [{ name: 'item', type: type.child, nullable: true }]
    case 'struct':
      return type.fields.map(nullable)
    case 'map':
      return [
        { name: 'entries', type: { kind: 'struct', fields: mapFields(type) }, nullable: false },
      ]
    case 'boolean':
    case 'fixed':
    case 'decimal':
    case 'text':
    case 'binary':
    case 'enum':
    case 'uuid':
    case 'hugeint':
    case 'interval':
      return []
  }
}

const mapFields = (type: Extract<WireType, { kind: 'map' }>): readonly WireField[] => [
  { name: 'key', type: type.key, required: true },
  { name: 'value', type: type.value },
]

function typeIdOf(type: WireType): number {
  switch (type.kind) {
    case 'boolean':
      return TYPE.bool
    case 'fixed':
      return fixedTypeIdOf(type.arrow)
    case 'decimal':
      return TYPE.decimal
    case 'text':
    case 'enum':
    case 'uuid':
    case 'hugeint':
      return TYPE.utf8
    case 'binary':
      return TYPE.binary
    case 'interval':
      return TYPE.interval
    case 'list':
      return TYPE.list
    case 'array':
      return TYPE.fixedSizeList
    case 'struct':
      return TYPE.struct
    case 'map':
      return TYPE.map
  }
}

function fixedTypeIdOf(type: FixedArrowType): number {
  switch (type.kind) {
    case 'int':
      return TYPE.int
    case 'float':
      return TYPE.floatingPoint
    case 'date':
      return TYPE.date
    case 'time':
      return TYPE.time
    case 'timestamp':
      return TYPE.timestamp
  }
}

function writeType(writer: FlatbufferWriter, slot: number, type: WireType): void {
  if (type.kind === 'fixed') return writeFixedType(writer, slot, type.arrow)
  writer.refer(slot, writer.table(typeFieldsOf(type)).at)
}

function typeFieldsOf(
  type: Exclude<WireType, { kind: 'fixed' }>,
): Parameters<FlatbufferWriter['table']>[0] {
  switch (type.kind) {
    case 'decimal':
      return [i32(type.precision), i32(type.scale), i32(128)]
    case 'interval':
      return [i16(INTERVAL_MONTH_DAY_NANO)]
    case 'array':
      return [i32(type.size)]
    case 'map':
      return [u8(0)]
    case 'boolean':
    case 'text':
    case 'binary':
    case 'enum':
    case 'uuid':
    case 'hugeint':
    case 'list':
    case 'struct':
      return []
  }
}

function writeFixedType(writer: FlatbufferWriter, slot: number, type: FixedArrowType): void {
  switch (type.kind) {
    case 'int':
      return writer.refer(slot, writer.table([i32(type.bits), u8(type.signed ? 1 : 0)]).at)
    case 'float':
      return writer.refer(slot, writer.table([i16(type.bits === 32 ? 1 : 2)]).at)
    case 'date':
      return writer.refer(slot, writer.table([i16(DATE_UNIT_DAY)]).at)
    case 'time':
      return writer.refer(slot, writer.table([i16(TIME_UNIT[type.unit]), i32(64)]).at)
    case 'timestamp': {
      const unit = i16(TIME_UNIT[type.unit])
      if (type.zone === undefined) return writer.refer(slot, writer.table([unit]).at)
      const table = writer.table([unit, reference])
      writer.refer(table.slots[1] ?? 0, writer.text(type.zone))
      return writer.refer(slot, table.at)
    }
  }
}
