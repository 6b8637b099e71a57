import { SqlError } from '../../protocol/errors.ts'
import { BatchCursor, elements, fill, leafColumn, type LeafValues, readOffsets } from './buffers.ts'
import { type Converters, plainInt64 } from './converters.ts'
import { decimalReader, wideIntegerReader } from './decimals.ts'
import type { RawBatch } from './message.ts'
import type { ArrowField, ArrowSchema, ArrowType, TimeUnit } from './schema.ts'
import { Interval, timeText } from './temporal-text.ts'
import { readTexts } from './text.ts'

/** Values of dictionaries by id, as the batches before have given them. */
export type Dictionaries = ReadonlyMap<bigint, readonly unknown[]>

export interface ReadContext {
  readonly converters: Converters
  readonly dictionaries: Dictionaries
}

/**
 * All columns of a batch as arrays of JavaScript values. Reading a column at a time over its raw buffers is some ten
 * times faster than asking for one cell after the other. `sqlTypes` are the names that the coordinator gave to the
 * columns: HUGEINT travels as a decimal and UUID as bytes or text, and only the name tells.
 */
export function readColumns(
  schema: ArrowSchema,
  batch: RawBatch,
  sqlTypes: readonly string[],
  context: ReadContext,
): unknown[][] {
  const cursor = new BatchCursor(batch)
  return schema.fields.map((field, i) => {
    const values = readField(field, cursor, { ...context, sqlType: sqlTypes[i] ?? '' })
    if (values.length === batch.length) return values
    throw new SqlError('protocol_violation', `column "${field.name}" has ${values.length} rows`)
  })
}

/** The values of a dictionary message; they have the type of the field that refers to it. */
export function readDictionary(
  field: ArrowField,
  batch: RawBatch,
  context: ReadContext,
): unknown[] {
  return readField({ ...field, dictionary: undefined }, new BatchCursor(batch), {
    ...context,
    sqlType: '',
  })
}

interface FieldContext extends ReadContext {
  readonly sqlType: string
}

function readField(field: ArrowField, cursor: BatchCursor, context: FieldContext): unknown[] {
  const { dictionary, type } = field
  if (dictionary === undefined) return readType(type, cursor, context)
  const values = context.dictionaries.get(dictionary.id)
  if (values === undefined) {
    throw new SqlError('protocol_violation', `dictionary of column "${field.name}" did not come`)
  }
  const codes = readType(dictionary.index, cursor, context)
  return codes.map((code) => (code === null ? null : (values[Number(code)] ?? null)))
}

function readType(type: ArrowType, cursor: BatchCursor, context: FieldContext): unknown[] {
  const { length, nullCount } = cursor.node()
  if (type.kind === 'null') return new Array<unknown>(length).fill(null)
  const validity = cursor.validity(nullCount)
  const nested = { ...context, sqlType: '' }
  switch (type.kind) {
    case 'list':
      return readList(cursor, { length, validity, wide: type.wide }, () =>
        readField(type.item, cursor, ofItem(context)),
      )
    case 'map': {
      const offsets = readOffsets(cursor.buffer(), length, false)
      const entries = readMapEntries(type.entries, cursor, nested)
      return fill(length, validity, (row) => new Map(cut(entries, offsets, row)))
    }
    case 'fixedList': {
      const items = readField(type.item, cursor, ofItem(context))
      return fill(length, validity, (row) => items.slice(row * type.size, (row + 1) * type.size))
    }
    case 'struct': {
      const columns = type.fields.map((field) => readField(field, cursor, nested))
      const build = objectBuilder(type.fields.map((field) => field.name))
      return fill(length, validity, (row) => build(columns, row))
    }
    default:
      return leafColumn(length, validity, readLeaf(type, cursor, length, context))
  }
}

/** `HUGEINT[]` is a list of HUGEINT, and `UUID[3]` one of UUID. */
const ofItem = (context: FieldContext): FieldContext => ({
  ...context,
  sqlType: context.sqlType.replace(/\[\d*\]$/, ''),
})

function readList(
  cursor: BatchCursor,
  list: {
    readonly length: number
    readonly validity: Uint8Array | undefined
    readonly wide: boolean
  },
  readItems: () => unknown[],
): unknown[] {
  const offsets = readOffsets(cursor.buffer(), list.length, list.wide)
  const items = readItems()
  return fill(list.length, list.validity, (row) => cut(items, offsets, row))
}

const cut = <T>(items: readonly T[], offsets: ArrayLike<number>, row: number): T[] =>
  items.slice(offsets[row], offsets[row + 1])

