import { type Column, Interval } from '@nyala/client'

/** A row as a line: values as the shell would show them, NULL and the empty text by words. */
export const rowText = (values: readonly unknown[]): string => values.map(cellText).join(' | ')

function cellText(value: unknown): string {
  if (value === '') return '(empty)'
  return valueText(value).replaceAll('\n', '\\n')
}

function valueText(value: unknown): string {
  if (value === null || value === undefined) return 'NULL'
  if (typeof value === 'string') return value
  if (typeof value === 'number' || typeof value === 'bigint' || typeof value === 'boolean') {
    return Object.is(value, -0) ? '-0' : String(value)
  }
  if (value instanceof Uint8Array) return `x${Buffer.from(value).toString('hex')}`
  if (value instanceof Interval) return value.toString()
  if (Array.isArray(value)) return `[${value.map(innerText).join(', ')}]`
  if (value instanceof Map) {
    return `{${[...value].map(([k, v]) => `${innerText(k)}=${innerText(v)}`).join(', ')}}`
  }
  const entries = Object.entries(value)
  return `{${entries.map(([k, v]) => `${k}: ${innerText(v)}`).join(', ')}}`
}

const innerText = (value: unknown): string =>
  typeof value === 'string' ? `'${value}'` : valueText(value)

/** The letter of a type, as the headers of queries have them. */
export function typeLetter({ type }: Column): string {
  if (/^U?(TINYINT|SMALLINT|INTEGER|BIGINT|HUGEINT)$/.test(type)) return 'I'
  if (type.startsWith('DECIMAL(') && !type.endsWith(']')) return 'D'
  if (type === 'FLOAT' || type === 'DOUBLE') return 'R'
  if (type === 'VARCHAR') return 'T'
  if (type === 'BOOLEAN') return 'B'
  if (type === 'DATE') return 'A'
  if (/^TIMESTAMP(_S|_MS|_NS| WITH TIME ZONE)?$/.test(type)) return 'S'
  return 'X'
}

const FLOAT_TOLERANCE = 1e-9

/** True when two lines are the same but for the last digits of floating-point numbers. */
export function sameLine(a: string, b: string, types: string): boolean {
  if (a === b) return true
  const [left, right] = [a.split(' | '), b.split(' | ')]
  return (
    left.length === right.length &&
    left.every((value, i) => {
      const other = right[i] ?? ''
      if (value === other) return true
      if (types[i] !== 'R') return false
      const [x, y] = [Number(value), Number(other)]
      const scale = Math.max(1, Math.abs(x), Math.abs(y))
      // Infinity equals itself alone, and that was seen above.
      return Number.isFinite(scale) && Math.abs(x - y) <= FLOAT_TOLERANCE * scale
    })
  )
}
