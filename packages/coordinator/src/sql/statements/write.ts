import type { Cursor } from '../cursor.ts'
import type { InsertHeader, InsertPartition, PlainStatement, StatementDraft } from '../statement.ts'
import type { Token } from '../token.ts'
import { parsePartitionValue } from './metadata.ts'
import { isQueryStart } from './session.ts'

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
  if (!isQueryStart(cursor)) throw cursor.error('expected VALUES or a query')
  return {
    kind: 'insert',
    table,
    columns,
    overwrite: overwrite === 'OVERWRITE',
    partition,
    body: cursor.rest(),
  }
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
  return { kind: 'delete', at: cursor.peek(1)?.start ?? cursor.at, body: cursor.rest() }
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
  const columns = [parseName(cursor)]
  cursor.expectSymbol('=')
  for (let depth = 0; !cursor.isAtEnd && !(depth === 0 && cursor.isWord('WHERE'));) {
    const token = cursor.next()
    body.push(token)
    if (token.kind !== 'symbol') continue
    if ('([{'.includes(token.value)) depth++
    else if (')]}'.includes(token.value)) depth--
    else if (token.value === ',' && depth === 0) {
      columns.push(parseName(cursor))
      cursor.expectSymbol('=')
    }
  }
  return { kind: 'update', at, columns, body: [...body, ...cursor.rest()] }
}

/** After TRUNCATE. */
export function parseTruncate(cursor: Cursor): PlainStatement {
  cursor.takeWords('TABLE')
  const ifExists = cursor.takeWords('IF', 'EXISTS')
  return { kind: 'truncate', table: cursor.objectName(), ifExists }
}
