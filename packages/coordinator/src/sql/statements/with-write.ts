import type { Cursor } from '../cursor.ts'
import { notSupported } from '../errors.ts'
import type { StatementDraft } from '../statement.ts'
import type { StatementText, Token } from '../token.ts'
import { parseInsert } from './write.ts'

const WRITES: ReadonlySet<string> = new Set(['INSERT', 'UPDATE', 'DELETE', 'MERGE'])

/**
 * `WITH q AS (…) INSERT INTO t SELECT … FROM q` is read as `INSERT INTO t WITH q AS (…) SELECT … FROM q`. Undefined for a
 * query, with the cursor where it was. Fails with `feature_not_supported` for other statements behind a WITH, as these are
 * carried out by several queries.
 */
export function parseWithWrite(
  cursor: Cursor,
  statement: StatementText,
): StatementDraft | undefined {
  const length = withLength(cursor)
  const word = length === undefined ? undefined : cursor.word(length)
  if (length === undefined || word === undefined || !WRITES.has(word)) return undefined
  const { at } = cursor
  if (word !== 'INSERT') {
    const hint = 'write its queries as subqueries, where they are used'
    throw notSupported(cursor.script, at, `WITH before ${word} is not supported`, hint)
  }
  for (let i = 0; i < length; i++) cursor.next()
  const before = statement.tokens.filter(({ start }) => start < cursor.at)
  cursor.next()
  const draft = parseInsert(cursor)
  if (!('body' in draft)) return draft
  const [first] = draft.body
  if (first?.word === 'WITH') {
    const hint = 'write one WITH with all of the queries'
    throw notSupported(
      cursor.script,
      first.start,
      'WITH before and in an INSERT is not supported',
      hint,
    )
  }
  return { ...draft, body: [...before, ...draft.body] }
}

/** How many tokens a WITH with its queries has; undefined where there is none. */
function withLength(cursor: Cursor): number | undefined {
  if (!cursor.isWord('WITH')) return undefined
  let at = cursor.word(1) === 'RECURSIVE' ? 2 : 1
  for (;;) {
    // The name of the query.
    at++
    if (cursor.isSymbol('(', at)) at = closing(cursor, at)
    if (cursor.word(at) !== 'AS') return undefined
    at++
    if (cursor.word(at) === 'NOT') at++
    if (cursor.word(at) === 'MATERIALIZED') at++
    if (!cursor.isSymbol('(', at)) return undefined
    at = closing(cursor, at)
    if (!cursor.isSymbol(',', at)) return at
    at++
  }
}

/** The place behind the bracket that closes the one at a place; behind the last token where none does. */
function closing(cursor: Cursor, from: number): number {
  let depth = 0
  for (let at = from; ; at++) {
    const token: Token | undefined = cursor.peek(at)
    if (token === undefined) return at
    if (token.kind !== 'symbol') continue
    if (token.value === '(') depth++
    else if (token.value === ')' && --depth === 0) return at + 1
  }
}
