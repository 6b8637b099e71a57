import { encodeParameters, type ParameterValue } from './parameters.ts'

const NUMBER = /^\s*[-+]?(?:\d+\.?\d*|\.\d+)(?:e[-+]?\d+)?\s*$/i

/** The number that a value is, or has the text of. Pure. */
export function numberOf(value: unknown): number | undefined {
  if (typeof value === 'number') return value
  return typeof value === 'string' && NUMBER.test(value) ? Number(value) : undefined
}

/** The text of a DECIMAL; undefined where the value is none. Pure. */
export function decimalOf(value: unknown): string | undefined {
  if (typeof value === 'bigint') return String(value)
  const number = numberOf(value)
  return number === undefined || !Number.isFinite(number) ? undefined : String(value).trim()
}

/** As a parameter's: the kernel casts it to the column's type. Fails with `invalid_parameter_value` where it has none. */
export function textOf(value: unknown): string | undefined {
  if (typeof value === 'string') return value
  const [encoded] = encodeParameters([value as ParameterValue])
  return encoded?.value ?? undefined
}
