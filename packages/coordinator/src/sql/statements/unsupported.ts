import type { Cursor } from '../cursor.ts'
import { notSupported, syntaxErrorAt } from '../errors.ts'

const WRITES = 'managed tables are changed by INSERT, UPDATE, DELETE, MERGE and TRUNCATE'

/** Statements of SQL, Impala and DuckDB that exist but not here, with what to do instead. */
const UNSUPPORTED: ReadonlyMap<string, string | undefined> = new Map<string, string | undefined>([
  ...['UPSERT', 'REPLACE', 'LOAD'].map((word) => [word, WRITES] as const),
  ['COPY', 'export a result with the shell: nyala sql -e "…" --format csv'],
  ['EXPORT', 'export a result with the shell: nyala sql -e "…" --format csv'],
  ['SAVEPOINT', 'a transaction is committed or rolled back as a whole'],
  ['RELEASE', 'a transaction is committed or rolled back as a whole'],
  ['ATTACH', 'make the files known with CREATE EXTERNAL TABLE'],
  ['DETACH', undefined],
  ['IMPORT', 'make the files known with CREATE EXTERNAL TABLE'],
  ['PRAGMA', 'settings are changed with SET name = value'],
  ['INSTALL', 'there are no extensions to install'],
  ['ANALYZE', 'write COMPUTE STATS table'],
  ['SUMMARIZE', 'write COMPUTE STATS table, or select the aggregates you need'],
  ['CALL', "stop a query with KILL QUERY 'id'"],
  ['PREPARE', 'send parameters with the statement: SELECT … WHERE a = $1'],
  ['EXECUTE', 'send parameters with the statement: SELECT … WHERE a = $1'],
  ...(
    'GRANT REVOKE DEALLOCATE VACUUM CHECKPOINT COMMENT LOCK DECLARE FETCH CLOSE LISTEN NOTIFY ' +
    'UNLISTEN DO CLUSTER REINDEX DISCARD SHUTDOWN MOVE REASSIGN SECURITY FORCE RETURN'
  )
    .split(' ')
    .map((word) => [word, undefined] as const),
])

/** The words a statement may begin with. */
const STATEMENTS = (
  'SELECT WITH VALUES FROM TABLE CREATE DROP INSERT UPDATE DELETE TRUNCATE USE ALTER REFRESH INVALIDATE COMPUTE SHOW DESCRIBE ' +
  'SET RESET EXPLAIN KILL CANCEL BEGIN START COMMIT END ROLLBACK ABORT OPTIMIZE MERGE'
).split(' ')

/** Ends a statement whose first word is no statement of ours. */
export function refuseStatement(cursor: Cursor): never {
  const word = cursor.word()
  if (word !== undefined && UNSUPPORTED.has(word)) {
    throw notSupported(cursor.script, cursor.at, `${word} is not supported`, UNSUPPORTED.get(word))
  }
  const token = cursor.peek()
  const near = token === undefined ? '' : cursor.script.slice(token.start, token.end)
  throw syntaxErrorAt(cursor.script, cursor.at, near, suggestion(word))
}

/** Ends CREATE, DROP or ALTER of something else: `CREATE FUNCTION is not supported`. */
export function refuseObject(cursor: Cursor, start: number, verb: string, known: string): never {
  const word = cursor.word()
  if (word === undefined) throw cursor.error(`expected ${known}`)
  throw notSupported(
    cursor.script,
    start,
    `${verb} ${word} is not supported`,
    `${verb} takes ${known}`,
  )
}

const SUGGESTED_MAX = 3

function suggestion(word: string | undefined): string {
  const all = `a statement begins with one of ${STATEMENTS.join(', ')}`
  if (word === undefined || word.length > 20) return all
  const scored = STATEMENTS.map((s) => ({ s, distance: editDistance(word, s) }))
  const near = scored
    .filter(({ s, distance }) => distance <= Math.max(1, Math.floor(s.length / 3)))
    .toSorted((a, b) => a.distance - b.distance)
  if (near.length === 0) return all
  return `did you mean ${near
    .slice(0, SUGGESTED_MAX)
    .map(({ s }) => s)
    .join(' or ')}?`
}

/** Levenshtein's distance, where two swapped neighbours count as one edit. */
export function editDistance(a: string, b: string): number {
  let before: readonly number[] = []
  let last: readonly number[] = Array.from({ length: b.length + 1 }, (_, j) => j)
  for (let i = 1; i <= a.length; i++) {
    const row: number[] = [i]
    for (let j = 1; j <= b.length; j++) {
      const isSame = a[i - 1] === b[j - 1]
      const replaced = (last[j - 1] ?? 0) + (isSame ? 0 : 1)
      const isSwap = i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]
      const swapped = isSwap ? (before[j - 2] ?? 0) + 1 : Number.POSITIVE_INFINITY
      row.push(Math.min((last[j] ?? 0) + 1, (row[j - 1] ?? 0) + 1, replaced, swapped))
    }
    before = last
    last = row
  }
  return last[b.length] ?? 0
}
