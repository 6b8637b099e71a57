import { civilFromDays } from '@nyala/client/base'
import { SqlError } from '@nyala/client/protocol'
import { murmur3 } from './murmur3.ts'
import { twosComplement } from './single-value.ts'
import type { IcebergType } from './types.ts'

/** How a column's value becomes that of a partition field, as the specification of Iceberg has it. */
export type Transform =
  | { readonly kind: 'identity' | 'year' | 'month' | 'day' | 'hour' | 'void' }
  | { readonly kind: 'bucket'; readonly count: number }
  | { readonly kind: 'truncate'; readonly width: number }
  /** One that another writer knows. It says nothing here, and nothing can be written by it. */
  | { readonly kind: 'unknown'; readonly text: string }

/**
 * A value of a column or of a partition field: whole numbers (days of a date, microseconds of a timestamp, units of the
 * last place of a decimal, 0 and 1 of a boolean), texts, or the hexadecimal digits of bytes.
 */
export type PartitionValue = bigint | string | null

export function parseTransform(text: string): Transform {
  switch (text) {
    case 'identity':
    case 'year':
    case 'month':
    case 'day':
    case 'hour':
    case 'void':
      return { kind: text }
  }
  const [, name, digits] = /^(bucket|truncate)\[(\d{1,9})\]$/.exec(text) ?? []
  const number = Number(digits)
  if (number > 0) {
    if (name === 'bucket') return { kind: 'bucket', count: number }
    if (name === 'truncate') return { kind: 'truncate', width: number }
  }
  return { kind: 'unknown', text }
}

export function transformText(transform: Transform): string {
  switch (transform.kind) {
    case 'bucket':
      return `bucket[${transform.count}]`
    case 'truncate':
      return `truncate[${transform.width}]`
    case 'unknown':
      return transform.text
    default:
      return transform.kind
  }
}

/** As PARTITIONED BY says it of a column whose name is quoted where it must be. */
export function transformSql(transform: Transform, column: string): string {
  switch (transform.kind) {
    case 'identity':
      return column
    case 'bucket':
      return `bucket(${transform.count}, ${column})`
    case 'truncate':
      return `truncate(${transform.width}, ${column})`
    case 'unknown':
      return `${transform.text}(${column})`
    default:
      return `${transform.kind}(${column})`
  }
}

/** The name of a field that PARTITIONED BY does not give one, as other writers choose it. */
export function fieldNameOf(transform: Transform, column: string): string {
  switch (transform.kind) {
    case 'identity':
      return column
    case 'truncate':
      return `${column}_trunc`
    case 'void':
      return `${column}_null`
    default:
      return `${column}_${transform.kind}`
  }
}

/** The type of the field's values for a column of type `source`. */
export function resultType(transform: Transform, source: IcebergType): string {
  switch (transform.kind) {
    case 'identity':
    case 'truncate':
    case 'void':
      return String(source)
    case 'day':
      return 'date'
    case 'year':
    case 'month':
    case 'hour':
    case 'bucket':
      return 'int'
    case 'unknown':
      return 'string'
  }
}

const TIMES = ['timestamp', 'timestamptz']
const isDecimal = (type: string): boolean => type.startsWith('decimal(')

/** True where tables can be written with this transform of this type. */
function isWritable(transform: Transform, type: IcebergType): boolean {
  if (typeof type !== 'string') return false
  switch (transform.kind) {
    case 'identity':
      return (
        ['boolean', 'int', 'long', 'date', 'string', ...TIMES].includes(type) || isDecimal(type)
      )
    case 'year':
    case 'month':
    case 'day':
      return type === 'date' || TIMES.includes(type)
    case 'hour':
      return TIMES.includes(type)
    case 'bucket':
      return (
        ['int', 'long', 'date', 'time', 'string', 'uuid', 'binary', ...TIMES].includes(type) ||
        isDecimal(type)
      )
    case 'truncate':
      return ['int', 'long', 'string'].includes(type) || isDecimal(type)
    case 'void':
    case 'unknown':
      return false
  }
}

/** Fails with `feature_not_supported`. */
export function checkTransform(
  transform: Transform,
  column: { readonly name: string; readonly type: IcebergType },
): void {
  if (isWritable(transform, column.type)) return
  const type = typeof column.type === 'string' ? column.type : column.type.type
  throw new SqlError(
    'feature_not_supported',
    `a table cannot be partitioned by ${transformSql(transform, column.name)} of the type ${type}`,
    { hint: HINTS[transform.kind] },
  )
}

