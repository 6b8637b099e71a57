import t from 'tap'
import type { LogicalPlan } from '../logical/relation.ts'
import { pruneColumns } from './prune-columns.ts'
import { shareCte } from './share-cte.ts'
import { checkRule, type RuleCase } from './testing/check-rule.ts'
import { openRuleWorld } from './testing/rule-world.ts'

const CASES: readonly RuleCase[] = [
  {
    claim: 'once',
    sql: 'WITH k AS (SELECT a, count(*) AS m FROM t GROUP BY a) SELECT m FROM k',
    tree: ['project count_2 := count', '  aggregate count := count(*) by a', '    scan 0 [a]'],
  },
  {
    claim: 'twice',
    sql: 'WITH k AS (SELECT a, count(*) AS m FROM t GROUP BY a) SELECT x.m FROM k AS x JOIN k AS y ON x.a = y.m',
    tree: [
      'with 0',
      '  aggregate count := count(*) by a',
      '    scan 0 [a]',
      '  project count_2',
      '    inner join on CAST(a_2 AS BIGINT) = count_3',
      '      cte 0 [a_2, count_2]',
      '      cte 0 [a_3, count_3]',
    ],
  },
  {
    claim: 'once by one that is used twice',
    sql: 'WITH j AS (SELECT a, b FROM t), k AS (SELECT a FROM j WHERE b = 1) SELECT x.a FROM k AS x, k AS y',
    tree: [
      'with 1',
      '  project a_2',
      '    filter (b_2 = 1)',
      '      project a_2 := a, b_2 := b',
      '        scan 0 [a, b]',
      '  project a_3',
      '    cross join',
      '      cte 1 [a_3]',
      '      cte 1 [a_4]',
    ],
  },
]

const rewrite = (plan: LogicalPlan): LogicalPlan =>
  pruneColumns({ ...plan, root: shareCte(plan.root) })

t.test('a WITH that is used once is where it is used', async (t) => {
  await using world = await openRuleWorld()
  await checkRule(t, world, rewrite, CASES)
})
