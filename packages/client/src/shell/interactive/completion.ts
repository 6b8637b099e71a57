import type { Session } from '../../sdk/session.ts'
import { META_COMMANDS } from './meta-commands.ts'

/** A completion that takes longer than this is worse than none. */
const COMPLETION_TIMEOUT_MS = 1_500

/** Offered where the coordinator offers nothing, or cannot be asked. */
const KEYWORDS = (
  'SELECT FROM WHERE GROUP BY HAVING ORDER LIMIT JOIN LEFT RIGHT FULL INNER CROSS ON USING UNION ALL EXCEPT INTERSECT ' +
  'WITH AS CASE WHEN THEN ELSE END AND OR NOT IN EXISTS BETWEEN LIKE IS NULL DISTINCT CREATE EXTERNAL TABLE VIEW ' +
  'DATABASE DROP ALTER RENAME INSERT INTO VALUES UPDATE DELETE MERGE SET RESET USE SHOW TABLES DATABASES VIEWS FUNCTIONS ' +
  'DESCRIBE EXPLAIN ANALYZE REFRESH COMPUTE STATS PARTITION PARQUET LOCATION KILL QUERY QUERIES'
).split(' ')

/** What readline wants: the whole words that fit, and the part of the line that they replace. */
export type Completions = readonly [hits: string[], completed: string]

/** Completions of a line, `before` being the lines of the statement above it. */
export async function completeLine(
  session: Session,
  before: string,
  line: string,
): Promise<Completions> {
  if (before.trim() === '' && line.trimStart().startsWith('\\')) return completeMeta(line)
  const sql = before + line
  const word = /[\w$]*$/.exec(line)?.[0] ?? ''
  const offered = await askCoordinator(session, sql)
  const start = Math.max(before.length, offered?.start ?? sql.length - word.length)
  const typed = sql.slice(start)
  const items = offered?.items.map((item) => cased(item, typed)) ?? []
  const fitting = items.filter((text) => startsWith(text, typed))
  const hits = fitting.length > 0 ? fitting : keywords(typed)
  return [[...new Set(hits)], typed]
}

async function askCoordinator(
  session: Session,
  sql: string,
): Promise<{ start: number; items: readonly { text: string; kind: string }[] } | undefined> {
  try {
    return await session.complete(sql, sql.length, AbortSignal.timeout(COMPLETION_TIMEOUT_MS))
  } catch {
    // Completion is a convenience: without an answer the keywords must do, and the statement will tell what is wrong.
    return undefined
  }
}

function completeMeta(line: string): Completions {
  const typed = line.trimStart()
  return [META_COMMANDS.map(({ name }) => name).filter((name) => name.startsWith(typed)), typed]
}

const startsWith = (text: string, typed: string): boolean =>
  text.toLowerCase().startsWith(typed.toLowerCase())

/** Readline adds what is missing behind what was typed, so a keyword must follow the case of that. */
const cased = ({ text, kind }: { text: string; kind: string }, typed: string): string =>
  kind === 'keyword' ? inCaseOf(text, typed) : text

const inCaseOf = (text: string, typed: string): string =>
  typed !== '' && typed === typed.toLowerCase() ? text.toLowerCase() : text

const keywords = (typed: string): string[] =>
  typed === ''
    ? []
    : KEYWORDS.filter((keyword) => startsWith(keyword, typed)).map((keyword) =>
        inCaseOf(keyword, typed),
      )
