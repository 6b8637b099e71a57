/**
 * Values of simple types as something that can be compared and counted with: whole numbers (days of a DATE, microseconds
 * of a TIMESTAMP, units of the last place of a DECIMAL, 0 and 1 of a BOOLEAN) and texts. Two bounds are only ever
 * compared when they are of one type.
 */
import type { SqlType } from '../../sql/sql-types.ts'

export type Bound = bigint | string

export const DAY_US: bigint = 86_400_000_000n
/** Digits of what BigInt is asked to hold. */
const DIGITS_MAX = 40

export type Domain =
  | { readonly kind: 'integer' }
  | { readonly kind: 'boolean' }
  | { readonly kind: 'date' }
  | { readonly kind: 'timestamp'; readonly zoned: boolean }
  | { readonly kind: 'nanoseconds' }
  | { readonly kind: 'decimal'; readonly scale: number }
  | { readonly kind: 'text' }

/** What the bounds of a type are; undefined for types without. */
export function domainOf(type: SqlType): Domain | undefined {
  if (type.kind === 'decimal') return { kind: 'decimal', scale: type.scale }
  if (type.kind !== 'simple') return undefined
  switch (type.name) {
    case 'BOOLEAN':
      return { kind: 'boolean' }
    case 'TINYINT':
    case 'SMALLINT':
    case 'INTEGER':
    case 'BIGINT':
    case 'HUGEINT':
    case 'UTINYINT':
    case 'USMALLINT':
    case 'UINTEGER':
    case 'UBIGINT':
    case 'UHUGEINT':
      return { kind: 'integer' }
    case 'DATE':
      return { kind: 'date' }
    case 'TIMESTAMP':
      return { kind: 'timestamp', zoned: false }
    case 'TIMESTAMP WITH TIME ZONE':
      return { kind: 'timestamp', zoned: true }
    case 'TIMESTAMP_NS':
      return { kind: 'nanoseconds' }
    case 'VARCHAR':
      return { kind: 'text' }
    default:
      return undefined
  }
}

/**
 * The bound of a value of one type read as another; undefined where that could fail, round or depend on a setting.
 * Keeps the order, so that it may be used for the ends of a range.
 */
export function convertBound(value: Bound, from: Domain, to: Domain): Bound | undefined {
  if (typeof value === 'string')
    return to.kind === 'text' && from.kind === 'text' ? value : undefined
  if (from.kind === 'integer' && to.kind === 'decimal') return value * 10n ** BigInt(to.scale)
  if (from.kind === 'date' && to.kind === 'timestamp' && !to.zoned) return value * DAY_US
  if (from.kind === 'decimal' && to.kind === 'decimal') {
    return to.scale >= from.scale ? value * 10n ** BigInt(to.scale - from.scale) : undefined
  }
  const isSame =
    from.kind === to.kind &&
    (from.kind !== 'timestamp' || to.kind !== 'timestamp' || from.zoned === to.zoned)
  return isSame ? value : undefined
}

/** A text as a value of the type; undefined for every spelling that is not the plain one. */
export function parseBound(text: string, domain: Domain): Bound | undefined {
  switch (domain.kind) {
    case 'text':
      return text
    case 'integer':
      return /^-?\d+$/.test(text) && text.length <= DIGITS_MAX ? BigInt(text) : undefined
    case 'boolean':
      return text === 'true' ? 1n : text === 'false' ? 0n : undefined
    case 'decimal':
      return parseDecimal(text, domain.scale)
    case 'date':
      return parseDate(text)
    case 'timestamp':
      return parseTimestamp(text, domain.zoned)
    case 'nanoseconds': {
      const micros = parseTimestamp(text, false)
      return micros === undefined ? undefined : micros * 1000n
    }
  }
}

function parseDecimal(text: string, scale: number): bigint | undefined {
  const match = /^(-?)(\d+)(?:\.(\d+))?$/.exec(text)
  if (match === null || text.length > DIGITS_MAX) return undefined
  const [, sign, whole = '', part = ''] = match
  if (part.length > scale) return undefined
  const value = BigInt(whole + part.padEnd(scale, '0'))
  return sign === '-' ? -value : value
}

function parseDate(text: string): bigint | undefined {
  const match = /^(\d{4})-(\d\d)-(\d\d)$/.exec(text)
  if (match === null) return undefined
  const [year, month, day] = [Number(match[1]), Number(match[2]), Number(match[3])]
  if (month < 1 || month > 12 || day < 1 || day > daysOfMonth(year, month)) return undefined
  return BigInt(daysOfDate(year, month) + day - 1)
}

/** Days from 1970-01-01 to the first of a month, in the Gregorian calendar of all times (Hinnant, "chrono-compatible low-level date algorithms"). */
function daysOfDate(year: number, month: number): number {
  const shifted = month > 2 ? year : year - 1
  const era = Math.floor(shifted / 400)
  const yearOfEra = shifted - era * 400
  const dayOfYear = Math.floor((153 * ((month + 9) % 12) + 2) / 5)
  const dayOfEra =
    yearOfEra * 365 + Math.floor(yearOfEra / 4) - Math.floor(yearOfEra / 100) + dayOfYear
  return era * 146_097 + dayOfEra - 719_468
}

function daysOfMonth(year: number, month: number): number {
  const next = month === 12 ? daysOfDate(year + 1, 1) : daysOfDate(year, month + 1)
  return next - daysOfDate(year, month)
}

