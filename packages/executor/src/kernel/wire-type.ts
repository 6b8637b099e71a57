import { assert } from '@nyala/client/base'
import duckdb, { type LogicalType } from '@duckdb/node-bindings'

/**
 * How a SQL type travels: the Arrow type and the conversion from the kernel's memory to it.
 *
 * | SQL | Arrow |
 * | --- | --- |
 * | BOOLEAN, integers to 64 bit, FLOAT, DOUBLE, DATE, TIME, TIMESTAMP… | the same, bit for bit |
 * | DECIMAL | Decimal128 |
 * | HUGEINT, UHUGEINT | Utf8 of their digits, because Decimal128 ends at 38 digits and they do not |
 * | VARCHAR, JSON, ENUM, UUID | Utf8 |
 * | BLOB | Binary |
 * | INTERVAL | Interval of months, days and nanoseconds |
 * | LIST, ARRAY, STRUCT, MAP | List, FixedSizeList, Struct, Map |
 * | everything else | Utf8 of what CAST to VARCHAR gives |
 */
export type WireType =
  | { readonly kind: 'boolean' }
  | { readonly kind: 'fixed'; readonly width: 1 | 2 | 4 | 8; readonly arrow: FixedArrowType }
  | {
      readonly kind: 'decimal'
      readonly storedWidth: 2 | 4 | 8 | 16
      readonly precision: number
      readonly scale: number
    }
  | { readonly kind: 'text' }
  | { readonly kind: 'binary' }
  | {
      readonly kind: 'enum'
      readonly indexWidth: 1 | 2 | 4
      readonly values: readonly Uint8Array[]
    }
  | { readonly kind: 'uuid' }
  | { readonly kind: 'hugeint'; readonly signed: boolean }
  | { readonly kind: 'interval' }
  | { readonly kind: 'list'; readonly child: WireType }
  | { readonly kind: 'array'; readonly size: number; readonly child: WireType }
  | { readonly kind: 'struct'; readonly fields: readonly WireField[] }
  | { readonly kind: 'map'; readonly key: WireType; readonly value: WireType }

export interface WireField {
  readonly name: string
  readonly type: WireType
  /** The key of a map; everything else may be NULL. */
  readonly required?: boolean
}

export type TimeUnit = 'second' | 'millisecond' | 'microsecond' | 'nanosecond'

export type FixedArrowType =
  | { readonly kind: 'int'; readonly bits: 8 | 16 | 32 | 64; readonly signed: boolean }
  | { readonly kind: 'float'; readonly bits: 32 | 64 }
  | { readonly kind: 'date' }
  | { readonly kind: 'time'; readonly unit: TimeUnit }
  | { readonly kind: 'timestamp'; readonly unit: TimeUnit; readonly zone: string | undefined }

const { Type } = duckdb

/** The wire type of a kernel type, or undefined where it must be cast first (see `wireCastType`). */
export function wireTypeOf(type: LogicalType): WireType | undefined {
  const id = duckdb.get_type_id(type)
  return SCALARS.get(id) ?? parametricWireType(type, id)
}

function parametricWireType(type: LogicalType, id: number): WireType | undefined {
  switch (id) {
    case Type.DECIMAL:
      return decimalWireType(type)
    case Type.ENUM:
      return enumWireType(type)
    case Type.LIST: {
      const child = wireTypeOf(duckdb.list_type_child_type(type))
      return child && { kind: 'list', child }
    }
    case Type.ARRAY: {
      const child = wireTypeOf(duckdb.array_type_child_type(type))
      return child && { kind: 'array', size: duckdb.array_type_array_size(type), child }
    }
    case Type.MAP: {
      const key = wireTypeOf(duckdb.map_type_key_type(type))
      const value = wireTypeOf(duckdb.map_type_value_type(type))
      return key && value && { kind: 'map', key, value }
    }
    case Type.STRUCT:
      return structWireType(type)
  }
  return undefined
}

