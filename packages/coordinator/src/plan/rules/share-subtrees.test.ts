import t from 'tap'
import type { LogicalPlan } from '../logical/relation.ts'
import type { Scan } from '../scan.ts'
import { optimize } from './index.ts'
import { shareSubtrees } from './share-subtrees.ts'
import { checkRule, type RuleCase } from './testing/check-rule.ts'
import { openRuleWorld } from './testing/rule-world.ts'

const rewrite = (plan: LogicalPlan, scans: ReadonlyMap<number, Scan>): LogicalPlan => {
  const best = optimize(plan, () => ({ rows: 100, bytes: 100 }))
  return shareSubtrees(best, { scans, isWorth: () => true })
}

const SHARED: readonly RuleCase[] = [
  {
    claim: 'a join, of which each needs other columns',
    sql: 'SELECT t.a, sum(t.b) FROM t JOIN u ON t.a = u.a GROUP BY t.a HAVING sum(t.b) > (SELECT sum(t.c) FROM t JOIN u ON t.a = u.a)',
    tree: [
      'with 0',
      '  project a_5, b_2, c_2',
      '    inner join on a_5 = a_6',
      '      scan 0 [a AS a_5, b AS b_2, c AS c_2]',
      '      scan 1 [a AS a_6]',
      '  project a, sum',
      '    inner join on (sum > value)',
      '      aggregate sum := sum(b) by a',
      '        project a, b',
      '          cte 0 [a, b, c_3]',
      '      project value := sum_2',
      '        aggregate sum_2 := sum(c)',
      '          project c',
      '            cte 0 [a_3, b_3, c]',
    ],
  },
  {
    claim: 'groups with other aggregates',
    sql: 'SELECT k.a FROM (SELECT a, min(b) AS m FROM t WHERE c > 1 GROUP BY a) AS k JOIN (SELECT a, max(b) AS m FROM t WHERE 1 < c GROUP BY a) AS l ON k.a = l.a AND k.m < l.m',
    tree: [
      'with 0',
      '  aggregate min_2 := min(b_3), max_2 := max(b_3) by a_3',
      "    filter (c_3 > CAST('1' AS BIGINT))",
      '      scan 0 [c AS c_3, a AS a_3, b AS b_3]',
      '  project a',
      '    inner join on a = a_2 AND (min < max)',
      '      project a, min',
      '        cte 0 [a, min, max_3]',
      '      project a_2, max',
      '        cte 0 [a_2, min_3, max]',
    ],
  },
  {
    claim: 'distinct rows, in another order of columns',
    sql: 'SELECT count(*), count(x.a) FROM (SELECT DISTINCT a, b FROM t) AS x JOIN (SELECT DISTINCT b, a FROM t) AS y ON x.b = y.b',
    tree: [
      'with 0',
      '  distinct',
      '    scan 0 [a AS a_3, b AS b_3]',
      '  aggregate count := count(*), count_2 := count(a)',
      '    inner join on b = b_2',
      '      cte 0 [a, b]',
      '      project b_2',
      '        cte 0 [a_2, b_2]',
    ],
  },
  {
    claim: 'below DISTINCT just the columns that are distinct',
    sql: 'SELECT DISTINCT t.s FROM t JOIN u ON t.a = u.a WHERE t.b = 1 UNION ALL SELECT t.s || u.s FROM t JOIN u ON t.a = u.a WHERE t.b = 1',
    tree: [
      'with 0',
      '  project s_5, value_2 := (s_5 || s_6)',
      '    inner join on a_5 = a_6',
      '      filter (b_3 = 1)',
      '        scan 0 [a AS a_5, b AS b_3, s AS s_5]',
      '      scan 1 [a AS a_6, s AS s_6]',
      '  union all [s_4]',
      '    distinct',
      '      project s',
      '        cte 0 [s, value_3]',
      '    project value',
      '      cte 0 [s_7, value]',
    ],
  },
  {
    claim: 'windows',
    sql: 'SELECT x.s, y.r FROM (SELECT s, row_number() OVER (ORDER BY d, s, c, a) AS r FROM t) AS x JOIN (SELECT a, row_number() OVER (ORDER BY d, s, c, a) AS r FROM t) AS y ON x.r = y.r',
    tree: [
      'with 0',
      '  project s_3, row_number_3',
      '    window row_number_3 := row_number() OVER (ORDER BY d_3 ASC NULLS LAST, s_3 ASC NULLS LAST, c_3 ASC NULLS LAST, a_3 ASC NULLS LAST)',
      '      scan 0 [s AS s_3, d AS d_3, c AS c_3, a AS a_3]',
      '  project s, row_number_2',
      '    inner join on row_number = row_number_2',
      '      cte 0 [s, row_number]',
      '      project row_number_2',
      '        cte 0 [s_4, row_number_2]',
    ],
  },
  {
    claim: 'the first rows in order',
    sql: 'SELECT k.s, l.a FROM (SELECT s, b FROM t ORDER BY d, s, c, a LIMIT 5) AS k JOIN (SELECT a, b FROM t ORDER BY d, s, c, a LIMIT 5) AS l ON k.b = l.b',
    tree: [
      'with 0',
      '  project s_3, b_3, a_3',
      '    limit 5',
      '      sort by d_3 asc nulls last, s_3 asc nulls last, c_3 asc nulls last, a_3 asc nulls last',
      '        scan 0 [s AS s_3, b AS b_3, d AS d_3, c AS c_3, a AS a_3]',
      '  project s, a_2',
      '    inner join on b = b_2',
      '      project s, b',
      '        cte 0 [s, b, a_4]',
      '      project a_2, b_2',
      '        cte 0 [s_4, b_2, a_2]',
    ],
  },
  {
    claim: 'lists of IN',
    sql: 'SELECT a FROM t WHERE b IN (SELECT b FROM u WHERE c > 1) AND c IN (SELECT b FROM u WHERE c > 1)',
    tree: [
      'with 0',
      '  project b_4',
      "    filter (c_4 > CAST('1' AS BIGINT))",
      '      scan 1 [c AS c_4, b AS b_4]',
      '  project a',
      '    semi join on c = CAST(b_3 AS BIGINT)',
      '      project c, a',
      '        semi join on b = b_2',
      '          scan 0 [b, c, a]',
      '          cte 0 [b_2]',
      '      cte 0 [b_3]',
    ],
  },
  {
    claim: 'three times',
    sql: 'SELECT (SELECT max(t.b) FROM t JOIN u ON t.a = u.a) AS x, count(*) AS y FROM t JOIN u ON t.a = u.a WHERE t.b < (SELECT avg(t.b) FROM t JOIN u ON t.a = u.a)',
    tree: [
      'with 0',
      '  project value_3 := avg_2, value_4 := max_2',
      '    aggregate avg_2 := avg(b_4), max_2 := max(b_4)',
      '      inner join on a_7 = a_8',
      '        scan 4 [a AS a_7, b AS b_4]',
      '        scan 5 [a AS a_8]',
      '  project value_2, count_2',
      '    cross join',
      '      aggregate count_2 := count(*)',
      '        inner join on a = a_2',
      '          inner join on (CAST(b AS DOUBLE) < value)',
      '            scan 2 [a, b]',
      '            project value',
      '              cte 0 [value, value_5]',
      '          scan 3 [a AS a_2]',
      '      project value_2',
      '        cte 0 [value_6, value_2]',
    ],
  },
  {
    claim: 'a column that is there under two names',
    sql: 'SELECT k.p, k.q, l.a FROM (SELECT a AS p, a + b AS q, a + b AS r FROM t WHERE b = 1) AS k JOIN (SELECT a, a + b AS q FROM t WHERE b = 1) AS l ON k.r = l.q',
    tree: [
      'with 0',
      '  project a_3, q_3 := (a_3 + b_3)',
      '    filter (b_3 = 1)',
      '      scan 0 [b AS b_3, a AS a_3]',
      '  project a, q, a_2',
      '    inner join on r = q_2',
      '      project a, q := r, r',
      '        cte 0 [a, r]',
      '      cte 0 [a_2, q_2]',
    ],
  },
  {
    claim: 'in a WITH and beside it',
    sql: 'WITH k AS (SELECT t.a, count(*) AS m FROM t JOIN u ON t.a = u.a GROUP BY t.a) SELECT x.m, (SELECT count(*) FROM t JOIN u ON t.a = u.a) AS n FROM k AS x JOIN k AS y ON x.a = y.m',
    tree: [
      'with 1',
      '  project a_7',
      '    inner join on a_7 = a_8',
      '      scan 0 [a AS a_7]',
      '      scan 1 [a AS a_8]',
      '  with 0',
      '    aggregate count := count(*) by a',
      '      cte 1 [a]',
      '    project count_2, value',
      '      cross join',
      '        inner join on CAST(a_3 AS BIGINT) = count_3',
      '          cte 0 [a_3, count_2]',
      '          cte 0 [a_4, count_3]',
      '        project value := count_4',
      '          aggregate count_4 := count(*)',
      '            cte 1 [a_5]',
    ],
  },
]

