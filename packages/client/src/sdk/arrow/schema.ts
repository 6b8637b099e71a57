import { SqlError } from '../../protocol/errors.ts'
import type { FlatTable } from '../../wire/flatbuffer.ts'

export type TimeUnit = 'second' | 'millisecond' | 'microsecond' | 'nanosecond'

/** The Arrow types whose columns are read here; others are refused by name. */
export type ArrowType =
  | { readonly kind: 'null' }
  | { readonly kind: 'boolean' }
  | { readonly kind: 'int'; readonly bits: number; readonly signed: boolean }
  | { readonly kind: 'float'; readonly bits: 16 | 32 | 64 }
  | { readonly kind: 'decimal'; readonly bits: number; readonly scale: number }
  | { readonly kind: 'text'; readonly wide: boolean }
  | { readonly kind: 'binary'; readonly wide: boolean }
  | { readonly kind: 'fixedBinary'; readonly byteWidth: number }
  | { readonly kind: 'date'; readonly unit: 'day' | 'millisecond' }
  | { readonly kind: 'time'; readonly unit: TimeUnit; readonly bits: number }
  | { readonly kind: 'timestamp'; readonly unit: TimeUnit; readonly zone: string | undefined }
  | { readonly kind: 'duration'; readonly unit: TimeUnit }
  | { readonly kind: 'interval'; readonly unit: 'yearMonth' | 'dayTime' | 'monthDayNano' }
  | { readonly kind: 'list'; readonly wide: boolean; readonly item: ArrowField }
  | { readonly kind: 'fixedList'; readonly size: number; readonly item: ArrowField }
  | { readonly kind: 'struct'; readonly fields: readonly ArrowField[] }
  | { readonly kind: 'map'; readonly entries: ArrowField }

export interface ArrowField {
  readonly name: string
  readonly type: ArrowType
  /** Where the values are codes into a dictionary: its id and the type of the codes. `type` is that of the values. */
  readonly dictionary: { readonly id: bigint; readonly index: ArrowType } | undefined
}

export interface ArrowSchema {
  readonly fields: readonly ArrowField[]
}

const UNITS: readonly TimeUnit[] = ['second', 'millisecond', 'microsecond', 'nanosecond']
const INTERVALS = ['yearMonth', 'dayTime', 'monthDayNano'] as const
const FLOAT_BITS = [16, 32, 64] as const
/** Deeper types than this are a damaged message rather than data. */
const DEPTH_MAX = 64

export function decodeSchema(table: FlatTable): ArrowSchema {
  if (table.int16(0) !== 0) refuse('big-endian data')
  return { fields: table.tables(1).map((field) => decodeField(field, 0)) }
}

function decodeField(table: FlatTable, depth: number): ArrowField {
  if (depth > DEPTH_MAX) refuse(`types nested deeper than ${DEPTH_MAX}`)
  const children = table.tables(5).map((child) => decodeField(child, depth + 1))
  const encoding = table.table(4)
  return {
    name: table.text(0) ?? '',
    type: decodeType(table.byte(2), table.table(3), children),
    dictionary:
      encoding === undefined
        ? undefined
        : { id: encoding.bigint(0), index: decodeIndexType(encoding.table(1)) },
  }
}

const decodeIndexType = (table: FlatTable | undefined): ArrowType =>
  table === undefined ? { kind: 'int', bits: 32, signed: true } : decodeInt(table)

const decodeInt = (table: FlatTable): ArrowType => ({
  kind: 'int',
  bits: table.int32(0),
  signed: table.byte(1) !== 0,
})

function decodeType(
  code: number,
  table: FlatTable | undefined,
  children: readonly ArrowField[],
): ArrowType {
  if (table === undefined) return refuse(`a column of type ${code} without its description`)
  const child = (): ArrowField => children[0] ?? refuse('a nested type without its item')
  switch (code) {
    case 1:
      return { kind: 'null' }
    case 2:
      return decodeInt(table)
    case 3:
      return { kind: 'float', bits: FLOAT_BITS[table.int16(0)] ?? refuse('float precision') }
    case 4:
    case 19:
      return { kind: 'binary', wide: code === 19 }
    case 5:
    case 20:
      return { kind: 'text', wide: code === 20 }
    case 6:
      return { kind: 'boolean' }
    case 7:
      return { kind: 'decimal', scale: table.int32(1), bits: table.int32(2, 128) }
    case 8:
      return { kind: 'date', unit: table.int16(0, 1) === 0 ? 'day' : 'millisecond' }
    case 9:
      return { kind: 'time', unit: unitOf(table.int16(0, 1)), bits: table.int32(1, 32) }
    case 10:
      return { kind: 'timestamp', unit: unitOf(table.int16(0)), zone: table.text(1) }
    case 11:
      return { kind: 'interval', unit: INTERVALS[table.int16(0)] ?? refuse('interval unit') }
    case 12:
    case 21:
      return { kind: 'list', wide: code === 21, item: child() }
    case 13:
      return { kind: 'struct', fields: children }
    case 15:
      return { kind: 'fixedBinary', byteWidth: table.int32(0) }
    case 16:
      return { kind: 'fixedList', size: table.int32(0), item: child() }
    case 17:
      return { kind: 'map', entries: child() }
    case 18:
      return { kind: 'duration', unit: unitOf(table.int16(0, 1)) }
    default:
      return refuse(`arrow type ${code}`)
  }
}

const unitOf = (code: number): TimeUnit => UNITS[code] ?? refuse(`time unit ${code}`)

function refuse(what: string): never {
  throw new SqlError('feature_not_supported', `the client cannot read ${what}`, {
    hint: 'cast the column to another type in the statement, or read it with batches()',
  })
}
