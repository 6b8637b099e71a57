/** Values of constant expressions that can be told exactly. Everything is undefined where there is any doubt. */
import type { Constant, Expression, FunctionCall } from '../../sql/ir.ts'
import { sameType, simpleType, type SqlType } from '../../sql/sql-types.ts'
import {
  addDays,
  addMonths,
  type CalendarDate,
  dateText,
  parseDate,
  parseMidnight,
} from '../logical/calendar.ts'

const BITS: Readonly<Record<string, number>> = {
  TINYINT: 8,
  SMALLINT: 16,
  INTEGER: 32,
  BIGINT: 64,
  HUGEINT: 128,
}

export const isInteger = (type: SqlType): boolean =>
  type.kind === 'simple' && BITS[type.name] !== undefined

/** CAST(constant AS type) where the value is kept as it is. */
export function castConstant(constant: Constant, type: SqlType): Constant | undefined {
  const { value } = constant
  if (value === null) return { kind: 'constant', type, value: null }
  if (sameType(constant.type, type)) return constant
  if (typeof value !== 'string') return undefined
  const text = castText(constant.type, value, type)
  return text === undefined ? undefined : { kind: 'constant', type, value: text }
}

function castText(from: SqlType, value: string, to: SqlType): string | undefined {
  if (isInteger(from) || from.kind === 'decimal') {
    if (isInteger(to)) return asInteger(value, to)
    return to.kind === 'decimal' ? asDecimal(value, to.width, to.scale) : undefined
  }
  if (from.kind !== 'simple' || to.kind !== 'simple') return undefined
  const day = from.name === 'TIMESTAMP' ? parseMidnight(value) : parseDate(value)
  if (day === undefined) return undefined
  if (to.name === 'DATE' && ['VARCHAR', 'TIMESTAMP'].includes(from.name)) return dateText(day)
  if (to.name === 'TIMESTAMP' && from.name === 'DATE') return timestampText(day)
  return undefined
}

const NUMBER = /^(-?)(\d+)(?:\.(\d+))?$/

/** A number without digits behind the point, within the range of the type. */
function asInteger(value: string, type: SqlType): string | undefined {
  const [, sign = '', whole, fraction = ''] = NUMBER.exec(value) ?? []
  const bits = type.kind === 'simple' ? BITS[type.name] : undefined
  if (whole === undefined || bits === undefined || /[^0]/.test(fraction)) return undefined
  const number = BigInt(sign + whole)
  return number === BigInt.asIntN(bits, number) ? number.toString() : undefined
}

/** A number with exactly `scale` digits behind the point, none of which is lost. */
function asDecimal(value: string, width: number, scale: number): string | undefined {
  const [, sign = '', digits, fraction = ''] = NUMBER.exec(value) ?? []
  if (digits === undefined || /[^0]/.test(fraction.slice(scale))) return undefined
  const whole = digits.replace(/^0+(?=\d)/, '')
  if (whole !== '0' && whole.length > width - scale) return undefined
  const behind = fraction.slice(0, scale).padEnd(scale, '0')
  const isZero = !/[1-9]/.test(whole + behind)
  return (isZero ? '' : sign) + (scale === 0 ? whole : `${whole}.${behind}`)
}

const timestampText = (day: CalendarDate): string => `${dateText(day)} 00:00:00`

/** A day plus or minus an interval of whole days and months: a TIMESTAMP at midnight. */
export function shiftedDate(e: FunctionCall): Constant | undefined {
  const [start, interval] = e.args
  if ((e.name !== '+' && e.name !== '-') || e.args.length !== 2) return undefined
  if (start?.kind !== 'constant' || interval === undefined || typeof start.value !== 'string')
    return undefined
  const isDate = sameType(start.type, simpleType('DATE'))
  const isMoment = sameType(start.type, simpleType('TIMESTAMP'))
  if (!isDate && !isMoment) return undefined
  const day = isDate ? parseDate(start.value) : parseMidnight(start.value)
  const by = intervalOf(interval)
  if (day === undefined || by === undefined) return undefined
  const direction = e.name === '-' ? -1 : 1
  const shifted =
    by.unit === 'months' ? addMonths(day, direction * by.count) : addDays(day, direction * by.count)
  return (
    shifted && { kind: 'constant', type: simpleType('TIMESTAMP'), value: timestampText(shifted) }
  )
}

interface PlainInterval {
  readonly unit: 'months' | 'days'
  readonly count: number
}

const UNITS: Readonly<Record<string, PlainInterval>> = {
  day: { unit: 'days', count: 1 },
  week: { unit: 'days', count: 7 },
  month: { unit: 'months', count: 1 },
  quarter: { unit: 'months', count: 3 },
  year: { unit: 'months', count: 12 },
  decade: { unit: 'months', count: 120 },
}

/** `INTERVAL (3) MONTH`, and the functions that it is bound to. */
function intervalOf(e: Expression): PlainInterval | undefined {
  if (e.kind === 'interval') return times(UNITS[e.unit], wholeNumber(e.value))
  if (e.kind !== 'function' || e.args.length !== 1 || e.args[0] === undefined) return undefined
  const unit = /^to_(day|week|month|quarter|year|decade)s?$/.exec(e.name)?.[1]
  return unit === undefined ? undefined : times(UNITS[unit], wholeNumber(e.args[0]))
}

function times(
  unit: PlainInterval | undefined,
  count: number | undefined,
): PlainInterval | undefined {
  if (unit === undefined || count === undefined) return undefined
  return { unit: unit.unit, count: unit.count * count }
}

const COUNT_MAX = 1_000_000

/** A whole number as it is written and as the binder has it: `CAST(trunc(CAST(3 AS DOUBLE)) AS INTEGER)`. */
function wholeNumber(e: Expression): number | undefined {
  if (e.kind === 'cast') {
    const isWhole = isInteger(e.type) || sameType(e.type, simpleType('DOUBLE'))
    return isWhole ? wholeNumber(e.operand) : undefined
  }
  if (e.kind === 'function' && e.name === 'trunc' && e.args[0] !== undefined)
    return wholeNumber(e.args[0])
  if (e.kind !== 'constant' || typeof e.value !== 'string' || !isInteger(e.type)) return undefined
  const count = Number(e.value)
  return Number.isInteger(count) && Math.abs(count) <= COUNT_MAX ? count : undefined
}
