/** Whole numbers by the power of two that their values stay below, signed and unsigned. */
const SIGNED: Readonly<Record<string, number>> = {
  TINYINT: 7,
  SMALLINT: 15,
  INTEGER: 31,
  BIGINT: 63,
  HUGEINT: 127,
}
const UNSIGNED: Readonly<Record<string, number>> = {
  UTINYINT: 8,
  USMALLINT: 16,
  UINTEGER: 32,
  UBIGINT: 64,
  UHUGEINT: 128,
}
/** Decimal digits that hold every value of a whole number type. */
const DIGITS: Readonly<Record<string, number>> = {
  TINYINT: 3,
  SMALLINT: 5,
  INTEGER: 10,
  BIGINT: 19,
  UTINYINT: 3,
  USMALLINT: 5,
  UINTEGER: 10,
  UBIGINT: 20,
}
/** Whole numbers that a floating-point type holds exactly, in bits. */
const FLOATING: Readonly<Record<string, number>> = { FLOAT: 24, DOUBLE: 53 }

/** True when every value of type `from` can be read as `to` without loss. Types as DuckDB prints them. */
export function canWidenText(from: string, to: string): boolean {
  if (from === to) return true
  const [signed, unsigned] = [SIGNED[from], UNSIGNED[from]]
  const bits = signed ?? unsigned
  if (bits !== undefined) return canWidenInteger(from, to)
  const decimal = decimalOf(from)
  if (decimal !== undefined) {
    const wider = decimalOf(to)
    return (
      wider !== undefined &&
      wider.scale >= decimal.scale &&
      wider.width - wider.scale >= decimal.width - decimal.scale
    )
  }
  if (from === 'FLOAT') return to === 'DOUBLE'
  if (from === 'DATE') return to === 'TIMESTAMP'
  if (/^TIMESTAMP_(S|MS)$/.test(from)) return to === 'TIMESTAMP'
  // Text comes out of old writers as bytes without the annotation that says so.
  if (from === 'BLOB') return to === 'VARCHAR'
  if (from === 'VARCHAR') return to === 'BLOB' || to === 'JSON' || to === 'VARCHAR'
  if (from === 'JSON') return to === 'VARCHAR'
  if (from.endsWith('[]') && to.endsWith('[]'))
    return canWidenText(from.slice(0, -2), to.slice(0, -2))
  return false
}

function canWidenInteger(from: string, to: string): boolean {
  const bits = SIGNED[from] ?? UNSIGNED[from] ?? 0
  if (SIGNED[to] !== undefined) return SIGNED[to] >= bits
  if (UNSIGNED[to] !== undefined) return SIGNED[from] === undefined && UNSIGNED[to] >= bits
  if (FLOATING[to] !== undefined) return FLOATING[to] >= bits
  const decimal = decimalOf(to)
  const digits = DIGITS[from]
  return decimal !== undefined && digits !== undefined && decimal.width - decimal.scale >= digits
}

function decimalOf(type: string): { readonly width: number; readonly scale: number } | undefined {
  const match = /^DECIMAL\((\d+),(\d+)\)$/.exec(type)
  return match === null ? undefined : { width: Number(match[1]), scale: Number(match[2]) }
}
