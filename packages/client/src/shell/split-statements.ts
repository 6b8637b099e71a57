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
 * That is all the shell knows of SQL; everything else is the coordinator's.
 */
export function splitStatements(text: string): Split {
  const statements: SourceStatement[] = []
  let start = 0
  let at = 0
  let open: Split['open'] = 'nothing'
  while (at < text.length) {
    if (text[at] === ';') {
      pushStatement(statements, text, start, at)
      start = ++at
      continue
    }
    const token = skipToken(text, at)
    at = token.end
    open = token.open
  }
  return { statements, rest: trimmed(text, start, text.length), open }
}

/** All statements of a complete text: one without a semicolon at the end counts. */
export function allStatements(text: string): readonly SourceStatement[] {
  const { statements, rest } = splitStatements(text)
  return isBlank(rest.text) ? statements : [...statements, rest]
}

function pushStatement(into: SourceStatement[], text: string, start: number, end: number): void {
  const statement = trimmed(text, start, end)
  if (!isBlank(statement.text)) into.push(statement)
}

function trimmed(text: string, start: number, end: number): SourceStatement {
  const part = text.slice(start, end)
  const left = part.length - part.trimStart().length
  return { text: part.trim(), offset: start + left }
}

/** True for a text of nothing but blanks and comments. */
export function isBlank(text: string): boolean {
  let at = 0
  while (at < text.length) {
    if (/\s/.test(text[at] as string)) at++
    else if (startsComment(text, at)) at = skipToken(text, at).end
    else return false
  }
  return true
}

const startsComment = (text: string, at: number): boolean =>
  text.startsWith('--', at) || text.startsWith('/*', at)

interface Token {
  readonly end: number
  readonly open: Split['open']
}

/** Where the string, quoted name, comment or single character at `at` ends, and whether it is left open. */
export function skipToken(text: string, at: number): Token {
  switch (text[at]) {
    case "'":
      return skipQuoted(text, at, { kind: 'string', backslashes: isEscapeString(text, at) })
    case '"':
    case '`':
      return skipQuoted(text, at, { kind: 'name', backslashes: false })
    case '$':
      return skipDollarQuoted(text, at)
    case '-':
      return text[at + 1] === '-' ? skipLine(text, at) : { end: at + 1, open: 'nothing' }
    case '/':
      return text[at + 1] === '*' ? skipComment(text, at) : { end: at + 1, open: 'nothing' }
    default:
      return { end: at + 1, open: 'nothing' }
  }
}

/** `E'…'` knows backslashes; the `E` must not be the end of a longer word. */
function isEscapeString(text: string, at: number): boolean {
  return /(?:^|[^\w$])e$/i.test(text.slice(Math.max(0, at - 2), at))
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
  const inWord = at > 0 && /[\w$]/.test(text[at - 1] as string)
  const tag = inWord ? undefined : /^\$(?:[A-Za-z_]\w*)?\$/.exec(text.slice(at, at + 66))?.[0]
  if (tag === undefined) return { end: at + 1, open: 'nothing' }
  const close = text.indexOf(tag, at + tag.length)
  return close < 0
    ? { end: text.length, open: 'string' }
    : { end: close + tag.length, open: 'nothing' }
}

function skipLine(text: string, at: number): Token {
  const end = text.indexOf('\n', at)
  return { end: end < 0 ? text.length : end + 1, open: 'nothing' }
}

/** Block comments nest, as in PostgreSQL. */
function skipComment(text: string, at: number): Token {
  let depth = 1
  let i = at + 2
  while (i < text.length) {
    if (text.startsWith('/*', i)) {
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
