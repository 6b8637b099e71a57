import t from 'tap'
import { splitStatements } from './lexer.ts'
import { decimalType, simpleType } from './sql-types.ts'
import { parseStatement } from './statement-parser.ts'
import { sqlErrorOf } from './testing/sql-error-of.ts'
import type { Token } from './token.ts'

function parse(sql: string): unknown {
  const [statement] = splitStatements(sql)
  if (statement === undefined) throw new Error(`no statement in ${sql}`)
  const draft = parseStatement(statement)
  return withoutPlaces({ ...draft, ...('body' in draft ? { body: textOf(sql, draft.body) } : {}) })
}

const textOf = (sql: string, tokens: readonly Token[]): string =>
  sql.slice(tokens[0]?.start, tokens.at(-1)?.end)

/** Places have their own test; fields that are undefined are as good as absent. */
const withoutPlaces = (value: unknown): unknown =>
  JSON.parse(JSON.stringify(value, (key, item: unknown) => (key === 'at' ? undefined : item)))

const T = { name: 't' }
const DB_T = { database: 'db', name: 't' }
const D = { name: 'd' }

const ACCEPTED: readonly (readonly [sql: string, statement: unknown])[] = [
  ['CREATE DATABASE d', { kind: 'createDatabase', database: D, ifNotExists: false }],
  [
    "create schema if not exists `my db` comment 'c' location '/x'",
    {
      kind: 'createDatabase',
      database: { name: 'my db' },
      ifNotExists: true,
      comment: 'c',
      location: '/x',
    },
  ],
  ['drop database d', { kind: 'dropDatabase', database: D, ifExists: false, cascade: false }],
  [
    'drop schema if exists d cascade',
    { kind: 'dropDatabase', database: D, ifExists: true, cascade: true },
  ],
  [
    'drop database d restrict',
    { kind: 'dropDatabase', database: D, ifExists: false, cascade: false },
  ],
  ['use default', { kind: 'use', database: { name: 'default' } }],
  ['describe database extended d', { kind: 'describeDatabase', database: D }],
  [
    'drop table if exists db.t purge',
    { kind: 'dropTable', table: DB_T, ifExists: true, purge: true },
  ],
  [
    "create table if not exists db.t (a int not null comment 'c', b array<string> null) comment 'x' stored as parquet tblproperties ('k' = 'v')",
    {
      kind: 'createTable',
      table: DB_T,
      ifNotExists: true,
      columns: [
        { name: 'a', type: simpleType('INTEGER'), comment: 'c', notNull: true },
        { name: 'b', type: { kind: 'list', element: simpleType('VARCHAR') } },
      ],
      comment: 'x',
      properties: [{ key: 'k', value: 'v' }],
      partitionBy: [],
      sortBy: [],
    },
  ],
  [
    'create table t as with x as (select 1) select * from x',
    {
      kind: 'createTableAs',
      table: T,
      ifNotExists: false,
      properties: [],
      partitionBy: [],
      sortBy: [],
      body: 'with x as (select 1) select * from x',
    },
  ],
  ['insert into t values (1)', { kind: 'insert', table: T, overwrite: false, body: 'values (1)' }],
  [
    'insert overwrite table db.t (a, "B c") select 1, 2',
    {
      kind: 'insert',
      table: DB_T,
      columns: [{ name: 'a' }, { name: 'B c' }],
      overwrite: true,
      body: 'select 1, 2',
    },
  ],
  [
    'insert into t (select a from u)',
    { kind: 'insert', table: T, overwrite: false, body: '(select a from u)' },
  ],
  ['begin read only', { kind: 'begin', isReadOnly: true }],
  ['start transaction read only, isolation level snapshot read write', { kind: 'begin' }],
  [
    'insert into t default values',
    { kind: 'insert', table: T, overwrite: false, isDefault: true, body: 'values' },
  ],
  ['delete from db.t x where a = 1', { kind: 'delete', body: 'from db.t x where a = 1' }],
  [
    'update t x set a = f(1, [2, 3]), "B" = {k: 1}.k where a in (1, 2)',
    {
      kind: 'update',
      columns: [{ name: 'a' }, { name: 'B' }],
      body: 't x set a = f(1, [2, 3]), "B" = {k: 1}.k where a in (1, 2)',
    },
  ],
  ['truncate table if exists db.t', { kind: 'truncate', table: DB_T, ifExists: true }],
  ['describe history db.t', { kind: 'describeHistory', table: DB_T }],
  ['describe history', { kind: 'describeTable', table: { name: 'history' }, mode: 'plain' }],
  ['truncate t', { kind: 'truncate', table: T, ifExists: false }],
  ['drop table t', { kind: 'dropTable', table: T, ifExists: false, purge: false }],
  ['alter table t recover partitions', { kind: 'recoverPartitions', table: T }],
  ['alter table t rename to db.t', { kind: 'renameTable', table: T, to: DB_T }],
  ['alter view t rename to "T 2"', { kind: 'renameView', view: T, to: { name: 'T 2' } }],
  ['drop view if exists db.t', { kind: 'dropView', view: DB_T, ifExists: true }],
  [
    "create or replace view db.t (a comment 'x', b) comment 'v' as with x as (select 1) select * from x",
    {
      kind: 'createView',
      view: DB_T,
      orReplace: true,
      ifNotExists: false,
      columns: [{ name: 'a', comment: 'x' }, { name: 'b' }],
      comment: 'v',
      body: 'with x as (select 1) select * from x',
    },
  ],
  [
    'create view if not exists t as /*+ h */ select 1',
    {
      kind: 'createView',
      view: T,
      orReplace: false,
      ifNotExists: true,
      columns: [],
      body: 'select 1',
    },
  ],
  ['refresh t', { kind: 'refresh', table: T, partitions: [] }],
  [
    "refresh db.t partition (y = 2024, m = '01', d = null) partition (y = -1, m = true, d = date '2024-01-01')",
    {
      kind: 'refresh',
      table: DB_T,
      partitions: [
        [
          { column: 'y', value: '2024' },
          { column: 'm', value: '01' },
          { column: 'd', value: null },
        ],
        [
          { column: 'y', value: '-1' },
          { column: 'm', value: 'true' },
          { column: 'd', value: '2024-01-01' },
        ],
      ],
    },
  ],
  ['invalidate metadata', { kind: 'invalidateMetadata' }],
  ['invalidate metadata db.t', { kind: 'invalidateMetadata', table: DB_T }],
  ['compute stats t', { kind: 'computeStats', table: T, incremental: false }],
  [
    'compute stats t (a, `b c`)',
    { kind: 'computeStats', table: T, columns: ['a', 'b c'], incremental: false },
  ],
  ['compute incremental stats db.t', { kind: 'computeStats', table: DB_T, incremental: true }],
  ['drop stats t', { kind: 'dropStats', table: T }],
  ['show databases', { kind: 'showDatabases' }],
  ["show schemas like 'a*'", { kind: 'showDatabases', pattern: 'a*' }],
  ['show tables', { kind: 'showTables' }],
  ["show tables in d 'x|y'", { kind: 'showTables', database: D, pattern: 'x|y' }],
  ["show tables from d like 'x%'", { kind: 'showTables', database: D, pattern: 'x%' }],
  ['show views in d', { kind: 'showViews', database: D }],
  ["show functions like 'a'", { kind: 'showFunctions', pattern: 'a' }],
  ['show create table t', { kind: 'showCreateTable', table: T }],
  ['show create view db.t', { kind: 'showCreateView', table: DB_T }],
  ['show partitions t', { kind: 'showPartitions', table: T }],
  ['show table stats t', { kind: 'showTableStats', table: T }],
  ['show column stats db.t', { kind: 'showColumnStats', table: DB_T }],
  ['show columns in t', { kind: 'showColumns', table: T }],
  ['show columns from t', { kind: 'showColumns', table: T }],
  ['show files in t', { kind: 'showFiles', table: T }],
  [
    'show files in t partition (a=1)',
    { kind: 'showFiles', table: T, partition: [{ column: 'a', value: '1' }] },
  ],
  ['show settings', { kind: 'showSettings' }],
  ['show all', { kind: 'showSettings' }],
  ['show queries', { kind: 'showQueries' }],
  ["kill query 'q0123'", { kind: 'killQuery', queryId: 'q0123' }],
  ['CANCEL QUERY q0123', { kind: 'killQuery', queryId: 'q0123' }],
  ['show Mem_Limit', { kind: 'showSetting', name: 'mem_limit' }],
  ['describe t', { kind: 'describeTable', table: T, mode: 'plain' }],
  ['desc formatted db.t', { kind: 'describeTable', table: DB_T, mode: 'formatted' }],
  ['describe extended t', { kind: 'describeTable', table: T, mode: 'extended' }],
  ['describe formatted', { kind: 'describeTable', table: { name: 'formatted' }, mode: 'plain' }],
  ['describe values', { kind: 'describeTable', table: { name: 'values' }, mode: 'plain' }],
  ['describe select 1', { kind: 'describeQuery', body: 'select 1' }],
  ['describe (select 1)', { kind: 'describeQuery', body: '(select 1)' }],
  ['set', { kind: 'showSettings' }],
  ['set all', { kind: 'showSettings' }],
  ['set Mem_Limit = 2gb', { kind: 'set', name: 'mem_limit', value: '2gb' }],
  ["set a to 'x y'", { kind: 'set', name: 'a', value: 'x y' }],
  ['set session a=-1.5', { kind: 'set', name: 'a', value: '-1.5' }],
  ['set a = true', { kind: 'set', name: 'a', value: 'true' }],
  ['set a = default', { kind: 'reset', name: 'a' }],
  ['reset a', { kind: 'reset', name: 'a' }],
  ['reset all', { kind: 'reset' }],
  ['explain select 1', { kind: 'explain', analyze: false, verbose: false, body: 'select 1' }],
  ['explain verbose from t', { kind: 'explain', analyze: false, verbose: true, body: 'from t' }],
  [
    'explain analyze verbose (values (1))',
    { kind: 'explain', analyze: true, verbose: true, body: '(values (1))' },
  ],
  ...[
    'select 1',
    'with a as (select 1) select 2',
    'values (1)',
    'from t',
    '(select 1)',
    'table t',
  ].map((sql) => [sql, { kind: 'query', body: sql }] as const),
]

