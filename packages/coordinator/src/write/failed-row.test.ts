import { SqlError } from '@nyala/client/protocol'
import t from 'tap'
import { SqlFrontEnd } from '../sql/front-end.ts'
import type { InsertStatement } from '../sql/statement.ts'
import { type FailedInsert, withRow } from './failed-row.ts'

const COLUMNS = [
  { name: 'a', type: 'INTEGER', notNull: true },
  { name: 'b', type: 'VARCHAR' },
] as const
const FAILURE = new SqlError('invalid_text_representation', 'column "a" of type INTEGER cannot …')

const frontEnd = await SqlFrontEnd.open()
t.teardown(() => frontEnd.close())

/** The error that is told, and the queries that were asked for it; those that match fail. */
async function told(
  sql: string,
  fails: (query: string) => boolean,
  more: Partial<FailedInsert> = {},
): Promise<{ readonly message: string; readonly queries: readonly string[] }> {
  const statement = (await frontEnd.parse(sql)) as InsertStatement
  const queries: string[] = []
  const error = await withRow(FAILURE, statement, {
    statementId: 'statement-1',
    tookMs: 10,
    target: () =>
      Promise.resolve({
        table: { name: 't', columns: COLUMNS },
        ...{ columns: statement.columns, at: statement.table.at, text: sql },
      }),
    collect: (query) => {
      queries.push(query)
      return fails(query) ? Promise.reject(FAILURE) : Promise.resolve([])
    },
    ...more,
  })
  return { message: (error as Error).message, queries }
}

const LIST = Array.from({ length: 100 }, (_, i) => `(${i} + 0, 'text ${i}')`).join(', ')

t.test('the first value of a list that fails is found by halves', async (t) => {
  const isBad = (query: string): boolean => /\b(?:37|61) \+ 0/.test(query)
  const { message, queries } = await told(`INSERT INTO t VALUES ${LIST}`, isBad)
  t.match(message, /^row 38, column "a" of type INTEGER cannot/)
  t.ok(queries.length < 12, `${queries.length} queries`)
})

t.test('where no value fails by itself, or it took long, the error is told as it is', async (t) => {
  const never = await told(`INSERT INTO t VALUES ${LIST}`, () => false)
  t.match(never, { message: FAILURE.message, queries: { length: 1 } })
  const slow = await told(`INSERT INTO t VALUES ${LIST}`, () => true, { tookMs: 60_000 })
  t.match(slow, { message: FAILURE.message, queries: { length: 0 } })
  const broken = await told(`INSERT INTO t VALUES ${LIST}`, () => false, {
    collect: () => Promise.reject(new SqlError('no_executors', 'there are no executors')),
  })
  t.equal(broken.message, FAILURE.message)
})

t.test('only parts of the own upload are looked at', async (t) => {
  for (const from of [`read_parquet(['/w/uploads/another-1/0.parquet'])`, `'/w/a.parquet'`, 'u']) {
    const { queries } = await told(`INSERT INTO t SELECT * FROM ${from}`, () => false)
    t.same(queries, [], from)
  }
})

t.test('a row of an upload is counted through all parts before its own', async (t) => {
  const path = (part: number): string => `/w/uploads/statement-1/${part}.parquet`
  const sql = `INSERT INTO t SELECT * FROM read_parquet(['${path(0)}', '${path(1)}', '${path(2)}'])`
  const { message } = await told(sql, () => false, {
    collect: (query) => {
      if (query.includes('GROUP BY')) {
        return Promise.resolve([
          [path(2), 50n, 3n],
          [path(1), 50n, 7n],
          [path(0), 100n, null],
        ])
      }
      if (query.startsWith('SELECT (COALESCE')) return Promise.reject(FAILURE)
      return Promise.resolve([[true, false]])
    },
  })
  t.match(message, /^row 108, column "a"/)
})