const HINTS: Readonly<Record<Transform['kind'], string>> = {
  identity: 'take a column of whole numbers, DECIMAL, BOOLEAN, DATE, TIMESTAMP or text',
  year: 'year, month and day take a DATE or TIMESTAMP',
  month: 'year, month and day take a DATE or TIMESTAMP',
  day: 'year, month and day take a DATE or TIMESTAMP',
  hour: 'hour takes a TIMESTAMP',
  bucket: 'bucket takes whole numbers, DECIMAL, text, bytes, UUID, DATE or TIMESTAMP',
  truncate: 'truncate takes whole numbers, DECIMAL or text',
  void: 'void is only read',
  unknown: 'transforms are year, month, day, hour, bucket and truncate',
}

const DAY_US = 86_400_000_000n
const HOUR_US = 3_600_000_000n

/** The field's value of a column's value; undefined where it is not known here. Pure. */
export function transformed(
  transform: Transform,
  type: IcebergType,
  value: PartitionValue,
): PartitionValue | undefined {
  if (transform.kind === 'unknown' || typeof type !== 'string') return undefined
  if (value === null || transform.kind === 'void') return null
  if (transform.kind === 'identity') return value
  if (transform.kind === 'truncate') return truncated(value, transform.width)
  if (transform.kind === 'bucket') {
    const bytes = hashedBytes(type, value)
    if (bytes === undefined) return undefined
    return BigInt((murmur3(bytes) & 0x7fffffff) % transform.count)
  }
  if (typeof value !== 'bigint') return undefined
  if (transform.kind === 'hour') return floorDivide(value, HOUR_US)
  const days = type === 'date' ? value : floorDivide(value, DAY_US)
  if (transform.kind === 'day') return days
  const { year, month } = civilFromDays(Number(days))
  return BigInt(transform.kind === 'year' ? year - 1970 : (year - 1970) * 12 + month - 1)
}

function truncated(value: bigint | string, width: number): bigint | string {
  if (typeof value === 'string') return [...value].slice(0, width).join('')
  const w = BigInt(width)
  return value - (((value % w) + w) % w)
}

/** The bytes that the specification has `bucket` hash. */
function hashedBytes(type: string, value: bigint | string): Buffer | undefined {
  if (typeof value === 'string') {
    if (type === 'string') return Buffer.from(value, 'utf8')
    return type === 'uuid' || type === 'binary' ? Buffer.from(value, 'hex') : undefined
  }
  if (isDecimal(type)) return twosComplement(value)
  const bytes = Buffer.alloc(8)
  bytes.writeBigInt64LE(value)
  return bytes
}

export function floorDivide(a: bigint, b: bigint): bigint {
  const quotient = a / b
  return a % b < 0n ? quotient - 1n : quotient
}

/** The value of a field for people: `2020-03` for a month, `2020-03-01-12` for an hour; null is NULL. */
export function valueText(
  transform: Transform,
  type: IcebergType,
  value: PartitionValue,
): string | null {
  if (value === null || typeof value === 'string') return value
  switch (transform.kind) {
    case 'year':
      return String(value + 1970n)
    case 'month': {
      const year = floorDivide(value, 12n)
      return `${fourDigits(year + 1970n)}-${twoDigits(value - year * 12n + 1n)}`
    }
    case 'day':
      return dateText(value)
    case 'hour': {
      const day = floorDivide(value, 24n)
      return `${dateText(day)}-${twoDigits(value - day * 24n)}`
    }
    case 'bucket':
      return String(value)
    default:
      return plainText(String(type), value)
  }
}

function plainText(type: string, value: bigint): string {
  if (type === 'boolean') return value === 0n ? 'false' : 'true'
  if (type === 'date') return dateText(value)
  if (TIMES.includes(type)) {
    const date = new Date(Number(floorDivide(value, 1000n)))
    const micros = ((value % 1_000_000n) + 1_000_000n) % 1_000_000n
    const seconds = date.toISOString().replace('T', ' ').slice(0, -5)
    const fraction = micros === 0n ? '' : `.${String(micros).padStart(6, '0')}`
    return `${seconds}${fraction}${type === 'timestamptz' ? '+00' : ''}`
  }
  const scale = Number(/,\s*(\d+)\)$/.exec(type)?.[1] ?? 0)
  if (scale === 0) return String(value)
  const digits = String(value < 0n ? -value : value).padStart(scale + 1, '0')
  return `${value < 0n ? '-' : ''}${digits.slice(0, -scale)}.${digits.slice(-scale)}`
}

const twoDigits = (n: bigint): string => String(n).padStart(2, '0')
const fourDigits = (n: bigint): string => String(n).padStart(4, '0')

function dateText(days: bigint): string {
  const { year, month } = civilFromDays(Number(days))
  // The day of the month is that of a calendar whose years are the same length.
  const day = new Date(Number(days) * 86_400_000).getUTCDate()
  return `${String(year).padStart(4, '0')}-${String(month).padStart(2, '0')}-${String(day).padStart(2, '0')}`
}
