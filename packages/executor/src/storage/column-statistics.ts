import type { ColumnBounds, FileStatistics } from '../protocol/index.ts'
import { THRIFT, type ThriftReader } from './thrift-reader.ts'

/** Longer texts are not kept as bounds: they would make a listing large and prune no better. */
const TEXT_BYTES_MAX = 64

/** Physical types and repetitions of parquet.thrift. */
const PHYSICAL = { boolean: 0, int32: 1, int64: 2, byteArray: 6, fixed: 7 } as const
const REPEATED = 2

/** What of a schema element says how values of its column chunks are to be read. */
export interface LeafElement {
  readonly physical: number | undefined
  readonly repetition: number
  readonly converted: number | undefined
  readonly scale: number
  readonly logical: LogicalAnnotation | undefined
}

export interface LogicalAnnotation {
  /** Number of the field in the union LogicalType. */
  readonly id: number
  readonly scale: number
  readonly utc: boolean
  /** Number of the field in the union TimeUnit: 1 milliseconds, 2 microseconds, 3 nanoseconds. */
  readonly unit: number
  readonly signed: boolean
}

/**
 * How the bounds of a column are to be understood, whatever its width: as whole numbers (of days, microseconds, units of
 * the last decimal place), or as text. Columns of another family have no bounds here: of floating-point numbers a NaN
 * may hide behind them, INT96 was never ordered, and bytes have no use.
 */
export type Family =
  | 'boolean'
  | 'signed'
  | 'unsigned'
  | 'date'
  | 'microseconds'
  | 'nanoseconds'
  | `decimal ${number}`
  | 'text'

/** A column chunk of a row group. -1 and null where the file does not say. */
export interface ChunkStatistics {
  readonly nulls: number
  readonly min: number | string | null
  readonly max: number | string | null
  /** `min` and `max` are values of the chunk, not only bounds of them. */
  readonly exact: boolean
  /** Distinct values; -1 where the file does not say. */
  readonly distinct: number
}

const UNKNOWN: ChunkStatistics = { nulls: -1, min: null, max: null, exact: false, distinct: -1 }

interface RawStatistics {
  nulls: number
  distinct: number
  /** `min_value` and `max_value`, whose order is that of the type. */
  min: Uint8Array | undefined
  max: Uint8Array | undefined
  /** The deprecated `min` and `max`, whose order is that of signed numbers. */
  oldMin: Uint8Array | undefined
  oldMax: Uint8Array | undefined
  minExact: boolean
  maxExact: boolean
}

/** Reads the struct Statistics. */
export function readStatistics(reader: ThriftReader): RawStatistics {
  const raw: RawStatistics = {
    nulls: -1,
    distinct: -1,
    min: undefined,
    max: undefined,
    oldMin: undefined,
    oldMax: undefined,
    minExact: false,
    maxExact: false,
  }
  reader.struct((id, type) => {
    if (id === 3 && type === THRIFT.i64) raw.nulls = reader.int()
    else if (id === 4 && type === THRIFT.i64) raw.distinct = reader.int()
    else if (id === 7 && type === THRIFT.true) raw.maxExact = true
    else if (id === 8 && type === THRIFT.true) raw.minExact = true
    else if (type !== THRIFT.binary) reader.skip(type)
    else if (id === 1) raw.oldMax = reader.bytes()
    else if (id === 2) raw.oldMin = reader.bytes()
    else if (id === 5) raw.max = reader.bytes()
    else if (id === 6) raw.min = reader.bytes()
    else reader.skip(type)
  })
  return raw
}

/** What of a chunk's statistics can be trusted. */
export function trustedStatistics(
  raw: RawStatistics | undefined,
  element: LeafElement,
  family: Family | undefined,
): ChunkStatistics {
  if (raw === undefined) return UNKNOWN
  const { nulls, distinct } = raw
  const none = { nulls, min: null, max: null, exact: false, distinct }
  if (family === undefined) return none
  const isSigned =
    family !== 'unsigned' &&
    (element.physical === PHYSICAL.int32 || element.physical === PHYSICAL.int64)
  const min = raw.min ?? (isSigned ? raw.oldMin : undefined)
  const max = raw.max ?? (isSigned ? raw.oldMax : undefined)
  if (min === undefined || max === undefined) return none
  const low = readValue(min, element, family)
  const high = readValue(max, element, family)
  if (low === undefined || high === undefined) return none
  const exact = family === 'text' ? raw.minExact && raw.maxExact : true
  return { nulls, min: low, max: high, exact, distinct }
}