function readMapEntries(
  entries: ArrowField,
  cursor: BatchCursor,
  context: FieldContext,
): (readonly [unknown, unknown])[] {
  if (entries.type.kind !== 'struct' || entries.type.fields.length !== 2) {
    throw new SqlError('protocol_violation', 'arrow map without keys and values')
  }
  const { nullCount } = cursor.node()
  cursor.validity(nullCount)
  const [keys, values] = entries.type.fields.map((field) => readField(field, cursor, context))
  return (keys ?? []).map((key, i) => [key, values?.[i]] as const)
}

/** Makes an object of the values of one row. A column may be named `__proto__`, which plain assignment would swallow. */
export function objectBuilder(
  names: readonly string[],
): (columns: readonly (readonly unknown[])[], row: number) => Record<string, unknown> {
  if (names.includes('__proto__')) {
    return (columns, row) => Object.fromEntries(names.map((name, i) => [name, columns[i]?.[row]]))
  }
  // Copying an object that has all the keys gives every row the same shape at once.
  const template = Object.fromEntries(names.map((name) => [name, null as unknown]))
  const count = names.length
  return (columns, row) => {
    const object = { ...template }
    for (let i = 0; i < count; i++) {
      object[names[i] as string] = (columns[i] as readonly unknown[])[row]
    }
    return object
  }
}

type Leaf = Exclude<ArrowType, { kind: 'null' | 'list' | 'fixedList' | 'struct' | 'map' }>

function readLeaf(
  type: Leaf,
  cursor: BatchCursor,
  length: number,
  context: FieldContext,
): LeafValues {
  const { converters, sqlType } = context
  switch (type.kind) {
    case 'boolean': {
      const bits = cursor.buffer()
      return (row) => (((bits[row >> 3] as number) >> (row & 7)) & 1) === 1
    }
    case 'int':
      return integerReader(type, cursor.buffer(), length, converters)
    case 'float':
      return floatReader(type.bits, cursor.buffer(), length)
    case 'decimal':
      return sqlType === 'HUGEINT' || sqlType === 'UHUGEINT'
        ? wideIntegerReader(type, cursor.buffer(), length, converters.int64)
        : decimalReader(type, cursor.buffer(), length, converters.decimal)
    case 'text':
      return hugeTexts(sqlType, converters, readTexts(cursor, length, type.wide))
    case 'binary': {
      const offsets = readOffsets(cursor.buffer(), length, type.wide)
      const bytes = cursor.buffer()
      return (row) => new Uint8Array(bytes.subarray(offsets[row], offsets[row + 1]))
    }
    case 'fixedBinary':
      return fixedBinaryReader(type.byteWidth, cursor.buffer(), sqlType)
    case 'date':
      return dateReader(type.unit, cursor.buffer(), length, converters)
    case 'time': {
      const values = integers(type.bits, cursor.buffer(), length)
      return (row) => timeText(BigInt(values[row] as number | bigint), type.unit)
    }
    case 'timestamp':
      return timestampReader(type, cursor.buffer(), length, converters)
    case 'duration': {
      const values = elements(BigInt64Array, cursor.buffer(), length)
      const micros = MICROS[type.unit]
      return (row) => new Interval(0, 0, micros(values[row] as bigint))
    }
    case 'interval':
      return intervalReader(type.unit, cursor.buffer(), length)
  }
}

/** A HUGEINT may travel as text; a text that stands for null is empty. */
const hugeTexts = (sqlType: string, converters: Converters, texts: string[]): LeafValues =>
  sqlType === 'HUGEINT' || sqlType === 'UHUGEINT'
    ? (row) => converters.int64(BigInt(texts[row] as string))
    : texts

const integers = (bits: number, buffer: Uint8Array, length: number): Int32Array | BigInt64Array =>
  bits === 32 ? elements(Int32Array, buffer, length) : elements(BigInt64Array, buffer, length)

function integerReader(
  type: { readonly bits: number; readonly signed: boolean },
  buffer: Uint8Array,
  length: number,
  converters: Converters,
): LeafValues {
  if (type.bits === 64) {
    const values = elements<ArrayLike<bigint>>(
      type.signed ? BigInt64Array : BigUint64Array,
      buffer,
      length,
    )
    return converters.int64 === plainInt64
      ? Array.from(values)
      : (row) => converters.int64(values[row] as bigint)
  }
  return Array.from(smallIntegers(type, buffer, length))
}

