import { isQueryId, type QueryStatus, SqlError } from '@nyala/client/protocol'
import type { KillQuery } from '../sql/statement.ts'
import { cancelQuery, clusterStatus } from './cluster-questions.ts'
import { count, type LocalResult, text } from './rows-to-arrow.ts'
import type { Services } from './services.ts'
import type { StatementContext, StatementOutcome } from './statement-context.ts'

/** A statement is shown up to this many characters. */
const SQL_CHARACTERS_MAX = 200

/** SHOW QUERIES: the queries that run on any coordinator, then those that ended last, the newest first. */
export async function showQueries(services: Services): Promise<LocalResult> {
  const { queries, recent = [] } = await clusterStatus(services, { kind: 'status', call: 0 })
  const newestFirst = (list: readonly QueryStatus[]): readonly QueryStatus[] =>
    list.toSorted((a, b) => b.startedAt - a.startedAt || (a.id < b.id ? 1 : -1))
  return {
    command: 'SHOW QUERIES',
    columns: [
      text('id'),
      text('session'),
      text('coordinator'),
      text('state'),
      text('database'),
      text('started'),
      count('elapsed_ms'),
      count('rows'),
      count('memory_bytes'),
      text('tasks'),
      text('statement'),
      text('detail'),
    ],
    rows: [...newestFirst(queries), ...newestFirst(recent)].map((query) => [
      query.id,
      query.session ?? null,
      query.coordinator,
      query.state,
      query.database,
      new Date(query.startedAt).toISOString(),
      Math.round(query.elapsedMs),
      query.rows,
      query.memoryBytes ?? null,
      `${query.tasksDone}/${query.tasksTotal}`,
      shortened(query.sql),
      query.error ?? query.waitsFor ?? null,
    ]),
  }
}

/** KILL QUERY: stops a query on whatever coordinator it runs. */
export async function killQuery(
  statement: KillQuery,
  context: Pick<StatementContext, 'patience'>,
  services: Services,
): Promise<StatementOutcome> {
  const { queryId } = statement
  if (!isQueryId(queryId)) {
    throw new SqlError('invalid_parameter_value', `"${queryId}" is not the id of a query`, {
      hint: 'SHOW QUERIES lists them; they look like q0123456789abcdef01234567',
    })
  }
  const message = { kind: 'cancelQuery', call: 0, queryId } as const
  await cancelQuery(services, message, context.patience)
  return { command: 'KILL QUERY' }
}

function shortened(sql: string): string {
  const line = sql.replace(/\s+/g, ' ').trim()
  return line.length <= SQL_CHARACTERS_MAX ? line : `${line.slice(0, SQL_CHARACTERS_MAX - 1)}…`
}
