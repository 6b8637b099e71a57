import { Interval } from '../sdk/arrow/temporal-text.ts'
import type { TypeOptions } from '../sdk/arrow/converters.ts'
import { blobText, shortestFloat } from './values.ts'

/** Text that is JSON already: numbers whose digits a JavaScript number would change. */
export class JsonText {
  readonly text: string
  constructor(text: string) {
    this.text = text
  }
}

const EXACT_MAX = 2n ** 53n
/** So many digits are below 2^53 whatever they are. */
const EXACT_DIGITS = 15

const isExact = (value: bigint): boolean => value <= EXACT_MAX && value >= -EXACT_MAX

/** How values come to the JSON formats. Whole numbers and decimals beyond 2^53 become strings, so no reader loses a digit. */
export const JSON_TYPES: TypeOptions = {
  int64: 'bigint',
  decimal: (text) => (decimalIsExact(text) ? new JsonText(text) : text),
  date: 'string',
  timestamp: 'string',
}

function decimalIsExact(text: string): boolean {
  // A sign and a point are no digits; a fraction of 16 digits may not survive a double even below 2^53.
  if (text.replace(/[-.]/g, '').length <= EXACT_DIGITS) return true
  return !text.includes('.') && isExact(BigInt(text))
}

/** A value as JSON. `sqlType` is the type of its column. */
export function jsonText(value: unknown, sqlType: string): string {
  switch (typeof value) {
    case 'string':
      return JSON.stringify(value)
    case 'number':
      return jsonNumber(value, sqlType)
    case 'bigint':
      return isExact(value) ? String(value) : `"${value}"`
    case 'boolean':
      return String(value)
    case 'object':
      return value === null ? 'null' : jsonObject(value, sqlType)
    default:
      return JSON.stringify(String(value))
  }
}

/** JSON has no NaN and no infinities; they become strings. */
function jsonNumber(value: number, sqlType: string): string {
  if (!Number.isFinite(value)) return JSON.stringify(String(value))
  return sqlType === 'FLOAT' || sqlType === 'REAL' ? shortestFloat(value) : JSON.stringify(value)
}

function jsonObject(value: object, sqlType: string): string {
  if (value instanceof JsonText) return value.text
  if (value instanceof Interval) return JSON.stringify(value.toString())
  if (value instanceof Uint8Array) return JSON.stringify(blobText(value))
  if (Array.isArray(value)) {
    const itemType = sqlType.replace(/\[\d*\]$/, '')
    return `[${value.map((item) => jsonText(item, itemType)).join(',')}]`
  }
  const entries: Iterable<readonly [unknown, unknown]> =
    value instanceof Map ? value : Object.entries(value)
  const fields = Array.from(entries, ([key, item]) => `${keyText(key)}:${jsonText(item, '')}`)
  return `{${fields.join(',')}}`
}

/** The keys of a map may be of any type; those of JSON are strings. */
function keyText(key: unknown): string {
  if (typeof key === 'string') return JSON.stringify(key)
  const text = jsonText(key, '')
  return text.startsWith('"') ? text : JSON.stringify(text)
}
