import { quoteIdentifier, quoteLiteral } from '../escape.ts'
import type { Token } from '../token.ts'
import type { Edits } from './edits.ts'

/** Text for DuckDB and the way back: which offset of the user's text an offset in it stands for. */
export interface DuckdbText {
  readonly sql: string
  /** From a byte offset (UTF-8) in `sql`, as nodes have it, to a UTF-16 offset in the user's script. */
  readonly toUser: (byteOffset: number) => number
  /** The same from a code point offset, as errors have it. */
  readonly errorToUser: (codePointOffset: number) => number
}

/** Pieces that are copied keep their inner offsets; a rewritten one stands for its token's start. */
interface Piece {
  readonly out: number
  readonly user: number
  readonly isCopy: boolean
}

const PLAIN_SPACE = /^[ \t\r\n\f\v]+$/
const NEEDS_NO_SPACE = new Set(['(', ')', '[', ']', ',', '.', ';', '{', '}'])

/**
 * Writes the tokens as DuckDB reads them, whatever the dialect: strings and quoted names are encoded
 * anew, comments and odd white space become one space, so that no difference between the two lexers matters.
 */
export function emit(script: string, tokens: readonly Token[], edits: Edits): DuckdbText {
  const texts: string[] = []
  const pieces: Piece[] = []
  let length = 0
  const push = (text: string, user: number, isCopy: boolean): void => {
    if (text === '') return
    pieces.push({ out: length, user, isCopy })
    texts.push(text)
    length += text.length
  }
  const parameters = parameterNames(tokens)
  let previous: Token | undefined
  for (const [i, token] of tokens.entries()) {
    if (token.kind === 'hint') continue
    if (previous !== undefined) push(gap(script, previous, token), previous.end, false)
    const { before, replacement, after } = edits.at(i)
    push(before, token.start, false)
    const text = replacement ?? tokenText(token, parameters)
    push(text, token.start, text === script.slice(token.start, token.end))
    push(after, token.end, false)
    previous = token
  }
  const sql = texts.join('')
  const end = tokens.at(-1)?.end ?? 0
  const user = (offset: number): number => userOffset(pieces, offset, sql.length, end)
  const fromBytes = offsetsBy(sql, utf8Length)
  const fromCodePoints = offsetsBy(sql, () => 1)
  return {
    sql,
    toUser: (byte) => user(fromBytes(byte)),
    errorToUser: (codePoint) => user(fromCodePoints(codePoint)),
  }
}

function gap(script: string, previous: Token, token: Token): string {
  if (previous.end === token.start) {
    const touches = [previous, token].some(
      (t) => t.kind === 'symbol' && NEEDS_NO_SPACE.has(t.value),
    )
    return touches ? '' : ' '
  }
  const text = script.slice(previous.end, token.start)
  return PLAIN_SPACE.test(text) ? text : ' '
}

function tokenText(token: Token, parameters: ReadonlyMap<Token, string>): string {
  switch (token.kind) {
    case 'word':
      // A name beyond ASCII is no keyword; quoted, no character of it can be mistaken for space.
      return /^[\x20-\x7e]*$/.test(token.value) ? token.value : quoteIdentifier(token.value)
    case 'quoted':
      return quoteIdentifier(token.value)
    case 'string':
      return quoteLiteral(token.value)
    case 'parameter':
      return `$${parameters.get(token) ?? token.value}`
    case 'positional':
      return `#${token.value}`
    case 'number':
    case 'junk':
    case 'symbol':
    case 'hint':
      return token.value
  }
}

/** `?` is numbered from 1. */
function parameterNames(tokens: readonly Token[]): ReadonlyMap<Token, string> {
  const anonymous = tokens.filter((t) => t.kind === 'parameter' && t.value === '')
  return new Map(anonymous.map((token, i) => [token, String(i + 1)]))
}

function userOffset(pieces: readonly Piece[], out: number, length: number, end: number): number {
  if (out >= length) return end
  let low = 0
  let high = pieces.length - 1
  while (low < high) {
    const middle = (low + high + 1) >> 1
    if ((pieces[middle]?.out ?? 0) <= out) low = middle
    else high = middle - 1
  }
  const piece = pieces[low]
  if (piece === undefined) return end
  return piece.isCopy ? piece.user + out - piece.out : piece.user
}

const utf8Length = (code: number): number =>
  code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4

/**
 * From units of another encoding to UTF-16 units. The table is only built for texts beyond ASCII, and
 * only when asked.
 */
function offsetsBy(text: string, width: (code: number) => number): (offset: number) => number {
  if (/^[\x00-\x7f]*$/.test(text)) return (offset) => offset
  let table: Uint32Array | undefined
  return (offset) => {
    table ??= buildTable(text, width)
    return table[Math.min(offset, table.length - 1)] ?? text.length
  }
}

function buildTable(text: string, width: (code: number) => number): Uint32Array {
  const offsets: number[] = []
  let index = 0
  for (const character of text) {
    const units = width(character.codePointAt(0) ?? 0)
    for (let i = 0; i < units; i++) offsets.push(index)
    index += character.length
  }
  offsets.push(index)
  return Uint32Array.from(offsets)
}
