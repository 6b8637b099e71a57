import { Cursor } from './cursor.ts'
import type { StatementDraft } from './statement.ts'
import { parseAlter, parseCreate, parseDrop } from './statements/ddl.ts'
import { parseCompute, parseInvalidate, parseRefresh, parseShow } from './statements/metadata.ts'
import {
  isQueryStart,
  parseDescribe,
  parseExplain,
  parseKill,
  parseReset,
  parseSet,
} from './statements/session.ts'
import { parseMerge } from './statements/merge.ts'
import { parseOptimize } from './statements/procedure.ts'
import { parseBegin, parseCommit, parseRollback, parseStart } from './statements/transaction.ts'
import { refuseStatement } from './statements/unsupported.ts'
import { parseDelete, parseInsert, parseTruncate, parseUpdate } from './statements/write.ts'
import { parseWithWrite } from './statements/with-write.ts'
import type { StatementText } from './token.ts'

type Parser = (cursor: Cursor, start: number) => StatementDraft

/** Statements that are no queries, by their first word, which is taken before the parser is called. */
const PARSERS: ReadonlyMap<string, Parser> = new Map<string, Parser>([
  ['CREATE', parseCreate],
  ['DROP', parseDrop],
  ['ALTER', parseAlter],
  ['USE', (cursor) => ({ kind: 'use', database: cursor.databaseName() })],
  ['REFRESH', parseRefresh],
  ['INVALIDATE', parseInvalidate],
  ['COMPUTE', parseCompute],
  ['SHOW', parseShow],
  ['DESCRIBE', parseDescribe],
  ['DESC', parseDescribe],
  ['SET', parseSet],
  ['RESET', parseReset],
  ['EXPLAIN', parseExplain],
  ['KILL', parseKill],
  ['CANCEL', parseKill],
  ['INSERT', parseInsert],
  ['DELETE', parseDelete],
  ['UPDATE', parseUpdate],
  ['TRUNCATE', parseTruncate],
  ['MERGE', parseMerge],
  ['OPTIMIZE', parseOptimize],
  ['BEGIN', parseBegin],
  ['START', parseStart],
  ['COMMIT', parseCommit],
  ['END', parseCommit],
  ['ROLLBACK', parseRollback],
  ['ABORT', parseRollback],
])

/**
 * A statement with its query still unread. Statements are told apart by their first word.
 * Throws `syntax_error`, or `feature_not_supported` for statements that exist elsewhere.
 */
export function parseStatement(statement: StatementText): StatementDraft {
  const cursor = new Cursor(statement)
  const written = parseWithWrite(cursor, statement)
  if (written !== undefined) return written
  if (isQueryStart(cursor)) return { kind: 'query', body: cursor.rest() }
  const start = cursor.at
  const parser = PARSERS.get(cursor.word() ?? '')
  if (parser === undefined) return refuseStatement(cursor)
  cursor.next()
  const draft = parser(cursor, start)
  cursor.expectEnd()
  return draft
}
