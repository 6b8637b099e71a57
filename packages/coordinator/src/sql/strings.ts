import { syntaxError } from './errors.ts'
import type { Dialect } from './token.ts'

export interface QuotedText {
  readonly value: string
  /** Offset after the closing quote. */
  readonly end: number
}

/** `'it''s'`: only the quote itself is special. */
export function readAnsiString(text: string, quoteAt: number): QuotedText {
  const end = closingQuote(text, quoteAt, "'")
  if (end === undefined) throw unterminated(text, quoteAt, 'string')
  return { value: text.slice(quoteAt + 1, end - 1).replaceAll("''", "'"), end }
}

/** A name in `quote`s, which is doubled inside. Empty names and NUL are refused. */
export function readQuoted(text: string, quoteAt: number, quote: '"' | '`'): QuotedText {
  const end = closingQuote(text, quoteAt, quote)
  if (end === undefined) throw unterminated(text, quoteAt, 'quoted identifier')
  const value = text.slice(quoteAt + 1, end - 1).replaceAll(quote + quote, quote)
  if (value === '') {
    throw syntaxError(text, quoteAt, `zero-length quoted identifier at or near "${quote}${quote}"`)
  }
  return { value, end }
}

/** The offset after the quote that closes the one at `quoteAt`, doubled ones skipped. */
function closingQuote(text: string, quoteAt: number, quote: string): number | undefined {
  let at = quoteAt + 1
  while (true) {
    const close = text.indexOf(quote, at)
    if (close < 0) return undefined
    if (text.charAt(close + 1) !== quote) return close + 1
    at = close + 2
  }
}

const ESCAPES: Readonly<Record<Dialect, ReadonlyMap<string, string>>> = {
  // PostgreSQL's E'…'.
  ansi: new Map([
    ['b', '\b'],
    ['f', '\f'],
    ['n', '\n'],
    ['r', '\r'],
    ['t', '\t'],
  ]),
  // Impala's strings; \% and \_ keep their backslash for LIKE.
  impala: new Map([
    ['b', '\b'],
    ['n', '\n'],
    ['r', '\r'],
    ['t', '\t'],
    ['Z', '\u001a'],
    ['%', '\\%'],
    ['_', '\\_'],
  ]),
}

/** A text with backslash escapes, between the quote at `quoteAt` and its like. */
export function readEscapedString(text: string, quoteAt: number, dialect: Dialect): QuotedText {
  const quote = text.charAt(quoteAt)
  const parts: string[] = []
  let from = quoteAt + 1
  const special = new RegExp(`[\\\\${quote}]`, 'g')
  special.lastIndex = from
  for (let match = special.exec(text); match !== null; match = special.exec(text)) {
    parts.push(text.slice(from, match.index))
    if (match[0] === quote && text.charAt(match.index + 1) !== quote) {
      return { value: parts.join(''), end: match.index + 1 }
    }
    const { value, end } =
      match[0] === quote
        ? { value: quote, end: match.index + 2 }
        : readEscape(text, match.index, dialect)
    parts.push(value)
    from = end
    special.lastIndex = end
  }
  throw unterminated(text, quoteAt, 'string')
}

const NUMERIC_ESCAPE = /x[0-9a-fA-F]{1,2}|[0-7]{1,3}|u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8}/y

function readEscape(text: string, backslashAt: number, dialect: Dialect): QuotedText {
  const character = text.charAt(backslashAt + 1)
  const known = ESCAPES[dialect].get(character)
  if (known !== undefined) return { value: known, end: backslashAt + 2 }
  NUMERIC_ESCAPE.lastIndex = backslashAt + 1
  const numeric = dialect === 'ansi' ? NUMERIC_ESCAPE.exec(text)?.[0] : undefined
  if (numeric === undefined) {
    if (dialect === 'ansi' && /[uU]/.test(character))
      throw invalidEscape(text, backslashAt, character)
    return { value: character, end: backslashAt + 2 }
  }
  const isHex = /^[xuU]/.test(numeric)
  const code = isHex ? Number.parseInt(numeric.slice(1), 16) : Number.parseInt(numeric, 8)
  const isByte = !/^[uU]/.test(numeric)
  if (
    code === 0 ||
    code > 0x10ffff ||
    (isByte && code > 0x7f) ||
    (code >= 0xd800 && code < 0xe000)
  ) {
    throw invalidEscape(text, backslashAt, numeric)
  }
  return { value: String.fromCodePoint(code), end: backslashAt + 1 + numeric.length }
}

const invalidEscape = (text: string, at: number, escape: string): Error =>
  syntaxError(
    text,
    at,
    `invalid character escape "\\${escape}"`,
    "write the character itself, or a BLOB '\\xAB'::BLOB for bytes",
  )

const unterminated = (text: string, at: number, what: string): Error =>
  syntaxError(text, at, `unterminated ${what} at or near "${text.slice(at, at + 20)}"`)
