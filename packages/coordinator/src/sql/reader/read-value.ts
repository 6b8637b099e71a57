import type { Constant } from '../ir.ts'
import {
  decimalType,
  simpleType,
  SIMPLE_TYPES,
  type SimpleTypeName,
  type SqlType,
  type StructField,
} from '../sql-types.ts'
import { keySet, type Raw, type ReadContext } from './context.ts'

const SIMPLE: ReadonlySet<string> = new Set(SIMPLE_TYPES)
const TYPE_KEYS = keySet('id', 'type_info')
const INFO_KEYS: ReadonlyMap<string, ReadonlySet<string>> = new Map([
  ['DECIMAL_TYPE_INFO', keySet('type', 'alias', 'extension_info', 'width', 'scale')],
  ['LIST_TYPE_INFO', keySet('type', 'alias', 'extension_info', 'child_type')],
  ['ARRAY_TYPE_INFO', keySet('type', 'alias', 'extension_info', 'child_type', 'size')],
  ['STRUCT_TYPE_INFO', keySet('type', 'alias', 'extension_info', 'child_types')],
  [
    'UNBOUND_TYPE_INFO',
    keySet('type', 'alias', 'extension_info', 'name', 'catalog', 'schema', 'user_type_modifiers'),
  ],
])

/** A type as the parser wrote it. Names it could not resolve (JSON, ENUM) stay names. */
export function readType(context: ReadContext, value: unknown): SqlType {
  const raw = context.object(value, 'type')
  context.checkKeys(raw, TYPE_KEYS, 'type')
  const id = context.string(raw, 'id')
  // VARIANT carries its own fixed inner layout, which says nothing about the query.
  if (id === 'VARIANT') return simpleType('VARIANT')
  if (raw['type_info'] === null) {
    if (SIMPLE.has(id)) return simpleType(id as SimpleTypeName)
    return context.unknown(`type ${id}`)
  }
  return readParametrised(context, id, context.object(raw['type_info'], 'type_info'))
}

function readParametrised(context: ReadContext, id: string, info: Raw): SqlType {
  const infoKind = context.string(info, 'type')
  if (info['alias'] !== '') context.refuse(`the type ${String(info['alias'])}`, undefined)
  const keys = INFO_KEYS.get(infoKind) ?? context.unknown(`type_info ${infoKind}`)
  context.checkKeys(info, keys, infoKind)
  if (info['extension_info'] !== null) context.unknown(`extension of type ${id}`)
  switch (`${id}/${infoKind}`) {
    case 'DECIMAL/DECIMAL_TYPE_INFO':
      return decimalType(context.number(info, 'width'), context.number(info, 'scale'))
    case 'LIST/LIST_TYPE_INFO':
      return { kind: 'list', element: readType(context, info['child_type']) }
    case 'ARRAY/ARRAY_TYPE_INFO':
      return {
        kind: 'array',
        element: readType(context, info['child_type']),
        size: context.number(info, 'size'),
      }
    case 'STRUCT/STRUCT_TYPE_INFO':
      return { kind: 'struct', fields: readFields(context, info) }
    case 'MAP/LIST_TYPE_INFO':
      return readMap(context, info)
    case 'UNION/STRUCT_TYPE_INFO':
      // The first member is the tag, which the user did not write.
      return { kind: 'union', members: readFields(context, info).slice(1) }
    case 'UNBOUND/UNBOUND_TYPE_INFO':
      return readNamed(context, info)
    default:
      return context.unknown(`type ${id} with ${infoKind}`)
  }
}

function readFields(context: ReadContext, info: Raw): readonly StructField[] {
  return context.objects(info, 'child_types').map((child) => ({
    name: context.string(child, 'first'),
    type: readType(context, child['second']),
  }))
}

function readMap(context: ReadContext, info: Raw): SqlType {
  const entry = readType(context, info['child_type'])
  if (entry.kind !== 'struct') return context.unknown('map without entries')
  const [key, value] = entry.fields
  if (key === undefined || value === undefined) return context.unknown('map without entries')
  return { kind: 'map', key: key.type, value: value.type }
}

function readNamed(context: ReadContext, info: Raw): SqlType {
  if (info['catalog'] !== '') context.refuse('a type in another catalog', undefined)
  const modifiers = context.objects(info, 'user_type_modifiers').map((modifier) => {
    const { type, value } = readConstantValue(context, modifier)
    if (typeof value !== 'string') return context.unknown('type modifier')
    return type.kind === 'simple' && type.name === 'VARCHAR' ? value : Number(value)
  })
  return {
    kind: 'named',
    name: context.string(info, 'name'),
    schema: context.optionalString(info, 'schema'),
    modifiers,
  }
}

const VALUE_KEYS = keySet('type', 'is_null', 'value')
const HUGE_KEYS = keySet('upper', 'lower')
export const INTEGER_TYPES: ReadonlySet<string> = new Set([
  'TINYINT',
  'SMALLINT',
  'INTEGER',
  'BIGINT',
  'UTINYINT',
  'USMALLINT',
  'UINTEGER',
  'UBIGINT',
  'HUGEINT',
  'UHUGEINT',
])

/** A value that is not a list, as in a literal. */
export function readConstantValue(
  context: ReadContext,
  raw: Raw,
): Pick<Constant, 'type' | 'value'> {
  context.checkKeys(raw, VALUE_KEYS, 'value')
  const type = readType(context, raw['type'])
  if (context.boolean(raw, 'is_null')) return { type, value: null }
  const value = raw['value']
  if (type.kind === 'decimal') {
    return { type, value: decimalText(integer(context, value), type.scale) }
  }
  if (type.kind !== 'simple') return context.unknown('literal of a nested type')
  if (type.name === 'VARCHAR' && typeof value === 'string') return { type, value }
  if (type.name === 'BOOLEAN' && typeof value === 'boolean') return { type, value }
  if (type.name === 'DOUBLE' && typeof value === 'string') {
    if (!/^-?\d/.test(value)) context.refuse('a literal beyond the range of DOUBLE', undefined)
    return { type, value: doubleText(value) }
  }
  if (INTEGER_TYPES.has(type.name)) return { type, value: String(integer(context, value)) }
  return context.unknown(`literal of type ${type.name}`)
}

/** True for the empty list that stands for a missing bound in `a[:2]`. */
export function isMissingBound(raw: Raw): boolean {
  const value = raw['value'] as Raw | undefined
  const type = value?.['type'] as Raw | undefined
  return raw['class'] === 'CONSTANT' && type?.['id'] === 'LIST'
}

/** A whole number of any width: text of a number, or the two halves of a 128-bit one. */
function integer(context: ReadContext, value: unknown): bigint {
  if (typeof value === 'string') return BigInt(value)
  const raw = context.object(value, 'number')
  context.checkKeys(raw, HUGE_KEYS, 'number')
  return (BigInt(context.string(raw, 'upper')) << 64n) + BigInt(context.string(raw, 'lower'))
}

/** `15` with scale 2 is `0.15`, `-1500` with scale 3 is `-1.500`. */
export function decimalText(unscaled: bigint, scale: number): string {
  const sign = unscaled < 0n ? '-' : ''
  const digits = (unscaled < 0n ? -unscaled : unscaled).toString().padStart(scale + 1, '0')
  if (scale === 0) return sign + digits
  return `${sign}${digits.slice(0, -scale)}.${digits.slice(-scale)}`
}

/** DuckDB writes `1000.0` or `1.5e-300`; here always with an exponent, which is what makes a literal DOUBLE. */
function doubleText(text: string): string {
  if (/e/i.test(text)) return text
  return `${text.replace(/\.0$/, '')}e0`
}
