import type { Dialect } from './dialect.ts'

/** A statement as it stood in its text. */
export interface SourceStatement {
  /** Without the semicolon and the blanks around it. */
  readonly text: string
  /** Where `text` starts, in UTF-16 units. */
  readonly offset: number
}

export interface Split {
  /** The statements that a semicolon ends. */
  readonly statements: readonly SourceStatement[]
  /** What follows the last semicolon; at the end of a file it is a statement too, in a shell it goes on. */
  readonly rest: SourceStatement
  /** What the rest has open, for the prompt: a string, a quoted name, a comment, or nothing. */
  readonly open: 'nothing' | 'string' | 'name' | 'comment'
}

/**
 * Cuts SQL text at its semicolons, those in strings, quoted names, comments and dollar-quoted texts excepted.
 * That is all the shell knows of SQL; everything else is the coordinator's. Whether the first statements of a text change
 * the dialect that the rest is read by is not known here: see {@link statementsInTurn}.
 */
export function splitStatements(text: string, dialect: Dialect): Split {
  const statements: SourceStatement[] = []
  let start = 0
  for (;;) {
    const { end, open } = findSemicolon(text, start, dialect)
    if (end === undefined) return { statements, rest: trimmed(text, start, text.length), open }
    const statement = trimmed(text, start, end)
    if (!isBlank(statement.text, dialect)) statements.push(statement)
    start = end + 1
  }
}

/**
 * The statements of a complete text, one without a semicolon at the end included; `\copy` is one that ends with its line. The dialect is asked for anew before
 * each, so run a statement before taking the next one: it may be the SET that changes how the rest is read.
 */
export function* statementsInTurn(
  text: string,
  dialect: () => Dialect,
): Generator<SourceStatement, void> {
  let start = 0
  while (start < text.length) {
    const read = dialect()
    const copy = lineOfCopy(text, contentStart(text, start, read))
    if (copy !== undefined) {
      start = copy.end + 1
      yield copy.statement
      continue
    }
    const end = findSemicolon(text, start, read).end ?? text.length
    const statement = trimmed(text, start, end)
    start = end + 1
    if (!isBlank(statement.text, read)) yield statement
  }
}

/** Where the statement at `start` ends; undefined where its semicolon has not come, and what is left open then. */
export function findSemicolon(
  text: string,
  start: number,
  dialect: Dialect,
): { readonly end: number | undefined; readonly open: Split['open'] } {
  let at = start
  let open: Split['open'] = 'nothing'
  while (at < text.length) {
    if (text[at] === ';') return { end: at, open: 'nothing' }
    const token = skipToken(text, at, dialect)
    at = token.end
    open = token.open
  }
  return { end: undefined, open }
}

function trimmed(text: string, start: number, end: number): SourceStatement {
  const part = text.slice(start, end)
  const left = part.length - part.trimStart().length
  return { text: part.trim(), offset: start + left }
}

/** True for a text of nothing but blanks and comments. */
export const isBlank = (text: string, dialect: Dialect): boolean =>
  contentStart(text, 0, dialect) >= text.length

/** Behind the blanks and comments at `start`. */
function contentStart(text: string, start: number, dialect: Dialect): number {
  let at = start
  while (at < text.length) {
    if (/\s/.test(text[at] as string)) at++
    else if (startsComment(text, at)) at = skipToken(text, at, dialect).end
    else break
  }
  return at
}

/** The line at `start`, where it is a `\copy`. */
function lineOfCopy(
  text: string,
  start: number,
): { readonly statement: SourceStatement; readonly end: number } | undefined {
  if (!/^\\copy\b/.test(text.slice(start, start + 6))) return undefined
  const newline = text.indexOf('\n', start)
  const end = newline < 0 ? text.length : newline
  return { statement: trimmed(text, start, end), end }
}

const startsComment = (text: string, at: number): boolean =>
  text.startsWith('--', at) || text.startsWith('/*', at)

interface Token {
  readonly end: number
  readonly open: Split['open']
}

/** Where the string, quoted name, comment or single character at `at` ends, and whether it is left open. */
export function skipToken(text: string, at: number, dialect: Dialect): Token {
  const impala = dialect === 'impala'
  switch (text[at]) {
    case "'":
      return skipQuoted(text, at, {
        kind: 'string',
        backslashes: impala || isEscapeString(text, at),
      })
    case '"':
      return skipQuoted(text, at, { kind: impala ? 'string' : 'name', backslashes: impala })
    case '`':
      return skipQuoted(text, at, { kind: 'name', backslashes: false })
    case '$':
      return skipDollarQuoted(text, at)
    case '-':
      return text[at + 1] === '-' ? skipLine(text, at) : { end: at + 1, open: 'nothing' }
    case '/':
      return text[at + 1] === '*'
        ? skipComment(text, at, dialect)
        : { end: at + 1, open: 'nothing' }
    default:
      return { end: at + 1, open: 'nothing' }
  }
}

/** `E'…'` knows backslashes; the `E` must not be the end of a longer word. */
function isEscapeString(text: string, at: number): boolean {
  return /(?:^|[^\w$\x80-\uffff])e$/i.test(text.slice(Math.max(0, at - 2), at))
}

function skipQuoted(
  text: string,
  at: number,
  { kind, backslashes }: { readonly kind: 'string' | 'name'; readonly backslashes: boolean },
): Token {
  const quote = text[at]
  let i = at + 1
  while (i < text.length) {
    if (backslashes && text[i] === '\\') i += 2
    else if (text[i] !== quote) i++
    else if (text[i + 1] === quote) i += 2
    else return { end: i + 1, open: 'nothing' }
  }
  return { end: text.length, open: kind }
}

/** `$$…$$` and `$tag$…$tag$`; a `$1` is a parameter, and a `$` within a word belongs to it. */
function skipDollarQuoted(text: string, at: number): Token {
  const inWord = at > 0 && /[\w$\x80-\uffff]/.test(text[at - 1] as string)
  const tag = inWord
    ? undefined
    : /^\$(?:[A-Za-z_\x80-\uffff][\w\x80-\uffff]*)?\$/.exec(text.slice(at, at + 66))?.[0]
  if (tag === undefined) return { end: at + 1, open: 'nothing' }
  const close = text.indexOf(tag, at + tag.length)
  return close < 0
    ? { end: text.length, open: 'string' }
    : { end: close + tag.length, open: 'nothing' }
}

function skipLine(text: string, at: number): Token {
  const length = text.slice(at).search(/[\r\n]/)
  return { end: length < 0 ? text.length : at + length + 1, open: 'nothing' }
}

/** Block comments nest, as in PostgreSQL; Impala's end at the first end. */
function skipComment(text: string, at: number, dialect: Dialect): Token {
  let depth = 1
  let i = at + 2
  while (i < text.length) {
    if (dialect === 'ansi' && text.startsWith('/*', i)) {
      depth++
      i += 2
    } else if (text.startsWith('*/', i)) {
      i += 2
      if (--depth === 0) return { end: i, open: 'nothing' }
    } else {
      i++
    }
  }
  return { end: text.length, open: 'comment' }
}
