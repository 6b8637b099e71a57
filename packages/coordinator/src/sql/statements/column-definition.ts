import type { Cursor } from '../cursor.ts'
import { notSupported } from '../errors.ts'
import type { ColumnDefinition } from '../statement.ts'
import { parseColumnType } from './column-types.ts'

/** `name TYPE [NOT NULL | NULL] [COMMENT 'text']`, the options in any order. */
export function parseColumn(cursor: Cursor): ColumnDefinition {
  const at = cursor.at
  const name = cursor.name('a column name')
  const type = parseColumnType(cursor)
  let comment: string | undefined
  let notNull: boolean | undefined
  for (;;) {
    if (comment === undefined && cursor.takeWords('COMMENT')) comment = cursor.string('a comment')
    else if (notNull === undefined && cursor.takeWords('NOT', 'NULL')) notNull = true
    else if (notNull === undefined && cursor.takeWords('NULL')) notNull = false
    else break
  }
  const word = cursor.word()
  if (word !== undefined && CONSTRAINTS.has(word)) {
    throw notSupported(
      cursor.script,
      cursor.at,
      `the column option ${word} is not supported`,
      'columns have a name, a type, NOT NULL and a COMMENT',
    )
  }
  return { name, type, comment, at, ...(notNull === true ? { notNull } : {}) }
}

const CONSTRAINTS = new Set(['NOT', 'NULL', 'PRIMARY', 'UNIQUE', 'DEFAULT', 'CHECK', 'REFERENCES'])