function readValue(
  bytes: Uint8Array,
  element: LeafElement,
  family: Family,
): number | string | undefined {
  if (family === 'text') return readText(bytes)
  const value = readInteger(bytes, element.physical, family === 'unsigned')
  if (value === undefined) return undefined
  const isMillis = family === 'microseconds' && timeUnit(element) === 1
  return isMillis ? compact(BigInt(value) * 1000n) : value
}

/** Most whole numbers are exact as a number; the others travel as their digits. */
const compact = (value: bigint): number | string =>
  value >= BigInt(Number.MIN_SAFE_INTEGER) && value <= BigInt(Number.MAX_SAFE_INTEGER)
    ? Number(value)
    : String(value)

/** U+FEFF at the front of a text is a character of it. */
const UTF8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

function readText(bytes: Uint8Array): string | undefined {
  if (bytes.byteLength > TEXT_BYTES_MAX) return undefined
  try {
    return UTF8.decode(bytes)
  } catch {
    // A bound that was cut inside a character is no text.
    return undefined
  }
}

function readInteger(
  bytes: Uint8Array,
  physical: number | undefined,
  unsigned: boolean,
): number | string | undefined {
  switch (physical) {
    case PHYSICAL.boolean:
      return bytes.byteLength === 1 ? (bytes[0] ?? 0) & 1 : undefined
    case PHYSICAL.int32:
      if (bytes.byteLength !== 4) return undefined
      return unsigned ? word(bytes, 0) >>> 0 : word(bytes, 0)
    case PHYSICAL.int64:
      return bytes.byteLength === 8 ? readLong(bytes, unsigned) : undefined
    case PHYSICAL.byteArray:
    case PHYSICAL.fixed:
      return readBigEndian(bytes)
    case undefined:
      return undefined
  }
  return undefined
}

/** Four bytes, the lowest first, as a signed number. */
const word = (bytes: Uint8Array, at: number): number =>
  (bytes[at] ?? 0) |
  ((bytes[at + 1] ?? 0) << 8) |
  ((bytes[at + 2] ?? 0) << 16) |
  ((bytes[at + 3] ?? 0) << 24)

function readLong(bytes: Uint8Array, unsigned: boolean): number | string {
  const high = unsigned ? word(bytes, 4) >>> 0 : word(bytes, 4)
  const value = high * 2 ** 32 + (word(bytes, 0) >>> 0)
  if (Number.isSafeInteger(value)) return value
  return String((BigInt(high) << 32n) | BigInt(word(bytes, 0) >>> 0))
}

/** Two's complement, the highest byte first, as decimals in byte arrays are. */
function readBigEndian(bytes: Uint8Array): number | string | undefined {
  if (bytes.byteLength === 0 || bytes.byteLength > 16) return undefined
  let value = 0n
  for (const byte of bytes) value = (value << 8n) | BigInt(byte)
  return compact(BigInt.asIntN(8 * bytes.byteLength, value))
}

const LOGICAL = { string: 1, enum: 4, decimal: 5, date: 6, timestamp: 8, integer: 10 } as const
const CONVERTED = { utf8: 0, enum: 4, decimal: 5, date: 6, millis: 9, micros: 10 } as const
/** UINT_8 to UINT_64, then INT_8 to INT_64. */
const UNSIGNED_FROM = 11
const SIGNED_FROM = 15
const SIGNED_TO = 18

/** The family of a leaf of the schema; undefined where its bounds are not to be used. */
export function familyOfElement(element: LeafElement): Family | undefined {
  const { physical, logical, converted } = element
  if (element.repetition === REPEATED) return undefined
  const isInteger = physical === PHYSICAL.int32 || physical === PHYSICAL.int64
  const isBytes = physical === PHYSICAL.byteArray
  if (physical === PHYSICAL.boolean) return 'boolean'
  if (logical !== undefined) {
    if (isBytes && (logical.id === LOGICAL.string || logical.id === LOGICAL.enum)) return 'text'
    if (logical.id === LOGICAL.decimal && (isInteger || isBytes || physical === PHYSICAL.fixed))
      return `decimal ${logical.scale}`
    if (!isInteger) return undefined
    if (logical.id === LOGICAL.date) return 'date'
    if (logical.id === LOGICAL.integer) return logical.signed ? 'signed' : 'unsigned'
    if (logical.id === LOGICAL.timestamp)
      return logical.unit < 3 ? 'microseconds' : logical.utc ? undefined : 'nanoseconds'
    return undefined
  }
  if (converted === undefined) return isInteger ? 'signed' : undefined
  if (isBytes && (converted === CONVERTED.utf8 || converted === CONVERTED.enum)) return 'text'
  if (converted === CONVERTED.decimal && (isInteger || isBytes || physical === PHYSICAL.fixed))
    return `decimal ${element.scale}`
  if (!isInteger) return undefined
  if (converted === CONVERTED.date) return 'date'
  if (converted === CONVERTED.millis || converted === CONVERTED.micros) return 'microseconds'
  if (converted >= UNSIGNED_FROM && converted < SIGNED_FROM) return 'unsigned'
  return converted >= SIGNED_FROM && converted <= SIGNED_TO ? 'signed' : undefined
}

