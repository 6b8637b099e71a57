import { DuckDBInstance } from '@duckdb/node-api'
import { Prng } from '@nyala/client/base'
import t from 'tap'
import { SqlFrontEnd } from '../sql/front-end.ts'
import type { FunctionCall } from '../sql/ir.ts'
import { renderExpression } from '../sql/renderer.ts'
import { mergeAggregate } from './merge-aggregate.ts'

const frontEnd = await SqlFrontEnd.open()
t.teardown(() => frontEnd.close())

async function callOf(sql: string): Promise<FunctionCall> {
  const expression = await frontEnd.parseExpression(sql)
  if (expression.kind !== 'function') throw new Error(`${sql} is no call`)
  return expression
}

const MERGED = [
  'count(*)',
  'count(x)',
  'count_if(x > 0)',
  'sum(x)',
  'sum(d)',
  'sum(f)',
  'sum(b)',
  'min(x)',
  'max(s)',
  'min(f)',
  'avg(x)',
  'mean(d)',
  'avg(f)',
  'bool_and(b)',
  'bool_or(b)',
  'bit_and(x)',
  'bit_or(x)',
  'bit_xor(x)',
  'any_value(one)',
].flatMap((call) => [call, `${call} FILTER (WHERE x % 2 = 0)`])

const REFUSED = [
  'count(DISTINCT x)',
  'sum(DISTINCT x)',
  'string_agg(s)',
  'string_agg(s ORDER BY x)',
  'sum(x ORDER BY x)',
  'list(x)',
  'first(x)',
  'last(x)',
  'arbitrary(x)',
  'median(x)',
  'quantile_cont(x, 0.5)',
  'stddev(x)',
  'var_samp(x)',
  'approx_count_distinct(x)',
  'arg_max(s, x)',
  'min(x, 2)',
  'max(x, 2)',
  'mode(x)',
  'histogram(x)',
  'product(x)',
  'corr(x, f)',
]

t.test('the merge of an aggregate over any parts is the aggregate over all', async (t) => {
  const instance = await DuckDBInstance.create(':memory:', { threads: '1' })
  const kernel = await instance.connect()
  for (let seed = 1; seed <= 6; seed++) {
    const random = new Prng(seed)
    const parts = random.below(5) + 1
    const rows = random.below(3) === 0 ? random.below(3) : 60
    await kernel.run(
      `CREATE OR REPLACE TABLE r AS SELECT
         hash(i, ${seed}) % ${parts} AS part,
         CASE WHEN hash(i, 1) % 5 > 0 THEN (hash(i, 2) % 100)::BIGINT - 50 END AS x,
         CASE WHEN hash(i, 3) % 5 > 0 THEN ((hash(i, 4) % 10000)::BIGINT - 5000)::DECIMAL(12,2) / 100 END::DECIMAL(12,2) AS d,
         CASE WHEN hash(i, 5) % 5 > 0 THEN ((hash(i, 6) % 64)::DOUBLE - 32) / 4 END AS f,
         CASE WHEN hash(i, 7) % 3 > 0 THEN hash(i, 8) % 2 = 0 END AS b,
         CASE WHEN hash(i, 9) % 4 > 0 THEN chr((97 + hash(i, 10) % 26)::INTEGER) END AS s,
         CASE WHEN hash(i, 11) % 2 = 0 THEN 1 END AS one
       FROM range(${rows}) t(i)`,
    )
    for (const sql of MERGED) {
      const merge = mergeAggregate(await callOf(sql))
      if (typeof merge === 'string') throw new Error(`${sql}: ${merge}`)
      const partials = merge.partials.map((p, i) => `${renderExpression(p)} AS v${i}`)
      const values = merge.partials.map((_, i) => ({ kind: 'column', path: [`v${i}`] }) as const)
      // Parts without rows give a row as well: every part is asked, whether or not it has any.
      const parted = Array.from(
        { length: parts },
        (_, part) => `SELECT ${partials.join(', ')} FROM r WHERE part = ${part}`,
      )
      const reader = await kernel.runAndReadAll(
        `SELECT (SELECT ${renderExpression(merge.final(values))} FROM (${parted.join(' UNION ALL ')})),
                (SELECT ${sql} FROM r)`,
      )
      const [merged, whole] = reader.getRows()[0] ?? []
      const isSame =
        typeof merged === 'number' && typeof whole === 'number'
          ? Math.abs(merged - whole) < 1e-9
          : String(merged) === String(whole)
      t.ok(
        isSame,
        `${sql}, seed ${seed}, ${rows} rows in ${parts} parts: ${String(merged)} and ${String(whole)}`,
      )
    }
  }
})

t.test('what cannot be merged is refused with a reason that names it', async (t) => {
  for (const sql of REFUSED) {
    const merge = mergeAggregate(await callOf(sql))
    const [name = ''] = sql.split('(')
    t.equal(typeof merge, 'string', sql)
    t.match(merge, new RegExp(name))
  }
})