function structWireType(type: LogicalType): WireType | undefined {
  const fields: WireField[] = []
  const count = duckdb.struct_type_child_count(type)
  for (let i = 0; i < count; i++) {
    const field = wireTypeOf(duckdb.struct_type_child_type(type, i))
    if (field === undefined) return undefined
    fields.push({ name: duckdb.struct_type_child_name(type, i), type: field })
  }
  return { kind: 'struct', fields }
}

function decimalWireType(type: LogicalType): WireType {
  const precision = duckdb.decimal_width(type)
  const scale = duckdb.decimal_scale(type)
  const stored: number = duckdb.decimal_internal_type(type)
  switch (stored) {
    case Type.SMALLINT:
      return { kind: 'decimal', storedWidth: 2, precision, scale }
    case Type.INTEGER:
      return { kind: 'decimal', storedWidth: 4, precision, scale }
    case Type.BIGINT:
      return { kind: 'decimal', storedWidth: 8, precision, scale }
    default:
      assert(stored === Type.HUGEINT, () => `decimal stored as type ${stored}`)
      return { kind: 'decimal', storedWidth: 16, precision, scale }
  }
}

function enumWireType(type: LogicalType): WireType {
  const encoder = new TextEncoder()
  const values: Uint8Array[] = []
  const size = duckdb.enum_dictionary_size(type)
  for (let i = 0; i < size; i++) values.push(encoder.encode(duckdb.enum_dictionary_value(type, i)))
  const stored = duckdb.enum_internal_type(type)
  const indexWidth = stored === Type.UTINYINT ? 1 : stored === Type.USMALLINT ? 2 : 4
  return { kind: 'enum', indexWidth, values }
}

const integer = (bits: 8 | 16 | 32 | 64, signed: boolean): WireType => ({
  kind: 'fixed',
  width: (bits / 8) as 1 | 2 | 4 | 8,
  arrow: { kind: 'int', bits, signed },
})
const timestamp = (unit: TimeUnit, zone?: string): WireType => ({
  kind: 'fixed',
  width: 8,
  arrow: { kind: 'timestamp', unit, zone },
})

const SCALARS: ReadonlyMap<number, WireType> = new Map<number, WireType>([
  [Type.BOOLEAN, { kind: 'boolean' }],
  [Type.TINYINT, integer(8, true)],
  [Type.SMALLINT, integer(16, true)],
  [Type.INTEGER, integer(32, true)],
  [Type.BIGINT, integer(64, true)],
  [Type.UTINYINT, integer(8, false)],
  [Type.USMALLINT, integer(16, false)],
  [Type.UINTEGER, integer(32, false)],
  [Type.UBIGINT, integer(64, false)],
  [Type.FLOAT, { kind: 'fixed', width: 4, arrow: { kind: 'float', bits: 32 } }],
  [Type.DOUBLE, { kind: 'fixed', width: 8, arrow: { kind: 'float', bits: 64 } }],
  [Type.DATE, { kind: 'fixed', width: 4, arrow: { kind: 'date' } }],
  [Type.TIME, { kind: 'fixed', width: 8, arrow: { kind: 'time', unit: 'microsecond' } }],
  [Type.TIME_NS, { kind: 'fixed', width: 8, arrow: { kind: 'time', unit: 'nanosecond' } }],
  [Type.TIMESTAMP, timestamp('microsecond')],
  [Type.TIMESTAMP_S, timestamp('second')],
  [Type.TIMESTAMP_MS, timestamp('millisecond')],
  [Type.TIMESTAMP_NS, timestamp('nanosecond')],
  [Type.TIMESTAMP_TZ, timestamp('microsecond', 'UTC')],
  [Type.INTERVAL, { kind: 'interval' }],
  [Type.VARCHAR, { kind: 'text' }],
  [Type.BLOB, { kind: 'binary' }],
  [Type.UUID, { kind: 'uuid' }],
  [Type.HUGEINT, { kind: 'hugeint', signed: true }],
  [Type.UHUGEINT, { kind: 'hugeint', signed: false }],
])
