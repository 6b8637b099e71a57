import t from 'tap'
import { splitStatements } from './lexer.ts'
import { simpleType } from './sql-types.ts'
import { parseStatement } from './statement-parser.ts'

/** The statement without places and tokens; fields that are undefined are as good as absent. */
function parse(sql: string): unknown {
  const [statement] = splitStatements(sql)
  if (statement === undefined) throw new Error(`no statement in ${sql}`)
  const draft = { ...parseStatement(statement), body: undefined }
  return JSON.parse(
    JSON.stringify(draft, (key, item: unknown) => (key === 'at' ? undefined : item)),
  )
}

const T = { name: 't' }

const ACCEPTED: readonly (readonly [sql: string, statement: unknown])[] = [
  [
    'create table t (a int, c date) partitioned by spec (a, days(c), bucket(8, a), truncate(a, 3), "P" string)',
    {
      kind: 'createTable',
      table: T,
      ifNotExists: false,
      columns: [
        { name: 'a', type: simpleType('INTEGER') },
        { name: 'c', type: simpleType('DATE') },
        { name: 'P', type: simpleType('VARCHAR') },
      ],
      properties: [],
      sortBy: [],
      partitionBy: [
        { transform: 'identity', column: 'a' },
        { transform: 'day', column: 'c' },
        { transform: 'bucket', argument: 8, column: 'a' },
        { transform: 'truncate', argument: 3, column: 'a' },
        { transform: 'identity', column: 'P' },
      ],
    },
  ],
  [
    'insert overwrite t partition (a = 1, "B" = null, c) (d) select 1, 2',
    {
      kind: 'insert',
      table: T,
      columns: [{ name: 'd' }],
      overwrite: true,
      partition: [{ column: 'a', value: '1' }, { column: 'B', value: null }, { column: 'c' }],
    },
  ],
  [
    'create table t (a int) sort by (a desc, "B" nulls first)',
    {
      kind: 'createTable',
      table: T,
      ifNotExists: false,
      columns: [{ name: 'a', type: simpleType('INTEGER') }],
      properties: [],
      partitionBy: [],
      sortBy: [
        { column: 'a', descending: true, nullsFirst: false },
        { column: 'B', descending: false, nullsFirst: true },
      ],
    },
  ],
  [
    "create table if not exists t like db.u comment 'x'",
    {
      kind: 'createTableLike',
      table: T,
      like: { database: 'db', name: 'u' },
      ifNotExists: true,
      comment: 'x',
      properties: [],
      partitionBy: [],
      sortBy: [],
    },
  ],
  [
    'alter table t change column a b decimal(12,2)',
    {
      kind: 'alterTable',
      table: T,
      alteration: {
        kind: 'change',
        column: 'a',
        to: { name: 'b', type: { kind: 'decimal', width: 12, scale: 2 } },
      },
    },
  ],
]

for (const [sql, statement] of ACCEPTED) {
  t.test(`${sql} is read as ${JSON.stringify(statement).slice(0, 100)}`, async (t) => {
    t.strictSame(parse(sql), statement)
  })
}