function parseTimestamp(text: string, zoned: boolean): bigint | undefined {
  const match =
    /^(\d{4}-\d\d-\d\d)(?:[ T](\d\d):(\d\d):(\d\d)(?:\.(\d{1,6}))?(\+00(?::?00)?|Z)?)?$/.exec(text)
  if (match === null) return undefined
  const [, date = '', hour = '0', minute = '0', second = '0', fraction = '', zone] = match
  // Without a zone the moment is that of the session's.
  if ((zone !== undefined) !== zoned) return undefined
  const days = parseDate(date)
  if (days === undefined || Number(hour) > 23 || Number(minute) > 59 || Number(second) > 59)
    return undefined
  const seconds = BigInt(Number(hour) * 3600 + Number(minute) * 60 + Number(second))
  return days * DAY_US + seconds * 1_000_000n + BigInt(fraction.padEnd(6, '0'))
}

/** Months and microseconds later, the last of a month where the day does not exist, as the kernel counts. */
export function addInterval(micros: bigint, months: number, later: bigint): bigint {
  if (months === 0) return micros + later
  const days = floorDiv(micros, DAY_US)
  const rest = micros - days * DAY_US
  const { year, month, day } = dateOfDays(Number(days))
  const count = year * 12 + (month - 1) + months
  const [toYear, toMonth] = [Math.floor(count / 12), (((count % 12) + 12) % 12) + 1]
  const toDay = Math.min(day, daysOfMonth(toYear, toMonth))
  return BigInt(daysOfDate(toYear, toMonth) + toDay - 1) * DAY_US + rest + later
}

function dateOfDays(days: number): { year: number; month: number; day: number } {
  let year = 1970 + Math.floor(days / 365.2425)
  while (daysOfDate(year, 1) > days) year--
  while (daysOfDate(year + 1, 1) <= days) year++
  let month = 12
  while (daysOfDate(year, month) > days) month--
  return { year, month, day: days - daysOfDate(year, month) + 1 }
}

function floorDiv(a: bigint, b: bigint): bigint {
  const quotient = a / b
  return a % b < 0n ? quotient - 1n : quotient
}

/** A bound as a text that the kernel casts back to it; undefined for dates outside of the years 1 to 9999. */
export function boundText(value: Bound, domain: Domain): string | undefined {
  if (typeof value === 'string') return domain.kind === 'text' ? value : undefined
  switch (domain.kind) {
    case 'text':
      return undefined
    case 'integer':
      return String(value)
    case 'boolean':
      return value === 0n ? 'false' : 'true'
    case 'decimal': {
      const digits = String(value < 0n ? -value : value).padStart(domain.scale + 1, '0')
      const at = digits.length - domain.scale
      const point = domain.scale === 0 ? '' : `.${digits.slice(at)}`
      return `${value < 0n ? '-' : ''}${digits.slice(0, at)}${point}`
    }
    case 'date':
      return dateText(value)
    case 'timestamp': {
      const text = timestampText(value, 6)
      return text === undefined || !domain.zoned ? text : `${text}+00`
    }
    case 'nanoseconds':
      return timestampText(value, 9)
  }
}

const FIRST_DAY = -719_162n
const LAST_DAY = 2_932_896n

function dateText(days: bigint): string | undefined {
  if (days < FIRST_DAY || days > LAST_DAY) return undefined
  const { year, month, day } = dateOfDays(Number(days))
  const two = (n: number): string => String(n).padStart(2, '0')
  return `${String(year).padStart(4, '0')}-${two(month)}-${two(day)}`
}

/** `digits`: after the point of a second. */
function timestampText(value: bigint, digits: number): string | undefined {
  const second = 10n ** BigInt(digits)
  const day = 86_400n * second
  const days = floorDiv(value, day)
  const date = dateText(days)
  if (date === undefined) return undefined
  const rest = value - days * day
  const seconds = Number(rest / second)
  const two = (n: number): string => String(n).padStart(2, '0')
  const time = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60, seconds % 60].map(two)
  return `${date} ${time.join(':')}.${String(rest % second).padStart(digits, '0')}`
}

/** Negative, zero or positive. Texts are compared by their bytes in UTF-8, as the kernel does. */
export function compareBounds(a: Bound, b: Bound): number {
  if (typeof a === 'string' && typeof b === 'string') return compareTexts(a, b)
  return a < b ? -1 : a > b ? 1 : 0
}

function compareTexts(a: string, b: string): number {
  const length = Math.min(a.length, b.length)
  for (let i = 0; i < length; i++) {
    const [x, y] = [a.charCodeAt(i), b.charCodeAt(i)]
    if (x === y) continue
    // Half of a pair stands for a character beyond all that are one unit, whatever its own number.
    return isSurrogate(x) === isSurrogate(y) ? x - y : isSurrogate(x) ? 1 : -1
  }
  return a.length - b.length
}

const isSurrogate = (unit: number): boolean => unit >= 0xd800 && unit <= 0xdfff

/** A place on a line that keeps the order, for guesses of how much lies between two values. */
export function position(value: Bound): number {
  if (typeof value === 'bigint') return Number(value)
  let place = 0
  for (let i = 0, weight = 1; i < Math.min(value.length, 8); i++) {
    weight /= 256
    place += Math.min(255, value.charCodeAt(i)) * weight
  }
  return place
}
