import t from 'tap'
import { Mirror } from '../bind/mirror.ts'
import { systemClock } from '@nyala/client/base'
import { SqlFrontEnd } from '../sql/front-end.ts'
import { rowBound } from './row-bound.ts'

t.test('the form of a query bounds its rows, and nothing else does', async (t) => {
  const frontEnd = await SqlFrontEnd.open()
  const mirror = await Mirror.open(systemClock)
  t.teardown(() => {
    frontEnd.close()
    mirror.close()
  })
  const functions = await mirror.kernelFunctions()
  const cases: readonly (readonly [string, number | undefined])[] = [
    ['SELECT 1', 1],
    ["SELECT 1 + 2 AS a, 'x'", 1],
    ['SELECT count(*), sum(a) + 1 FROM t', 1],
    ['SELECT count(*) FROM t HAVING count(*) > 5', 1],
    ['SELECT a FROM t LIMIT 7', 7],
    ['SELECT a FROM t ORDER BY a LIMIT 7 OFFSET 100', 7],
    ['SELECT 1 UNION ALL SELECT 2 LIMIT 1', 1],
    ['SELECT count(*) FROM t LIMIT 7', 1],
    ['SELECT a FROM t', undefined],
    ['SELECT 1 FROM t', undefined],
    ['SELECT unnest([1, 2])', undefined],
    ['SELECT count(*), unnest([1, 2]) FROM t', undefined],
    ['SELECT a, count(*) FROM t GROUP BY a', undefined],
    ['SELECT count(*) OVER () FROM t', undefined],
    ['SELECT a FROM t LIMIT 10%', undefined],
    ['SELECT a FROM t LIMIT 1 + 1', undefined],
    ['VALUES (1), (2)', undefined],
  ]
  for (const [sql, rows] of cases) {
    t.equal(rowBound((await frontEnd.parseQuery(sql)).query, functions), rows, sql)
  }
})
