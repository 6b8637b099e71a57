import {
  sameType,
  type DecimalType,
  type SimpleTypeName,
  type SqlType,
  type StructField,
} from './sql-types.ts'

/** Digits that every value of the type fits into; wider types fit no DECIMAL. */
const INTEGER_DIGITS: Readonly<Partial<Record<SimpleTypeName, number>>> = {
  TINYINT: 3,
  UTINYINT: 3,
  SMALLINT: 5,
  USMALLINT: 5,
  INTEGER: 10,
  UINTEGER: 10,
  BIGINT: 19,
  UBIGINT: 20,
}

const SIGNED: readonly SimpleTypeName[] = ['TINYINT', 'SMALLINT', 'INTEGER', 'BIGINT', 'HUGEINT']
const UNSIGNED: readonly SimpleTypeName[] = [
  'UTINYINT',
  'USMALLINT',
  'UINTEGER',
  'UBIGINT',
  'UHUGEINT',
]

/** Other steps that keep every value: 24 bits of a FLOAT and 53 of a DOUBLE hold these integers. */
const STEPS: Readonly<Partial<Record<SimpleTypeName, readonly SimpleTypeName[]>>> = {
  TINYINT: ['FLOAT', 'DOUBLE'],
  UTINYINT: ['FLOAT', 'DOUBLE'],
  SMALLINT: ['FLOAT', 'DOUBLE'],
  USMALLINT: ['FLOAT', 'DOUBLE'],
  INTEGER: ['DOUBLE'],
  UINTEGER: ['DOUBLE'],
  FLOAT: ['DOUBLE'],
  DATE: ['TIMESTAMP'],
  TIMESTAMP_S: ['TIMESTAMP'],
  TIMESTAMP_MS: ['TIMESTAMP'],
}

/**
 * True when every value of `from` is a value of `to`: a file whose column has type `from` may then be
 * read as a table's column of type `to`. Nothing that could round, overflow or be read two ways widens.
 */
export function canWiden(from: SqlType, to: SqlType): boolean {
  if (sameType(from, to)) return true
  if (from.kind === 'simple' && from.name === 'NULL') return true
  switch (from.kind) {
    case 'simple':
      return to.kind === 'decimal'
        ? fitsDecimal(INTEGER_DIGITS[from.name], to)
        : to.kind === 'simple' && canWidenSimple(from.name, to.name)
    case 'decimal':
      return (
        to.kind === 'decimal' && to.scale >= from.scale && fitsDecimal(from.width - from.scale, to)
      )
    case 'list':
      return to.kind === 'list' && canWiden(from.element, to.element)
    case 'array':
      if (to.kind === 'array' && to.size !== from.size) return false
      return (to.kind === 'array' || to.kind === 'list') && canWiden(from.element, to.element)
    case 'struct':
      return to.kind === 'struct' && canWidenFields(from.fields, to.fields)
    case 'map':
      return to.kind === 'map' && canWiden(from.key, to.key) && canWiden(from.value, to.value)
    case 'union':
    case 'named':
      return false
  }
}

const fitsDecimal = (wholeDigits: number | undefined, to: DecimalType): boolean =>
  wholeDigits !== undefined && to.width - to.scale >= wholeDigits

function canWidenSimple(from: SimpleTypeName, to: SimpleTypeName): boolean {
  const [signed, unsigned] = [SIGNED.indexOf(from), UNSIGNED.indexOf(from)]
  if (signed >= 0 && SIGNED.indexOf(to) > signed) return true
  if (unsigned >= 0 && UNSIGNED.indexOf(to) > unsigned) return true
  // An unsigned type needs one more bit: UTINYINT fits SMALLINT.
  if (unsigned >= 0 && SIGNED.indexOf(to) > unsigned) return true
  return STEPS[from]?.includes(to) ?? false
}

/** Fields are matched by name without regard to case; a field that is new in `to` reads as NULL. */
function canWidenFields(from: readonly StructField[], to: readonly StructField[]): boolean {
  return from.every((field) => {
    const same = to.find((f) => f.name.toLowerCase() === field.name.toLowerCase())
    return same !== undefined && canWiden(field.type, same.type)
  })
}
