import type { Cursor } from '../cursor.ts'
import { notSupported } from '../errors.ts'
import type { PlainStatement, StatementDraft } from '../statement.ts'
import { parseAlteration } from './alter-table.ts'
import { parseCreateExternalTable, parseCreateTable } from './create-table.ts'
import { parseExecute } from './procedure.ts'
import { refuseObject } from './unsupported.ts'

const isDatabaseWord = (cursor: Cursor): boolean =>
  cursor.takeOneOf('DATABASE', 'SCHEMA') !== undefined

/** After CREATE. */
export function parseCreate(cursor: Cursor, start: number): StatementDraft {
  if (isDatabaseWord(cursor)) return parseCreateDatabase(cursor)
  if (cursor.takeWords('EXTERNAL')) {
    cursor.expectWords('TABLE')
    return parseCreateExternalTable(cursor, start)
  }
  const orReplace = cursor.takeWords('OR', 'REPLACE')
  if (cursor.takeWords('VIEW')) return parseCreateView(cursor, orReplace)
  if (cursor.isWord('TABLE')) {
    if (orReplace) {
      const hint = 'drop the table first'
      throw notSupported(cursor.script, start, 'CREATE OR REPLACE TABLE is not supported', hint)
    }
    cursor.next()
    return parseCreateTable(cursor)
  }
  return refuseObject(cursor, start, 'CREATE', 'DATABASE, TABLE, EXTERNAL TABLE or VIEW')
}

function parseCreateDatabase(cursor: Cursor): PlainStatement {
  const ifNotExists = cursor.takeWords('IF', 'NOT', 'EXISTS')
  const database = cursor.databaseName()
  const comment = cursor.takeWords('COMMENT') ? cursor.string('a comment') : undefined
  const location = cursor.takeWords('LOCATION') ? cursor.string('a directory') : undefined
  return { kind: 'createDatabase', database, ifNotExists, comment, location }
}

function parseCreateView(cursor: Cursor, orReplace: boolean): StatementDraft {
  const ifNotExists = cursor.takeWords('IF', 'NOT', 'EXISTS')
  const view = cursor.objectName('a view name')
  const columns = cursor.isSymbol('(') ? cursor.list(() => parseViewColumn(cursor)) : []
  const comment = cursor.takeWords('COMMENT') ? cursor.string('a comment') : undefined
  if (cursor.isWord('TBLPROPERTIES')) {
    throw notSupported(cursor.script, cursor.at, 'TBLPROPERTIES of a view is not supported')
  }
  cursor.expectWords('AS')
  if (cursor.isAtEnd) throw cursor.error()
  return { kind: 'createView', view, orReplace, ifNotExists, columns, comment, body: cursor.rest() }
}

function parseViewColumn(cursor: Cursor): { name: string; comment: string | undefined } {
  const name = cursor.name('a column name')
  return { name, comment: cursor.takeWords('COMMENT') ? cursor.string('a comment') : undefined }
}

/** After DROP. */
export function parseDrop(cursor: Cursor, start: number): PlainStatement {
  if (isDatabaseWord(cursor)) return parseDropDatabase(cursor)
  if (cursor.takeWords('TABLE')) {
    const ifExists = cursor.takeWords('IF', 'EXISTS')
    const table = cursor.objectName()
    return { kind: 'dropTable', table, ifExists, purge: cursor.takeWords('PURGE') }
  }
  if (cursor.takeWords('VIEW')) {
    const ifExists = cursor.takeWords('IF', 'EXISTS')
    return { kind: 'dropView', view: cursor.objectName('a view name'), ifExists }
  }
  if (cursor.takeWords('STATS')) return { kind: 'dropStats', table: cursor.objectName() }
  return refuseObject(cursor, start, 'DROP', 'DATABASE, TABLE, VIEW or STATS')
}

function parseDropDatabase(cursor: Cursor): PlainStatement {
  const ifExists = cursor.takeWords('IF', 'EXISTS')
  const database = cursor.databaseName()
  const cascade = cursor.takeOneOf('RESTRICT', 'CASCADE') === 'CASCADE'
  return { kind: 'dropDatabase', database, ifExists, cascade }
}

/** After ALTER. */
export function parseAlter(cursor: Cursor, start: number): PlainStatement {
  if (cursor.takeWords('TABLE')) {
    const table = cursor.objectName()
    if (cursor.takeWords('RECOVER', 'PARTITIONS')) return { kind: 'recoverPartitions', table }
    if (cursor.takeWords('EXECUTE')) return parseExecute(cursor, table)
    if (cursor.takeWords('RENAME', 'TO'))
      return { kind: 'renameTable', table, to: cursor.objectName() }
    return parseAlteration(cursor, start, table)
  }
  if (cursor.takeWords('VIEW')) {
    const view = cursor.objectName('a view name')
    if (cursor.takeWords('RENAME', 'TO')) {
      return { kind: 'renameView', view, to: cursor.objectName('a view name') }
    }
    throw notSupported(
      cursor.script,
      start,
      `ALTER VIEW … ${cursor.word() ?? ''} is not supported`.replace('  ', ' '),
      'write CREATE OR REPLACE VIEW v AS …',
    )
  }
  return refuseObject(cursor, start, 'ALTER', 'TABLE or VIEW')
}
