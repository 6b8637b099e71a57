import { SqlError } from '@nyala/client/protocol'
import type { SqlType } from '../sql/sql-types.ts'
import { parseType } from '../sql/type-text.ts'
import { canWiden } from '../sql/type-widening.ts'

/** Types that hold the same texts: writers without annotations leave text as bytes, and JSON is text with a promise. */
const SAME_TEXT: ReadonlySet<string> = new Set([
  'BLOB VARCHAR',
  'VARCHAR BLOB',
  'VARCHAR JSON',
  'JSON VARCHAR',
])

/** True when every value of type `from` can be read as `to` without loss. Types as DuckDB prints them. */
export function canWidenText(from: string, to: string): boolean {
  if (from === to || SAME_TEXT.has(`${from} ${to}`)) return true
  const [a, b] = [typeOf(from), typeOf(to)]
  return a !== undefined && b !== undefined && canWiden(a, b)
}

/** A type that only the kernel knows widens to nothing. */
function typeOf(text: string): SqlType | undefined {
  try {
    return parseType(text)
  } catch (error) {
    if (error instanceof SqlError) return undefined
    throw error
  }
}
