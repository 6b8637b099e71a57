import t from 'tap'
import { inputsOf, type LogicalPlan, type Relation } from '../logical/relation.ts'
import { orderJoins } from './order-joins.ts'
import { pruneColumns } from './prune-columns.ts'
import { pushFilters } from './push-filters.ts'
import { checkRule, type RuleCase } from './testing/check-rule.ts'
import { openRuleWorld } from './testing/rule-world.ts'

/** Scans in the order of FROM have so many rows, filters a tenth, joins by equality as many as the larger side. */
const rewrite =
  (rows: readonly number[]) =>
  (plan: LogicalPlan): LogicalPlan => {
    const rowsOf = (relation: Relation): number => {
      const inputs = inputsOf(relation).map(rowsOf)
      if (relation.kind === 'scan') return rows[relation.scan] ?? 1
      if (relation.kind === 'filter') return (inputs[0] ?? 0) / 10
      if (relation.kind !== 'join') return inputs[0] ?? 1
      return relation.conditions.length === 0
        ? inputs.reduce((a, b) => a * b, 1)
        : Math.max(...inputs) / 10 ** (relation.conditions.length - 1)
    }
    const root = orderJoins(pushFilters(plan.root), (relation) => {
      const count = rowsOf(relation)
      return { rows: count, bytes: count * 8 }
    })
    return pruneColumns({ ...plan, root })
  }

interface OrderCase extends RuleCase {
  readonly rows: readonly number[]
}

const CASES: readonly OrderCase[] = [
  {
    claim: 'the smaller side is right, where the hash table is built',
    sql: 'SELECT t.s FROM t, u WHERE t.a = u.a',
    rows: [10, 1000],
    tree: ['project s', '  inner join on a_2 = a', '    scan 1 [a AS a_2]', '    scan 0 [a, s]'],
  },
  {
    claim: 'the filtered relation is joined first, though it is named last',
    sql: 'SELECT t.s FROM t, u, v WHERE t.a = u.a AND u.b = v.b AND v.c = 1',
    rows: [100000, 1000, 1000],
    tree: [
      'project s',
      '  inner join on a = a_2',
      '    scan 0 [a, s]',
      '    inner join on b = b_2',
      '      scan 1 [a AS a_2, b]',
      '      filter (c = CAST(1 AS BIGINT))',
      '        scan 2 [b AS b_2, c]',
    ],
  },
  {
    claim: 'of equal columns any two are joined',
    sql: 'SELECT t.s FROM t, u, v WHERE t.a = u.a AND u.a = v.a',
    rows: [10, 100000, 10],
    tree: [
      'project s',
      '  inner join on a_2 = a',
      '    scan 1 [a AS a_2]',
      '    inner join on a = a_3',
      '      scan 0 [a, s]',
      '      scan 2 [a AS a_3]',
    ],
  },
  {
    claim: 'what nothing ties comes last',
    sql: 'SELECT t.s FROM t, u, v WHERE t.a = v.a',
    rows: [10, 5, 1000],
    tree: [
      'project s',
      '  cross join',
      '    inner join on a_2 = a',
      '      scan 2 [a AS a_2]',
      '      scan 0 [a, s]',
      '    scan 1 []',
    ],
  },
  {
    claim: 'a single row is no cross product where something is asked of it',
    sql: 'SELECT t.s FROM t, u, (SELECT max(n) AS m FROM v) AS k WHERE t.a = u.a AND t.n < k.m',
    rows: [1000, 1000, 1000],
    tree: [
      'project s',
      '  inner join on (n < max)',
      '    inner join on a = a_2',
      '      scan 0 [a, n, s]',
      '      scan 1 [a AS a_2]',
      '    aggregate max := max(n_2)',
      '      scan 2 [n AS n_2]',
    ],
  },
  {
    claim: 'other joins stay in their places',
    sql: 'SELECT t.s FROM t JOIN u ON t.a = u.a LEFT JOIN v ON v.b = u.b JOIN w ON w.c = t.c',
    rows: [10, 1000, 10, 100],
    tree: [
      'project s',
      '  inner join on c = c_2',
      '    left join on b = b_2',
      '      inner join on a_2 = a',
      '        scan 1 [a AS a_2, b]',
      '        scan 0 [a, c, s]',
      '      scan 2 [b AS b_2]',
      '    scan 3 [c AS c_2]',
    ],
  },
  {
    claim: 'a condition over three relations is asked where all are there',
    sql: 'SELECT t.s FROM t, u, v WHERE t.a = u.a AND u.b = v.b AND (t.b < v.b OR u.c < v.c)',
    rows: [10, 100, 1000],
    tree: [
      'project s',
      '  inner join on b_3 = b_2 AND ((b < b_3) OR (c < c_2))',
      '    scan 2 [b AS b_3, c AS c_2]',
      '    inner join on a_2 = a',
      '      scan 1 [a AS a_2, b AS b_2, c]',
      '      scan 0 [a, b, s]',
    ],
  },
  {
    claim: 'a condition that may fail keeps its place',
    sql: 'SELECT t.s FROM t JOIN u ON t.a = u.a JOIN v ON CAST(u.x AS INTEGER) = v.b',
    rows: [10, 1000, 10],
    tree: [
      'project s',
      '  inner join on CAST(x AS INTEGER) = b',
      '    inner join on a_2 = a',
      '      scan 1 [a AS a_2, x]',
      '      scan 0 [a, s]',
      '    scan 2 [b]',
    ],
  },
  {
    claim: 'below DISTINCT there are the same columns as before',
    sql: 'SELECT DISTINCT v.s FROM (SELECT t.a, u.b FROM t JOIN u ON t.a = u.a) AS k CROSS JOIN v',
    rows: [10, 20, 30],
    tree: [
      'distinct',
      '  project s',
      '    cross join',
      '      scan 2 [s]',
      '      inner join on a_2 = a',
      '        scan 1 [a AS a_2]',
      '        scan 0 [a]',
    ],
  },
]

t.test('joins are made in the order that keeps what they make small', async (t) => {
  await using world = await openRuleWorld()
  for (const { rows, ...found } of CASES) await checkRule(t, world, rewrite(rows), [found])
})

t.test(
  'a cluster of more relations than are tried in all orders is joined all the same',
  async (t) => {
    await using world = await openRuleWorld()
    for (const count of [12, 13, 20, 31]) {
      const aliases = Array.from({ length: count }, (_, i) => `r${i}`)
      const from = aliases.map((alias) => `(SELECT * FROM t WHERE a = 1 AND b = 1) AS ${alias}`)
      const where = aliases.slice(1).map((alias, i) => `r${i}.c = ${alias}.c`)
      const sql = `SELECT count(*) FROM ${from.join(', ')} WHERE ${where.join(' AND ')}`
      const plan = rewrite([])(await world.plan(sql))
      const scans = (relation: Relation): number =>
        relation.kind === 'scan' ? 1 : inputsOf(relation).reduce((sum, i) => sum + scans(i), 0)
      t.equal(scans(plan.root), count, `${count} relations`)
      const text = await world.text(sql, plan)
      t.strictSame(
        await world.rows(text),
        await world.rows(sql),
        `${count} relations: the same rows`,
      )
    }
  },
)