function smallIntegers(
  type: { readonly bits: number; readonly signed: boolean },
  buffer: Uint8Array,
  length: number,
): ArrayLike<number> {
  switch (type.bits) {
    case 8:
      return elements<ArrayLike<number>>(type.signed ? Int8Array : Uint8Array, buffer, length)
    case 16:
      return elements<ArrayLike<number>>(type.signed ? Int16Array : Uint16Array, buffer, length)
    case 32:
      return elements<ArrayLike<number>>(type.signed ? Int32Array : Uint32Array, buffer, length)
    default:
      throw new SqlError('protocol_violation', `arrow integer of ${type.bits} bits`)
  }
}

function floatReader(
  bits: 16 | 32 | 64,
  buffer: Uint8Array,
  length: number,
): (row: number) => number {
  if (bits === 16) {
    const halves = elements(Uint16Array, buffer, length)
    return (row) => halfToNumber(halves[row] as number)
  }
  const values =
    bits === 32 ? elements(Float32Array, buffer, length) : elements(Float64Array, buffer, length)
  return (row) => values[row] as number
}

function halfToNumber(half: number): number {
  const sign = half & 0x8000 ? -1 : 1
  const exponent = (half >> 10) & 0x1f
  const fraction = half & 0x3ff
  if (exponent === 0x1f) return fraction === 0 ? sign * Infinity : NaN
  return exponent === 0
    ? sign * fraction * 2 ** -24
    : sign * (1024 + fraction) * 2 ** (exponent - 25)
}

function fixedBinaryReader(
  width: number,
  bytes: Uint8Array,
  sqlType: string,
): (row: number) => unknown {
  const value = (row: number): Uint8Array => bytes.subarray(row * width, (row + 1) * width)
  return sqlType === 'UUID' && width === 16
    ? (row) => uuidText(value(row))
    : (row) => new Uint8Array(value(row))
}

const uuidText = (bytes: Uint8Array): string =>
  Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0'))
    .join('')
    .replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-')

const MS_PER_DAY = 86_400_000n

function dateReader(
  unit: 'day' | 'millisecond',
  buffer: Uint8Array,
  length: number,
  converters: Converters,
): LeafValues {
  if (unit === 'day') {
    const { date } = converters
    return Array.from(elements(Int32Array, buffer, length), (days) => date(days))
  }
  const ms = elements(BigInt64Array, buffer, length)
  return (row) => converters.date(Number((ms[row] as bigint) / MS_PER_DAY))
}

/** High words beyond this belong to microseconds that a double does not hold exactly. */
const HIGH_WORD_MAX = 1 << 20

function timestampReader(
  type: { readonly unit: TimeUnit; readonly zone: string | undefined },
  buffer: Uint8Array,
  length: number,
  converters: Converters,
): (row: number) => unknown {
  const { unit } = type
  const instant = type.zone !== undefined
  const values = elements(BigInt64Array, buffer, length)
  const { timestampMs } = converters
  if (timestampMs === undefined || unit !== 'microsecond') {
    return (row) => converters.timestamp(values[row] as bigint, unit, instant)
  }
  const words = elements(Int32Array, buffer, length * 2)
  return (row) => {
    const high = words[row * 2 + 1] as number
    if (high > HIGH_WORD_MAX || high < -HIGH_WORD_MAX) {
      return converters.timestamp(values[row] as bigint, unit, instant)
    }
    const low = (words[row * 2] as number) >>> 0
    return timestampMs(Math.floor((high * 4_294_967_296 + low) / 1000))
  }
}

const MICROS: Readonly<Record<TimeUnit, (value: bigint) => bigint>> = {
  second: (value) => value * 1_000_000n,
  millisecond: (value) => value * 1000n,
  microsecond: (value) => value,
  nanosecond: (value) => value / 1000n,
}

function intervalReader(
  unit: 'yearMonth' | 'dayTime' | 'monthDayNano',
  buffer: Uint8Array,
  length: number,
): (row: number) => Interval {
  const view = new DataView(buffer.buffer, buffer.byteOffset, buffer.byteLength)
  const width = { yearMonth: 4, dayTime: 8, monthDayNano: 16 }[unit]
  if (buffer.byteLength < length * width) {
    throw new SqlError('protocol_violation', 'arrow interval buffer is short')
  }
  const word = (row: number, offset: number): number => view.getInt32(row * width + offset, true)
  switch (unit) {
    case 'yearMonth':
      return (row) => new Interval(word(row, 0), 0, 0n)
    case 'dayTime':
      return (row) => new Interval(0, word(row, 0), BigInt(word(row, 4)) * 1000n)
    case 'monthDayNano':
      return (row) =>
        new Interval(word(row, 0), word(row, 4), view.getBigInt64(row * width + 8, true) / 1000n)
  }
}
