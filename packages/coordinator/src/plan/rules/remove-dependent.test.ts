import t from 'tap'
import type { LogicalPlan } from '../logical/relation.ts'
import { marksToJoins } from './marks-to-joins.ts'
import { pruneColumns } from './prune-columns.ts'
import { pushFilters } from './push-filters.ts'
import { removeDependent } from './remove-dependent.ts'
import { checkRule, type RuleCase } from './testing/check-rule.ts'
import { openRuleWorld } from './testing/rule-world.ts'

const CASES: readonly RuleCase[] = [
  {
    claim: 'EXISTS with an equality',
    sql: 'SELECT s FROM t WHERE EXISTS (SELECT 1 FROM u WHERE u.a = t.a AND u.b = 1)',
    tree: [
      'project s',
      '  semi join on a = a_2',
      '    scan 0 [a, s]',
      '    project a_2',
      '      filter (b = 1) AND (a_2 IS NOT NULL)',
      '        scan 1 [a AS a_2, b]',
    ],
  },
  {
    claim: 'NOT EXISTS with an equality and something else',
    sql: 'SELECT s FROM t WHERE NOT EXISTS (SELECT 1 FROM u WHERE u.a = t.a AND u.b <> t.b)',
    tree: [
      'project s',
      '  anti join on a = a_2 AND (b_2 <> b)',
      '    scan 0 [a, b, s]',
      '    filter (a_2 IS NOT NULL)',
      '      scan 1 [a AS a_2, b AS b_2]',
    ],
  },
  {
    claim: 'EXISTS without an equality',
    sql: 'SELECT s FROM t WHERE EXISTS (SELECT 1 FROM u WHERE u.a < t.a)',
    tree: ['project s', '  semi join on (a_2 < a)', '    scan 0 [a, s]', '    scan 1 [a AS a_2]'],
  },
  {
    claim: 'EXISTS as a value is never NULL',
    sql: 'SELECT s, EXISTS (SELECT 1 FROM u WHERE u.a = t.a AND u.b <> t.b) AS k FROM t',
    tree: [
      'project s, mark',
      '  mark join on a is not distinct from a_2 AND ((b_2 <> b) IS TRUE) as mark',
      '    scan 1 [s, a, b]',
      '    filter (a_2 IS NOT NULL)',
      '      scan 0 [a AS a_2, b AS b_2]',
    ],
  },
  {
    claim: 'IN as a value may be NULL',
    sql: 'SELECT s, a IN (SELECT a FROM u WHERE u.b = t.b) AS k FROM t',
    tree: [
      'project s, mark',
      '  mark join on b is not distinct from b_2 AND a = a_2 as mark',
      '    scan 1 [s, b, a]',
      '    project a_2, b_2',
      '      filter (b_2 IS NOT NULL)',
      '        scan 0 [b AS b_2, a AS a_2]',
    ],
  },
  {
    claim: 'an aggregate is computed for all keys at once',
    sql: 'SELECT s, (SELECT max(b) FROM u WHERE u.a = t.a) AS k FROM t',
    tree: [
      'project s, max',
      '  left join on a = a_4',
      '    scan 1 [s, a]',
      '    project max, a_4',
      '      aggregate max := max(b) by a_4 := a_3',
      '        filter (a_3 IS NOT NULL)',
      '          scan 0 [a AS a_3, b]',
    ],
  },
  {
    claim: 'a count is 0 where there is no group',
    sql: 'SELECT s, (SELECT count(*) FROM u WHERE u.a = t.a) AS k FROM t',
    tree: [
      "project s, value := CASE WHEN (count IS NULL) THEN CAST('0' AS BIGINT) ELSE count END",
      '  left join on a = a_4',
      '    scan 1 [s, a]',
      '    aggregate count := count(*) by a_4 := a_3',
      '      filter (a_3 IS NOT NULL)',
      '        scan 0 [a AS a_3]',
    ],
  },
  {
    claim: 'COALESCE is computed where there is no group too',
    sql: 'SELECT s, (SELECT coalesce(sum(b), -1) FROM u WHERE u.a = t.a) AS k FROM t',
    tree: [
      'project s, value := COALESCE(sum, CAST((-1) AS HUGEINT))',
      '  left join on a = a_4',
      '    scan 1 [s, a]',
      '    aggregate sum := sum(b) by a_4 := a_3',
      '      filter (a_3 IS NOT NULL)',
      '        scan 0 [a AS a_3, b]',
    ],
  },
  {
    claim: 'a comparison drops the rows without a group',
    sql: 'SELECT s FROM t WHERE b < (SELECT max(b) FROM u WHERE u.a = t.a)',
    tree: [
      'project s',
      '  inner join on a = a_4 AND (b < max)',
      '    scan 0 [b, a, s]',
      '    project max, a_4',
      '      aggregate max := max(b_2) by a_4 := a_3',
      '        filter (a_3 IS NOT NULL)',
      '          scan 1 [a AS a_3, b AS b_2]',
    ],
  },
  {
    claim: 'the key of another type is grouped by as it is',
    sql: 'SELECT s, (SELECT max(b) FROM u WHERE u.c = t.a) AS k FROM t',
    tree: [
      'project s, max',
      '  left join on CAST(a AS BIGINT) = c',
      '    scan 1 [s, a]',
      '    project max, c',
      '      aggregate max := max(b) by c',
      '        filter (c IS NOT NULL)',
      '          scan 0 [c, b]',
    ],
  },
  {
    claim: 'the first row of each key',
    sql: 'SELECT s, (SELECT b FROM u WHERE u.a = t.a ORDER BY b, c, s, d, x, n LIMIT 1) AS k FROM t',
    tree: [
      'project s, b',
      '  left join on a = a_2',
      '    scan 1 [s, a]',
      '    project b, a_2',
      "      filter (row_number <= CAST('1' AS BIGINT))",
      '        window row_number := row_number() OVER (PARTITION BY a_2 ORDER BY b ASC NULLS LAST, c ASC NULLS LAST, s_2 ASC NULLS LAST, d ASC NULLS LAST, x ASC NULLS LAST, n ASC NULLS LAST ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW)',
      '          project b, c, s_2, d, x, n, a_2',
      '            filter (a_2 IS NOT NULL)',
      '              scan 0 [a AS a_2, b, c, s AS s_2, d, x, n]',
    ],
  },
  {
    claim: 'a subquery within a subquery',
    sql: 'SELECT s FROM t WHERE EXISTS (SELECT 1 FROM u WHERE u.a = t.a AND u.b IN (SELECT b FROM v WHERE v.c <> u.c AND v.b = t.b))',
    tree: [
      'project s',
      '  semi join on a is not distinct from a_3 AND b is not distinct from b_3 dependent 0 (a, b)',
      '    scan 0 [b, a, s]',
      '    project a_3, b_3',
      '      semi join on b_3 = b_4 AND b_2 = b_4 AND (c_2 <> c)',
      '        inner join on a_2 = a_3',
      '          scan 1 [a AS a_2, c, b AS b_2]',
      '          dependent 0 [a_3, b_3]',
      '        project b_4, c_2',
      '          filter (b_4 IS NOT NULL)',
      '            scan 2 [c AS c_2, b AS b_4]',
    ],
  },
  {
    claim: 'a lateral subquery with a value of both sides',
    sql: 'SELECT t.s, k.y FROM t, LATERAL (SELECT u.b + t.b AS y FROM u WHERE u.a = t.a) AS k',
    tree: [
      'project s, y := (b_2 + b)',
      '  inner join on a = a_2',
      '    scan 0 [a, b, s]',
      '    filter (a_2 IS NOT NULL)',
      '      scan 1 [a AS a_2, b AS b_2]',
    ],
  },
  {
    claim: 'a lateral union',
    sql: 'SELECT t.s, k.y FROM t, LATERAL (SELECT b AS y FROM u WHERE u.a = t.a UNION ALL SELECT c FROM v WHERE v.a = t.a) AS k',
    tree: [
      'project s, y_2',
      '  inner join on a = a_6',
      '    scan 0 [a, s]',
      '    union all [y_2, a_6]',
      '      project y := CAST(b AS BIGINT), a_3 := a_2',
      '        filter (a_2 IS NOT NULL)',
      '          scan 1 [a AS a_2, b]',
      '      project c, a_5 := a_4',
      '        filter (a_4 IS NOT NULL)',
      '          scan 2 [a AS a_4, c]',
    ],
  },
  {
    claim: 'a count without an equality keeps what it depends on',
    sql: 'SELECT s, (SELECT count(*) FROM u WHERE u.a < t.a) AS k FROM t',
    tree: [
      'project s, value',
      '  single join on a is not distinct from a_2 dependent 0 (a)',
      '    scan 1 [s, a]',
      "    project value := CASE WHEN (count IS NULL) THEN CAST('0' AS BIGINT) ELSE count END, a_2",
      '      left join on a_2 is not distinct from a_4',
      '        dependent 0 [a_2]',
      '        aggregate count := count(*) by a_4',
      '          inner join on (a_3 < a_4)',
      '            scan 0 [a AS a_3]',
      '            dependent 0 [a_4]',
    ],
  },
  {
    claim: 'what may fail for other values keeps what it depends on',
    sql: "SELECT s, (SELECT max(CASE WHEN u.s = '9' THEN CAST(u.s AS INTEGER) ELSE u.b END) FROM u WHERE u.a = t.a) AS k FROM t",
    tree: [
      'project s, max',
      '  single join on a is not distinct from a_2 dependent 0 (a)',
      '    scan 1 [s, a]',
      '    project max, a_2',
      '      left join on a_2 is not distinct from a_4',
      '        dependent 0 [a_2]',
      "        aggregate max := max(CASE WHEN (s_2 = '9') THEN CAST(s_2 AS INTEGER) ELSE b END) by a_4",
      '          inner join on a_3 = a_4',
      '            scan 0 [a AS a_3, s AS s_2, b]',
      '            dependent 0 [a_4]',
    ],
  },
]

const rewrite = (plan: LogicalPlan): LogicalPlan =>
  pruneColumns({
    ...plan,
    root: pushFilters(removeDependent(marksToJoins(pushFilters(plan.root)))),
  })

t.test('correlated subqueries are plain joins where they can be', async (t) => {
  await using world = await openRuleWorld()
  await checkRule(t, world, rewrite, CASES)
})
