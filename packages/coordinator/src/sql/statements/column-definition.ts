import type { Cursor } from '../cursor.ts'
import { notSupported } from '../errors.ts'
import type { ColumnDefinition } from '../statement.ts'
import { parseColumnType } from './column-types.ts'

/** `name TYPE [COMMENT 'text']`. */
export function parseColumn(cursor: Cursor): ColumnDefinition {
  const at = cursor.at
  const name = cursor.name('a column name')
  const type = parseColumnType(cursor)
  const comment = cursor.takeWords('COMMENT') ? cursor.string('a comment') : undefined
  const word = cursor.word()
  if (word !== undefined && CONSTRAINTS.has(word)) {
    throw notSupported(
      cursor.script,
      cursor.at,
      `the column option ${word} is not supported`,
      'columns have a name, a type and a COMMENT',
    )
  }
  return { name, type, comment, at }
}

const CONSTRAINTS = new Set(['NOT', 'NULL', 'PRIMARY', 'UNIQUE', 'DEFAULT', 'CHECK', 'REFERENCES'])
