import t from 'tap'
import { SqlFrontEnd } from './front-end.ts'
import type { Query } from './ir.ts'
import { equalIr } from './ir/equal.ts'
import {
  columnsIn,
  mapExpression,
  mapQuery,
  mapTableRef,
  someExpression,
  walkExpression,
  walkQuery,
  walkTableRef,
} from './testing/walk.ts'
import { renderExpression, renderQuery, renderTableRef } from './renderer.ts'
import { CORPUS } from './testing/corpus.ts'
import { SALES_QUERIES } from './testing/sales-queries.ts'

const frontEnd = await SqlFrontEnd.open()
t.teardown(() => frontEnd.close())

const read = async (sql: string): Promise<Query> => (await frontEnd.parseQuery(sql)).query

await t.test('a rewrite that changes nothing returns the same tree', async (t) => {
  for (const { name, sql } of [...CORPUS, ...SALES_QUERIES]) {
    const query = await read(sql)
    t.equal(mapQuery(query, {}), query, name)
  }
})

await t.test('walking reaches every column, and rewriting renames every one', async (t) => {
  for (const { name, sql } of [...CORPUS, ...SALES_QUERIES]) {
    const query = await read(sql)
    let seen = 0
    walkQuery(query, {
      expression(e) {
        if (e.kind === 'column') seen += 1
      },
    })
    const renamed = mapQuery(query, {
      expression: (e) => (e.kind === 'column' ? { ...e, path: ['renamed'] } : e),
    })
    const count = JSON.stringify(renamed).split('"path":["renamed"]').length - 1
    t.equal(count, seen, name)
    t.equal(
      JSON.stringify(query).split('"kind":"column"').length - 1,
      seen,
      `${name}: none left out`,
    )
  }
})

await t.test('walking can leave parts out', async (t) => {
  const query = await read('select a, (select b from u where c) from t join (select d) v on e')
  const columns: string[] = []
  const tables: string[] = []
  walkQuery(query, {
    expression(e) {
      if (e.kind === 'column') columns.push(e.path.join('.'))
      return e.kind !== 'scalarSubquery'
    },
    table(r) {
      if (r.kind === 'table') tables.push(r.table)
    },
  })
  t.same(columns, ['a', 'd', 'e'])
  t.same(tables, ['t'])
  if (query.kind !== 'select' || query.from === undefined) throw new Error('no FROM')
  const inFrom: string[] = []
  walkTableRef(query.from, { query: () => false, table: (r) => void inFrom.push(r.kind) })
  t.same(inFrom, ['join', 'table', 'subquery'])
  const renamed = mapTableRef(query.from, {
    table: (r) => (r.kind === 'table' ? { ...r, table: 'x' } : r),
  })
  t.equal(renderTableRef(renamed), '"x" JOIN (SELECT "d") AS "v" ON "e"')
})

await t.test('expressions are rewritten bottom up, and subqueries stay', async (t) => {
  const e = await frontEnd.parseExpression('a + f(b, (select c)) * 2')
  const one = await frontEnd.parseExpression('1')
  const order: string[] = []
  const mapped = mapExpression(e, (node) => {
    order.push(node.kind === 'function' ? node.name : node.kind)
    return node.kind === 'column' ? one : node
  })
  t.equal(renderExpression(mapped), '(1 + ("f"(1, (SELECT "c")) * 2))')
  t.same(order, ['column', 'column', 'scalarSubquery', 'f', 'constant', '*', '+'])
  t.same(
    columnsIn(e).map((c) => c.path.join()),
    ['a', 'b'],
  )
  t.ok(someExpression(e, (node) => node.kind === 'function' && node.name === 'f'))
  t.notOk(someExpression(e, (node) => node.kind === 'column' && node.path[0] === 'c'))
  let visited = 0
  walkExpression(e, { expression: () => void (visited += 1) })
  t.equal(visited, 8)
})

await t.test('equality looks at everything but places', async (t) => {
  const a = await read('select a from t where b = 1')
  const b = await read('  SELECT   a  FROM t  WHERE (b = 1)')
  t.ok(equalIr(a, b))
  for (const other of [
    'select a from t where b = 2',
    'select a from t',
    'select a, a from t where b = 1',
  ]) {
    const c = await read(other)
    t.notOk(equalIr(a, c), other)
  }
})

await t.test('a plain UNION beside a recursive query stays plain', async (t) => {
  const recursive = await read(
    'with recursive r as (select 1 union all select 2 from r) select * from r',
  )
  const union = await read('select 1 union select 2')
  const both = {
    ...recursive,
    ctes: [...recursive.ctes, { name: 'u', columns: [], query: union, key: [] }],
  }
  const again = await read(renderQuery(both))
  t.same(
    again.ctes.map((cte) => cte.query.kind),
    ['recursive', 'select'],
  )
})

await t.test('readable text breaks at clauses', async (t) => {
  const query = await read(
    'with x as (select 1 as one) select a, sum(b) as s from t join u on t.a = u.a where c > 1 and d in (select e from v) group by a order by s desc limit 3',
  )
  t.equal(
    renderQuery(query, { layout: 'readable' }),
    `WITH "x" AS (
  SELECT 1 AS "one"
)
SELECT
  "a",
  "sum"("b") AS "s"
FROM "t"
JOIN "u" ON ("t"."a" = "u"."a")
WHERE ("c" > 1)
  AND ("d" IN (
    SELECT "e"
    FROM "v"
  ))
GROUP BY "a"
ORDER BY "s" DESC
LIMIT 3`,
  )
})
