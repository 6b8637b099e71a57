import type { DecimalType, SqlType } from '../../sql/sql-types.ts'

interface Digits {
  readonly width: number
  readonly scale: number
}

const INTEGER_WIDTHS: Readonly<Record<string, number>> = {
  TINYINT: 3,
  SMALLINT: 5,
  INTEGER: 10,
  BIGINT: 19,
  HUGEINT: 38,
  UTINYINT: 3,
  USMALLINT: 5,
  UINTEGER: 10,
  UBIGINT: 20,
  UHUGEINT: 38,
}
const WIDTH_MAX = 38
/** Decimals of 64 bits stay such, and check for overflow, rather than become wider. */
const WIDTH_MAX_64_BITS = 18

/** Digits of a type that arithmetic of decimals takes as one. */
export function digitsOf(type: SqlType): Digits | undefined {
  if (type.kind === 'decimal') return type
  const width = type.kind === 'simple' ? INTEGER_WIDTHS[type.name] : undefined
  return width === undefined ? undefined : { width, scale: 0 }
}

/** True when every value of `inner` is one of `outer`. */
export const isWider = (outer: DecimalType, inner: Digits): boolean =>
  outer.scale >= inner.scale && outer.width - outer.scale >= inner.width - inner.scale

export interface DecimalResult extends Digits {
  readonly checksOverflow: boolean
}

/** The type that the kernel gives to `a + b`, `a - b` (`sum`) or `a * b` of decimals, of which one at least is one. */
export function decimalResult(
  operator: 'sum' | 'product',
  a: Digits,
  b: Digits,
): DecimalResult | undefined {
  const widest = Math.max(a.width, b.width)
  if (operator === 'sum') {
    const scale = Math.max(a.scale, b.scale)
    const whole = Math.max(a.width - a.scale, b.width - b.scale)
    const width = Math.max(scale + whole, widest) + 1
    return bounded(width, scale, widest)
  }
  const scale = a.scale + b.scale
  if (scale > WIDTH_MAX) return undefined
  return bounded(a.width + b.width, scale, scale < WIDTH_MAX_64_BITS ? widest : WIDTH_MAX)
}

function bounded(width: number, scale: number, widest: number): DecimalResult {
  if (width > WIDTH_MAX_64_BITS && widest <= WIDTH_MAX_64_BITS) {
    return { width: WIDTH_MAX_64_BITS, scale, checksOverflow: true }
  }
  if (width > WIDTH_MAX) return { width: WIDTH_MAX, scale, checksOverflow: true }
  return { width, scale, checksOverflow: false }
}
