import t from 'tap'
import type { LogicalPlan } from '../logical/relation.ts'
import { pushLimits } from './limit-pushdown.ts'
import { mergeUnions } from './merge-unions.ts'
import { pruneColumns } from './prune-columns.ts'
import { checkRule, type RuleCase } from './testing/check-rule.ts'
import { openRuleWorld } from './testing/rule-world.ts'

const CASES: readonly RuleCase[] = [
  {
    claim: 'below a projection',
    sql: 'SELECT a + 1 AS k FROM (SELECT a FROM t ORDER BY a, b, c LIMIT 4)',
    tree: [
      'project k := (a + 1)',
      '  limit 4',
      '    sort by a asc nulls last, b asc nulls last, c asc nulls last',
      '      scan 0 [a, b, c]',
    ],
  },
  {
    claim: 'into each input of UNION ALL, those that the offset skips included',
    sql: 'SELECT count(*) FROM (SELECT 1 AS k FROM t UNION ALL SELECT 1 FROM u LIMIT 5 OFFSET 2)',
    tree: [
      'aggregate count := count(*)',
      '  limit 5 offset 2',
      '    union all [k_2]',
      '      project k := 1',
      '        limit 7',
      '          scan 0 []',
      '      project value := 1',
      '        limit 7',
      '          scan 1 []',
    ],
  },
  {
    claim: 'with the sort that it belongs to',
    sql: 'SELECT a, b FROM (SELECT a, b FROM t UNION ALL SELECT b, a FROM u) ORDER BY a, b LIMIT 3',
    tree: [
      'limit 3',
      '  sort by a_3 asc nulls last, b_3 asc nulls last',
      '    union all [a_3, b_3]',
      '      limit 3',
      '        sort by a asc nulls last, b asc nulls last',
      '          scan 0 [a, b]',
      '      limit 3',
      '        sort by b_2 asc nulls last, a_2 asc nulls last',
      '          scan 1 [b AS b_2, a AS a_2]',
    ],
  },
  {
    claim: 'not into a UNION, where rows are dropped later',
    sql: 'SELECT count(*) FROM (SELECT a FROM t UNION SELECT a FROM u LIMIT 2)',
    tree: [
      'aggregate count := count(*)',
      '  limit 2',
      '    distinct',
      '      union all [a_3]',
      '        scan 0 [a]',
      '        scan 1 [a AS a_2]',
    ],
  },
  {
    claim: 'limits of limits are one',
    sql: 'SELECT count(*) FROM (SELECT a FROM (SELECT a FROM t LIMIT 10 OFFSET 1) LIMIT 5 OFFSET 7)',
    tree: ['aggregate count := count(*)', '  limit 3 offset 8', '    scan 0 []'],
  },
]

const rewrite = (plan: LogicalPlan): LogicalPlan => {
  const pruned = pruneColumns({ ...plan, root: mergeUnions(plan.root) })
  return pruneColumns({ ...plan, root: pushLimits(pruned.root) })
}

t.test('limits go where rows are made', async (t) => {
  await using world = await openRuleWorld()
  await checkRule(t, world, rewrite, CASES)
})
