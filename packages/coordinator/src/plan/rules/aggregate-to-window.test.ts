import t from 'tap'
import type { LogicalPlan } from '../logical/relation.ts'
import type { Scan } from '../scan.ts'
import { optimize } from './index.ts'
import { checkRule } from './testing/check-rule.ts'
import { openRuleWorld, treeLines } from './testing/rule-world.ts'

const rewrite = (plan: LogicalPlan, scans: ReadonlyMap<number, Scan>): LogicalPlan =>
  optimize(plan, () => ({ rows: 100, bytes: 100 }), scans)

const JOINED = `SELECT u.s, v.d FROM u JOIN t ON t.a = u.a JOIN v ON v.b = t.b WHERE v.s = 'a'`
const least = (of: string): string => `${JOINED} AND t.c = (SELECT ${of})`
const SAME = `FROM t AS t2 JOIN v AS v2 ON v2.b = t2.b WHERE t2.a = u.a AND v2.s = 'a'`

/** Queries whose aggregate is not, or not surely, that of the rows that they join. */
const LEFT_ALONE: Readonly<Record<string, string>> = {
  'rows that meet several partners would count more than once': least(`sum(t2.c) ${SAME}`),
  'another condition': least(`min(t2.c) FROM t AS t2 JOIN v AS v2 ON v2.b = t2.b
    WHERE t2.a = u.a AND v2.s = 'b'`),
  'a condition more': least(`min(t2.c) ${SAME} AND t2.n > 1`),
  'a condition less': least(`min(t2.c) FROM t AS t2 JOIN v AS v2 ON v2.b = t2.b WHERE t2.a = u.a`),
  'another way to join': least(`min(t2.c) FROM t AS t2 JOIN v AS v2 ON v2.a = t2.b
    WHERE t2.a = u.a AND v2.s = 'a'`),
  'partners that not all rows of a group have': `SELECT t.s FROM t JOIN u ON u.b = t.b
    WHERE t.c = (SELECT min(t2.c) FROM t AS t2 WHERE t2.a = t.a)`,
  'partners by a comparison of something else': `SELECT t.s FROM t JOIN u ON u.a = t.a AND u.b < t.b
    WHERE t.c = (SELECT min(t2.c) FROM t AS t2 WHERE t2.a = t.a)`,
  'a filter of the query alone': `SELECT s FROM t
    WHERE n > 1 AND c = (SELECT min(t2.c) FROM t AS t2 WHERE t2.a = t.a)`,
  'another key': `SELECT s FROM t WHERE c = (SELECT min(t2.c) FROM t AS t2 WHERE t2.a = t.b)`,
  'another table': `SELECT s FROM t WHERE c = (SELECT min(u.c) FROM u WHERE u.a = t.a)`,
  'a key whose equal values are not the same value': `SELECT s FROM t
    WHERE c = (SELECT min(t2.c) FROM t AS t2 WHERE t2.x = t.x)`,
}

t.test('the least of what is joined anyhow is a window', async (t) => {
  await using world = await openRuleWorld()
  await checkRule(t, world, rewrite, [
    {
      claim: 'one table with itself',
      sql: 'SELECT s FROM u WHERE b = (SELECT max(o.b) FROM u AS o WHERE o.a = u.a)',
      tree: [
        'project s',
        '  filter (b = max)',
        '    window max := max(b) OVER (PARTITION BY a)',
        '      filter (a IS NOT NULL)',
        '        scan 0 [b, a, s]',
      ],
    },
    {
      claim: 'a column that only the aggregate reads, and a value computed of it',
      sql: 'SELECT s FROM t WHERE b > (SELECT min(o.c) - 1 FROM t AS o WHERE o.a = t.a AND o.d = t.d)',
      tree: [
        'project s',
        '  filter (CAST(b AS BIGINT) > (min - CAST(1 AS BIGINT)))',
        '    window min := min(c) OVER (PARTITION BY d, a)',
        '      filter (d IS NOT NULL) AND (a IS NOT NULL)',
        '        scan 0 [b, a, d, s, c]',
      ],
    },
    {
      claim: 'a part of what is joined, the rest being tied to it by the key',
      sql: least(`min(t2.c) ${SAME}`),
      tree: [
        'project s, d',
        '  filter (c = min)',
        '    window min := min(c) OVER (PARTITION BY a_2)',
        '      inner join on b = b_2',
        '        inner join on a = a_2',
        '          scan 0 [a, s]',
        '          scan 1 [a AS a_2, b, c]',
        "        filter (s_2 = 'a')",
        '          scan 2 [b AS b_2, s AS s_2, d]',
      ],
    },
    {
      claim: 'another filter on the key is one on all rows of a group',
      sql: `SELECT s FROM t WHERE a IN (1, 3) AND c = (SELECT max(o.c) FROM t AS o WHERE o.a = t.a)`,
      tree: [
        'project s',
        '  filter (c = max)',
        '    window max := max(c) OVER (PARTITION BY a)',
        '      filter (a IS NOT NULL)',
        '        filter (a IN (1, 3))',
        '          scan 0 [a, c, s]',
      ],
    },
    {
      claim: 'groups that are joined as a table',
      sql: `SELECT t.s, g.a, g.most FROM t JOIN (SELECT a, max(c) AS most FROM t GROUP BY a) AS g ON g.a = t.a AND g.most > t.b`,
      tree: [
        'project s, a_2 := a, max',
        '  filter (CAST(b AS BIGINT) < max)',
        '    window max := max(c) OVER (PARTITION BY a)',
        '      filter (a IS NOT NULL)',
        '        scan 0 [a, b, s, c]',
      ],
    },
  ])
})

t.test('an aggregate of other rows stays as it is', async (t) => {
  await using world = await openRuleWorld()
  for (const [claim, sql] of Object.entries(LEFT_ALONE)) {
    const plan = rewrite(await world.plan(sql), await world.scans(sql))
    t.notMatch(treeLines(plan.root).join('\n'), /window/, claim)
    t.strictSame(await world.rows(await world.text(sql, plan)), await world.rows(sql), claim)
  }
})
