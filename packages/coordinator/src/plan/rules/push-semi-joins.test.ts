import t from 'tap'
import { inputsOf, type LogicalPlan, type Relation } from '../logical/relation.ts'
import { pruneColumns } from './prune-columns.ts'
import { pushFilters } from './push-filters.ts'
import { pushSemiJoins } from './push-semi-joins.ts'
import { checkRule, type RuleCase } from './testing/check-rule.ts'
import { openRuleWorld } from './testing/rule-world.ts'

/** Scans in the order of FROM have so many rows; a semi or anti join leaves as many as its right side has. */
const rewrite =
  (rows: readonly number[]) =>
  (plan: LogicalPlan): LogicalPlan => {
    const rowsOf = (relation: Relation): number => {
      if (relation.kind === 'scan') return rows[relation.scan] ?? 1
      const inputs = inputsOf(relation).map(rowsOf)
      if (relation.kind === 'join' && relation.type !== 'inner') return Math.min(...inputs)
      return Math.max(...inputs)
    }
    const root = pushSemiJoins(pushFilters(plan.root), (relation) => {
      const count = rowsOf(relation)
      return { rows: count, bytes: count * 8 }
    })
    return pruneColumns({ ...plan, root })
  }

const QUERY = 'SELECT t.s, u.s FROM t JOIN u ON t.a = u.a SEMI JOIN v ON u.b = v.b'

interface SizedCase extends RuleCase {
  readonly rows: readonly number[]
}

const CASES: readonly SizedCase[] = [
  {
    claim: 'a semi join that leaves few rows is asked of the side that it reads',
    sql: QUERY,
    rows: [1000, 1000, 10],
    tree: [
      'project s, s_2',
      '  inner join on a = a_2',
      '    scan 0 [a, s]',
      '    semi join on b = b_2',
      '      scan 1 [a AS a_2, b, s AS s_2]',
      '      scan 2 [b AS b_2]',
    ],
  },
  {
    claim: 'one that leaves many stays above',
    sql: QUERY,
    rows: [1000, 1000, 900],
    tree: [
      'project s, s_2',
      '  semi join on b = b_2',
      '    inner join on a = a_2',
      '      scan 0 [a, s]',
      '      scan 1 [a AS a_2, b, s AS s_2]',
      '    scan 2 [b AS b_2]',
    ],
  },
  {
    claim: 'an anti join goes through several joins',
    sql: 'SELECT t.s FROM t JOIN u ON t.a = u.a JOIN w ON w.b = u.b ANTI JOIN (SELECT * FROM v WHERE c = 1) AS v ON t.x = v.x',
    rows: [1000, 1000, 1000, 10],
    tree: [
      'project s',
      '  inner join on b = b_2',
      '    inner join on a = a_2',
      '      anti join on x = x_2',
      '        scan 0 [a, x, s]',
      '        project x_2',
      '          filter (c = CAST(1 AS BIGINT))',
      '            scan 3 [c, x AS x_2]',
      '      scan 1 [a AS a_2, b]',
      '    scan 2 [b AS b_2]',
    ],
  },
  {
    claim: 'one that reads both sides stays above',
    sql: 'SELECT t.s FROM t JOIN u ON t.a = u.a SEMI JOIN v ON t.b = v.b AND u.c = v.c',
    rows: [1000, 1000, 10],
    tree: [
      'project s',
      '  semi join on b = b_2 AND c = c_2',
      '    inner join on a = a_2',
      '      scan 0 [a, b, s]',
      '      scan 1 [a AS a_2, c]',
      '    scan 2 [b AS b_2, c AS c_2]',
    ],
  },
]

t.test('semi and anti joins are asked early where few rows are left', async (t) => {
  await using world = await openRuleWorld()
  for (const { rows, ...found } of CASES) await checkRule(t, world, rewrite(rows), [found])
})
