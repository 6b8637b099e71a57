import type { Expression, FunctionCall } from '../../sql/ir.ts'
import { decimalText, INTEGER_TYPES } from '../../sql/reader/read-value.ts'
import type { ListType, SqlType, StructType } from '../../sql/sql-types.ts'
import {
  checkKeys,
  childOf,
  keySet,
  objectOf,
  objectsOf,
  type Raw,
  refuse,
  textOf,
  truthOf,
} from './raw.ts'
import { isWritable, readType } from './read-type.ts'

const VALUE_KEYS = keySet('type', 'is_null', 'value')
const HUGE_KEYS = keySet('upper', 'lower')

/** The value of a constant that the binder knows; a nested one as what makes it. */
export function readConstant(raw: Raw): Expression {
  checkKeys(raw, VALUE_KEYS, 'a value')
  const type = readType(raw['type'])
  if (truthOf(raw, 'is_null')) return { kind: 'constant', type, value: null }
  if (type.kind === 'list' || type.kind === 'struct') return readNested(type, raw)
  return { kind: 'constant', type, value: readValue(type, raw['value']) }
}

const NESTED_KEYS = keySet('children')

function readNested(type: ListType | StructType, raw: Raw): Expression {
  const value = childOf(raw, 'value')
  checkKeys(value, NESTED_KEYS, 'a nested value')
  if (!isWritable(type)) return refuse('a constant struct without names')
  const args = objectsOf(value, 'children').map(readConstant)
  const call: Pick<FunctionCall, 'kind' | 'schema' | 'distinct' | 'orderBy' | 'operator'> = {
    kind: 'function',
    schema: 'main',
    distinct: false,
    orderBy: [],
    operator: false,
  }
  const made: Expression =
    type.kind === 'list'
      ? { ...call, name: 'list_value', args }
      : { ...call, name: 'struct_pack', args, argNames: type.fields.map((field) => field.name) }
  // Literals in it may have made it of a narrower type.
  return { kind: 'cast', operand: made, type, try: false }
}

function readValue(type: SqlType, value: unknown): string | boolean {
  if (type.kind === 'decimal') return decimalText(readInteger(value), type.scale)
  if (type.kind !== 'simple') return refuse('a constant of a nested type')
  if (type.name === 'VARCHAR' && typeof value === 'string') return value
  if (type.name === 'BOOLEAN' && typeof value === 'boolean') return value
  if (INTEGER_TYPES.has(type.name)) return readInteger(value).toString()
  // Infinity, NaN and what has no exact spelling are left to the user's own text.
  if (type.name === 'DOUBLE' && typeof value === 'string' && /^-?\d/.test(value)) {
    return /e/i.test(value) ? value.toLowerCase() : `${value.replace(/\.0$/, '')}e0`
  }
  return refuse(`a constant of type ${type.name}`)
}

/** A whole number of any width: text of a number, or the two halves of a 128-bit one. */
function readInteger(value: unknown): bigint {
  if (typeof value === 'string') {
    return /^-?\d+$/.test(value) ? BigInt(value) : refuse(`the number ${value}`)
  }
  const raw = objectOf(value, 'a number')
  checkKeys(raw, HUGE_KEYS, 'a number')
  return (BigInt(textOf(raw, 'upper')) << 64n) + BigInt(textOf(raw, 'lower'))
}
