import t from 'tap'
import { SqlFrontEnd } from './front-end.ts'
import { DEFAULT_SQL_LIMITS } from './limits.ts'
import { sqlErrorOf } from './testing/sql-error-of.ts'
import type { Dialect } from './token.ts'

const frontEnd = await SqlFrontEnd.open()
t.teardown(() => frontEnd.close())

await t.test('a query statement carries tree, text, hints and parameters', async (t) => {
  const sql = '  select /* +x */ a , `b` from t where c = $2 and d = $1 ;'
  const statement = await frontEnd.parse(sql)
  t.equal(statement.kind, 'query')
  if (statement.kind !== 'query') return
  t.equal(statement.sql, 'SELECT "a", "b" FROM "t" WHERE (("c" = $2) AND ("d" = $1))')
  t.equal(statement.text, 'select /* +x */ a , `b` from t where c = $2 and d = $1')
  t.same(statement.hints, [{ text: 'x', at: sql.indexOf('/*') }])
  t.same(statement.parameters, ['2', '1'])
  t.equal(statement.query.kind, 'select')
})

await t.test('EXPLAIN, DESCRIBE and CREATE VIEW carry their query', async (t) => {
  const explain = await frontEnd.parse('explain analyze select 1 + 1')
  t.match(explain, { kind: 'explain', analyze: true, sql: 'SELECT (1 + 1)', text: 'select 1 + 1' })
  const describe = await frontEnd.parse('describe select 1 as a')
  t.match(describe, { kind: 'describeQuery', sql: 'SELECT 1 AS "a"' })
  const view = await frontEnd.parse('create view v as select a from t -- the end')
  t.match(view, {
    kind: 'createView',
    view: { name: 'v' },
    sql: 'SELECT "a" FROM "t"',
    text: 'select a from t',
  })
})

await t.test(
  'the text of a view written in the Impala dialect is stored in the common one',
  async (t) => {
    const view = await frontEnd.parse('create view v as select "x\\"y" as `a b`, c div 2 from t', {
      dialect: 'impala',
    })
    t.equal(view.kind === 'createView' && view.sql, `SELECT 'x"y' AS "a b", ("c" // 2) FROM "t"`)
    if (view.kind !== 'createView') return
    t.equal((await frontEnd.parseQuery(view.sql)).sql, view.sql, 'it reads back as ansi')
  },
)

await t.test('statements of a script report places in the script', async (t) => {
  const script = 'select 1;\nselect a frm t;\nuse d'
  const [first, second, third] = frontEnd.splitStatements(script)
  if (first === undefined || second === undefined || third === undefined) throw new Error('split')
  t.equal((await frontEnd.parse(first)).kind, 'query')
  const error = await sqlErrorOf(() => frontEnd.parse(second))
  t.same(error.position, { line: 2, column: 14, offset: 23 })
  t.match(await frontEnd.parse(third), { kind: 'use', database: { name: 'd', at: 30 } })
})

await t.test('parse takes exactly one statement', async (t) => {
  t.match(await sqlErrorOf(() => frontEnd.parse(' ; -- nothing')), { error: 'syntax_error' })
  const error = await sqlErrorOf(() => frontEnd.parse('select 1; select 2'))
  t.match(error, { error: 'syntax_error', position: { offset: 10 } })
})

await t.test('parseQuery takes queries only', async (t) => {
  t.equal((await frontEnd.parseQuery('values (1)')).sql, 'VALUES (1)')
  t.match(await sqlErrorOf(() => frontEnd.parseQuery('use d')), { error: 'syntax_error' })
})

await t.test('parseExpression reads one expression with its places', async (t) => {
  const expression = await frontEnd.parseExpression(' a + b -- sum')
  t.match(expression, {
    kind: 'function',
    name: '+',
    args: [
      { kind: 'column', path: ['a'], at: 1 },
      { kind: 'column', path: ['b'], at: 5 },
    ],
  })
  for (const text of [
    'a, b',
    'a as b',
    'a from t',
    '',
    'a limit 1',
    'a; b',
    '* from t',
    'distinct a',
  ]) {
    t.equal((await sqlErrorOf(() => frontEnd.parseExpression(text))).error, 'syntax_error', text)
  }
  const error = await sqlErrorOf(() => frontEnd.parseExpression('a + + '))
  t.equal(error.message, 'syntax error at end of input')
})

type Place = readonly [sql: string, error: string, message: RegExp, near: string]

