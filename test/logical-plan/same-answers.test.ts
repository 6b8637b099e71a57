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
import { difference, type Expectation } from '../random-queries/compare.ts'
import { orderOf, queryText } from '../random-queries/query.ts'
import { type Rows, runText } from '../random-queries/run.ts'
import { openRandomWorld, type RandomWorld } from '../random-queries/world.ts'
import { readPlan, readStatements, statementOf, wrongIn } from './support.ts'

const FIRST_SEED = 1
const QUERIES = 200
/** On a busy machine; alone it takes a tenth of it. */
const TIMEOUT_MS = 110_000
const SCALE_FACTOR = 0.01
const TABLES = 'region nation supplier customer part partsupp orders lineitem'.split(' ')

t.setTimeout(TIMEOUT_MS)

type Verdict =
  | { readonly kind: 'same' }
  | { readonly kind: 'refused' | 'skipped' | 'wrong'; readonly why: string }

/** Runs a query as the user wrote it, as its plan says, and as its plan says after all rules. */
async function check(world: RandomWorld, sql: string, expectation: Expectation): Promise<Verdict> {
  let wanted: Rows
  try {
    wanted = await runText(world.reference, sql)
  } catch (error) {
    return { kind: 'skipped', why: (error as Error).message }
  }
  const read = await readPlan(world.planning, sql).catch((error: unknown) => error as Error)
  if (read instanceof Error) {
    const kind = isKernelBug(read) ? 'skipped' : 'wrong'
    return { kind, why: read.message }
  }
  const { bound, plan } = read
  if (typeof plan === 'string') return { kind: 'refused', why: plan }
  for (const found of [plan, world.planning.optimized(plan, bound)]) {
    const why = await wrongIn(world, { bound, plan: found }, wanted, expectation)
    if (why !== undefined) return { kind: why === KERNEL_BUG ? 'skipped' : 'wrong', why }
  }
  return { kind: 'same' }
}

t.test('a plan that is written as one statement has the answer of the query', async (t) => {
  const directory = await mkdtemp(join(tmpdir(), 'nyala-logical-'))
  t.teardown(() => rm(directory, { recursive: true }))
  await using world = await openRandomWorld(directory)

  await t.test('queries of every operator are read, and right', async (t) => {
    for (const sql of await readStatements('answers.sql')) {
      const verdict = await check(world, sql, { ordered: [], complete: true })
      t.equal(verdict.kind, 'same', sql, verdict)
    }
  })

  await t.test(`random queries of seeds from ${FIRST_SEED} are right, and read`, async (t) => {
    const counts = { same: 0, skipped: 0, refused: 0, wrong: 0 }
    for (let seed = FIRST_SEED; seed < FIRST_SEED + QUERIES; seed++) {
      const { query } = caseOf(seed)
      const { columns, total } = orderOf(query)
      const complete = query.limit === undefined || total
      const verdict = await check(world, queryText(query), { ordered: columns, complete })
      counts[verdict.kind]++
      if ('why' in verdict)
        t.comment(`seed ${seed} is ${verdict.kind}: ${verdict.why.slice(0, 200)}`)
      if (verdict.kind === 'wrong') t.fail(`seed ${seed}: ${queryText(query)}`, verdict)
    }
    t.comment(
      `${counts.same} the same, ${counts.refused} refused, ${counts.skipped} without an answer`,
    )
    t.ok(counts.same >= QUERIES * 0.8, 'most of them have an answer')
    t.ok(counts.refused <= QUERIES * 0.02, 'hardly any is refused')
  })
})

t.test('the queries of TPC-H are all read, and right', async (t) => {
  const directory = await mkdtemp(join(tmpdir(), 'nyala-tpch-'))
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
    const text = statementOf(plan, bound, { layout: 'compact', table: (table) => `"${table}"` })
    const wanted = await runText(reference, sql)
    const got = await runText(reference, text)
    t.equal(difference(wanted, got, { ordered: [], complete: true }), undefined, name)
  }
})
