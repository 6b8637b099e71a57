import { Interval } from '../sdk/arrow/temporal-text.ts'
import type { TypeOptions } from '../sdk/arrow/converters.ts'

/** How values come to the text formats: every digit kept, times as DuckDB prints them. */
export const TEXT_TYPES: TypeOptions = {
  int64: 'bigint',
  decimal: 'string',
  date: 'string',
  timestamp: (text) => text.replace('T', ' ').replace(/Z$/, '+00'),
}

/** The text of a value, undefined for NULL. `sqlType` is the type of its column. */
export function cellText(value: unknown, sqlType: string): string | undefined {
  if (value === null || value === undefined) return undefined
  if (typeof value === 'number') return numberText(value, sqlType)
  return valueText(value, sqlType)
}

function numberText(value: number, sqlType: string): string {
  if (sqlType === 'DOUBLE') return floatText(value, String(value))
  if (sqlType === 'FLOAT' || sqlType === 'REAL') return floatText(value, shortestFloat(value))
  return String(value)
}

/** Floating-point numbers show that they are: `1.0`, `inf`, `nan`. */
function floatText(value: number, text: string): string {
  if (Number.isNaN(value)) return 'nan'
  if (!Number.isFinite(value)) return value > 0 ? 'inf' : '-inf'
  if (Object.is(value, -0)) return '-0.0'
  return /^-?\d+$/.test(text) ? `${text}.0` : text
}

/** The shortest text that gives the same 32-bit float, where its double would show digits that it does not have. */
export function shortestFloat(value: number): string {
  for (let digits = 1; digits <= 9; digits++) {
    const rounded = Number(value.toPrecision(digits))
    if (Math.fround(rounded) === value) return String(rounded)
  }
  return String(value)
}

function valueText(value: unknown, sqlType: string): string {
  if (value === null || value === undefined) return 'NULL'
  if (typeof value === 'string') return value
  if (typeof value === 'bigint' || typeof value === 'boolean') return String(value)
  if (typeof value === 'number') return numberText(value, sqlType)
  if (value instanceof Uint8Array) return blobText(value)
  if (value instanceof Interval) return value.toString()
  if (Array.isArray(value)) {
    const itemType = sqlType.replace(/\[\d*\]$/, '')
    return `[${value.map((item) => valueText(item, itemType)).join(', ')}]`
  }
  if (value instanceof Map) {
    const entries = [...value].map(([key, item]) => `${valueText(key, '')}=${valueText(item, '')}`)
    return `{${entries.join(', ')}}`
  }
  if (typeof value === 'object') {
    const fields = Object.entries(value).map(([name, item]) => `'${name}': ${valueText(item, '')}`)
    return `{${fields.join(', ')}}`
  }
  return JSON.stringify(value) ?? ''
}

/** Printable ASCII as it is, every other byte as `\xNN`. */
export function blobText(bytes: Uint8Array): string {
  let text = ''
  for (const byte of bytes) {
    const plain = byte >= 0x20 && byte < 0x7f && byte !== 0x5c
    text += plain
      ? String.fromCharCode(byte)
      : `\\x${byte.toString(16).toUpperCase().padStart(2, '0')}`
  }
  return text
}

const NUMERIC =
  /^(?:U?(?:TINY|SMALL|BIG|HUGE)INT|U?INTEGER|INT|DECIMAL|NUMERIC|DOUBLE|FLOAT|REAL)\b(?!.*\[)/

export const isNumericType = (sqlType: string): boolean => NUMERIC.test(sqlType)
