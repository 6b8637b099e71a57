import t from 'tap'
import type { LogicalPlan } from '../logical/relation.ts'
import { marksToJoins } from './marks-to-joins.ts'
import { pruneColumns } from './prune-columns.ts'
import { pushFilters } from './push-filters.ts'
import { checkRule, type RuleCase } from './testing/check-rule.ts'
import { openRuleWorld } from './testing/rule-world.ts'

const CASES: readonly RuleCase[] = [
  {
    claim: 'IN is a semi join',
    sql: 'SELECT s FROM t WHERE a IN (SELECT a FROM u)',
    tree: ['project s', '  semi join on a = a_2', '    scan 0 [a, s]', '    scan 1 [a AS a_2]'],
  },
  {
    claim: 'NOT IN with possible NULLs keeps its mark',
    sql: 'SELECT s FROM t WHERE a NOT IN (SELECT a FROM u WHERE b = 1 OR x > 0)',
    tree: [
      'project s',
      '  filter (NOT mark)',
      '    mark join on a = a_2 as mark',
      '      scan 0 [a, s]',
      '      project a_2',
      '        filter ((b = 1) OR (x > CAST(0 AS DOUBLE)))',
      '          scan 1 [b, x, a AS a_2]',
    ],
  },
  {
    claim: 'NOT IN without NULLs is an anti join',
    sql: 'SELECT s FROM t WHERE a IS NOT NULL AND a NOT IN (SELECT a FROM u WHERE a > 0)',
    tree: [
      'project s',
      '  anti join on a = a_2',
      '    filter (a IS NOT NULL)',
      '      scan 0 [a, s]',
      '    filter (a_2 > 0)',
      '      scan 1 [a AS a_2]',
    ],
  },
  {
    claim: 'NOT IN of counts is an anti join',
    sql: 'SELECT s FROM t WHERE a > 0 AND c > 0 AND c NOT IN (SELECT count(*) FROM u GROUP BY a)',
    tree: [
      'project s',
      '  anti join on c = count',
      '    filter (a > 0) AND (c > CAST(0 AS BIGINT))',
      '      scan 0 [a, c, s]',
      '    project count',
      '      aggregate count := count(*) by a_2',
      '        scan 1 [a AS a_2]',
    ],
  },
  {
    claim: 'a mark that is shown too is the constant that the filter says',
    sql: 'SELECT * FROM (SELECT s, a IN (SELECT a FROM u) AS k FROM t) WHERE k',
    tree: [
      'project s, mark := true',
      '  semi join on a = a_2',
      '    scan 1 [s, a]',
      '    scan 0 [a AS a_2]',
    ],
  },
  {
    claim: 'a mark among alternatives stays',
    sql: 'SELECT s FROM t WHERE a IN (SELECT a FROM u) OR b = 1',
    tree: [
      'project s',
      '  filter (mark OR (b = 1))',
      '    mark join on a = a_2 as mark',
      '      scan 0 [a, b, s]',
      '      scan 1 [a AS a_2]',
    ],
  },
  {
    claim: 'two marks are two joins',
    sql: 'SELECT s FROM t WHERE a IN (SELECT a FROM u) AND b IN (SELECT b FROM v)',
    tree: [
      'project s',
      '  semi join on b = b_2',
      '    project b, s',
      '      semi join on a = a_2',
      '        scan 0 [a, b, s]',
      '        scan 1 [a AS a_2]',
      '    scan 2 [b AS b_2]',
    ],
  },
]

const rewrite = (plan: LogicalPlan): LogicalPlan =>
  pruneColumns({ ...plan, root: marksToJoins(pushFilters(plan.root)) })

t.test('marks that are asked for are semi and anti joins', async (t) => {
  await using world = await openRuleWorld()
  await checkRule(t, world, rewrite, CASES)
})
