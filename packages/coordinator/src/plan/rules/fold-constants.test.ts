import t from 'tap'
import type { LogicalPlan } from '../logical/relation.ts'
import { foldConstants } from './fold-constants.ts'
import { checkRule, type RuleCase } from './testing/check-rule.ts'
import { openRuleWorld } from './testing/rule-world.ts'

const CASES: readonly RuleCase[] = [
  {
    claim: 'a date plus an interval, compared with a date',
    sql: "SELECT a FROM t WHERE d >= DATE '1995-01-03' AND d < DATE '1995-01-31' + INTERVAL 1 MONTH",
    tree: [
      'project a',
      "  filter (d >= CAST('1995-01-03' AS DATE)) AND (d < CAST('1995-02-28' AS DATE))",
      '    scan 0 [d, a]',
    ],
  },
  {
    claim: 'a date minus days',
    sql: "SELECT a FROM t WHERE d <= DATE '1998-12-01' - INTERVAL 90 DAY",
    tree: ['project a', "  filter (d <= CAST('1998-09-02' AS DATE))", '    scan 0 [d, a]'],
  },
  {
    claim: 'not a moment within a day',
    sql: "SELECT a FROM t WHERE d < TIMESTAMP '1995-01-03 10:00:00'",
    tree: [
      'project a',
      "  filter (CAST(d AS TIMESTAMP) < CAST('1995-01-03 10:00:00' AS TIMESTAMP))",
      '    scan 0 [d, a]',
    ],
  },
  {
    claim: 'a widened column with a constant of its own range',
    sql: 'SELECT a FROM t WHERE a = 3000000000 OR CAST(a AS BIGINT) = 2',
    tree: ['project a', '  filter ((CAST(a AS BIGINT) = 3000000000) OR (a = 2))', '    scan 0 [a]'],
  },
  {
    claim: 'a decimal with more digits',
    sql: 'SELECT a FROM t WHERE n < 3.5 AND n > 0.123',
    tree: [
      'project a',
      '  filter (n < 0000003.50) AND (CAST(n AS DECIMAL(10,3)) > 0000000.123)',
      '    scan 0 [n, a]',
    ],
  },
  {
    claim: 'truth values',
    sql: 'SELECT a FROM t WHERE (a = 1 OR 1 = 2) AND NOT (b = 1 AND 1 = 1) AND NOT (c IS NULL)',
    tree: [
      'project a',
      '  filter (a = 1) AND (b <> 1) AND (c IS NOT NULL)',
      '    scan 0 [a, b, c]',
    ],
  },
  {
    claim: 'a comparison with NULL',
    sql: 'SELECT a = NULL, a IS NOT DISTINCT FROM NULL FROM t',
    tree: [
      'project value := CAST(NULL AS BOOLEAN), value_2 := (a IS NOT DISTINCT FROM CAST(NULL AS INTEGER))',
      '  scan 0 [a]',
    ],
  },
  {
    claim: 'not the arguments of functions',
    sql: 'SELECT CAST(5 AS INTEGER) * n FROM t',
    tree: ['project value := (5 * n)', '  scan 0 [n]'],
  },
]

const rewrite = (plan: LogicalPlan): LogicalPlan => ({ ...plan, root: foldConstants(plan.root) })

t.test('constants are computed where that is exact', async (t) => {
  await using world = await openRuleWorld()
  await checkRule(t, world, rewrite, CASES)
})
