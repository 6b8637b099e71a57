import t from 'tap'
import type { LogicalPlan } from '../logical/relation.ts'
import { mergeUnions } from './merge-unions.ts'
import { checkRule, type RuleCase } from './testing/check-rule.ts'
import { openRuleWorld } from './testing/rule-world.ts'

const CASES: readonly RuleCase[] = [
  {
    claim: 'UNION ALL of UNION ALL',
    sql: 'SELECT a FROM t UNION ALL SELECT b FROM u UNION ALL SELECT a FROM v',
    tree: [
      'union all [a_3]',
      '  project a',
      '    scan 0 [a]',
      '  project b',
      '    scan 1 [b]',
      '  project a_2',
      '    scan 2 [a AS a_2]',
    ],
  },
  {
    claim: 'a UNION of UNION ALLs',
    sql: '(SELECT a FROM t UNION ALL SELECT b FROM u) UNION SELECT a FROM v',
    tree: [
      'distinct',
      '  union all [a_4]',
      '    project a',
      '      scan 0 [a]',
      '    project b',
      '      scan 1 [b]',
      '    project a_3',
      '      scan 2 [a AS a_3]',
    ],
  },
  {
    claim: 'not a UNION ALL of a UNION',
    sql: '(SELECT a FROM t UNION SELECT b FROM u) UNION ALL SELECT a FROM v',
    tree: [
      'union all [a_4]',
      '  distinct',
      '    union all [a_2]',
      '      project a',
      '        scan 0 [a]',
      '      project b',
      '        scan 1 [b]',
      '  project a_3',
      '    scan 2 [a AS a_3]',
    ],
  },
]

const rewrite = (plan: LogicalPlan): LogicalPlan => ({ ...plan, root: mergeUnions(plan.root) })

t.test('unions of unions are one', async (t) => {
  await using world = await openRuleWorld()
  await checkRule(t, world, rewrite, CASES)
})
