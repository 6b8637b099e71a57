import t from 'tap'
import type { LogicalPlan } from '../logical/relation.ts'
import { pruneColumns } from './prune-columns.ts'
import { pushFilters } from './push-filters.ts'
import { shareCte } from './share-cte.ts'
import { checkRule, type RuleCase } from './testing/check-rule.ts'
import { openRuleWorld } from './testing/rule-world.ts'

const CASES: readonly RuleCase[] = [
  {
    claim:
      'a cross product with an equality is an inner join, what is asked of one side is asked there',
    sql: 'SELECT t.s, u.s FROM t, u WHERE t.a = u.a AND t.b = 1 AND u.b > 0',
    tree: [
      'project s, s_2',
      '  inner join on a = a_2',
      '    filter (b = 1)',
      '      scan 0 [a, b, s]',
      '    filter (b_2 > 0)',
      '      scan 1 [a AS a_2, b AS b_2, s AS s_2]',
    ],
  },
  {
    claim: 'what holds for a column holds for those that it is equal to, over several joins',
    sql: 'SELECT t.s FROM t JOIN u ON t.a = u.a JOIN v ON u.a = v.a WHERE t.a IN (1, 2)',
    tree: [
      'project s',
      '  inner join on a_2 = a_3',
      '    inner join on a = a_2',
      '      filter (a IN (1, 2))',
      '        scan 0 [a, s]',
      '      filter (a_2 IN (1, 2))',
      '        scan 1 [a AS a_2]',
      '    filter (a_3 IN (1, 2))',
      '      scan 2 [a AS a_3]',
    ],
  },
  {
    claim: '-0.0 and 0.0 are equal and differ: nothing is said of the other side',
    sql: 'SELECT t.s FROM t JOIN u ON t.x = u.x WHERE t.x > 0',
    tree: [
      'project s',
      '  inner join on x = x_2',
      '    filter (x > CAST(0 AS DOUBLE))',
      '      scan 0 [x, s]',
      '    scan 1 [x AS x_2]',
    ],
  },
  {
    claim: 'a left join whose NULLs are dropped is an inner join',
    sql: 'SELECT t.s, u.s FROM t LEFT JOIN u ON t.a = u.a WHERE u.b = 1',
    tree: [
      'project s, s_2',
      '  inner join on a = a_2',
      '    scan 0 [a, s]',
      '    filter (b = 1)',
      '      scan 1 [a AS a_2, b, s AS s_2]',
    ],
  },
  {
    claim: 'a left join whose NULLs a later join drops is an inner join',
    sql: 'SELECT t.s FROM t LEFT JOIN u ON t.a = u.a JOIN v ON v.b = u.b',
    tree: [
      'project s',
      '  inner join on b = b_2',
      '    inner join on a = a_2',
      '      scan 0 [a, s]',
      '      scan 1 [a AS a_2, b]',
      '    scan 2 [b AS b_2]',
    ],
  },
  {
    claim: 'IS NULL and COALESCE keep a left join and stay above it',
    sql: 'SELECT t.s FROM t LEFT JOIN u ON t.a = u.a WHERE u.b IS NULL OR coalesce(u.b, 1) = 1',
    tree: [
      'project s',
      '  filter ((b IS NULL) OR (COALESCE(b, 1) = 1))',
      '    left join on a = a_2',
      '      scan 0 [a, s]',
      '      scan 1 [a AS a_2, b]',
    ],
  },
  {
    claim: 'conditions of a left join go to the right side alone',
    sql: 'SELECT t.s, u.s FROM t LEFT JOIN u ON t.a = u.a AND t.b = 1 AND u.b = 1',
    tree: [
      'project s, s_2',
      '  left join on a = a_2 AND (b = 1)',
      '    scan 0 [a, b, s]',
      '    filter (b_2 = 1)',
      '      scan 1 [a AS a_2, b AS b_2, s AS s_2]',
    ],
  },
  {
    claim: 'a full join becomes a left or right one by the side whose NULLs are dropped',
    sql: 'SELECT t.s, u.s FROM t FULL JOIN u ON t.a = u.a WHERE t.b > 0',
    tree: [
      'project s, s_2',
      '  left join on a = a_2',
      '    filter (b > 0)',
      '      scan 0 [a, b, s]',
      '    scan 1 [a AS a_2, s AS s_2]',
    ],
  },
  {
    claim: 'a full join of which no NULLs are dropped keeps everything above it',
    sql: 'SELECT t.s, u.s FROM t FULL JOIN u ON t.a = u.a WHERE t.b IS NULL',
    tree: [
      'project s, s_2',
      '  filter (b IS NULL)',
      '    full join on a = a_2',
      '      scan 0 [a, b, s]',
      '      scan 1 [a AS a_2, s AS s_2]',
    ],
  },
  {
    claim: 'through an anti join goes what is asked of the left, and of the right what is equal',
    sql: 'SELECT t.s FROM t ANTI JOIN (SELECT * FROM u WHERE b = 0 AND x > 0) AS u ON t.a = u.a WHERE t.a IN (1, 2)',
    tree: [
      'project s',
      '  anti join on a = a_2',
      '    filter (a IN (1, 2))',
      '      scan 0 [a, s]',
      '    project a_2',
      '      filter (b = 0) AND (x > CAST(0 AS DOUBLE)) AND (a_2 IN (1, 2))',
      '        scan 1 [b, x, a AS a_2]',
    ],
  },
  {
    claim: 'what may fail stays where it meets the same rows',
    sql: 'SELECT t.a FROM t JOIN u ON t.a = u.a WHERE t.b + 1 > 1 AND CAST(t.c AS INTEGER) = 2 AND t.b > 0',
    tree: [
      'project a',
      '  filter ((b + 1) > 1) AND (CAST(c AS INTEGER) = 2)',
      '    inner join on a = a_2',
      '      filter (b > 0)',
      '        scan 0 [a, b, c]',
      '      scan 1 [a AS a_2]',
    ],
  },
  {
    claim: 'a condition over keys goes below the groups, one over aggregates does not',
    sql: 'SELECT * FROM (SELECT a, b, count(*) AS k FROM t GROUP BY a, b) WHERE a = 1 AND k > 0',
    tree: [
      'filter (count > CAST(0 AS BIGINT))',
      '  aggregate count := count(*) by a, b',
      '    filter (a = 1)',
      '      scan 0 [a, b]',
    ],
  },
  {
    claim: 'only keys of all grouping sets let conditions through',
    sql: 'SELECT * FROM (SELECT a, b, count(*) AS k FROM t GROUP BY GROUPING SETS ((a, b), (a))) WHERE a = 1 AND b = 1',
    tree: [
      'filter (b_2 = 1)',
      '  aggregate count := count(*) by a_2 := a, b_2 := b in sets (0, 1) (0)',
      '    filter (a = 1)',
      '      scan 0 [a, b]',
    ],
  },
  {
    claim: 'below a window goes what is asked of what all windows are partitioned by',
    sql: 'SELECT * FROM (SELECT a, b, row_number() OVER (PARTITION BY a, b ORDER BY c, s, d, x, n) AS k, count(*) OVER (PARTITION BY a) AS m FROM t) WHERE a = 1 AND b = 1 AND k = 1',
    tree: [
      'project a, b, row_number, count',
      '  filter (b = 1) AND (row_number = CAST(1 AS BIGINT))',
      '    window row_number := row_number() OVER (PARTITION BY a, b ORDER BY c ASC NULLS LAST, s ASC NULLS LAST, d ASC NULLS LAST, x ASC NULLS LAST, n ASC NULLS LAST), count := count(*) OVER (PARTITION BY a)',
      '      filter (a = 1)',
      '        scan 0 [a, b, c, s, d, x, n]',
    ],
  },
  {
    claim: 'through DISTINCT and set operations to each input',
    sql: 'SELECT * FROM (SELECT DISTINCT a FROM t UNION SELECT b FROM u EXCEPT SELECT a FROM v WHERE b = 1) WHERE a < 3',
    tree: [
      'distinct',
      '  except [a_4]',
      '    distinct',
      '      union all [a_2]',
      '        distinct',
      '          filter (a < 3)',
      '            scan 0 [a]',
      '        filter (b < 3)',
      '          scan 1 [b]',
      '    project a_3',
      '      filter (b_2 = 1) AND (a_3 < 3)',
      '        scan 2 [b AS b_2, a AS a_3]',
    ],
  },
  {
    claim: 'never below a limit',
    sql: 'SELECT * FROM (SELECT a FROM t ORDER BY a DESC, b LIMIT 7) WHERE a = 2',
    tree: [
      'project a',
      '  filter (a = 2)',
      '    limit 7',
      '      sort by a desc nulls last, b asc nulls last',
      '        scan 0 [a, b]',
    ],
  },
  {
    claim: 'what all alternatives ask is asked once, and of each side what it can tell',
    sql: 'SELECT t.s FROM t, u WHERE (t.a = u.a AND t.b = 1 AND u.b = 1) OR (t.a = u.a AND t.b = 2 AND u.b = 0)',
    tree: [
      'project s',
      '  inner join on a = a_2 AND (((b = 1) AND (b_2 = 1)) OR ((b = 2) AND (b_2 = 0)))',
      '    filter ((b = 1) OR (b = 2))',
      '      scan 0 [a, b, s]',
      '    filter ((b_2 = 1) OR (b_2 = 0))',
      '      scan 1 [a AS a_2, b AS b_2]',
    ],
  },
]

const rewrite = (plan: LogicalPlan): LogicalPlan =>
  pruneColumns({ ...plan, root: pushFilters(shareCte(plan.root)) })

t.test('filters go as far down as they may', async (t) => {
  await using world = await openRuleWorld()
  await checkRule(t, world, rewrite, CASES)
})
