import { SqlError, positionAt, type SqlErrorOptions } from '@nyala/client/protocol'

/** Longest piece of the user's text that an error repeats. */
const NEAR_CHARS_MAX = 60

/** `syntax error at or near "FRMO"`, or `… at end of input` where `near` is empty. */
export function syntaxErrorAt(text: string, offset: number, near: string, hint?: string): SqlError {
  const shown = near.length > NEAR_CHARS_MAX ? `${near.slice(0, NEAR_CHARS_MAX)}…` : near
  const where = shown === '' ? 'at end of input' : `at or near "${shown}"`
  return new SqlError('syntax_error', `syntax error ${where}`, located(text, offset, hint))
}

/** Any other complaint about the text at `offset`. */
export const syntaxError = (
  text: string,
  offset: number,
  message: string,
  hint?: string,
): SqlError => new SqlError('syntax_error', message, located(text, offset, hint))

export const notSupported = (
  text: string,
  offset: number,
  message: string,
  hint?: string,
): SqlError => new SqlError('feature_not_supported', message, located(text, offset, hint))

/** Digits that run into letters, where a number must stand. */
export function junkError(
  text: string,
  { start, value }: { start: number; value: string },
): SqlError {
  const hint = /^0[xXbBoO]/.test(value) ? 'write the number in decimal' : undefined
  return syntaxError(text, start, `trailing junk after number at or near "${value}"`, hint)
}

const located = (text: string, offset: number, hint: string | undefined): SqlErrorOptions => ({
  position: positionAt(text, offset),
  hint,
})
