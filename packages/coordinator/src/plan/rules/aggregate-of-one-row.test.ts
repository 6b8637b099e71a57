import t from 'tap'
import type { LogicalPlan } from '../logical/relation.ts'
import { aggregateOfOneRow } from './aggregate-of-one-row.ts'
import { foldConstants } from './fold-constants.ts'
import { pruneColumns } from './prune-columns.ts'
import { checkRule, type RuleCase } from './testing/check-rule.ts'
import { openRuleWorld } from './testing/rule-world.ts'

const CASES: readonly RuleCase[] = [
  {
    claim: 'a scalar subquery that is an aggregate has no second row',
    sql: 'SELECT s FROM t WHERE b = (SELECT max(b) FROM u)',
    tree: [
      'project s',
      '  filter (b = value)',
      '    cross join',
      '      scan 0 [b, s]',
      '      project value := max',
      '        aggregate max := max(b_2)',
      '          scan 1 [b AS b_2]',
    ],
  },
  {
    claim: 'one that may have more is looked at',
    sql: 'SELECT s FROM t WHERE b = (SELECT max(b) FROM u GROUP BY a HAVING a = 1)',
    tree: [
      'project s',
      '  filter (b = value)',
      '    cross join',
      '      scan 0 [b, s]',
      "      project value := CASE WHEN (count > CAST('1' AS BIGINT)) THEN error('More than one row returned by a subquery used as an expression - scalar subqueries can only return a single row.",
      '',
      'Use "SET scalar_subquery_error_on_multiple_rows=false" to revert to previous behavior of returning a random row.\') ELSE first END',
      '        aggregate first := first(max), count := count(*)',
      '          project max',
      '            filter (a = 1)',
      '              aggregate max := max(b_2) by a',
      '                scan 1 [a, b AS b_2]',
    ],
  },
]

const rewrite = (plan: LogicalPlan): LogicalPlan => {
  const pruned = pruneColumns({ ...plan, root: aggregateOfOneRow(plan.root) })
  return pruneColumns({ ...plan, root: foldConstants(pruned.root) })
}

t.test('one row needs no aggregation', async (t) => {
  await using world = await openRuleWorld()
  await checkRule(t, world, rewrite, CASES)
})
