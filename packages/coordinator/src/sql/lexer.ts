import type { SqlError } from '@nyala/client/protocol'
import { notSupported, syntaxError, syntaxErrorAt } from './errors.ts'
import { checkTextSize, LimitCounter } from './limit-counter.ts'
import { DEFAULT_SQL_LIMITS, type SqlLimits } from './limits.ts'
import { readAnsiString, readEscapedString, readQuoted } from './strings.ts'
import type { Dialect, StatementText, Token, TokenKind } from './token.ts'

export interface LexOptions {
  readonly dialect?: Dialect
  readonly limits?: SqlLimits
}

/**
 * The tokens of a text. Comments are dropped, hints kept. Limits are checked on the way, so that a text
 * that is too long or too deep never reaches a recursive reader.
 * Throws `syntax_error`, `feature_not_supported`, `program_limit_exceeded`, `statement_too_complex`.
 */
export function lex(text: string, options: LexOptions = {}): readonly Token[] {
  const limits = options.limits ?? DEFAULT_SQL_LIMITS
  checkTextSize(text, limits)
  return new Lexer(text, options.dialect ?? 'ansi', limits).run()
}

/** The statements of a script, split at semicolons; empty ones are dropped. */
export function splitStatements(
  script: string,
  options: LexOptions = {},
): readonly StatementText[] {
  const statements: StatementText[] = []
  let tokens: Token[] = []
  const finish = (): void => {
    const first = tokens.find((token) => token.kind !== 'hint')
    const last = tokens.at(-1)
    if (first !== undefined && last !== undefined) {
      statements.push({ script, start: first.start, end: last.end, tokens })
    }
    tokens = []
  }
  for (const token of lex(script, options)) {
    if (token.kind === 'symbol' && token.value === ';') finish()
    else tokens.push(token)
  }
  finish()
  return statements
}

/** Longest first: the first that fits is the token. */
const SYMBOLS = [
  ['!~~*'],
  ['->>', '!~~', '!~*', '~~*', '~~~', '<=>'],
  ['->', '**', '//', '||', '<<', '>>', '<=', '>=', '<>', '!=', '==', '::', ':=', '=>'],
  ['@>', '<@', '&&', '^@', '~~', '~*', '!~'],
].flat()
const SINGLE_SYMBOLS = new Set('+-*/%<>=~!@&|^?:.,;()[]{}')

/** Characters beyond ASCII are letters of a name, as in PostgreSQL, unless they are white space. */
const WORD = /(?:[A-Za-z_]|[^\x00-\x7f\s])(?:[A-Za-z0-9_$]|[^\x00-\x7f\s])*/y
const NUMBER = /(?:\d[\d_]*(?:\.(?!\.)[\d_]*)?|\.\d[\d_]*)(?:[eE][-+]?\d+)?/y
const JUNK = /(?:[A-Za-z0-9_.]|[^\x00-\x7f\s])+/y
const PARAMETER = /\$(?:\d+|[A-Za-z_][A-Za-z0-9_]*)|\?\d*/y
const DOLLAR_QUOTE = /\$(?:(?:[A-Za-z_]|[^\x00-\x7f\s])(?:[A-Za-z0-9_]|[^\x00-\x7f\s])*)?\$/y
const POSITIONAL = /#\d+/y
const WORD_CHARACTER = /[A-Za-z0-9_]|[^\x00-\x7f\s]/
const LINE_COMMENT = /--[^\r\n]*/y
/** White space, ASCII or not, and the byte order mark. */
const SPACE = /\s+/y

class Lexer {
  readonly #text: string
  readonly #dialect: Dialect
  readonly #counter: LimitCounter
  readonly #tokens: Token[] = []
  #at = 0

  constructor(text: string, dialect: Dialect, limits: SqlLimits) {
    this.#text = text
    this.#dialect = dialect
    this.#counter = new LimitCounter(text, limits)
  }

  run(): readonly Token[] {
    while (true) {
      this.#skipSpace()
      if (this.#at >= this.#text.length) break
      if (this.#skipComment()) continue
      const token = this.#next()
      this.#counter.count(token)
      this.#tokens.push(token)
      this.#at = token.end
    }
    return this.#tokens
  }

  #skipSpace(): void {
    this.#at += this.#match(SPACE)?.length ?? 0
  }

  #match(pattern: RegExp): string | undefined {
    pattern.lastIndex = this.#at
    return pattern.exec(this.#text)?.[0]
  }

  #token(kind: TokenKind, end: number, value: string): Token {
    const word = kind === 'word' ? value.toUpperCase() : undefined
    return { kind, start: this.#at, end, value, word }
  }

  #next(): Token {
    const character = this.#text.charAt(this.#at)
    switch (character) {
      case "'":
        return this.#string(this.#at)
      case '"':
        return this.#dialect === 'impala' ? this.#string(this.#at) : this.#quoted('"')
      case '`':
        return this.#quoted('`')
      case '$':
        return this.#dollar()
      case '?':
        return this.#parameter()
      default:
        return this.#plain(character)
    }
  }

