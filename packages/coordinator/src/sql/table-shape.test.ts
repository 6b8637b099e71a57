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
      partitionBy: [
        { transform: 'identity', column: 'a' },
        { transform: 'day', column: 'c' },
        { transform: 'bucket', argument: 8, column: 'a' },
        { transform: 'truncate', argument: 3, column: 'a' },
        { transform: 'identity', column: 'P' },
      ],
    },
  ],
]

for (const [sql, statement] of ACCEPTED) {
  t.test(`${sql} is read as ${JSON.stringify(statement).slice(0, 100)}`, async (t) => {
    t.strictSame(parse(sql), statement)
  })
}
