import { SqlError } from '../../protocol/errors.ts'
import type { TimeUnit } from './schema.ts'
import { DATE_INFINITY, dateText, TIMESTAMP_INFINITY, timestampText } from './temporal-text.ts'

/**
 * What the SQL types that JavaScript has no exact counterpart of become. A function gets the exact value and returns
 * what stands in the row.
 */
export interface TypeOptions {
  /** BIGINT, UBIGINT, HUGEINT. `number` refuses a value beyond 2^53 with `numeric_value_out_of_range`. */
  readonly int64?: 'bigint' | 'number' | 'string' | ((value: bigint) => unknown) | undefined
  readonly decimal?: 'string' | 'number' | ((text: string) => unknown) | undefined
  /** `date` is the `Date` of midnight UTC; `string` and functions get `YYYY-MM-DD`. */
  readonly date?: 'date' | 'string' | ((text: string) => unknown) | undefined
  /** `date` is exact to the millisecond; `string` and functions get every digit, with `Z` where there is a time zone. */
  readonly timestamp?: 'date' | 'string' | ((text: string) => unknown) | undefined
}

/** The functions of one set of {@link TypeOptions}, chosen once and not by value. */
export interface Converters {
  readonly int64: (value: bigint) => unknown
  readonly decimal: (text: string) => unknown
  readonly date: (days: number) => unknown
  readonly timestamp: (value: bigint, unit: TimeUnit, instant: boolean) => unknown
  /** Milliseconds since 1970 where the value is exact in them; absent unless time stamps become `Date`. */
  readonly timestampMs: ((ms: number) => unknown) | undefined
}

export function convertersOf(types: TypeOptions): Converters {
  const timestamp = types.timestamp ?? 'date'
  return {
    int64: int64Converter(types.int64 ?? 'bigint'),
    decimal: decimalConverter(types.decimal ?? 'string'),
    date: dateConverter(types.date ?? 'date'),
    timestamp: timestampConverter(timestamp),
    timestampMs: timestamp === 'date' ? (ms) => new Date(ms) : undefined,
  }
}

/** Leaves the value as it is; a column reader that sees it need not call it. */
export const plainInt64 = (value: bigint): unknown => value

function int64Converter(as: NonNullable<TypeOptions['int64']>): Converters['int64'] {
  if (typeof as === 'function') return as
  if (as === 'bigint') return plainInt64
  if (as === 'string') return String
  return (value) => {
    const number = Number(value)
    if (Number.isSafeInteger(number)) return number
    throw new SqlError(
      'numeric_value_out_of_range',
      `integer ${value} does not fit a JavaScript number`,
      { hint: 'leave the option types.int64 at "bigint"' },
    )
  }
}

/** Leaves the text as it is; a column reader that sees it need not call it. */
export const plainDecimal = (text: string): unknown => text

function decimalConverter(as: NonNullable<TypeOptions['decimal']>): Converters['decimal'] {
  if (typeof as === 'function') return as
  return as === 'number' ? Number : plainDecimal
}

const MS_PER_DAY = 86_400_000
/** `Date` reaches this far from 1970 on both sides. */
const DATE_MS_MAX = 8_640_000_000_000_000

function dateConverter(as: NonNullable<TypeOptions['date']>): Converters['date'] {
  if (typeof as === 'function') return (days) => as(dateText(days))
  if (as === 'string') return dateText
  return (days) => {
    const ms = days * MS_PER_DAY
    if (Math.abs(ms) <= DATE_MS_MAX) return new Date(ms)
    return Math.abs(days) === DATE_INFINITY ? days * Infinity : dateText(days)
  }
}

function timestampConverter(as: NonNullable<TypeOptions['timestamp']>): Converters['timestamp'] {
  if (typeof as === 'function') {
    return (value, unit, instant) => as(timestampText(value, unit, instant))
  }
  if (as === 'string') return timestampText
  return (value, unit, instant) => {
    if (value === TIMESTAMP_INFINITY) return Infinity
    if (value === -TIMESTAMP_INFINITY) return -Infinity
    const ms = millisecondsOf(value, unit)
    return Math.abs(ms) <= DATE_MS_MAX ? new Date(ms) : timestampText(value, unit, instant)
  }
}

/** Rounded down, so that a time before 1970 does not move into the next millisecond. */
function millisecondsOf(value: bigint, unit: TimeUnit): number {
  const divided = (by: bigint): number =>
    Number(value >= 0n || value % by === 0n ? value / by : value / by - 1n)
  switch (unit) {
    case 'second':
      return Number(value) * 1000
    case 'millisecond':
      return Number(value)
    case 'microsecond':
      return divided(1000n)
    case 'nanosecond':
      return divided(1_000_000n)
  }
}
