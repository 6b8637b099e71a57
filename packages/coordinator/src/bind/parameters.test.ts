import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DuckDBInstance } from '@duckdb/node-api'
import { positionAt, SqlError } from '@nyala/client/protocol'
import t from 'tap'
import { FORCED, PlanningWorld } from '../testing/planning-world.ts'
import { sketchColumns, sketchListing } from '../testing/listings.ts'
import { SqlFrontEnd } from '../sql/front-end.ts'
import { taskText } from '../plan/physical-plan.ts'
import { bindParameters } from './parameters.ts'

const text = (value: string | null): { type: string; value: string | null } => ({
  type: 'VARCHAR',
  value,
})
const bind = (sql: string, ...values: readonly (string | null)[]): string =>
  bindParameters(sql, values.map(text), 'ansi').sql

t.test('values stand where $n or ? stood, cast to their types', async (t) => {
  t.equal(bind('SELECT $1, $2, $1', 'a', null), "SELECT 'a', CAST(NULL AS VARCHAR), 'a'")
  t.equal(bind('SELECT ?, ?', 'a', 'b'), "SELECT 'a', 'b'")
  t.equal(
    bindParameters('SELECT $1', [{ type: 'DECIMAL(10, 2)', value: '1.50' }], 'ansi').sql,
    "SELECT CAST('1.50' AS DECIMAL(10, 2))",
  )
  t.equal(
    bindParameters('SELECT $1', [{ type: 'BLOB', value: '00ff' }], 'ansi').sql,
    "SELECT from_hex('00ff')",
  )
})

t.test('what looks like a parameter inside a text, a name or a comment is none', async (t) => {
  const sql = `SELECT '$1 ?', "$1", $$ $1 ? $$, $x$ ? $x$, e'\\'$1', $1 -- $2 ?\n /* $3 /* ? */ $4 */`
  t.equal(bind(sql, 'v'), sql.replace(', $1 --', ", 'v' --"))
})

t.test('in the dialect of Impala, "$1" is a text', async (t) => {
  const bound = bindParameters("SELECT \"$1\", 'it\\'s $1', $1", [text('v')], 'impala')
  t.equal(bound.sql, "SELECT \"$1\", 'it\\'s $1', 'v'")
})

t.test('no value can end its literal', async (t) => {
  const instance = await DuckDBInstance.create(':memory:', { threads: '1' })
  const kernel = await instance.connect()
  const attacks = [
    "'; DROP TABLE t; --",
    "' OR '1'='1",
    "''",
    "\\' OR 1=1 --",
    "'||version()||'",
    "a'b''c'''d",
    '$1',
    '?',
    '/* open',
    '*/ close',
    '-- line\nnext',
    '"quoted"',
    "E'\\x41'",
    'ünï©ode 😀',
    '\u2019 \uff07',
    '\ud83d',
  ]
  for (const attack of attacks) {
    const sql = bind('SELECT $1 AS v, 7 AS n', attack)
    const reader = await kernel.runAndReadAll(sql)
    const wanted = attack === '\ud83d' ? '\ufffd' : attack
    t.same(reader.getRows(), [[wanted, 7]], JSON.stringify(attack))
  }
})

t.test('no value can end its literal where a backslash is an escape', async (t) => {
  const frontEnd = await SqlFrontEnd.open()
  t.teardown(() => frontEnd.close())
  for (const attack of ["\\' OR 1=1 --", '\\', "\\\\'", 'a\\nb', "'\\''"]) {
    const { sql } = bindParameters('SELECT $1, 7', [text(attack)], 'impala')
    const { query } = await frontEnd.parseQuery(sql, { dialect: 'impala' })
    const values = query.kind === 'select' ? query.items.map((i) => i.expression) : []
    t.match(
      values,
      [
        { kind: 'constant', value: attack },
        { kind: 'constant', value: '7' },
      ],
      attack,
    )
    t.equal(values.length, 2)
  }
})

t.test('an untyped NULL takes the type that is wanted of it', async (t) => {
  t.equal(bindParameters('SELECT $1', [{ type: 'NULL', value: null }], 'ansi').sql, 'SELECT NULL')
})