for (const [sql, statement] of ACCEPTED) {
  await t.test(`${sql} is read as ${JSON.stringify(statement).slice(0, 60)}`, (t) => {
    t.same(parse(sql), statement)
    t.end()
  })
}

await t.test('CREATE EXTERNAL TABLE takes its clauses in any order', (t) => {
  const sql = `create external table if not exists db.t
    (a bigint comment 'key', \`b c\` decimal(12,2), s struct<x: int, y: array<string>>, m map<string,int>, v varchar(10)[])
    stored as parquet comment 'c' partitioned by (y int, "mo" string comment 'month') location '/data/t'
    tblproperties ('k' = 'v', 'l' = '')`
  const bigint = simpleType('BIGINT')
  const int = simpleType('INTEGER')
  const text = simpleType('VARCHAR')
  t.same(parse(sql), {
    kind: 'createExternalTable',
    table: DB_T,
    ifNotExists: true,
    columns: [
      { name: 'a', type: bigint, comment: 'key' },
      { name: 'b c', type: decimalType(12, 2) },
      {
        name: 's',
        type: {
          kind: 'struct',
          fields: [
            { name: 'x', type: int },
            { name: 'y', type: { kind: 'list', element: text } },
          ],
        },
      },
      { name: 'm', type: { kind: 'map', key: text, value: int } },
      { name: 'v', type: { kind: 'list', element: text } },
    ],
    partitionColumns: [
      { name: 'y', type: int },
      { name: 'mo', type: text, comment: 'month' },
    ],
    comment: 'c',
    format: 'parquet',
    location: '/data/t',
    properties: [
      { key: 'k', value: 'v' },
      { key: 'l', value: '' },
    ],
  })
  t.same(
    parse("create external table t like parquet '/d/f.parq' stored as parquet location '/d'"),
    {
      kind: 'createExternalTable',
      table: T,
      ifNotExists: false,
      likeFile: '/d/f.parq',
      partitionColumns: [],
      format: 'parquet',
      location: '/d',
      properties: [],
    },
  )
  t.end()
})

