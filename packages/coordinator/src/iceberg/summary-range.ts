import { floorDivide, type PartitionValue, transformed } from './partition-transform.ts'
import type { FieldSummary, PartitionField } from './partition-field.ts'
import { decodeBound } from './single-value.ts'

/** What is known of a column's values in all files of a manifest. */
export interface SummaryRange {
  /** No value is less; both are absent where nothing is known, or there is no value. */
  readonly min?: bigint | string | undefined
  readonly max?: bigint | string | undefined
  readonly nulls: 'none' | 'some' | 'all'
  /** True for a value that no row has, though it may lie between the bounds. */
  readonly excludes?: ((value: bigint | string) => boolean) | undefined
}

/**
 * What a manifest's summary of one partition field says of the column that the field is made of; undefined for nothing.
 * Pure.
 */
export function rangeOfSummary(
  { transform, type, source }: PartitionField,
  summary: FieldSummary,
): SummaryRange | undefined {
  if (source === undefined || transform.kind === 'void' || transform.kind === 'unknown') {
    return undefined
  }
  // NULL becomes NULL, and nothing else does.
  if (!summary.containsNull && summary.lower === null) return { nulls: 'none' }
  if (summary.lower === null || summary.upper === null) {
    const isCounted = decodable(type) && summary.containsNan !== true
    return { nulls: isCounted && summary.upper === summary.lower ? 'all' : 'some' }
  }
  const nulls = summary.containsNull ? 'some' : 'none'
  const [lower, upper] = [valueOf(type, summary.lower), valueOf(type, summary.upper)]
  if (lower === undefined || upper === undefined) return { nulls }
  if (transform.kind === 'bucket' && typeof lower === 'bigint' && typeof upper === 'bigint') {
    const excludes = (value: PartitionValue): boolean => {
      const bucket = transformed(transform, source.type, value)
      return typeof bucket === 'bigint' && (bucket < lower || bucket > upper)
    }
    return { nulls, excludes }
  }
  const ends = endsOf({ transform, source }, lower, upper)
  return ends === undefined ? { nulls } : { nulls, ...ends }
}

/** Of types whose bounds are not kept a missing one says nothing. */
const decodable = (type: string): boolean =>
  /^(boolean|int|long|date|time|timestamp|timestamptz|string|decimal\(.*)$/.test(type)

function valueOf(type: string, bytes: Buffer): bigint | string | undefined {
  const bound = decodeBound(type, bytes)
  return bound === undefined || type === 'string' ? bound?.toString() : BigInt(bound)
}

const DAY_US = 86_400_000_000n
const HOUR_US = 3_600_000_000n

/** The least and the greatest value of the column that the field can have made these bounds of. */
function endsOf(
  { transform, source }: Pick<PartitionField, 'transform' | 'source'>,
  lower: bigint | string,
  upper: bigint | string,
): Pick<SummaryRange, 'min' | 'max'> | undefined {
  if (transform.kind === 'identity') return { min: lower, max: upper }
  if (transform.kind === 'truncate') {
    const max =
      typeof upper === 'string'
        ? behindPrefix(upper, transform.width)
        : upper + BigInt(transform.width) - 1n
    return max === undefined ? undefined : { min: lower, max }
  }
  if (typeof lower === 'string' || typeof upper === 'string') return undefined
  const unit = source?.type === 'date' ? 1n : DAY_US
  // Writers of old put moments before 1970 into the unit behind their own.
  const first = lower <= 0n ? lower - 1n : lower
  switch (transform.kind) {
    case 'hour':
      return { min: first * HOUR_US, max: (upper + 1n) * HOUR_US - 1n }
    case 'day':
      return { min: first * unit, max: (upper + 1n) * unit - 1n }
    case 'month':
      return { min: daysOfMonth(first) * unit, max: daysOfMonth(upper + 1n) * unit - 1n }
    case 'year':
      return {
        min: daysOfMonth(first * 12n) * unit,
        max: daysOfMonth(upper * 12n + 12n) * unit - 1n,
      }
    default:
      return undefined
  }
}

/** A text that no text with this beginning lies behind; itself where it is the whole text. Undefined where there is none. */
function behindPrefix(prefix: string, width: number): string | undefined {
  const points = Array.from(prefix, (character) => character.codePointAt(0) ?? 0)
  if (points.length < width) return prefix
  for (let i = points.length - 1; i >= 0; i--) {
    const point = points[i] ?? 0
    if (point >= 0x10ffff) continue
    // Behind the last character before the surrogates comes the first after them.
    const next = point === 0xd7ff ? 0xe000 : point + 1
    return String.fromCodePoint(...points.slice(0, i), next)
  }
  return undefined
}

/** Days from 1970-01-01 to the first day of a month that is so many after January 1970. */
function daysOfMonth(months: bigint): bigint {
  const year = floorDivide(months, 12n)
  const date = new Date(0)
  date.setUTCFullYear(Number(year) + 1970, Number(months - year * 12n), 1)
  return BigInt(date.getTime() / 86_400_000)
}
