import t from 'tap'
import { SqlFrontEnd } from './front-end.ts'
import type { Expression, Query } from './ir.ts'
import * as build from './ir/build.ts'
import { equalIr, irKey } from './ir/equal.ts'
import {
  columnsIn,
  conjunctsOf,
  mapExpression,
  mapQuery,
  mapTableRef,
  someExpression,
  walkExpression,
  walkQuery,
  walkTableRef,
} from './ir/walk.ts'
import { renderExpression, renderQuery, renderTableRef } from './renderer.ts'
import { decimalType, simpleType } from './sql-types.ts'
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
  const order: string[] = []
  const mapped = mapExpression(e, (node) => {
    order.push(node.kind === 'function' ? node.name : node.kind)
    return node.kind === 'column' ? build.integer(1) : node
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

await t.test('the terms of a condition are found through nested ANDs', async (t) => {
  const e = build.and(
    await frontEnd.parseExpression('a and (b or c)'),
    build.not(build.column('d')),
  )
  t.same(
    conjunctsOf(e).map((c) => renderExpression(c)),
    ['"a"', '("b" OR "c")', '(NOT "d")'],
  )
  t.same(conjunctsOf(undefined), [])
})

await t.test('equality looks at everything but places', async (t) => {
  const a = await read('select a from t where b = 1')
  const b = await read('  SELECT   a  FROM t  WHERE (b = 1)')
  t.ok(equalIr(a, b))
  t.equal(irKey(a), irKey(b))
  for (const other of [
    'select a from t where b = 2',
    'select a from t',
    'select a, a from t where b = 1',
  ]) {
    const c = await read(other)
    t.notOk(equalIr(a, c), other)
    t.not(irKey(a), irKey(c), other)
  }
  t.ok(equalIr(build.table(['t']), { kind: 'table', table: 't', columnAliases: [] }))
})

const BUILT: readonly (readonly [e: Expression, sql: string])[] = [
  [build.integer(5), '5'],
  [build.integer(-5n), '(-5)'],
  [build.integer(2n ** 40n), '1099511627776'],
  [build.double(1000), '1e+3'],
  [build.double(-0.5), '(-5e-1)'],
  [build.double(Number.POSITIVE_INFINITY), "CAST('Infinity' AS DOUBLE)"],
  [build.decimal('1.50'), '1.50'],
  [build.decimal('-7'), '(-7.)'],
  [build.constant(decimalType(9, 2), '1.50'), '0000001.50'],
  [build.constant(decimalType(9, 2), '1.5'), "CAST('1.5' AS DECIMAL(9,2))"],
  [build.constant(simpleType('SMALLINT'), '5'), "CAST('5' AS SMALLINT)"],
  [build.constant(simpleType('DATE'), '2024-01-01'), "CAST('2024-01-01' AS DATE)"],
  [build.constant(simpleType('BIGINT'), null), 'CAST(NULL AS BIGINT)'],
  [build.nullConstant, 'NULL'],
  [build.text("it's"), "'it''s'"],
  [build.truth(true), 'true'],
  [build.and(), 'true'],
  [build.or(), 'false'],
  [build.or(build.column('a')), '"a"'],
  [build.and(build.column('a'), build.column('t', 'b')), '("a" AND "t"."b")'],
  [build.call('sum', [build.column('a')], { distinct: true }), '"sum"(DISTINCT "a")'],
  [build.operator('-', build.operator('-', build.column('a'))), '(- (- "a"))'],
  [build.cast(build.column('a'), simpleType('DOUBLE')), 'CAST("a" AS DOUBLE)'],
  [build.equals(build.column('a'), build.integer(1)), '("a" = 1)'],
]

await t.test('built expressions are rendered to SQL that reads back', async (t) => {
  for (const [e, sql] of BUILT) {
    t.equal(renderExpression(e), sql)
    const again = renderExpression(await frontEnd.parseExpression(sql))
    // DuckDB writes 1e+3 as 1000.0; all other texts come back as they were.
    t.equal(again, sql === '1e+3' ? '1000e0' : sql === '(-5e-1)' ? '(-0.5e0)' : sql)
  }
})

await t.test('built queries are rendered to SQL that reads back', async (t) => {
  const t1 = build.table(['s', 't'], 'x')
  const query = build.select({
    items: [build.item(build.star('x')), build.item(build.call('count_star', []), 'n')],
    from: build.join(
      t1,
      build.subquery(build.select({ items: [build.item(build.integer(1), 'a')] }), 'y'),
      build.equals(build.column('x', 'a'), build.column('y', 'a')),
      'left',
    ),
    orderBy: [build.orderItem(build.column('n'), 'desc', 'last')],
    limit: { count: build.integer(3), percent: false },
  })
  const sql =
    'SELECT "x".*, count(*) AS "n" FROM "s"."t" AS "x" LEFT JOIN (SELECT 1 AS "a") AS "y" ON ("x"."a" = "y"."a") ORDER BY "n" DESC NULLS LAST LIMIT 3'
  t.equal(renderQuery(query), sql)
  t.ok(equalIr(await read(sql), query))
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
