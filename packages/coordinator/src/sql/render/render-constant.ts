import { assert } from '@nyala/client/base'
import { quoteLiteral } from '../escape.ts'
import type { Constant } from '../ir.ts'
import { typeText } from '../sql-types.ts'

/** The type DuckDB gives to a bare whole number: the digits decide, except for the least of a type. */
function literalType(value: bigint): string | undefined {
  const magnitude = value < 0n ? -value : value
  if (magnitude < 1n << 31n) return 'INTEGER'
  if (magnitude < 1n << 63n || value === -(1n << 63n)) return 'BIGINT'
  if (magnitude < 1n << 127n || value === -(1n << 127n)) return 'HUGEINT'
  return value > 0n && value < 1n << 128n ? 'UHUGEINT' : undefined
}

/** Negative numbers are in parentheses: `--1` would be a comment, and `-1::T` another reading. */
const signed = (text: string): string => (text.startsWith('-') ? `(${text})` : text)

/** A literal that DuckDB reads back with the same value and the same type. */
export function renderConstant({ type, value }: Constant): string {
  const isPlain = type.kind === 'simple'
  if (value === null) {
    return isPlain && type.name === 'NULL' ? 'NULL' : `CAST(NULL AS ${typeText(type)})`
  }
  if (typeof value === 'boolean') {
    assert(isPlain && type.name === 'BOOLEAN', 'a truth value has type BOOLEAN')
    return value ? 'true' : 'false'
  }
  if (isPlain && type.name === 'VARCHAR') return quoteLiteral(value)
  if (isPlain && type.name === 'DOUBLE' && /^-?\d[\d.]*e[-+]?\d+$/.test(value)) return signed(value)
  if (isPlain && /^-?\d+$/.test(value) && literalType(BigInt(value)) === type.name) {
    return signed(value)
  }
  if (type.kind === 'decimal' && /^-?\d+(?:\.\d+)?$/.test(value)) {
    const text = decimalLiteral(value, type.width, type.scale)
    if (text !== undefined) return signed(text)
  }
  return `CAST(${quoteLiteral(value)} AS ${typeText(type)})`
}

/**
 * Digits decide the type of a decimal literal: `.5` is DECIMAL(1,1), `0.5` DECIMAL(2,1). So exactly
 * `width` of them are written. Undefined where the value has no such spelling.
 */
function decimalLiteral(value: string, width: number, scale: number): string | undefined {
  const [whole = '', fraction = ''] = value.replace(/^-/, '').split('.')
  const digits = whole.replace(/^0+/, '')
  if (fraction.length !== scale || digits.length > width - scale) return undefined
  const sign = value.startsWith('-') ? '-' : ''
  return `${sign}${digits.padStart(width - scale, '0')}.${fraction}`
}
