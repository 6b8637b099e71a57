import type { Cursor } from '../cursor.ts'
import { notSupported } from '../errors.ts'
import type { PlainStatement } from '../statement.ts'

/** After BEGIN. */
export function parseBegin(cursor: Cursor): PlainStatement {
  cursor.takeOneOf('TRANSACTION', 'WORK')
  return { kind: 'begin', ...parseModes(cursor) }
}

/** After START. */
export function parseStart(cursor: Cursor): PlainStatement {
  cursor.expectWords('TRANSACTION')
  return { kind: 'begin', ...parseModes(cursor) }
}

/** After COMMIT or END. */
export function parseCommit(cursor: Cursor): PlainStatement {
  cursor.takeOneOf('TRANSACTION', 'WORK')
  return { kind: 'commit' }
}

/** After ROLLBACK or ABORT. */
export function parseRollback(cursor: Cursor): PlainStatement {
  cursor.takeOneOf('TRANSACTION', 'WORK')
  if (cursor.isWord('TO')) {
    const hint = 'a transaction is committed or rolled back as a whole'
    throw notSupported(cursor.script, cursor.at, 'ROLLBACK TO is not supported', hint)
  }
  return { kind: 'rollback' }
}

/** Modes in any order, with commas between them or without. The last that says so decides whether it is read only. */
function parseModes(cursor: Cursor): { readonly isReadOnly?: true } {
  let isReadOnly = false
  while (!cursor.isAtEnd) {
    if (cursor.takeWords('READ', 'ONLY')) isReadOnly = true
    else if (cursor.takeWords('READ', 'WRITE')) isReadOnly = false
    else if (cursor.isWord('ISOLATION')) parseIsolation(cursor)
    else throw cursor.error('write READ ONLY, READ WRITE or ISOLATION LEVEL …')
    if (cursor.takeSymbol(',') && cursor.isAtEnd) throw cursor.error()
  }
  return isReadOnly ? { isReadOnly } : {}
}

/** Snapshot isolation gives all that REPEATABLE READ and what is weaker ask for. */
function parseIsolation(cursor: Cursor): void {
  const { at } = cursor
  cursor.next()
  cursor.expectWords('LEVEL')
  if (cursor.takeWords('SERIALIZABLE')) {
    const hint = 'transactions have snapshot isolation; write REPEATABLE READ, or no level'
    throw notSupported(cursor.script, at, 'ISOLATION LEVEL SERIALIZABLE is not supported', hint)
  }
  if (cursor.takeWords('SNAPSHOT')) return
  if (cursor.takeWords('REPEATABLE')) return cursor.expectWords('READ')
  cursor.expectWords('READ')
  if (cursor.takeOneOf('COMMITTED', 'UNCOMMITTED') === undefined) {
    throw cursor.error('write READ COMMITTED, REPEATABLE READ or SNAPSHOT')
  }
}
