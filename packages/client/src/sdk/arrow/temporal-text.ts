import { civilFromDays } from '../../base/civil-date.ts'
import type { TimeUnit } from './schema.ts'

const MICROS_PER_DAY = 86_400_000_000n
const MICROS_PER_SECOND = 1_000_000n

/** The values by which DuckDB says "infinity" and "-infinity" for dates (days) and timestamps. */
export const DATE_INFINITY = 2_147_483_647
export const TIMESTAMP_INFINITY = 9_223_372_036_854_775_807n

const pad = (value: number | bigint, width: number): string => String(value).padStart(width, '0')

/** Texts of days that came lately: dates of one result are few, and making the text of one costs more than finding it. */
const dateTexts = new Map<number, string>()
const DATE_TEXTS_MAX = 16_384

/** Days since 1970-01-01 as `YYYY-MM-DD`, over the whole range of an int32: `Date` covers only a part of it. */
export function dateText(days: number): string {
  const known = dateTexts.get(days)
  if (known !== undefined) return known
  const text = newDateText(days)
  if (dateTexts.size >= DATE_TEXTS_MAX) dateTexts.clear()
  dateTexts.set(days, text)
  return text
}

function newDateText(days: number): string {
  if (days === DATE_INFINITY) return 'infinity'
  if (days === -DATE_INFINITY) return '-infinity'
  const { year, month, day } = civilFromDays(days)
  const text = `${pad(year > 0 ? year : 1 - year, 4)}-${pad(month, 2)}-${pad(day, 2)}`
  return year > 0 ? text : `${text} (BC)`
}

/** An instant or a local time stamp as `YYYY-MM-DDThh:mm:ss[.f]`, followed by `Z` where it is an instant. */
export function timestampText(value: bigint, unit: TimeUnit, instant: boolean): string {
  if (value === TIMESTAMP_INFINITY) return 'infinity'
  if (value === -TIMESTAMP_INFINITY) return '-infinity'
  const { micros, nanos } = toMicros(value, unit)
  const days = floorDiv(micros, MICROS_PER_DAY)
  const time = clockText(micros - days * MICROS_PER_DAY, nanos)
  const date = dateText(Number(days))
  const zone = instant ? 'Z' : ''
  return date.endsWith(' (BC)')
    ? `${date.slice(0, -5)}T${time}${zone} (BC)`
    : `${date}T${time}${zone}`
}

/** A time of day as `hh:mm:ss[.f]`. */
export function timeText(value: bigint, unit: TimeUnit): string {
  const { micros, nanos } = toMicros(value, unit)
  return clockText(micros, nanos)
}

const floorDiv = (a: bigint, b: bigint): bigint => (a >= 0n || a % b === 0n ? a / b : a / b - 1n)

function toMicros(value: bigint, unit: TimeUnit): { micros: bigint; nanos: bigint } {
  switch (unit) {
    case 'second':
      return { micros: value * MICROS_PER_SECOND, nanos: 0n }
    case 'millisecond':
      return { micros: value * 1000n, nanos: 0n }
    case 'microsecond':
      return { micros: value, nanos: 0n }
    case 'nanosecond': {
      const micros = floorDiv(value, 1000n)
      return { micros, nanos: value - micros * 1000n }
    }
  }
}

function clockText(micros: bigint, nanos: bigint): string {
  const seconds = Number(micros / MICROS_PER_SECOND)
  const fraction = `${pad(micros % MICROS_PER_SECOND, 6)}${nanos === 0n ? '' : pad(nanos, 3)}`
  const trimmed = fraction.replace(/0+$/, '')
  const whole = `${pad(Math.floor(seconds / 3600), 2)}:${pad(Math.floor(seconds / 60) % 60, 2)}:${pad(seconds % 60, 2)}`
  return trimmed === '' ? whole : `${whole}.${trimmed}`
}

/** An SQL INTERVAL: three parts that do not convert into each other. Its text is DuckDB's. */
export class Interval {
  readonly months: number
  readonly days: number
  readonly micros: bigint

  constructor(months: number, days: number, micros: bigint) {
    this.months = months
    this.days = days
    this.micros = micros
  }

  toString(): string {
    const years = Math.trunc(this.months / 12)
    const parts = [
      counted(years, 'year'),
      counted(this.months - years * 12, 'month'),
      counted(this.days, 'day'),
    ].filter((part) => part !== '')
    if (this.micros !== 0n || parts.length === 0) {
      const size = this.micros < 0n ? -this.micros : this.micros
      parts.push(`${this.micros < 0n ? '-' : ''}${clockText(size, 0n)}`)
    }
    return parts.join(' ')
  }

  toJSON(): string {
    return this.toString()
  }
}

const counted = (count: number, unit: string): string =>
  count === 0 ? '' : `${count} ${unit}${Math.abs(count) === 1 ? '' : 's'}`
