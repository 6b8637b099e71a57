import t from 'tap'
import { dropNullTests } from './drop-null-tests.ts'
import { pruneColumns } from './prune-columns.ts'
import { pushFilters } from './push-filters.ts'
import { checkRule, type RuleCase } from './testing/check-rule.ts'
import { openRuleWorld } from './testing/rule-world.ts'

const CASES: readonly RuleCase[] = [
  {
    claim: 'a test of a key for NULL goes where the join compares it for equality',
    sql: 'SELECT t.s FROM t SEMI JOIN (SELECT * FROM u WHERE a IS NOT NULL AND b = 1) AS q ON t.a = q.a',
    tree: [
      'project s',
      '  semi join on a = a_2',
      '    scan 0 [a, s]',
      '    project a_2',
      '      filter (b = 1)',
      '        scan 1 [a AS a_2, b]',
    ],
  },
  {
    claim: 'one of the side that a left join keeps stays',
    sql: 'SELECT q.s, u.s FROM (SELECT * FROM t WHERE a IS NOT NULL) AS q LEFT JOIN u ON q.a = u.a',
    tree: [
      'project s, s_2',
      '  left join on a = a_2',
      '    filter (a IS NOT NULL)',
      '      scan 0 [a, s]',
      '    scan 1 [a AS a_2, s AS s_2]',
    ],
  },
  {
    claim: 'one of a key for which NULL equals NULL stays',
    sql: 'SELECT t.s FROM t JOIN (SELECT * FROM u WHERE a IS NOT NULL) AS q ON t.a IS NOT DISTINCT FROM q.a',
    tree: [
      'project s',
      '  inner join on a is not distinct from a_2',
      '    scan 0 [a, s]',
      '    filter (a_2 IS NOT NULL)',
      '      scan 1 [a AS a_2]',
    ],
  },
  {
    claim: 'one of another column stays',
    sql: 'SELECT t.s FROM t ANTI JOIN (SELECT * FROM u WHERE b IS NOT NULL) AS q ON t.a = q.a',
    tree: [
      'project s',
      '  anti join on a = a_2',
      '    scan 0 [a, s]',
      '    project a_2',
      '      filter (b IS NOT NULL)',
      '        scan 1 [b, a AS a_2]',
    ],
  },
]

t.test('tests for NULL that a join makes itself are dropped', async (t) => {
  await using world = await openRuleWorld()
  await checkRule(
    t,
    world,
    (plan) => pruneColumns({ ...plan, root: dropNullTests(pushFilters(plan.root)) }),
    CASES,
  )
})
