import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { PlanningWorld, sketchColumns, sketchListing } from '../../testing/index.ts'
import { columnsOf, type LogicalPlan } from '../logical/relation.ts'
import { type BoundPlanContext, readBoundPlan } from './read-bound-plan.ts'

const QUERIES = [
  `SELECT a, sum(b) FILTER (WHERE c > 'x') AS s, count(DISTINCT c), string_agg(c, ';' ORDER BY b) FROM t
     WHERE a BETWEEN 1 AND 3 OR c IN ('x', 'y') GROUP BY ROLLUP (a) HAVING sum(b) > 1 ORDER BY s DESC NULLS LAST LIMIT 3 OFFSET 1`,
  'SELECT x.a, y.c FROM t x LEFT JOIN t y ON x.a = y.a AND x.b > y.b JOIN t z ON z.c = x.c WHERE x.a IN (SELECT a FROM t WHERE t.b = x.b)',
  'SELECT a, (SELECT c FROM t i WHERE i.a = o.a), rank() OVER (PARTITION BY a ORDER BY b ROWS BETWEEN 1 PRECEDING AND CURRENT ROW) FROM t o',
  `WITH w AS (SELECT DISTINCT a, CASE WHEN b > 1 THEN 'x' ELSE c END AS d FROM t) SELECT * FROM w JOIN (VALUES (1, 'x')) v(k, s) ON k = a UNION ALL SELECT a, d, a, d FROM w`,
  "SELECT DISTINCT ON (a) a, unnest([a, 2]), list_transform([a], lambda e: e + a), {'p': a, 'q': c} FROM t ORDER BY a, b",
  'SELECT b + 1, b * b, CAST(c AS INTEGER), TRY_CAST(c AS DATE), a IS NULL, NOT (a = 1), coalesce(a, 2), 12345678901234567890123, 1.5, true, -7, NULL FROM t',
]

/** Parts of the JSON that say what other parts say too, and are not looked at. */
const NOT_READ = new Set([
  'arguments',
  'original_arguments',
  'mark_types',
  'input_table_types',
  'returned_types',
  'chunk_types',
])

interface Bound {
  readonly json: string
  readonly context: BoundPlanContext
}

async function boundOf(world: PlanningWorld, sql: string): Promise<Bound> {
  const { query, scans, columns = [] } = await world.bind(sql)
  const found = await world.mirror.boundPlan(query, scans, 'default')
  if (found === undefined) throw new Error('the plan is too long')
  return {
    json: found.json,
    context: { tables: found.tables, functions: world.functions, columns },
  }
}

/** Calls `change` for each object of a JSON value that is read, in turn, and `check` with the text after it. */
function eachObject(
  json: string,
  change: (object: Record<string, unknown>) => (() => void) | undefined,
  check: (text: string, path: string) => void,
): number {
  // Numbers beyond 2^53 stand for "none", and are written again as they were read.
  const root = JSON.parse(json) as Record<string, unknown>
  let count = 0
  const walk = (value: unknown, path: string): void => {
    if (typeof value !== 'object' || value === null) return
    if (!Array.isArray(value)) {
      const undo = change(value as Record<string, unknown>)
      if (undo !== undefined) {
        count++
        check(JSON.stringify(root), path)
        undo()
      }
    }
    for (const [key, child] of Object.entries(value)) {
      const isInvalidType = key === 'type' && (child as { id?: unknown }).id === 'INVALID'
      if (!NOT_READ.has(key) && !isInvalidType) walk(child, `${path}.${key}`)
    }
  }
  walk(root, '')
  return count
}

t.test('bound plans', async (t) => {
  const directory = await mkdtemp(join(tmpdir(), 'nyala-bound-'))
  t.teardown(() => rm(directory, { recursive: true }))
  await using world = await PlanningWorld.open(directory)
  await world.addTable({
    name: 't',
    listing: sketchListing('/data/t', [sketchColumns('a INTEGER, b DECIMAL(10,2), c VARCHAR')], []),
  })

  await t.test('an unknown part anywhere is refused', async (t) => {
    for (const sql of QUERIES) {
      const { json, context } = await boundOf(world, sql)
      t.type(readBoundPlan(json, context), 'object', sql)
      const overlooked: string[] = []
      const objects = eachObject(
        json,
        (object) => {
          object['of_a_later_version'] = 1
          return () => delete object['of_a_later_version']
        },
        (text, path) => {
          if (typeof readBoundPlan(text, context) !== 'string') overlooked.push(path)
        },
      )
      t.ok(objects > 20, `${objects} objects`)
      t.same(overlooked, [], 'none is overlooked')
    }
  })

  await t.test('an unknown operator, expression or comparison is refused', async (t) => {
    for (const sql of QUERIES) {
      const { json, context } = await boundOf(world, sql)
      for (const key of ['type', 'expression_class', 'comparison', 'join_type', 'null_order']) {
        const overlooked: string[] = []
        eachObject(
          json,
          (object) => {
            const before = object[key]
            // A cast, a function and a reference say by their class alone what they are.
            const isSaid =
              key === 'type' &&
              /CAST|FUNCTION|REF|CONSTANT|UNNEST|BETWEEN|CASE|AGGREGATE/.test(
                String(object['expression_class']),
              )
            if (typeof before !== 'string' || isSaid) return undefined
            object[key] = 'OF_A_LATER_VERSION'
            return () => (object[key] = before)
          },
          (text, path) => {
            if (typeof readBoundPlan(text, context) !== 'string') overlooked.push(path)
          },
        )
        t.same(overlooked, [], `${key} in ${sql.slice(0, 40)}`)
      }
    }
  })

  await t.test('a reference that is off by one is seen where its type differs', async (t) => {
    const { json, context } = await boundOf(world, 'SELECT a, c FROM t WHERE b > 1')
    const wrong = json.replace(/("alias":"b".{0,200}?"index":)\d+/, '$1' + '1')
    t.not(wrong, json)
    t.match(readBoundPlan(wrong, context), /^it has a reference of type DECIMAL\(10,2\) to/)
  })

  await t.test('a plan of other types than the query is refused', async (t) => {
    const { json, context } = await boundOf(world, 'SELECT a FROM t')
    const columns = [{ name: 'a', type: 'BIGINT' }]
    t.equal(
      readBoundPlan(json, { ...context, columns }),
      'it has type INTEGER where the query has BIGINT',
    )
  })

  await t.test("columns have names of their own, the user's where there is one", async (t) => {
    const { json, context } = await boundOf(
      world,
      'SELECT x.a, y.a AS other, x.a + 1 AS "a b", count(*) OVER () FROM t x, t y, (SELECT c AS d, b + 1 AS e FROM t) z WHERE e > 2',
    )
    const plan = readBoundPlan(json, context) as LogicalPlan
    t.same(
      columnsOf(plan.root).map((c) => c.name),
      ['a', 'a_2', 'value', 'count'],
    )
    t.same(
      plan.outputs.map((o) => o.name),
      ['a', 'other', 'a b', 'count() OVER ()'],
    )
  })

  await t.test(
    'tables that stand for scans are shared by queries, and each use has its own',
    async (t) => {
      const first = await boundOf(world, 'SELECT x.a FROM t x, t y')
      const second = await boundOf(world, 'SELECT y.c FROM t y, t z')
      const names = (bound: Bound): readonly string[] => [...bound.context.tables.keys()]
      t.equal(new Set(names(first)).size, 2)
      t.same(names(first), names(second))
    },
  )
})
