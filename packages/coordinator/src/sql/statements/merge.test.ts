import t from 'tap'
import { splitStatements } from '../lexer.ts'
import { parseStatement } from '../statement-parser.ts'

const parse = (sql: string): ReturnType<typeof parseStatement> => {
  const [statement] = splitStatements(sql)
  if (statement === undefined) throw new Error('no statement')
  return parseStatement(statement)
}

t.test('MERGE is read as the query of its join, whose items its clauses name', (t) => {
  const draft = parse(
    `merge into t a using (select 1 as x) s on case when x then 1 end = y
     when matched and a.b then update set a.c = f(1, 2), "D" = 3
     when not matched by source then delete
     when not matched by target and x > 1 then insert (c) values (x)`,
  )
  t.match(draft, {
    kind: 'merge',
    at: 11,
    clauses: [
      {
        ...{ match: 'matched', action: 'update', condition: 0, values: [1, 2] },
        columns: [{ name: 'c' }, { name: 'D' }],
      },
      { match: 'notMatchedBySource', action: 'delete', condition: undefined, values: [] },
      { match: 'notMatched', action: 'insert', condition: 3, values: [4] },
    ],
  })
  const body = 'body' in draft ? draft.body.map(({ value }) => value).join(' ') : ''
  t.equal(
    body,
    'FROM t a JOIN ( select 1 as x ) s on case when x then 1 end = y SELECT a . b , f ( 1 , 2 ) , 3 , x > 1 , x',
  )
  t.end()
})

t.test('arguments of a procedure are told by name or by place', (t) => {
  const draft = parse('alter table t execute Expire_Snapshots(now() - f(1, 2), retain_last => 3)')
  t.match(draft, {
    kind: 'executeProcedure',
    table: { name: 't' },
    procedure: 'expire_snapshots',
    args: [
      { name: undefined, text: 'now() - f(1, 2)', at: 39 },
      { name: 'retain_last', text: '3' },
    ],
  })
  t.end()
})
