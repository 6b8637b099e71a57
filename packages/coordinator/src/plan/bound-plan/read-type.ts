import {
  decimalType,
  simpleType,
  SIMPLE_TYPES,
  type SimpleTypeName,
  type SqlType,
  type StructField,
  typeText,
} from '../../sql/sql-types.ts'
import {
  checkKeys,
  childOf,
  countOf,
  keySet,
  listOf,
  objectOf,
  objectsOf,
  type Raw,
  refuse,
  textOf,
} from './raw.ts'

const TYPE_KEYS = keySet('id', 'type_info')
const FIELD_KEYS = keySet('first', 'second')
const INFO_KEYS: Readonly<Record<string, ReadonlySet<string>>> = {
  DECIMAL_TYPE_INFO: keySet('type', 'alias', 'width', 'scale'),
  LIST_TYPE_INFO: keySet('type', 'alias', 'child_type'),
  ARRAY_TYPE_INFO: keySet('type', 'alias', 'child_type', 'size'),
  STRUCT_TYPE_INFO: keySet('type', 'alias', 'child_types'),
  GENERIC_TYPE_INFO: keySet('type', 'alias'),
  ENUM_TYPE_INFO: keySet('type', 'alias', 'values_count', 'values'),
}

/** One object a type, so that most comparisons are of identities. */
const SIMPLE = new Map<string, SqlType>(
  SIMPLE_TYPES.filter((name) => name !== 'VARIANT').map((name: SimpleTypeName) => [
    name,
    simpleType(name),
  ]),
)
export const BOOLEAN: SqlType = simpleType('BOOLEAN')
SIMPLE.set('BOOLEAN', BOOLEAN)
const VARIANT: SqlType = simpleType('VARIANT')
const DECIMALS = new Map<number, SqlType>()

/** A type of a bound plan. */
export function readType(value: unknown): SqlType {
  const raw = objectOf(value, 'a type')
  checkKeys(raw, TYPE_KEYS, 'a type')
  const id = textOf(raw, 'id')
  if (raw['type_info'] === undefined) return SIMPLE.get(id) ?? refuse(`type ${id}`)
  // VARIANT carries its own fixed inner layout, which says nothing about the query.
  if (id === 'VARIANT') return VARIANT
  const info = childOf(raw, 'type_info')
  const kind = textOf(info, 'type')
  checkKeys(info, INFO_KEYS[kind] ?? refuse(`type ${id} with ${kind}`), kind)
  const alias = textOf(info, 'alias')
  if (alias !== '') return readAlias(id, kind, alias)
  return readParametrised(id, kind, info)
}

/** JSON is a VARCHAR of that name; other names are not known. */
function readAlias(id: string, kind: string, alias: string): SqlType {
  if (`${id} ${kind} ${alias}` !== 'VARCHAR GENERIC_TYPE_INFO JSON') refuse(`type ${alias}`)
  return { kind: 'named', name: 'JSON', schema: undefined, modifiers: [] }
}

function readParametrised(id: string, kind: string, info: Raw): SqlType {
  switch (`${id} ${kind}`) {
    case 'DECIMAL DECIMAL_TYPE_INFO':
      return decimal(countOf(info['width'], 'width'), countOf(info['scale'], 'scale'))
    case 'LIST LIST_TYPE_INFO':
      return { kind: 'list', element: readType(info['child_type']) }
    case 'ARRAY ARRAY_TYPE_INFO':
      return {
        kind: 'array',
        element: readType(info['child_type']),
        size: countOf(info['size'], 'size'),
      }
    case 'STRUCT STRUCT_TYPE_INFO':
      return { kind: 'struct', fields: readFields(info) }
    case 'UNION STRUCT_TYPE_INFO':
      // The first member is the tag, which nobody wrote.
      return { kind: 'union', members: readFields(info).slice(1) }
    case 'ENUM ENUM_TYPE_INFO': {
      const modifiers = listOf(info, 'values').map((value) =>
        typeof value === 'string' ? value : refuse('an ENUM of other than texts'),
      )
      return { kind: 'named', name: 'ENUM', schema: undefined, modifiers }
    }
    case 'MAP LIST_TYPE_INFO':
      return readMap(info)
    default:
      return refuse(`type ${id} with ${kind}`)
  }
}

function decimal(width: number, scale: number): SqlType {
  const key = width * 100 + scale
  const known = DECIMALS.get(key)
  if (known !== undefined) return known
  const made = decimalType(width, scale)
  DECIMALS.set(key, made)
  return made
}

const readFields = (info: Raw): readonly StructField[] =>
  objectsOf(info, 'child_types').map((child) => {
    checkKeys(child, FIELD_KEYS, 'a field')
    return { name: textOf(child, 'first'), type: readType(child['second']) }
  })

function readMap(info: Raw): SqlType {
  const entry = readType(info['child_type'])
  const [key, value] = entry.kind === 'struct' ? entry.fields : []
  if (key === undefined || value === undefined) return refuse('a map without entries')
  return { kind: 'map', key: key.type, value: value.type }
}

export const equalTypes = (a: SqlType, b: SqlType): boolean =>
  a === b || typeText(a) === typeText(b)

/** False for a type that has no text: a struct of `row(…)` has fields without names. */
export function isWritable(type: SqlType): boolean {
  switch (type.kind) {
    case 'simple':
    case 'decimal':
    case 'named':
      return true
    case 'list':
    case 'array':
      return isWritable(type.element)
    case 'struct':
      return type.fields.every((field) => field.name !== '' && isWritable(field.type))
    case 'union':
      return type.members.every((member) => isWritable(member.type))
    case 'map':
      return isWritable(type.key) && isWritable(type.value)
  }
}
