import t from 'tap'
import { SqlError } from '@nyala/client/protocol'
import { systemClock } from '@nyala/client/base'
import { SqlFrontEnd } from './front-end.ts'

/** Longest time an answer may take, with room for a loaded machine; the aim is well under a second. */
const ANSWER_MS_MAX = 3_000

const times = (text: string, count: number): string => text.repeat(count)

const REFUSED: readonly (readonly [name: string, sql: string, error: string, limit: string])[] = [
  [
    '10 MB of text',
    `select ${times("'x', ", 2_000_000)}1`,
    'program_limit_exceeded',
    'sql_text_bytes_max',
  ],
  [
    '10,000 parentheses',
    `select ${times('(', 10_000)}1${times(')', 10_000)}`,
    'statement_too_complex',
    'sql_nesting_max',
  ],
  [
    'a type of 9,000 levels',
    `select null::int${times('[]', 9_000)}`,
    'statement_too_complex',
    'sql_nesting_max',
  ],
  [
    'a column of 9,000 levels',
    `create external table t (a ${times('array<', 9_000)}int${times('>', 9_000)}) stored as parquet location '/t'`,
    'statement_too_complex',
    'sql_nesting_max',
  ],
  [
    '10,000 subqueries',
    `select ${times('(select ', 10_000)}1${times(')', 10_000)}`,
    'statement_too_complex',
    'sql_nesting_max',
  ],
  [
    '10,000 CASEs',
    times('select case when a then ', 10_000),
    'statement_too_complex',
    'sql_nesting_max',
  ],
  [
    '100,000 ANDs',
    `select 1 where ${times('a=1 and ', 100_000)}a=1`,
    'statement_too_complex',
    'sql_expression_terms_max',
  ],
  [
    'a sum of 9,000 terms',
    `select ${times('1+', 9_000)}1`,
    'statement_too_complex',
    'sql_expression_depth_max',
  ],
  [
    '9,000 NOTs',
    `select ${times('not ', 9_000)}a`,
    'statement_too_complex',
    'sql_expression_depth_max',
  ],
  [
    '9,000 casts',
    `select 1${times('::int', 9_000)}`,
    'statement_too_complex',
    'sql_expression_depth_max',
  ],
  [
    '9,000 fields',
    `select (a)${times('.b', 9_000)}`,
    'statement_too_complex',
    'sql_expression_depth_max',
  ],
  [
    '9,000 joins',
    `select 1 from t${times(' join t using (a)', 9_000)}`,
    'program_limit_exceeded',
    'sql_tokens_max',
  ],
  [
    '4,000 tables',
    `select 1 from t${times(', t', 4_000)}`,
    'statement_too_complex',
    'sql_expression_depth_max',
  ],
  [
    '4,000 unions',
    `${times('select 1 union all ', 4_000)}select 1`,
    'statement_too_complex',
    'sql_set_operations_max',
  ],
  [
    '900 excepts',
    `${times('select 1 except ', 900)}select 1`,
    'statement_too_complex',
    'sql_set_operations_max',
  ],
  [
    'nested lambdas',
    `select ${times('lambda x: ', 9_000)}1`,
    'statement_too_complex',
    'sql_expression_depth_max',
  ],
  [
    'a list of 60,000 values',
    `select 1 where a in (${times('1,', 30_000)}1)`,
    'program_limit_exceeded',
    'sql_tokens_max',
  ],
  [
    '390 subqueries',
    `select ${times('(select ', 390)}1${times(')', 390)}`,
    'statement_too_complex',
    'sql_expression_depth_max',
  ],
]

const ACCEPTED: readonly (readonly [name: string, sql: string])[] = [
  ['399 parentheses', `select ${times('(', 399)}1${times(')', 399)}`],
  ['390 derived tables', `select * from ${times('(select * from ', 390)}t${times(')', 390)}`],
  ['4,900 ANDs', `select 1 where ${times('a=1 and ', 4_900)}a=1`],
  ['a list of 20,000 values', `select 1 where a in (${times('1,', 20_000)}1)`],
  ['900 unions', `${times('select 1 union all ', 900)}select 1`],
  ['900 joins', `select 1 from t${times(' cross join t', 900)}`],
  ['a text of 800,000 characters', `select '${times("''", 400_000)}'`],
  ['many unfinished intervals', `select ${times('interval a, ', 15_000)}1`],
  ['deep comments', `${times('/*', 200_000)}${times('*/', 200_000)}select 1`],
]

const frontEnd = await SqlFrontEnd.open()
t.teardown(() => frontEnd.close())

async function timed(sql: string): Promise<{ error: unknown; ms: number }> {
  const start = systemClock.now()
  const error: unknown = await frontEnd.parse(sql).then(
    () => undefined,
    (e: unknown) => e,
  )
  return { error, ms: systemClock.now() - start }
}

for (const [name, sql, code, limit] of REFUSED) {
  await t.test(`${name} end in an error that names ${limit}`, async (t) => {
    const { error, ms } = await timed(sql)
    if (!(error instanceof SqlError)) throw new Error('accepted', { cause: error })
    t.equal(error.error, code)
    t.match(error.message, limit)
    t.ok(error.hint !== undefined, 'a hint says what to do')
    t.ok(ms < ANSWER_MS_MAX, `answered in ${Math.round(ms)} ms`)
  })
}

for (const [name, sql] of ACCEPTED) {
  await t.test(`${name} are within the limits`, async (t) => {
    const { error, ms } = await timed(sql)
    t.equal(error, undefined)
    t.ok(ms < ANSWER_MS_MAX, `answered in ${Math.round(ms)} ms`)
  })
}

await t.test('the parser is unharmed after all of these', async (t) => {
  const { sql } = await frontEnd.parseQuery('select 1 as one')
  t.equal(sql, 'SELECT 1 AS "one"')
})

await t.test('thousands of WITH ROLLUP without a GROUP BY are answered in time', async (t) => {
  const { error, ms } = await timed(
    `select ${times('a, ', 14_000)}a${times(' with rollup', 9_900)}`,
  )
  t.ok(error instanceof SqlError)
  t.ok(ms < ANSWER_MS_MAX, `answered in ${Math.round(ms)} ms`)
})
