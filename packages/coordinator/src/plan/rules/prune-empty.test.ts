import t from 'tap'
import type { LogicalPlan } from '../logical/relation.ts'
import { foldConstants } from './fold-constants.ts'
import { pruneEmpty } from './prune-empty.ts'
import { checkRule, type RuleCase } from './testing/check-rule.ts'
import { openRuleWorld } from './testing/rule-world.ts'

const CASES: readonly RuleCase[] = [
  {
    claim: 'an inner join',
    sql: 'SELECT t.s FROM t JOIN (SELECT * FROM u WHERE 1 = 0) AS e ON t.a = e.a',
    tree: ['values [s] 0 rows'],
  },
  {
    claim: 'the right side of a left join',
    sql: 'SELECT t.s, e.s FROM t LEFT JOIN (SELECT * FROM u WHERE 1 = 0) AS e ON t.a = e.a',
    tree: [
      'project s, s_2',
      '  project a, s, a_2 := CAST(NULL AS INTEGER), b := CAST(NULL AS INTEGER), c := CAST(NULL AS BIGINT), s_2 := CAST(NULL AS VARCHAR), d := CAST(NULL AS DATE), x := CAST(NULL AS DOUBLE), n := CAST(NULL AS DECIMAL(9,2))',
      '    scan 0 [a, s]',
    ],
  },
  {
    claim: 'a full join',
    sql: 'SELECT t.s, e.s FROM (SELECT * FROM u WHERE 1 = 0) AS e FULL JOIN t ON t.a = e.a',
    tree: [
      'project s_2, s',
      '  project a := CAST(NULL AS INTEGER), b := CAST(NULL AS INTEGER), c := CAST(NULL AS BIGINT), s := CAST(NULL AS VARCHAR), d := CAST(NULL AS DATE), x := CAST(NULL AS DOUBLE), n := CAST(NULL AS DECIMAL(9,2)), a_2, s_2',
      '    scan 1 [a AS a_2, s AS s_2]',
    ],
  },
  {
    claim: 'an aggregate without keys has a row even so',
    sql: 'SELECT count(*) FROM t WHERE 1 = 0',
    tree: ['project count', '  aggregate count := count(*)', '    values [] 0 rows'],
  },
  {
    claim: 'an aggregate with keys has none',
    sql: 'SELECT a, count(*) FROM t WHERE 1 = 0 GROUP BY a',
    tree: ['values [a, count] 0 rows'],
  },
  {
    claim: 'IN of nothing is FALSE',
    sql: 'SELECT s, a IN (SELECT a FROM u WHERE 1 = 0) FROM t',
    tree: ['project s, mark', '  project s, a, mark := false', '    scan 1 [s, a]'],
  },
  {
    claim: 'inputs of set operations',
    sql: 'SELECT a FROM t WHERE 1 = 0 UNION ALL SELECT b FROM u UNION ALL SELECT a FROM v WHERE 1 = 0',
    tree: ['project a_3 := b', '  project b', '    scan 1 [b]'],
  },
  {
    claim: 'EXCEPT of nothing keeps each row once',
    sql: 'SELECT a FROM t EXCEPT SELECT b FROM u WHERE 1 = 0',
    tree: [
      'distinct',
      '  distinct',
      '    project a_2 := a',
      '      project a',
      '        scan 0 [a]',
    ],
  },
]

const rewrite = (plan: LogicalPlan): LogicalPlan => ({
  ...plan,
  root: pruneEmpty(foldConstants(plan.root)),
})

t.test('what has no rows goes away', async (t) => {
  await using world = await openRuleWorld()
  await checkRule(t, world, rewrite, CASES)
})