const timeUnit = ({ logical, converted }: LeafElement): number =>
  logical?.unit ?? (converted === CONVERTED.millis ? 1 : 2)

/** The family that the bounds of a column of an SQL type must have to be about its values. */
export function familyOfType(type: string): Family | undefined {
  if (type === 'BOOLEAN') return 'boolean'
  if (type === 'VARCHAR') return 'text'
  if (type === 'DATE') return 'date'
  if (type === 'TIMESTAMP' || type === 'TIMESTAMP WITH TIME ZONE') return 'microseconds'
  if (type === 'TIMESTAMP_NS') return 'nanoseconds'
  if (/^(TINY|SMALL|BIG)INT$|^INTEGER$/.test(type)) return 'signed'
  if (/^U(TINY|SMALL|BIG)INT$|^UINTEGER$/.test(type)) return 'unsigned'
  const scale = /^DECIMAL\(\d+,(\d+)\)$/.exec(type)?.[1]
  return scale === undefined ? undefined : `decimal ${Number(scale)}`
}

/** The statistics of one column as a listing carries them; null where there is nothing to say. */
export function columnBounds(chunks: readonly ChunkStatistics[]): ColumnBounds | null {
  if (chunks.every((chunk) => chunk.nulls < 0 && chunk.min === null && chunk.distinct < 0))
    return null
  const bounds = {
    nulls: chunks.map((chunk) => chunk.nulls),
    min: chunks.map((chunk) => chunk.min),
    max: chunks.map((chunk) => chunk.max),
    ...(chunks.some((chunk) => chunk.distinct >= 0)
      ? { distinct: chunks.map((chunk) => chunk.distinct) }
      : {}),
  }
  const inexact = chunks.some((chunk) => chunk.min !== null && !chunk.exact)
  return inexact ? { ...bounds, inexact: true } : bounds
}

/** One entry for the whole file in place of one for each row group; of numbers, as texts take more room than they are worth. */
export const wholeFile = (statistics: FileStatistics): FileStatistics =>
  statistics.map((column) => {
    if (column === null || column.nulls.length <= 1) return column
    const nulls = column.nulls.includes(-1) ? -1 : column.nulls.reduce((sum, n) => sum + n, 0)
    // A row group of NULLs alone has no bounds either, and is not told from one that does not say.
    const known = column.min.every(isNumber) && column.max.every(isNumber)
    return {
      nulls: [nulls],
      min: [known ? column.min.reduce((a, b) => Math.min(a, b)) : null],
      max: [known ? column.max.reduce((a, b) => Math.max(a, b)) : null],
      ...(column.distinct === undefined ? {} : { distinct: [ofFile(column.distinct)] }),
    }
  })

/** A file has at least the values of that row group which has most. */
const ofFile = (distinct: readonly number[]): number =>
  distinct.includes(-1) ? -1 : distinct.reduce((a, b) => Math.max(a, b), 0)

const isNumber = (value: number | string | null): value is number => typeof value === 'number'

/** Characters of the JSON text, about. */
export function statisticsSize(statistics: FileStatistics): number {
  let size = 2
  for (const column of statistics) {
    if (column === null) size += 5
    else {
      size += 32
      for (let i = 0; i < column.nulls.length; i++) {
        size += 2 + textSize(column.min[i] ?? null) + textSize(column.max[i] ?? null) + 2
        if (column.distinct !== undefined) size += 1 + digits(column.distinct[i] ?? 0)
      }
    }
  }
  return size
}

const textSize = (value: number | string | null): number =>
  value === null ? 4 : typeof value === 'string' ? value.length + 2 : digits(value)

const digits = (value: number): number =>
  Math.floor(Math.log10(Math.abs(value) + 1)) + 1 + (value < 0 ? 1 : 0)
