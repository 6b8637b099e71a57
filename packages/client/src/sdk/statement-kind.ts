/** What a client must know of a statement before it is answered; everything else about SQL is the coordinator's. */
export type StatementKind =
  /** Changes nothing: may be sent again after a lost connection. */
  | 'read'
  /** Changes only the session: may be sent again, and later statements of the session must see it. */
  | 'session'
  /** Changes tables or the catalog, once under its id however often it is sent: may be sent again after a lost connection. */
  | 'once'
  /** As `once`, and later statements of the session must see that it ends the transaction. */
  | 'commit'
  /** May change something else: where the connection is lost under it the outcome is unknown. */
  | 'write'

export const isOnce = (kind: StatementKind): boolean => kind === 'once' || kind === 'commit'

export const changesTables = (kind: StatementKind): boolean => kind !== 'read' && kind !== 'session'

const READS = new Set([
  'select',
  'values',
  'from',
  'table',
  'show',
  'describe',
  'desc',
  'summarize',
])
const SESSION = new Set(['set', 'use', 'reset', 'unset', 'begin', 'start', 'rollback', 'abort'])
/** Ends a transaction, once under its id; later statements of the session must see that. */
const COMMIT = /^(?:commit|end)\b/i
const WRITES =
  /\b(insert|upsert|update|delete|merge|create|drop|alter|truncate|copy|call|execute)\b/i

/**
 * Coordinators keep the outcomes of these under the id that the client gave them; or doing them twice is as doing them
 * once, as with REFRESH.
 */
const ONCE = new Set([
  'insert',
  'update',
  'delete',
  'merge',
  'truncate',
  'optimize',
  'create',
  'drop',
  'alter',
  'refresh',
  'invalidate',
  'compute',
])

/** Told from the first word, with comments and brackets before it skipped. In doubt it is a write, which is never repeated. */
export function statementKind(sql: string): StatementKind {
  const text = skipBlank(sql)
  const word = /^[a-z]+/i.exec(text)?.[0].toLowerCase() ?? ''
  if (SESSION.has(word)) return 'session'
  if (COMMIT.test(text)) return 'commit'
  if (READS.has(word)) return 'read'
  if (ONCE.has(word)) return 'once'
  // Before an INSERT, of what there may be behind it; a word in a text only makes us careful.
  if (word === 'with') return WRITES.test(text) ? 'once' : 'read'
  if (word === 'explain') return WRITES.test(text) ? 'write' : 'read'
  return 'write'
}

/** A comment that holds another is left alone: where it ends depends on the dialect, and a write must not be missed. */
function skipBlank(sql: string): string {
  let rest = sql
  for (;;) {
    const match = /^(?:\s+|\(|;|--[^\n]*(?:\n|$)|\/\*(?:(?!\/\*)[\s\S])*?\*\/)/.exec(rest)
    if (match === null) return rest
    rest = rest.slice(match[0].length)
  }
}
