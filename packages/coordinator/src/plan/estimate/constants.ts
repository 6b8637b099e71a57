import type { Expression, FunctionCall, IntervalUnit } from '../../sql/ir.ts'
import { simpleType, type SqlType } from '../../sql/sql-types.ts'
import { addInterval, type Bound, convertBound, DAY_US, domainOf, parseBound } from './bounds.ts'

/** A value that an expression has without reading a row; null is NULL. */
export interface Known {
  readonly type: SqlType
  readonly value: Bound | null
}

/**
 * The value of a constant, of a plain cast of one, and of a date with an interval added. Undefined for everything else,
 * and where the kernel's answer may depend on a setting.
 */
export function knownValue(e: Expression): Known | undefined {
  switch (e.kind) {
    case 'constant': {
      if (e.value === null) return { type: e.type, value: null }
      const domain = domainOf(e.type)
      const value = domain === undefined ? undefined : parseBound(String(e.value), domain)
      return value === undefined ? undefined : { type: e.type, value }
    }
    case 'cast': {
      const inner = knownValue(e.operand)
      return inner === undefined ? undefined : castKnown(inner, e.type)
    }
    case 'function':
      return dateArithmetic(e)
    default:
      return undefined
  }
}

function castKnown(known: Known, type: SqlType): Known | undefined {
  if (known.value === null) return { type, value: null }
  const [from, to] = [domainOf(known.type), domainOf(type)]
  if (from === undefined || to === undefined) return undefined
  // A text that is spelt plainly is read as what it says.
  const value =
    from.kind === 'text' && to.kind !== 'text'
      ? parseBound(String(known.value), to)
      : convertBound(known.value, from, to)
  return value === undefined ? undefined : { type, value }
}

function dateArithmetic({ name, args }: FunctionCall): Known | undefined {
  const [left, right] = args
  if ((name !== '+' && name !== '-') || left === undefined || right === undefined) return undefined
  const start = knownValue(left)
  const span = intervalOf(right)
  if (start === undefined || span === undefined || typeof start.value !== 'bigint') return undefined
  const domain = domainOf(start.type)
  const isDate = domain?.kind === 'date'
  if (!isDate && (domain?.kind !== 'timestamp' || domain.zoned)) return undefined
  const micros = isDate ? start.value * DAY_US : start.value
  const sign = name === '-' ? -1 : 1
  const value = addInterval(micros, sign * span.months, BigInt(sign) * span.micros)
  return { type: simpleType('TIMESTAMP'), value }
}

interface Span {
  readonly months: number
  readonly micros: bigint
}

const MONTHS: Readonly<Partial<Record<IntervalUnit, number>>> = {
  month: 1,
  quarter: 3,
  year: 12,
  decade: 120,
}
const MICROS: Readonly<Partial<Record<IntervalUnit, bigint>>> = {
  microsecond: 1n,
  millisecond: 1000n,
  second: 1_000_000n,
  minute: 60_000_000n,
  hour: 3_600_000_000n,
  day: DAY_US,
  week: 7n * DAY_US,
}
/** More than this is a mistake or a trick. */
const COUNT_MAX = 100_000n

function intervalOf(e: Expression): Span | undefined {
  if (e.kind === 'interval') return spanOf(knownValue(e.value), e.unit)
  if (e.kind !== 'function' || !e.name.startsWith('to_') || e.args.length !== 1) return undefined
  const unit = e.name.slice('to_'.length).replace(/s$/, '')
  const [arg] = e.args
  return arg === undefined ? undefined : spanOf(wholeNumber(arg), unit as IntervalUnit)
}

/** The argument of `to_years`, through the casts that the binder puts around it. */
function wholeNumber(e: Expression): Known | undefined {
  const known = knownValue(e)
  if (known !== undefined || e.kind !== 'cast') return known
  if (e.operand.kind === 'function' && e.operand.name === 'trunc') {
    const [inner] = e.operand.args
    return inner === undefined ? undefined : wholeNumber(inner)
  }
  return wholeNumber(e.operand)
}

function spanOf(known: Known | undefined, unit: IntervalUnit): Span | undefined {
  if (known === undefined) return undefined
  const domain = domainOf(known.type)
  const value =
    domain?.kind === 'text' ? parseBound(String(known.value), { kind: 'integer' }) : known.value
  if (domain?.kind !== 'integer' && domain?.kind !== 'text') return undefined
  if (typeof value !== 'bigint' || value > COUNT_MAX || value < -COUNT_MAX) return undefined
  const months = MONTHS[unit]
  if (months !== undefined) return { months: Number(value) * months, micros: 0n }
  const micros = MICROS[unit]
  return micros === undefined ? undefined : { months: 0, micros: value * micros }
}
