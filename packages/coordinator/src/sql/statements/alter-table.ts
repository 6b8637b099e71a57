import type { Cursor } from '../cursor.ts'
import { notSupported } from '../errors.ts'
import type { AlterTable, ColumnDefinition, ObjectName, TableAlteration } from '../statement.ts'
import { parseColumn } from './column-definition.ts'
import { parseColumnType } from './column-types.ts'
import { parseProperty } from './create-table.ts'

const FORMS =
  'ALTER TABLE t takes ADD COLUMNS, DROP COLUMN, RENAME COLUMN, CHANGE, ALTER COLUMN, SET TBLPROPERTIES, COMMENT, RENAME TO or RECOVER PARTITIONS'

const ONLY_AT_CREATE =
  'rows that are there may be NULL in it: make a new table with NOT NULL and INSERT … SELECT into it'

/** After ALTER TABLE and the name: what of a managed table is changed. */
export function parseAlteration(cursor: Cursor, start: number, table: ObjectName): AlterTable {
  return { kind: 'alterTable', table, alteration: alteration(cursor, start) }
}

function alteration(cursor: Cursor, start: number): TableAlteration {
  const word = cursor.word()
  if (cursor.takeWords('ADD')) return add(cursor)
  if (cursor.takeWords('DROP')) return drop(cursor)
  if (cursor.takeWords('RENAME')) {
    cursor.expectWords('COLUMN')
    const ifExists = cursor.takeWords('IF', 'EXISTS')
    const column = wholeColumn(cursor)
    cursor.expectWords('TO')
    return { kind: 'rename', ifExists, column, to: cursor.name('a new name') }
  }
  if (cursor.takeWords('CHANGE')) {
    cursor.takeWords('COLUMN')
    const column = wholeColumn(cursor)
    return { kind: 'change', column, to: parseNullable(cursor) }
  }
  if (cursor.takeWords('ALTER')) return alterColumn(cursor)
  if (cursor.takeWords('SET', 'TBLPROPERTIES')) {
    return { kind: 'setProperties', properties: cursor.list(() => parseProperty(cursor)) }
  }
  if (cursor.takeWords('UNSET', 'TBLPROPERTIES')) {
    cursor.takeWords('IF', 'EXISTS')
    return { kind: 'unsetProperties', keys: cursor.list(() => cursor.string('a property name')) }
  }
  if (cursor.takeWords('COMMENT')) return { kind: 'comment', text: comment(cursor) }
  const text = `ALTER TABLE … ${word ?? ''} is not supported`.replace('  ', ' ')
  throw notSupported(cursor.script, start, text, FORMS)
}

/** `ADD [COLUMN | COLUMNS] [IF NOT EXISTS] a INT`, or a list in parentheses. */
function add(cursor: Cursor): TableAlteration {
  cursor.takeOneOf('COLUMN', 'COLUMNS')
  const ifNotExists = cursor.takeWords('IF', 'NOT', 'EXISTS')
  const columns = cursor.isSymbol('(')
    ? cursor.list(() => parseNullable(cursor))
    : [parseNullable(cursor)]
  return { kind: 'add', ifNotExists, columns }
}

function wholeColumn(cursor: Cursor): string {
  refuseField(cursor)
  return cursor.name('a column')
}

function refuseField(cursor: Cursor): void {
  if (!cursor.isSymbol('.', 1)) return
  const hint =
    'add a column of the new type, UPDATE it from the old one, and drop that; or CREATE TABLE … AS SELECT'
  throw notSupported(
    cursor.script,
    cursor.at,
    'ALTER TABLE of a field of a column is not supported',
    hint,
  )
}

/** A column of a table that has rows, of which it may be NULL in some. */
function parseNullable(cursor: Cursor): ColumnDefinition {
  refuseField(cursor)
  const column = parseColumn(cursor)
  if (column.notNull !== true) return column
  const text = 'NOT NULL of a column that is added or changed is not supported'
  throw notSupported(cursor.script, column.at, text, ONLY_AT_CREATE)
}

function drop(cursor: Cursor): TableAlteration {
  if (cursor.isWord('PARTITION')) {
    throw notSupported(
      cursor.script,
      cursor.at,
      'ALTER TABLE … DROP PARTITION is not supported',
      'write DELETE FROM t WHERE …',
    )
  }
  cursor.takeOneOf('COLUMN', 'COLUMNS')
  const ifExists = cursor.takeWords('IF', 'EXISTS')
  const columns = cursor.isSymbol('(')
    ? cursor.list(() => wholeColumn(cursor))
    : [wholeColumn(cursor)]
  return { kind: 'drop', ifExists, columns }
}

function alterColumn(cursor: Cursor): TableAlteration {
  cursor.takeWords('COLUMN')
  const column = wholeColumn(cursor)
  if (cursor.takeWords('COMMENT')) return { kind: 'columnComment', column, text: comment(cursor) }
  if (cursor.takeWords('SET', 'COMMENT')) {
    return { kind: 'columnComment', column, text: comment(cursor) }
  }
  if (cursor.takeWords('DROP', 'NOT', 'NULL')) return { kind: 'dropNotNull', column }
  if (cursor.isWord('SET', 'NOT')) {
    const text = 'ALTER COLUMN … SET NOT NULL is not supported'
    throw notSupported(cursor.script, cursor.at, text, ONLY_AT_CREATE)
  }
  if (!cursor.takeWords('TYPE')) cursor.expectWords('SET', 'DATA', 'TYPE')
  return { kind: 'retype', column, type: parseColumnType(cursor) }
}

/** A text; NULL and nothing in quotes are no comment. */
function comment(cursor: Cursor): string | undefined {
  if (cursor.takeWords('NULL')) return undefined
  const text = cursor.string('a comment')
  return text === '' ? undefined : text
}