t.test('no type can end its cast', async (t) => {
  for (const type of [
    'INTEGER) OR (1=1',
    'INTEGER; DROP TABLE t',
    "VARCHAR'",
    'VARCHAR"',
    'INTEGER--',
    'INTEGER/**/',
    'DECIMAL(1,2',
    'STRUCT(a INTEGER)',
    'INTEGER)',
    '(INTEGER',
    '1INTEGER',
    '',
    'INTEGER\n)',
    'INTEGER[(]',
  ]) {
    t.throws(
      () => bindParameters('SELECT $1', [{ type, value: '1' }], 'ansi'),
      { error: 'invalid_parameter_value', message: /parameter \$1 has the type/ },
      JSON.stringify(type),
    )
  }
  for (const type of ['TIMESTAMP WITH TIME ZONE', 'DECIMAL(38,10)[]', 'VARCHAR[3]', 'integer']) {
    t.doesNotThrow(() => bindParameters('SELECT $1', [{ type, value: null }], 'ansi'), type)
  }
})

t.test('too few and too many values are errors', async (t) => {
  t.throws(() => bind('SELECT $1,\n  $2', 'a'), {
    error: 'undefined_parameter',
    message: 'there is no parameter $2: 1 were given',
    position: positionAt('SELECT $1,\n  $2', 13),
  })
  t.throws(() => bind('SELECT ?'), { error: 'undefined_parameter', message: /no parameter \$1/ })
  t.throws(() => bind('SELECT $0', 'a'), {
    error: 'undefined_parameter',
    message: /no parameter \$0/,
  })
  t.throws(() => bind('SELECT $name', 'a'), { error: 'undefined_parameter', message: /\$name/ })
  t.throws(() => bind('SELECT 1', 'a'), {
    error: 'invalid_parameter_value',
    message: '1 parameters were given, but the statement uses 0',
  })
  t.throws(() => bind('SELECT $1', 'a', 'b'), { error: 'invalid_parameter_value', message: /./ })
})

t.test('an error is told of the place in the text that the user sent', async (t) => {
  const sql = 'SELECT $1, $2, wrong'
  const bound = bindParameters(sql, [text('a rather long value'), text('')], 'ansi')
  const at = bound.sql.indexOf('wrong')
  const error = new SqlError('undefined_column', 'no', { position: positionAt(bound.sql, at) })
  t.match(bound.relocate(error), { position: positionAt(sql, sql.indexOf('wrong')) })
  const inside = new SqlError('binder_error', 'no', { position: positionAt(bound.sql, 12) })
  t.match(bound.relocate(inside), { position: positionAt(sql, sql.indexOf('$1')) })
  const other = new Error('other')
  t.equal(bound.relocate(other), other)
})

t.test('no text of a user is taken for a mark of the planner', async (t) => {
  const directory = await mkdtemp(join(tmpdir(), 'nyala-marks-'))
  const world = await PlanningWorld.open(directory)
  t.teardown(async () => {
    await world[Symbol.asyncDispose]()
    await rm(directory, { recursive: true })
  })
  await world.addTable({
    name: 't',
    listing: sketchListing('/secret', [sketchColumns('a VARCHAR')], [{ path: 'f' }]),
  })
  const mark = '"\u0000scan 0\u0000"'
  for (const sql of [
    bind('SELECT a, $1 FROM t', mark),
    `SELECT a, '${mark}' FROM t`,
    `SELECT a AS ${mark} FROM t`,
    `SELECT a, E'"\\x00scan 0\\x00"' FROM t`,
    `SELECT a, $$${mark}$$ FROM t`,
  ]) {
    const outcome = await world.plan(sql, FORCED).then(
      ({ plan }) => plan.fragments.map((f) => taskText(plan, f, { kind: 'all' })).join(),
      (error: unknown) => error,
    )
    if (outcome instanceof SqlError) t.pass(`${JSON.stringify(sql)}: ${outcome.message}`)
    else t.equal(String(outcome).split('read_parquet').length, 2, JSON.stringify(sql))
  }
})
