import { syntaxErrorAt } from './errors.ts'
import { Cursor } from './cursor.ts'
import { splitStatements } from './lexer.ts'
import type { SqlType } from './sql-types.ts'
import { parseColumnType } from './statements/column-types.ts'

/**
 * A type from its text, in Impala's or DuckDB's spelling; reads back what `typeText` writes, but for
 * names that only the kernel knows. Throws `syntax_error` or `feature_not_supported`.
 */
export function parseType(text: string): SqlType {
  const [statement, second] = splitStatements(text)
  if (statement === undefined || second !== undefined) throw syntaxErrorAt(text, text.length, '')
  const cursor = new Cursor(statement)
  const type = parseColumnType(cursor)
  cursor.expectEnd()
  return type
}
