import type { Cursor } from '../cursor.ts'
import type { MergeClause, StatementDraft } from '../statement.ts'
import type { Token } from '../token.ts'
import { asNull, refuseClauses } from './write-clauses.ts'

/**
 * After MERGE. `MERGE INTO t USING s ON x WHEN MATCHED AND y THEN UPDATE SET a = z` is read as the query
 * `FROM t JOIN s ON x SELECT y, z`, whose tokens stand in the order of the text; the clauses say which of its items is
 * what.
 */
export function parseMerge(cursor: Cursor): StatementDraft {
  cursor.expectWords('INTO')
  const { at } = cursor
  const body = new Body(cursor)
  body.word('FROM')
  body.until('a source', 'USING')
  cursor.expectWords('USING')
  body.word('JOIN')
  body.until('ON', 'ON')
  body.until('WHEN', 'WHEN')
  body.word('SELECT')
  const clauses: MergeClause[] = []
  while (cursor.isWord('WHEN')) clauses.push(parseClause(cursor, body))
  if (!cursor.isAtEnd) {
    const error = cursor.error('expected WHEN')
    refuseClauses(cursor.script, cursor.rest(), ['RETURNING'])
    throw error
  }
  // A query has an item; of a statement without any it is none of its own.
  if (body.items === 0) body.number()
  return { kind: 'merge', at, clauses, body: body.tokens }
}

function parseClause(cursor: Cursor, body: Body): MergeClause {
  const { at } = cursor
  cursor.expectWords('WHEN')
  const isNot = cursor.takeWords('NOT')
  cursor.expectWords('MATCHED')
  const bySource = isNot && cursor.takeWords('BY', 'SOURCE')
  if (isNot && !bySource) cursor.takeWords('BY', 'TARGET')
  const match = !isNot ? 'matched' : bySource ? 'notMatchedBySource' : 'notMatched'
  const condition = cursor.takeWords('AND') ? body.item('THEN', 'THEN') : undefined
  cursor.expectWords('THEN')
  if (cursor.takeWords('DO', 'NOTHING')) {
    return { at, match, condition, action: 'nothing', columns: undefined, values: [] }
  }
  if (match === 'notMatched') {
    cursor.expectWords('INSERT')
    const isDefault = cursor.takeWords('DEFAULT', 'VALUES')
    if (isDefault) return { at, match, condition, action: 'insert', columns: [], values: [] }
    const columns = cursor.isSymbol('(') ? cursor.list(() => parseColumn(cursor)) : undefined
    cursor.expectWords('VALUES')
    cursor.expectSymbol('(')
    const values = [body.item('")"', undefined)]
    while (cursor.takeSymbol(',')) values.push(body.item('")"', undefined))
    cursor.expectSymbol(')')
    return { at, match, condition, action: 'insert', columns, values }
  }
  if (cursor.takeWords('DELETE')) {
    return { at, match, condition, action: 'delete', columns: undefined, values: [] }
  }
  cursor.expectWords('UPDATE', 'SET')
  const columns: NonNullable<MergeClause['columns']>[number][] = []
  const values: number[] = []
  do {
    columns.push(parseColumn(cursor))
    cursor.expectSymbol('=')
    values.push(body.item('WHEN', 'WHEN'))
  } while (cursor.takeSymbol(','))
  return { at, match, condition, action: 'update', columns, values }
}

/** The name of a column of the target, which some write with the target's own name before it. */
function parseColumn(cursor: Cursor): NonNullable<MergeClause['columns']>[number] {
  const { at } = cursor
  const name = cursor.name('a column name')
  return { name: cursor.takeSymbol('.') ? cursor.name('a column name') : name, at }
}

/** The tokens of the query that a MERGE is read as. */
class Body {
  readonly tokens: Token[] = []
  readonly #cursor: Cursor
  items = 0

  constructor(cursor: Cursor) {
    this.#cursor = cursor
  }

  word(value: string): void {
    const { at } = this.#cursor
    this.tokens.push({ kind: 'word', start: at, end: at, value, word: value })
  }

  number(): void {
    const { at } = this.#cursor
    this.tokens.push({ kind: 'number', start: at, end: at, value: '1', word: undefined })
  }

  /** Takes tokens up to a word outside of brackets and CASE. */
  until(expected: string, word: string): void {
    const before = this.tokens.length
    const cursor = this.#cursor
    // The word ON is part of what the query has.
    if (cursor.isWord('ON')) this.tokens.push(cursor.next())
    this.#take((depth) => depth === 0 && cursor.isWord(word))
    if (this.tokens.length === before || cursor.isAtEnd) throw cursor.error(`expected ${expected}`)
  }

  /** Takes an expression as one more item, up to a comma, a closing bracket or a word; tells its number. */
  item(expected: string, word: string | undefined): number {
    const cursor = this.#cursor
    if (this.items > 0) {
      const { at } = cursor
      this.tokens.push({ kind: 'symbol', start: at, end: at, value: ',', word: undefined })
    }
    const before = this.tokens.length
    this.#take((depth) => {
      if (depth > 0) return false
      const isWord = word !== undefined && cursor.isWord(word)
      return isWord || cursor.isSymbol(',') || cursor.isSymbol(')')
    })
    if (this.tokens.length === before) throw cursor.error(`expected a value before ${expected}`)
    const first = this.tokens[before]
    const isDefault = first?.word === 'DEFAULT' && this.tokens.length === before + 1
    if (isDefault) this.tokens[before] = asNull(first)
    return this.items++
  }

  #take(isEnd: (depth: number) => boolean): void {
    const cursor = this.#cursor
    const from = this.tokens.length
    for (let depth = 0; !cursor.isAtEnd && !isEnd(depth);) {
      const token = cursor.next()
      this.tokens.push(token)
      if (token.word === 'CASE') depth++
      else if (token.word === 'END' && depth > 0) depth--
      if (token.kind !== 'symbol') continue
      if ('([{'.includes(token.value)) depth++
      else if (')]}'.includes(token.value)) depth--
    }
    refuseClauses(cursor.script, this.tokens.slice(from), ['RETURNING'])
  }
}
