import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { Prng } from '@nyala/client/base'
import type { PlanOptions } from '@nyala/coordinator/testing'
import { queryBroad } from './random-queries/broad.ts'
import {
  type Case,
  caseOf,
  check,
  checkCase,
  checkText,
  isDivided,
  KERNEL_BUG,
} from './random-queries/check.ts'
import { queryText } from './random-queries/query.ts'
import { checkRegression, readRegressions, regressionLine } from './random-queries/regressions.ts'
import type { RunEvent } from './random-queries/run.ts'
import { TABLES } from './random-queries/tables.ts'
import { shrink } from './random-queries/shrink.ts'
import { openRandomWorld, type RandomWorld } from './random-queries/world.ts'

/** The same in every run; others are tried by `node test/dist/random-queries.js --seed N --count N`. */
const FIRST_SEED = 205
const QUERIES = 110
/** On a busy machine; alone it takes a tenth of it. */
const TIMEOUT_MS = 240_000
const MANY_COLUMNS = 'a thousand columns'
/** In how many queries each of these has to come up for the claim to say something about it. */
const EVENTS: Readonly<Record<Exclude<RunEvent, typeof MANY_COLUMNS>, number>> = {
  'stages joined by buckets': 12,
  'bucket cut': 1,
  'planned again': 12,
  'task run again': 25,
  'enough rows': 1,
  'sorted by ranges': 1,
  'computed once': 3,
  'divided by values': 2,
  'tables divided alike': 1,
  'failed alike': 1,
}

t.setTimeout(TIMEOUT_MS)

t.test(
  'a query in fragments gives the answer that one process gives',
  { timeout: TIMEOUT_MS },
  async (t) => {
    const directory = await mkdtemp(join(tmpdir(), 'nyala-random-'))
    t.teardown(() => rm(directory, { recursive: true }))
    await using world = await openRandomWorld(directory)
    await t.test('queries that once were wrong are right', async (t) => {
      for (const found of await readRegressions()) {
        const verdict = await checkRegression(world, found)
        const claim = `${found.why}: ${found.sql}`
        if (verdict.kind === 'same') t.pass(claim)
        else t.fail(claim, { why: verdict.why })
      }
    })
    await t.test('by ranges every type is sorted as the kernel sorts it', (t) =>
      checkOrders(t, world),
    )
    await t.test('a thousand columns are carried', async (t) => {
      const query = queryBroad(new Prng(FIRST_SEED))
      const options = { ...ORDERED, slots: 2 }
      const verdict = await checkCase(world, { seed: FIRST_SEED, query, options })
      const claim = queryText(query)
      if (verdict.kind === 'same') t.ok(verdict.events.has(MANY_COLUMNS), claim)
      else t.fail(claim, { why: verdict.why })
    })
    await t.test(
      `random queries of seeds from ${FIRST_SEED} are right, and most are in fragments`,
      (t) => checkMany(t, world),
    )
  },
)

/** By each column of the table with the strangest values, both ways, NULLs at either end, with ties and without. */
async function checkOrders(t: Test, world: RandomWorld): Promise<void> {
  const columns = TABLES.find(({ name }) => name === 'skew')?.columns ?? []
  const ways = ['ASC NULLS FIRST', 'ASC NULLS LAST', 'DESC NULLS FIRST', 'DESC NULLS LAST']
  for (const [i, { name, type }] of columns.entries()) {
    const events = new Set<RunEvent>()
    for (const [w, way] of ways.entries()) {
      const others = w % 2 === 0 ? 'id DESC' : 'g, k DESC NULLS FIRST'
      const sql = `SELECT ${name}, id, g, k FROM skew ORDER BY ${name} ${way}, ${others}`
      const verdict = await checkText(world, sql, {
        options: { ...ORDERED, slots: 2 + ((i + w) % 5) },
        seed: i * ways.length + w,
        expectation: { ordered: w % 2 === 0 ? [0, 1] : [0, 2, 3], complete: true },
      })
      if (verdict.kind !== 'same') t.fail(sql, { why: verdict.why })
      else for (const event of verdict.events) events.add(event)
    }
    t.ok(events.has('sorted by ranges'), `${name} ${type}`)
  }
}

const ORDERED: Omit<PlanOptions, 'slots'> = {
  distribution: 'force',
  distributionMinBytes: 0,
  broadcastMaxBytes: 0,
  rangesRowsMin: 0,
  executors: 2,
}

async function checkMany(t: Test, world: RandomWorld): Promise<void> {
  const events = new Map<string, number>()
  let [answered, divided, bugs] = [0, 0, 0]
  for (let seed = FIRST_SEED; seed < FIRST_SEED + QUERIES; seed++) {
    const found = caseOf(seed)
    const verdict = await check(world, found)
    if (verdict.kind === 'skipped') {
      if (verdict.why === KERNEL_BUG) bugs++
      continue
    }
    answered++
    if (verdict.kind === 'wrong') {
      await fail(t, world, { found, why: verdict.why })
      continue
    }
    if (isDivided(verdict.plan)) divided++
    for (const event of verdict.events) events.set(event, (events.get(event) ?? 0) + 1)
  }
  t.comment(`${answered} of ${QUERIES} have an answer, ${divided} in fragments`, [...events])
  t.ok(bugs <= QUERIES / 100, 'the kernel fails by itself in hardly any')
  t.ok(answered >= QUERIES * 0.7, 'the reference has answers to most of them')
  t.ok(divided >= answered * 0.7, 'most of them are in fragments')
  for (const [event, least] of Object.entries(EVENTS)) {
    t.ok((events.get(event) ?? 0) >= least, `"${event}" came up`)
  }
}

async function fail(
  t: Test,
  world: RandomWorld,
  { found, why }: { readonly found: Case; readonly why: string },
): Promise<void> {
  const isWrong = async (c: Case): Promise<boolean> => (await check(world, c)).kind === 'wrong'
  const small = await shrink(found, isWrong)
  t.fail(`seed ${found.seed}: ${queryText(small.query)}`, {
    why,
    line: regressionLine(small, 'say what was wrong'),
  })
}
