import t from 'tap'
import { inputsOf, type LogicalPlan, type Relation } from '../logical/relation.ts'
import { optimize } from './index.ts'
import { checkRule, type RuleCase } from './testing/check-rule.ts'
import { openRuleWorld, treeLines } from './testing/rule-world.ts'

const ROWS = 100

function rowsOf(relation: Relation): number {
  const inputs = inputsOf(relation).map(rowsOf)
  return relation.kind === 'scan' ? ROWS : Math.max(1, ...inputs)
}
const rewrite = (plan: LogicalPlan): LogicalPlan =>
  optimize(plan, (relation) => ({ rows: rowsOf(relation), bytes: rowsOf(relation) }))

const CASES: readonly RuleCase[] = [
  {
    claim: 'what the order of joins brings up is not counted below DISTINCT',
    sql: 'SELECT DISTINCT v.s FROM (SELECT t.a, u.b FROM t JOIN u ON t.a = u.a) AS k CROSS JOIN v',
    tree: [
      'distinct',
      '  project s',
      '    cross join',
      '      inner join on a = a_2',
      '        scan 0 [a]',
      '        scan 1 [a AS a_2]',
      '      scan 2 [s]',
    ],
  },
  {
    claim: 'a condition on NULL keeps the types of what it stands in',
    sql: "SELECT (s || '-' || CASE WHEN false THEN s END), a FROM t",
    tree: [
      "project value := ((s || '-') || CASE WHEN false THEN s ELSE CAST(NULL AS VARCHAR) END), a",
      '  scan 0 [s, a]',
    ],
  },
  {
    claim: 'a subquery that is filtered by its own value is an inner join',
    sql: 'SELECT s FROM t WHERE (SELECT max(b) FROM u WHERE u.a = t.a) > 1 AND b = 1',
    tree: [
      'project s',
      '  inner join on a = a_4',
      '    filter (b = 1)',
      '      scan 0 [a, b, s]',
      '    project a_4',
      '      filter (max > 1)',
      '        aggregate max := max(b_2) by a_4 := a_3',
      '          filter (a_3 IS NOT NULL)',
      '            scan 1 [a AS a_3, b AS b_2]',
    ],
  },
]

t.test('all rules together', async (t) => {
  await using world = await openRuleWorld()
  await checkRule(t, world, rewrite, CASES)
})

t.test('what is optimized stays as it is when it is optimized again', async (t) => {
  await using world = await openRuleWorld()
  for (const { sql, claim } of CASES) {
    const once = rewrite(await world.plan(sql))
    t.strictSame(treeLines(rewrite(once).root), treeLines(once.root), claim)
  }
})
