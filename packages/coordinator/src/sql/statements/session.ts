import type { Cursor } from '../cursor.ts'
import type { PlainStatement, StatementDraft } from '../statement.ts'
import { parseSettingName } from './metadata.ts'

/** After SET. */
export function parseSet(cursor: Cursor): PlainStatement {
  if (cursor.isAtEnd || cursor.takeWords('ALL')) return { kind: 'showSettings' }
  if (cursor.isWord('SESSION') && !cursor.isSymbol('=', 1) && cursor.word(1) !== 'TO') cursor.next()
  const at = cursor.at
  const name = parseSettingName(cursor)
  if (!cursor.takeSymbol('=') && !cursor.takeWords('TO')) {
    throw cursor.error('write SET name = value')
  }
  if (cursor.takeWords('DEFAULT')) return { kind: 'reset', name, at }
  return { kind: 'set', name, value: parseSettingValue(cursor), at }
}

/** A text, a number with or without a unit (`2gb`), or a word. */
function parseSettingValue(cursor: Cursor): string {
  const sign = cursor.takeSymbol('-') ? '-' : ''
  const token = cursor.peek()
  const isNumber = token?.kind === 'number' || token?.kind === 'junk'
  const isText = token?.kind === 'string' || token?.kind === 'word' || token?.kind === 'quoted'
  if (token === undefined || !(isNumber || (isText && sign === ''))) {
    throw cursor.error('expected a value')
  }
  cursor.next()
  return `${sign}${token.value}`
}

/** After KILL or CANCEL. The id may stand without quotes, as it is a word. */
export function parseKill(cursor: Cursor): PlainStatement {
  cursor.expectWords('QUERY')
  const isQuoted = cursor.peek()?.kind === 'string'
  const queryId = isQuoted ? cursor.string('the id of a query') : cursor.name('the id of a query')
  return { kind: 'killQuery', queryId }
}

/** After RESET. */
export function parseReset(cursor: Cursor): PlainStatement {
  const at = cursor.at
  if (cursor.takeWords('ALL')) return { kind: 'reset', name: undefined, at }
  return { kind: 'reset', name: parseSettingName(cursor), at }
}

/** After EXPLAIN. */
export function parseExplain(cursor: Cursor): StatementDraft {
  const analyze = cursor.takeWords('ANALYZE')
  const verbose = cursor.takeWords('VERBOSE')
  if (!isQueryStart(cursor)) throw cursor.error('EXPLAIN takes a query')
  return { kind: 'explain', analyze, verbose, body: cursor.rest() }
}

/** After DESCRIBE or DESC. */
export function parseDescribe(cursor: Cursor): StatementDraft {
  if (cursor.takeOneOf('DATABASE', 'SCHEMA') !== undefined) {
    cursor.takeOneOf('FORMATTED', 'EXTENDED')
    return { kind: 'describeDatabase', database: cursor.databaseName() }
  }
  const isName = cursor.peek(1) === undefined || cursor.isSymbol('.', 1)
  if (!isName && cursor.takeWords('HISTORY')) {
    return { kind: 'describeHistory', table: cursor.objectName() }
  }
  if (isQueryStart(cursor) && !isName) return { kind: 'describeQuery', body: cursor.rest() }
  const mode = cursor.isAtEnd || isName ? undefined : cursor.takeOneOf('FORMATTED', 'EXTENDED')
  cursor.takeWords('TABLE')
  const table = cursor.objectName()
  return {
    kind: 'describeTable',
    table,
    mode: mode === undefined ? 'plain' : mode === 'FORMATTED' ? 'formatted' : 'extended',
  }
}

const QUERY_WORDS = new Set(['SELECT', 'WITH', 'VALUES', 'FROM', 'TABLE', 'PIVOT', 'UNPIVOT'])

export const isQueryStart = (cursor: Cursor): boolean =>
  cursor.isSymbol('(') || QUERY_WORDS.has(cursor.word() ?? '')
