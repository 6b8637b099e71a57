import type { Cursor } from '../cursor.ts'
import { notSupported } from '../errors.ts'
import type { InsertHeader, PlainStatement, StatementDraft } from '../statement.ts'
import { isQueryStart } from './session.ts'

/** After INSERT. */
export function parseInsert(cursor: Cursor): StatementDraft {
  const overwrite = cursor.takeOneOf('INTO', 'OVERWRITE')
  if (overwrite === undefined) throw cursor.error('write INSERT INTO t or INSERT OVERWRITE t')
  // TABLE is a word of Impala's that may be left out; a table may still have that name.
  if (cursor.isWord('TABLE') && !cursor.isSymbol('.', 1)) cursor.next()
  const table = cursor.objectName()
  if (cursor.isWord('PARTITION')) {
    throw notSupported(cursor.script, cursor.at, 'INSERT with PARTITION is not supported')
  }
  const columns = isColumnList(cursor) ? cursor.list(() => parseName(cursor)) : undefined
  if (!isQueryStart(cursor)) throw cursor.error('expected VALUES or a query')
  return {
    kind: 'insert',
    table,
    columns,
    overwrite: overwrite === 'OVERWRITE',
    body: cursor.rest(),
  }
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

/** After TRUNCATE. */
export function parseTruncate(cursor: Cursor): PlainStatement {
  cursor.takeWords('TABLE')
  const ifExists = cursor.takeWords('IF', 'EXISTS')
  return { kind: 'truncate', table: cursor.objectName(), ifExists }
}