const PLACES: readonly Place[] = [
  ['select * frmo t', 'syntax_error', /at or near "t"/, 't'],
  ['select a,, b from t', 'syntax_error', /at or near ","/, ', b'],
  ["select 'é🎉' as größe,\n  `x` from from t", 'syntax_error', /at or near "from"/, 'from t'],
  ['select a from t where', 'syntax_error', /at end of input/, ''],
  ['select a div 2 2', 'syntax_error', /at or near "2"/, '2'],
  ['select (1', 'syntax_error', /at end of input/, ''],
  ['select 1)', 'syntax_error', /at or near "\)"/, ')'],
  ["select 'a' 'b'", 'syntax_error', /at or near "'b'"/, "'b'"],
  ['select a from t for update', 'feature_not_supported', /locking clause/, '-'],
  ['select a into b from t', 'feature_not_supported', /SELECT INTO/, '-'],
  ['(select 1 limit 1) limit 2', 'syntax_error', /two ORDER BY or LIMIT/, '-'],
  ['select sum(a) export_state from t', 'feature_not_supported', /EXPORT_STATE/, 'sum'],
  ['select * from (describe t)', 'feature_not_supported', /SHOW or DESCRIBE/, '-'],
  ['select 1 operator(main.+) 2', 'feature_not_supported', /OPERATOR/, 'operator'],
  ['select cast(a as geometry) from t', 'feature_not_supported', /GEOMETRY/, '-'],
  ['pivot t on a using sum(b)', 'feature_not_supported', /this form of query/, '-'],
  [
    'with a as (select 1) delete from t where b in (from a)',
    'feature_not_supported',
    /WITH before DELETE/,
    'with',
  ],
  ['select 1e400', 'feature_not_supported', /range of DOUBLE/, '-'],
]

for (const [sql, code, message, near] of PLACES) {
  await t.test(`${JSON.stringify(sql)} ends in ${code} at its place`, async (t) => {
    const error = await sqlErrorOf(() => frontEnd.parse(sql))
    t.equal(error.error, code)
    t.match(error.message, message)
    t.match(error.message, /^(?:[a-z]|[A-Z]{2})/, 'lower case but for words of SQL')
    if (near === '-') return
    const at = error.position?.offset ?? -1
    t.ok(near === '' ? at === sql.length : sql.slice(at).startsWith(near), `position ${at}`)
  })
}

await t.test('nodes know their place in the text, whatever stands before them', async (t) => {
  const sql = "select 'é🎉', `größe` /* c */ , f(b) from default.t as x where 日本 = 1"
  const { query } = await frontEnd.parseQuery(sql)
  if (query.kind !== 'select') throw new Error('no select')
  const at = (offset: number | undefined): string => sql.slice(offset)
  const [text, column, call] = query.items.map((item) => item.expression)
  t.match(at(text?.at), /^'é🎉'/)
  t.match(at(column?.at), /^`größe`/)
  t.match(at(call?.at), /^f\(b\)/)
  t.match(at(query.from?.at), /^default\.t/)
  t.equal(query.where?.kind === 'comparison' && at(query.where.left.at).startsWith('日本'), true)
})

await t.test('parses at the same time do not mix', async (t) => {
  const texts = Array.from(
    { length: 50 },
    (_, i) => `select ${i} as n${i} from t${i % 7} where a = '${i}'`,
  )
  const parsed = await Promise.all(texts.map((text) => frontEnd.parseQuery(text)))
  for (const [i, { sql }] of parsed.entries()) {
    t.equal(sql, `SELECT ${i} AS "n${i}" FROM "t${i % 7}" WHERE ("a" = '${i}')`)
  }
})

await t.test('limits of the caller are kept', async (t) => {
  const own = await SqlFrontEnd.open({ ...DEFAULT_SQL_LIMITS, textBytesMax: 10 })
  t.match(await sqlErrorOf(() => own.parse('select 1234')), { error: 'program_limit_exceeded' })
  t.match(await own.parse('select 1'), { kind: 'query' })
  own.close()
  own.close()
})

await t.test('the parsing instance is sealed', async (t) => {
  for (const sql of [
    "select * from read_text('/etc/passwd')",
    "copy (select 1) to '/tmp/x.csv'",
    "attach '/tmp/x.db'",
    'install httpfs',
    'set enable_external_access = true',
    "set memory_limit = '100GB'",
  ]) {
    await t.rejects(frontEnd.parser.connection.run(sql), sql)
  }
})

const ROWS: readonly (readonly [dialect: Dialect, sql: string, rendered: string])[] = [
  ['ansi', 'select "a" from t', 'SELECT "a" FROM "t"'],
  ['impala', 'select "a" from t', 'SELECT \'a\' FROM "t"'],
]

await t.test('the dialect is that of the call', async (t) => {
  for (const [dialect, sql, rendered] of ROWS) {
    t.equal((await frontEnd.parseQuery(sql, { dialect })).sql, rendered)
  }
})