t.test('CREATE EXTERNAL TABLE without columns takes those of the files', (t) => {
  const tail = "stored as parquet location '/d'"
  for (const clauses of ['', 'partitioned by (d date)', "comment 'x'"]) {
    t.match(parse(`create external table t ${clauses} ${tail}`), {
      kind: 'createExternalTable',
      columns: undefined,
      likeFile: undefined,
      format: 'parquet',
      location: '/d',
    })
  }
  t.end()
})

type Refusal = readonly [sql: string, error: string, message: RegExp, near: string, hint: RegExp]

const TABLE_TAIL = "stored as parquet location '/d'"
const REFUSED: readonly Refusal[] = [
  ['selct 1', 'syntax_error', /at or near "selct"/, 'selct', /SELECT/],
  ['selcet 1', 'syntax_error', /at or near "selcet"/, 'selcet', /did you mean SELECT\?/],
  ['creat table t', 'syntax_error', /at or near "creat"/, 'creat', /did you mean CREATE\?/],
  ['frobnicate', 'syntax_error', /at or near "frobnicate"/, 'frobnicate', /begins with one of/],
  ['1 + 1', 'syntax_error', /at or near "1"/, '1', /begins with one of/],
  ['"select" 1', 'syntax_error', /at or near ""select""/, '"select"', /begins with one of/],
  ['use', 'syntax_error', /at end of input/, '', /a database name/],
  ['use a b', 'syntax_error', /at or near "b"/, 'b', /^$/],
  ['drop table a.b.c', 'syntax_error', /at or near "."/, '.c', /two parts/],
  ['drop database if exist d', 'syntax_error', /at or near "exist"/, 'exist', /^$/],
  ['drop table', 'syntax_error', /at end of input/, '', /a table name/],
  ['create view v', 'syntax_error', /at end of input/, '', /AS/],
  ['create view v as', 'syntax_error', /at end of input/, '', /^$/],
  ['show partitions', 'syntax_error', /at end of input/, '', /a table name/],
  ['show files t', 'syntax_error', /at or near "t"/, 't', /SHOW FILES IN table/],
  ['show', 'syntax_error', /at end of input/, '', /setting/],
  ['show tables like x', 'syntax_error', /at or near "x"/, 'x', /in quotes/],
  ['show data sources', 'feature_not_supported', /SHOW DATA/, 'data', /DATABASES/],
  [
    "create view v tblproperties ('a' = 'b') as select 1",
    'feature_not_supported',
    /TBLPROPERTIES/,
    'tblproperties',
    /^$/,
  ],
  ['set a', 'syntax_error', /at end of input/, '', /SET name = value/],
  ['set a =', 'syntax_error', /at end of input/, '', /a value/],
  ['set a = 1 2', 'syntax_error', /at or near "2"/, '2', /^$/],
  ['refresh t partition (a)', 'syntax_error', /at or near "\)"/, ')', /"="/],
  ['refresh t partition (a = b)', 'syntax_error', /at or near "b"/, 'b', /a literal/],
  ['explain create database d', 'syntax_error', /at or near "create"/, 'create', /takes a query/],
  [
    'create or replace table t (a int)',
    'feature_not_supported',
    /CREATE OR REPLACE TABLE/,
    'create',
    /drop/,
  ],
  ['create table t', 'syntax_error', /at end of input/, '', /CREATE TABLE t AS/],
  ['create table t (a int, A int)', 'duplicate_column', /"A" is given twice/, 'A', /^$/],
  [
    'create table t (a int) as select 1',
    'feature_not_supported',
    /list of columns before AS/,
    't',
    /name the columns/,
  ],
  [
    "create table t (a int) location '/x'",
    'feature_not_supported',
    /LOCATION/,
    'location',
    /CREATE TABLE/,
  ],
  ['create table t (a int unique)', 'feature_not_supported', /UNIQUE/, 'unique', /a name, a type/],
  ['delete t', 'syntax_error', /at or near "t"/, 't', /DELETE FROM t/],
  ['update t', 'syntax_error', /at end of input/, '', /^$/],
  ['update t set a', 'syntax_error', /at end of input/, '', /expected "="/],
  ['update t set a = 1, where b', 'syntax_error', /at or near "b"/, 'b', /expected "="/],
  ['insert t values (1)', 'syntax_error', /at or near "t"/, 't', /INSERT INTO t/],
  ['insert into t', 'syntax_error', /at end of input/, '', /VALUES or a query/],
  ['insert into t (a) set a = 1', 'syntax_error', /at or near "set"/, 'set', /VALUES or a query/],
  ['create function f', 'feature_not_supported', /CREATE FUNCTION/, 'create', /VIEW/],
  ['drop function f', 'feature_not_supported', /DROP FUNCTION/, 'drop', /STATS/],
  ['alter table t swap with u', 'feature_not_supported', /ALTER TABLE … SWAP/, 'alter', /RECOVER/],
  [
    'alter view v as select 1',
    'feature_not_supported',
    /ALTER VIEW … AS/,
    'alter',
    /CREATE OR REPLACE/,
  ],
  ['kill q0123', 'syntax_error', /q0123/, 'q0123', /QUERY/],
  ["call system.runtime.kill_query('q1')", 'feature_not_supported', /CALL/, 'call', /KILL QUERY/],
  ['alter database d', 'feature_not_supported', /ALTER DATABASE/, 'alter', /TABLE or VIEW/],
  [
    `create external table t (a int) stored as orc location '/d'`,
    'feature_not_supported',
    /"orc"/,
    'orc',
    /PARQUET/,
  ],
  [
    `create external table t (a int) location '/d'`,
    'feature_not_supported',
    /STORED AS/,
    'create',
    /LOCATION/,
  ],
  ['create external table t (a int) stored as parquet', 'syntax_error', /LOCATION/, '', /LOCATION/],
  [`create external table t as ${TABLE_TAIL}`, 'syntax_error', /"as"/, 'as', /PARTITIONED BY/],
  [
    `create external table t (a blah) ${TABLE_TAIL}`,
    'feature_not_supported',
    /"blah"/,
    'blah',
    /BIGINT/,
  ],
  [
    `create external table t (a decimal(39,2)) ${TABLE_TAIL}`,
    'feature_not_supported',
    /39/,
    'decimal',
    /38/,
  ],
  [
    `create external table t (a int not null) ${TABLE_TAIL}`,
    'feature_not_supported',
    /NOT NULL/,
    'a int not null',
    /CREATE TABLE/,
  ],
  [`create external table t (a int, A int) ${TABLE_TAIL}`, 'duplicate_column', /"A"/, 'A', /^$/],
  [
    `create external table t (a int) partitioned by (a int) ${TABLE_TAIL}`,
    'duplicate_column',
    /"a"/,
    'a int) stored',
    /^$/,
  ],
  [`create external table t (a array<int) ${TABLE_TAIL}`, 'syntax_error', /"\)"/, ')', /">"/],
  [
    `create external table t (a int) comment 'a' comment 'b' ${TABLE_TAIL}`,
    'syntax_error',
    /twice/,
    "comment 'b'",
    /^$/,
  ],
  [
    `create external table t (a int) sort by (a) ${TABLE_TAIL}`,
    'feature_not_supported',
    /SORT/,
    'sort',
    /^write/,
  ],
  [
    `create external table t like orc 'x' ${TABLE_TAIL}`,
    'feature_not_supported',
    /LIKE/,
    'orc',
    /LIKE PARQUET/,
  ],
  ['merge into t using u on x', 'syntax_error', /at end of input/, '', /expected WHEN/],
  ["copy t to 'x'", 'feature_not_supported', /COPY is not supported/, 'copy', /nyala sql/],
  [
    "attach 'x.db'",
    'feature_not_supported',
    /ATTACH is not supported/,
    'attach',
    /CREATE EXTERNAL/,
  ],
  ['pragma threads=1', 'feature_not_supported', /PRAGMA is not supported/, 'pragma', /SET/],
  ['install httpfs', 'feature_not_supported', /INSTALL is not supported/, 'install', /extensions/],
  ['savepoint a', 'feature_not_supported', /SAVEPOINT is not supported/, 'savepoint', /whole/],
  ['rollback to a', 'feature_not_supported', /ROLLBACK TO is not supported/, 'to', /whole/],
  [
    'begin isolation level serializable',
    'feature_not_supported',
    /SERIALIZABLE is not/,
    'isolation',
    /snapshot isolation/,
  ],
  ['grant select on t to r', 'feature_not_supported', /GRANT is not supported/, 'grant', /^$/],
]

for (const [sql, code, message, near, hint] of REFUSED) {
  await t.test(`${sql} is refused with ${code}`, async (t) => {
    const error = await sqlErrorOf(() => parse(sql))
    t.equal(error.error, code)
    t.match(error.message, message)
    t.match(error.hint ?? '', hint)
    const at = error.position?.offset ?? -1
    t.ok(near === '' ? at === sql.length : sql.slice(at).startsWith(near), `position ${at}`)
  })
}

await t.test('names and columns know where they stand', (t) => {
  const sql = '  drop table if exists db . t'
  const [statement] = splitStatements(sql)
  const draft = statement && parseStatement(statement)
  t.equal(draft?.kind === 'dropTable' && draft.table.at, sql.indexOf('db'))
  t.end()
})