  #plain(character: string): Token {
    if (/[0-9.]/.test(character)) {
      const number = this.#match(NUMBER)
      if (number !== undefined) return this.#number(number)
    }
    const word = this.#match(WORD)
    if (word !== undefined) return this.#word(word)
    const positional = this.#match(POSITIONAL)
    if (positional !== undefined) {
      return this.#token('positional', this.#at + positional.length, positional.slice(1))
    }
    const symbol = SYMBOLS.find((s) => this.#text.startsWith(s, this.#at))
    if (symbol !== undefined) return this.#token('symbol', this.#at + symbol.length, symbol)
    if (SINGLE_SYMBOLS.has(character)) return this.#token('symbol', this.#at + 1, character)
    throw syntaxErrorAt(this.#text, this.#at, String.fromCodePoint(this.#codePoint()))
  }

  #codePoint(): number {
    return this.#text.codePointAt(this.#at) ?? 0
  }

  #number(number: string): Token {
    const end = this.#at + number.length
    const after = this.#text.charAt(end)
    if (WORD_CHARACTER.test(after) || /_$|_[.eE]|\._|__/.test(number)) {
      const junk = this.#match(JUNK) ?? number
      return this.#token('junk', this.#at + junk.length, junk)
    }
    return this.#token('number', end, number)
  }

  #word(word: string): Token {
    const end = this.#at + word.length
    const quote = this.#text.charAt(end)
    if (quote === "'") {
      if (/^e$/i.test(word)) return this.#escaped(end)
      if (/^[xbn]$/i.test(word)) throw this.#refusePrefix(word, "'")
    }
    if (/^u$/i.test(word) && /^&['"]/.test(this.#text.slice(end, end + 2))) {
      throw this.#refusePrefix(word, '&')
    }
    return this.#token('word', end, word)
  }

  #refusePrefix(word: string, after: string): SqlError {
    return notSupported(
      this.#text,
      this.#at,
      `a literal that starts with ${word}${after} is not supported`,
      "write an escaped text E'…', or a BLOB '\\xAB'::BLOB",
    )
  }

  #escaped(quote: number): Token {
    const { value, end } = readEscapedString(this.#text, quote, 'ansi')
    return this.#token('string', end, value)
  }

  #string(quote: number): Token {
    const { value, end } =
      this.#dialect === 'impala'
        ? readEscapedString(this.#text, quote, 'impala')
        : readAnsiString(this.#text, quote)
    return this.#token('string', end, value)
  }

  #quoted(quote: '"' | '`'): Token {
    const { value, end } = readQuoted(this.#text, this.#at, quote)
    return this.#token('quoted', end, value)
  }

  #dollar(): Token {
    const tag = this.#match(DOLLAR_QUOTE)
    if (tag === undefined) return this.#parameter()
    const start = this.#at + tag.length
    const close = this.#text.indexOf(tag, start)
    if (close < 0) {
      throw syntaxError(
        this.#text,
        this.#at,
        `unterminated dollar-quoted string at or near "${tag}"`,
      )
    }
    return this.#token('string', close + tag.length, this.#text.slice(start, close))
  }

  #parameter(): Token {
    const parameter = this.#match(PARAMETER)
    if (parameter === undefined) throw syntaxErrorAt(this.#text, this.#at, '$')
    return this.#token('parameter', this.#at + parameter.length, parameter.slice(1))
  }

  /** Skips a comment; a hint inside one becomes a token. */
  #skipComment(): boolean {
    const line = this.#match(LINE_COMMENT)
    if (line !== undefined) {
      this.#comment(this.#at + line.length, /^--\s*\+(.*)$/s.exec(line)?.[1])
      return true
    }
    if (!this.#text.startsWith('/*', this.#at)) return false
    const end = this.#blockEnd()
    this.#comment(end, /^\/\*\s*\+(.*)\*\/$/s.exec(this.#text.slice(this.#at, end))?.[1])
    return true
  }

  #comment(end: number, hint: string | undefined): void {
    if (hint !== undefined) this.#tokens.push(this.#token('hint', end, hint.trim()))
    this.#at = end
  }

  /** Block comments nest, as in PostgreSQL; Impala's end at the first end. */
  #blockEnd(): number {
    const first = this.#text.indexOf('*/', this.#at + 2)
    if (this.#dialect === 'impala' && first >= 0) return first + 2
    const edge = /\/\*|\*\//g
    edge.lastIndex = this.#at
    let depth = 0
    for (let match = edge.exec(this.#text); match !== null; match = edge.exec(this.#text)) {
      depth += match[0] === '/*' ? 1 : -1
      if (depth === 0) return edge.lastIndex
    }
    throw syntaxError(this.#text, this.#at, 'unterminated comment at or near "/*"')
  }
}
