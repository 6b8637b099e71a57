import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DuckDBInstance } from '@duckdb/node-api'
import { PlanningWorld } from '@nyala/coordinator/testing'
import { generateSample } from '@nyala/deploy'
import t from 'tap'
import { fillCatalog } from '../plan/catalog.ts'
import { readQueries } from '../plan/queries.ts'
import { caseOf, isKernelBug, KERNEL_BUG } from '../random-queries/check.ts'
import { difference } from '../random-queries/compare.ts'
import { orderOf, queryText } from '../random-queries/query.ts'
import { runText } from '../random-queries/run.ts'
import { openRandomWorld } from '../random-queries/world.ts'
import { readPlan, statementOf, wrongIn } from './support.ts'

/** Others than those of the plans before any rule. */
const FIRST_SEED = 100_001
const QUERIES = 300
/** On a busy machine; alone it takes a tenth of it. */
const TIMEOUT_MS = 110_000
const SCALE_FACTOR = 0.01
const TABLES = 'region nation supplier customer part partsupp orders lineitem'.split(' ')
/** NOT IN over a column that the files may have NULLs in is no anti join. */
const WITH_MARK = ['16']

t.setTimeout(TIMEOUT_MS)

/** True when a relation of this kind, or a join of this type, stands in a plan. */
const has = (plan: unknown, word: 'kind' | 'type', value: string): boolean =>
  JSON.stringify(plan).includes(`"${word}":"${value}"`)

t.test('subqueries of TPC-H are plain joins after all rules, and the answers stay', async (t) => {
  const directory = await mkdtemp(join(tmpdir(), 'nyala-rewritten-'))
  t.teardown(() => rm(directory, { recursive: true }))
  await using world = await PlanningWorld.open(join(directory, 'manifests'))
  await fillCatalog(world)
  const dir = join(directory, 'sample')
  await generateSample({ dir, scaleFactor: SCALE_FACTOR, variables: process.env })
  const instance = await DuckDBInstance.create(':memory:', { threads: '1' })
  const reference = await instance.connect()
  t.teardown(() => {
    reference.closeSync()
    instance.closeSync()
  })
  for (const name of TABLES) {
    await reference.run(`CREATE TABLE ${name} AS FROM read_parquet('${dir}/${name}/*.parquet')`)
  }
  for (const { name, sql } of await readQueries('tpch.sql')) {
    const { bound, plan } = await readPlan(world, sql)
    if (typeof plan === 'string') {
      t.fail(`${name} is refused: ${plan}`)
      continue
    }
    const rewritten = world.optimized(plan, bound)
    const isMarked = WITH_MARK.some((number) => name.startsWith(`tpch-${number}`))
    t.notOk(has(rewritten, 'kind', 'dependent'), `${name}: nothing depends on outer values`)
    t.notOk(has(rewritten, 'type', 'single'), `${name}: no join looks for second rows`)
    t.equal(has(rewritten, 'type', 'mark'), isMarked, `${name}: a mark where it may be NULL alone`)
    const table = (of: string): string => `"${of}"`
    const text = statementOf(rewritten, bound, { layout: 'compact', table })
    const wanted = await runText(reference, sql)
    const got = await runText(reference, text)
    t.equal(difference(wanted, got, { ordered: [], complete: true }), undefined, name)
  }
})

t.test(
  `random queries of seeds from ${FIRST_SEED} have the same answers after all rules`,
  async (t) => {
    const directory = await mkdtemp(join(tmpdir(), 'nyala-rewritten-'))
    t.teardown(() => rm(directory, { recursive: true }))
    await using world = await openRandomWorld(directory)
    let [same, correlated, plain] = [0, 0, 0]
    for (let seed = FIRST_SEED; seed < FIRST_SEED + QUERIES; seed++) {
      const { query } = caseOf(seed)
      const sql = queryText(query)
      const wanted = await runText(world.reference, sql).catch(() => undefined)
      if (wanted === undefined) continue
      const read = await readPlan(world.planning, sql).catch((error: unknown) => {
        if (!isKernelBug(error)) throw error
      })
      if (read === undefined || typeof read.plan === 'string') continue
      const { bound, plan } = read
      const rewritten = world.planning.optimized(plan, bound)
      if (has(plan, 'kind', 'dependent')) {
        correlated++
        if (!has(rewritten, 'kind', 'dependent')) plain++
      }
      const { columns, total } = orderOf(query)
      const expectation = { ordered: columns, complete: query.limit === undefined || total }
      const why = await wrongIn(world, { bound, plan: rewritten }, wanted, expectation)
      if (why === undefined) same++
      else if (why !== KERNEL_BUG) t.fail(`seed ${seed}: ${sql}`, { why })
    }
    t.comment(`${same} the same; ${plain} of ${correlated} correlated ones are plain joins`)
    t.ok(same >= QUERIES * 0.8, 'most of them have an answer')
    // The others compare with outer values by anything but equality below an aggregate, or take the first of some rows.
    t.ok(plain >= correlated * 0.5, 'most of the correlated ones are plain joins')
  },
)