const APART: readonly RuleCase[] = [
  {
    claim: 'other constants',
    sql: 'SELECT k.a FROM (SELECT a FROM t WHERE c > 1) AS k JOIN (SELECT a FROM t WHERE c > 2) AS l ON k.a = l.a',
    tree: [
      'project a',
      '  inner join on a = a_2',
      '    project a',
      "      filter (c > CAST('1' AS BIGINT))",
      '        scan 0 [c, a]',
      '    project a_2',
      "      filter (c_2 > CAST('2' AS BIGINT))",
      '        scan 1 [c AS c_2, a AS a_2]',
    ],
  },
  {
    claim: 'other tables',
    sql: 'SELECT k.a FROM (SELECT a FROM t WHERE c > 1) AS k JOIN (SELECT a FROM u WHERE c > 1) AS l ON k.a = l.a',
    tree: [
      'project a',
      '  inner join on a = a_2',
      '    project a',
      "      filter (c > CAST('1' AS BIGINT))",
      '        scan 0 [c, a]',
      '    project a_2',
      "      filter (c_2 > CAST('1' AS BIGINT))",
      '        scan 1 [c AS c_2, a AS a_2]',
    ],
  },
  {
    claim: 'distinct rows of other columns',
    sql: 'SELECT count(*) FROM (SELECT DISTINCT a FROM t) AS k, (SELECT DISTINCT a, b FROM t) AS l',
    tree: [
      'aggregate count := count(*)',
      '  cross join',
      '    distinct',
      '      scan 0 [a]',
      '    distinct',
      '      scan 1 [a AS a_2, b]',
    ],
  },
  {
    claim: 'groups by other keys',
    sql: 'SELECT count(*) FROM (SELECT a, max(c) FROM t GROUP BY a) AS k(a, m) JOIN (SELECT b, max(c) FROM t GROUP BY b) AS l(b, m) ON k.m = l.m',
    tree: [
      'aggregate count := count(*)',
      '  inner join on max = max_2',
      '    project max',
      '      aggregate max := max(c) by a',
      '        scan 0 [a, c]',
      '    project max_2',
      '      aggregate max_2 := max(c_2) by b',
      '        scan 1 [b, c AS c_2]',
    ],
  },
  {
    claim: 'joins of another kind',
    sql: 'SELECT count(k.n), count(l.n) FROM (SELECT t.a, u.n FROM t LEFT JOIN u ON t.a = u.a) AS k JOIN (SELECT t.a, u.n FROM t FULL JOIN u ON t.a = u.a) AS l ON k.n = l.n',
    tree: [
      'aggregate count := count(n), count_2 := count(n_2)',
      '  inner join on n = n_2',
      '    inner join on a = a_2',
      '      scan 0 [a]',
      '      scan 1 [a AS a_2, n]',
      '    project n_2',
      '      right join on a_3 = a_4',
      '        scan 2 [a AS a_3]',
      '        scan 3 [a AS a_4, n AS n_2]',
    ],
  },
  {
    claim: 'the first rows by another number',
    sql: 'SELECT k.s, l.a FROM (SELECT s, b FROM t ORDER BY d, s, c, a LIMIT 5) AS k JOIN (SELECT a, b FROM t ORDER BY d, s, c, a LIMIT 6) AS l ON k.b = l.b',
    tree: [
      'project s, a_2',
      '  inner join on b = b_2',
      '    project s, b',
      '      limit 5',
      '        sort by d asc nulls last, s asc nulls last, c asc nulls last, a asc nulls last',
      '          scan 0 [s, b, d, c, a]',
      '    project a_2, b_2',
      '      limit 6',
      '        sort by d_2 asc nulls last, s_2 asc nulls last, c_2 asc nulls last, a_2 asc nulls last',
      '          scan 1 [a AS a_2, b AS b_2, d AS d_2, s AS s_2, c AS c_2]',
    ],
  },
]

t.test('what is computed twice is computed once', async (t) => {
  await using world = await openRuleWorld()
  await checkRule(t, world, rewrite, SHARED)
})

t.test('what only looks alike is computed by itself', async (t) => {
  await using world = await openRuleWorld()
  await checkRule(t, world, rewrite, APART)
})

t.test('what is not worth it is computed twice', async (t) => {
  await using world = await openRuleWorld()
  for (const { sql } of SHARED) {
    const plan = await world.plan(sql)
    const by = { scans: await world.scans(sql), isWorth: () => false }
    t.equal(shareSubtrees(plan, by), plan, sql)
  }
})
