import { SqlError } from '../protocol/errors.ts'
import type { Parameter } from '../protocol/messages.ts'
import { Interval } from './arrow/temporal-text.ts'

/** A value whose SQL type is said rather than inferred; made by {@link param}. */
export class TypedParameter {
  readonly value: ParameterValue
  readonly type: string

  constructor(value: ParameterValue, type: string) {
    this.value = value
    this.type = type
  }
}

export type ParameterValue =
  | null
  | boolean
  | number
  | bigint
  | string
  | Date
  | Uint8Array
  | Interval
  | TypedParameter
  | readonly ParameterValue[]

/** A parameter of a given SQL type, for example `param('12.50', 'DECIMAL(10,2)')`. */
export const param = (value: ParameterValue, type: string): TypedParameter =>
  new TypedParameter(value, type)

/** More parameters than this are data, which belong into a table. */
export const PARAMETERS_MAX = 65_535

export function encodeParameters(values: readonly ParameterValue[]): Parameter[] {
  if (values.length > PARAMETERS_MAX) {
    throw new SqlError(
      'program_limit_exceeded',
      `statement has ${values.length} parameters; ${PARAMETERS_MAX} are allowed`,
    )
  }
  return values.map((value, i) => encode(value, `parameter ${i + 1}`))
}

function encode(value: ParameterValue, name: string): Parameter {
  if (value instanceof TypedParameter) {
    const { value: text } = encode(value.value, name)
    return { type: value.type, value: text }
  }
  if (value === null) return { type: 'NULL', value: null }
  switch (typeof value) {
    case 'boolean':
      return { type: 'BOOLEAN', value: String(value) }
    case 'number':
      return encodeNumber(value)
    case 'bigint':
      return { type: integerType(value, name), value: String(value) }
    case 'string':
      return { type: 'VARCHAR', value }
    case 'object':
      return encodeObject(value, name)
    default:
      return refuse(value, name)
  }
}

function encodeNumber(value: number): Parameter {
  if (Number.isSafeInteger(value) && !Object.is(value, -0)) {
    return { type: 'BIGINT', value: String(value) }
  }
  if (Number.isNaN(value)) return { type: 'DOUBLE', value: 'nan' }
  if (!Number.isFinite(value)) return { type: 'DOUBLE', value: value > 0 ? 'inf' : '-inf' }
  return { type: 'DOUBLE', value: Object.is(value, -0) ? '-0.0' : String(value) }
}

const INT64_MAX = 2n ** 63n - 1n
const INT128_MAX = 2n ** 127n - 1n

function integerType(value: bigint, name: string): string {
  if (value <= INT64_MAX && value >= -INT64_MAX - 1n) return 'BIGINT'
  if (value <= INT128_MAX && value >= -INT128_MAX - 1n) return 'HUGEINT'
  throw new SqlError('numeric_value_out_of_range', `${name} does not fit 128 bits: ${value}`)
}

function encodeObject(value: Exclude<ParameterValue, null> & object, name: string): Parameter {
  if (value instanceof Date) {
    if (!Number.isNaN(value.getTime())) return { type: 'TIMESTAMPTZ', value: value.toISOString() }
    throw new SqlError('invalid_parameter_value', `${name} is an invalid date`)
  }
  if (value instanceof Uint8Array) return { type: 'BLOB', value: hexText(value) }
  if (value instanceof Interval) return { type: 'INTERVAL', value: value.toString() }
  if (Array.isArray(value)) return encodeList(value as readonly ParameterValue[], name)
  return refuse(value, name)
}

const hexText = (bytes: Uint8Array): string =>
  Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('')

function encodeList(values: readonly ParameterValue[], name: string): Parameter {
  const items = values.map((value, i) => encode(value, `${name}[${i}]`))
  const types = new Set(items.filter((item) => item.value !== null).map((item) => item.type))
  const type = commonType([...types])
  if (type === undefined) {
    throw new SqlError(
      'datatype_mismatch',
      `${name} has elements of the types ${[...types].join(', ')}`,
      { hint: 'give all elements one type' },
    )
  }
  return { type: `${type}[]`, value: `[${items.map(listItem).join(', ')}]` }
}

function commonType(types: readonly string[]): string | undefined {
  if (types.length <= 1) return types[0] ?? 'VARCHAR'
  const has = (type: string): boolean => types.includes(type)
  if (types.every((type) => type === 'BIGINT' || type === 'HUGEINT')) return 'HUGEINT'
  if (types.length === 2 && has('BIGINT') && has('DOUBLE')) return 'DOUBLE'
  return undefined
}

/** Text in quotes with backslashes, as DuckDB reads the text of a list. */
function listItem({ type, value }: Parameter): string {
  if (value === null) return 'NULL'
  // A list in a list, too: bare, DuckDB takes a bracket within one of its texts for the end of it.
  return quotedItem(/^BLOB$/i.test(type) ? blobText(value) : value)
}

/** A text within the text of a list, a struct or a map. Pure. */
export const quotedItem = (text: string): string => `'${text.replace(/[\\']/g, '\\$&')}'`

/** Alone, a BLOB goes as hexadecimal digits, which the coordinator reads; in a list DuckDB reads it, and wants `\xNN`. */
export const blobText = (digits: string): string => digits.replace(/..?/gs, '\\x$&')

function refuse(value: unknown, name: string): never {
  const what = typeof value === 'object' ? 'an object' : `of type ${typeof value}`
  throw new SqlError('invalid_parameter_value', `${name} is ${what}`, {
    hint: 'pass null, a boolean, number, bigint, string, Date, Uint8Array or an array of them, or use param(value, type)',
  })
}
