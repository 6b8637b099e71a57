import type { Cursor } from '../cursor.ts'
import { notSupported } from '../errors.ts'
import type { InsertHeader, InsertPartition, PlainStatement, StatementDraft } from '../statement.ts'
import type { Token } from '../token.ts'
import { parsePartitionValue } from './metadata.ts'
import { isQueryStart } from './session.ts'
import { asNull, refuseClauses, withDefaults } from './write-clauses.ts'

/** After INSERT. */
export function parseInsert(cursor: Cursor): StatementDraft {
  const overwrite = cursor.takeOneOf('INTO', 'OVERWRITE')
  if (overwrite === undefined) throw cursor.error('write INSERT INTO t or INSERT OVERWRITE t')
  // TABLE is a word of Impala's that may be left out; a table may still have that name.
  if (cursor.isWord('TABLE') && !cursor.isSymbol('.', 1)) cursor.next()
  const table = cursor.objectName()
  const partition = cursor.takeWords('PARTITION')
    ? cursor.list(() => parseInsertPartition(cursor))
    : undefined
  const columns = isColumnList(cursor) ? cursor.list(() => parseName(cursor)) : undefined
  const header = { table, columns, overwrite: overwrite === 'OVERWRITE', partition }
  if (columns === undefined && partition === undefined && cursor.isWord('DEFAULT', 'VALUES')) {
    return { kind: 'insert', ...header, isDefault: true, body: defaultRow(cursor) }
  }
  if (!isQueryStart(cursor)) throw cursor.error('expected VALUES or a query')
  const body = cursor.rest()
  refuseClauses(cursor.script, body, ['ON CONFLICT', 'RETURNING'])
  return { kind: 'insert', ...header, body: withDefaults(body) }
}

/** `DEFAULT VALUES` as a row of one value, which is that of the table's first column. */
function defaultRow(cursor: Cursor): readonly Token[] {
  cursor.next()
  const values = cursor.next()
  refuseClauses(cursor.script, cursor.rest(), ['ON CONFLICT', 'RETURNING'])
  const symbol = (value: string): Token => ({
    ...{ kind: 'symbol', start: values.end, end: values.end, value, word: undefined },
  })
  return [values, symbol('('), { ...asNull(values), start: values.end }, symbol(')')]
}

function parseInsertPartition(cursor: Cursor): InsertPartition {
  const at = cursor.at
  const column = cursor.name('a partition column')
  return { column, value: cursor.takeSymbol('=') ? parsePartitionValue(cursor) : undefined, at }
}

/** A parenthesis is also how a query may begin: `INSERT INTO t (SELECT …)`, `((SELECT …) UNION …)`. */
function isColumnList(cursor: Cursor): boolean {
  if (!cursor.isSymbol('(')) return false
  const [token, after] = [cursor.peek(1), cursor.peek(2)]
  const isName = token?.kind === 'word' || token?.kind === 'quoted'
  return isName && after?.kind === 'symbol' && (after.value === ',' || after.value === ')')
}

function parseName(cursor: Cursor): NonNullable<InsertHeader['columns']>[number] {
  const at = cursor.at
  return { name: cursor.name('a column name'), at }
}

/** After DELETE: what follows is read as a query of the rows that go. */
export function parseDelete(cursor: Cursor): StatementDraft {
  if (!cursor.isWord('FROM')) throw cursor.error('write DELETE FROM t WHERE …')
  const at = cursor.peek(1)?.start ?? cursor.at
  const body = cursor.rest()
  refuseClauses(cursor.script, body, ['USING', 'RETURNING'])
  return { kind: 'delete', at, body }
}

/**
 * After UPDATE: `t SET a = x, b = y WHERE …` is read as the query `FROM t SELECT x, y WHERE …`, whose tokens stand in the
 * order of the text.
 */
export function parseUpdate(cursor: Cursor): StatementDraft {
  const { at } = cursor
  const body: Token[] = [{ kind: 'word', start: at, end: at, value: 'FROM', word: 'FROM' }]
  while (!cursor.isWord('SET')) body.push(cursor.next())
  body.push({ ...cursor.next(), value: 'SELECT', word: 'SELECT' })
  const columns: NonNullable<InsertHeader['columns']>[number][] = []
  do {
    columns.push(parseTarget(cursor))
    if (columns.length > 1) body.push(comma(cursor))
    body.push(...valueTokens(cursor))
  } while (cursor.takeSymbol(','))
  const rest = cursor.rest()
  refuseClauses(cursor.script, rest, ['FROM', 'RETURNING'])
  return { kind: 'update', at, columns, body: [...body, ...rest] }
}

/** What SET gives a value, and the sign behind it. */
function parseTarget(cursor: Cursor): NonNullable<InsertHeader['columns']>[number] {
  if (cursor.isSymbol('(')) {
    const hint = 'write each column by itself: SET a = …, b = …'
    throw notSupported(cursor.script, cursor.at, 'SET (a, b) = … is not supported', hint)
  }
  const column = parseName(cursor)
  cursor.expectSymbol('=')
  return column
}

const comma = ({ at }: Cursor): Token => ({
  ...{ kind: 'symbol', start: at, end: at, value: ',', word: undefined },
})

/** The tokens of a value that SET gives, up to the next one, or to a clause. */
function valueTokens(cursor: Cursor): readonly Token[] {
  const tokens: Token[] = []
  const isEnd = (): boolean => {
    const isDistinct = cursor.isWord('FROM') && tokens.at(-1)?.word === 'DISTINCT'
    return cursor.isSymbol(',') || (!isDistinct && CLAUSE.has(cursor.word() ?? ''))
  }
  for (let depth = 0; !cursor.isAtEnd && !(depth === 0 && isEnd());) {
    const token = cursor.next()
    tokens.push(token)
    if (token.kind !== 'symbol') continue
    if ('([{'.includes(token.value)) depth++
    else if (')]}'.includes(token.value)) depth--
  }
  const [first] = tokens
  return first?.word === 'DEFAULT' && tokens.length === 1 ? [asNull(first)] : tokens
}

const CLAUSE: ReadonlySet<string> = new Set(['FROM', 'WHERE', 'RETURNING'])

/** After TRUNCATE. */
export function parseTruncate(cursor: Cursor): PlainStatement {
  cursor.takeWords('TABLE')
  const ifExists = cursor.takeWords('IF', 'EXISTS')
  return { kind: 'truncate', table: cursor.objectName(), ifExists }
}
