/** Access to the kernel's JSON that refuses whatever it does not know, so that nothing in it is ever overlooked. */

export type Raw = Readonly<Record<string, unknown>>

/** A bound plan has something that is not known here; the message says what, as the end of "not divided because …". */
export class Refusal extends Error {}

export function refuse(what: string): never {
  throw new Refusal(what)
}

export const keySet = (...keys: readonly string[]): ReadonlySet<string> => new Set(keys)

/** Ends the reading when `raw` has a key that is not listed. */
export function checkKeys(raw: Raw, keys: ReadonlySet<string>, what: string): void {
  for (const key in raw) if (!keys.has(key)) refuse(`${what} has an unknown part "${key}"`)
}

export function objectOf(value: unknown, what: string): Raw {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Raw
  return refuse(`${what} is not an object`)
}

export function listOf(raw: Raw, key: string): readonly unknown[] {
  const value = raw[key]
  return Array.isArray(value) ? value : refuse(`"${key}" is not a list`)
}

export const objectsOf = (raw: Raw, key: string): readonly Raw[] =>
  listOf(raw, key).map((value) => objectOf(value, key))

export const childOf = (raw: Raw, key: string): Raw => objectOf(raw[key], `"${key}"`)

export function textOf(raw: Raw, key: string): string {
  const value = raw[key]
  return typeof value === 'string' ? value : refuse(`"${key}" is not a text`)
}

export function truthOf(raw: Raw, key: string): boolean {
  const value = raw[key]
  return typeof value === 'boolean' ? value : refuse(`"${key}" is not a truth value`)
}

/** A whole number that JavaScript holds exactly, 0 or more. */
export function countOf(value: unknown, what: string): number {
  if (typeof value === 'number' && Number.isSafeInteger(value) && value >= 0) return value
  return refuse(`"${what}" is not a number that can be counted`)
}

/** A list that must be empty: what it would say is not known here. */
export function checkEmpty(raw: Raw, key: string): void {
  if (raw[key] !== undefined && listOf(raw, key).length > 0) refuse(`"${key}" is not empty`)
}
