import t from 'tap'
import { pruneColumns } from './prune-columns.ts'
import { checkRule, type RuleCase } from './testing/check-rule.ts'
import { openRuleWorld } from './testing/rule-world.ts'

const CASES: readonly RuleCase[] = [
  {
    claim: 'of scans, projections and aggregates',
    sql: 'SELECT a, k FROM (SELECT a, count(*) AS k, sum(b) AS m FROM (SELECT a, b, c FROM t) GROUP BY a)',
    tree: ['aggregate count := count(*) by a', '  scan 0 [a]'],
  },
  {
    claim: 'of windows, and a window without functions is none',
    sql: 'SELECT a FROM (SELECT a, row_number() OVER (ORDER BY b) AS k FROM t)',
    tree: ['scan 0 [a]'],
  },
  {
    claim: 'of UNION ALL, by position',
    sql: 'SELECT y FROM (SELECT a AS x, b AS y FROM t UNION ALL SELECT c, a FROM u)',
    tree: ['union all [b_2]', '  scan 0 [b]', '  scan 1 [a AS a_2]'],
  },
  {
    claim: 'not of UNION, where each column tells rows apart',
    sql: 'SELECT y FROM (SELECT a AS x, b AS y FROM t UNION SELECT c, a FROM u)',
    tree: [
      'project b_2',
      '  distinct',
      '    union all [x_2, b_2]',
      '      project x := CAST(a AS BIGINT), b',
      '        scan 0 [a, b]',
      '      scan 1 [c, a AS a_2]',
    ],
  },
  {
    claim: 'not of DISTINCT',
    sql: 'SELECT y FROM (SELECT DISTINCT a AS x, b AS y FROM t)',
    tree: ['project b', '  distinct', '    scan 0 [a, b]'],
  },
  {
    claim: 'of WITH, for all its uses',
    sql: 'WITH k AS (SELECT a, b, c, s FROM t) SELECT k.a, m.b FROM k JOIN k AS m ON k.a = m.a',
    tree: [
      'with 0',
      '  scan 0 [a, b]',
      '  project a_2, b_3',
      '    inner join on a_2 = a_3',
      '      cte 0 [a_2, b_2]',
      '      cte 0 [a_3, b_3]',
    ],
  },
  {
    claim: 'a left join with at most one partner that nobody reads goes',
    sql: 'SELECT t.a FROM t LEFT JOIN (SELECT a FROM u GROUP BY a) AS g ON g.a = t.a',
    tree: ['scan 0 [a]'],
  },
  {
    claim: 'a left join with several partners repeats rows',
    sql: 'SELECT t.a FROM t LEFT JOIN u ON u.a = t.a',
    tree: ['project a', '  left join on a = a_2', '    scan 0 [a]', '    scan 1 [a AS a_2]'],
  },
  {
    claim: 'a count of rows reads no column',
    sql: 'SELECT count(*) FROM t',
    tree: ['aggregate count := count(*)', '  scan 0 []'],
  },
]

t.test('columns that nobody reads are not made', async (t) => {
  await using world = await openRuleWorld()
  await checkRule(t, world, pruneColumns, CASES)
})
