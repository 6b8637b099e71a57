import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { PlanningWorld, type PlanOptions, planText } from '@nyala/coordinator/testing'
import t from 'tap'
import { fillCatalog } from './catalog.ts'
import { type NamedQuery, PLAN_DIRECTORY, readQueries } from './queries.ts'

/** A file for each rule, or each kind of query. */
const FILES = [
  'pruning',
  'constants',
  'pushdown',
  'joins',
  'subqueries',
  'aggregates',
  'distinct',
  'windows',
  'sets',
  'order',
  'with',
  'runtime-filters',
  'join-order',
  'tpch',
  'refusals',
] as const
const APPROVED = new URL('approved/', PLAN_DIRECTORY)
/** Writes what there is now; the difference is for a person to read and to commit. */
const isUpdate = process.env['UPDATE'] === '1'

/** Three executors of four threads, with settings as they are by default. */
const CLUSTER: Omit<PlanOptions, 'distribution'> = {
  distributionMinBytes: 16_000_000,
  broadcastMaxBytes: 64_000_000,
  slots: 12,
  executors: 3,
}

async function plansOf({ sql }: NamedQuery): Promise<string> {
  const parts: string[] = [sql]
  const seen = new Map<string, string>()
  for (const distribution of ['auto', 'force'] as const) {
    const { plan } = await world.plan(sql, { ...CLUSTER, distribution })
    const text = planText(plan, false).join('\n')
    const before = seen.get(text)
    parts.push(`---- ${distribution}`, before === undefined ? text : `as with ${before}`)
    seen.set(text, distribution)
  }
  // Times change with every constant of the cost model; what is approved are the choices that they lead to.
  const lines = parts.join('\n').replaceAll(/\b\d+ ms\b/g, '… ms')
  return `${lines.replaceAll(/ +$/gm, '')}\n`
}

const fileOf = (name: string): string =>
  `${name.replaceAll(/[^a-z0-9]+/g, '-').replace(/-$/, '')}.txt`

const approvedOf = (folder: string, name: string): URL =>
  new URL(`${folder}/${fileOf(name)}`, APPROVED)

const directory = await mkdtemp(join(tmpdir(), 'nyala-plans-'))
const world = await PlanningWorld.open(directory)
t.teardown(async () => {
  await world[Symbol.asyncDispose]()
  await rm(directory, { recursive: true })
})
await fillCatalog(world)

t.test('plans are those that were approved', async (t) => {
  for (const folder of FILES) {
    const queries = await readQueries(`${folder}.sql`)
    const files = queries.map(({ name }) => fileOf(name))
    t.equal(new Set(files).size, files.length, `each query of ${folder} has a file of its own`)
    if (isUpdate) await mkdir(new URL(folder, APPROVED), { recursive: true })
    for (const query of queries) {
      const path = approvedOf(folder, query.name)
      const text = await plansOf(query)
      if (isUpdate) await writeFile(path, text)
      const approved = await readFile(path, 'utf8').catch(() => 'there is no approved plan')
      t.equal(text, approved, `${folder}: ${query.name}`)
    }
    const there = await readdir(new URL(folder, APPROVED))
    t.same(there.toSorted(), files.toSorted(), `no plan of ${folder} is approved without a query`)
  }
  t.same((await readdir(APPROVED)).toSorted(), FILES.toSorted(), 'every folder has its queries')
})

t.test('single is one fragment with the text of the user', async (t) => {
  for (const { name, sql } of await readQueries('tpch.sql')) {
    const { plan } = await world.plan(sql, { ...CLUSTER, distribution: 'single' })
    t.equal(plan.reason, 'one fragment: distribution = single', name)
    t.equal(plan.fragments.length, 1, name)
  }
})

t.test('every refusal gives a reason of its own', async (t) => {
  const reasons = new Map<string, string>()
  for (const { name } of await readQueries('refusals.sql')) {
    const approved = await readFile(approvedOf('refusals', name), 'utf8')
    const reason = /---- force\n(?:as with auto)?(.*)/.exec(approved)?.[1]
    const forced = reason === '' ? /---- auto\n(.*)/.exec(approved)?.[1] : reason
    t.match(forced, /^one fragment: /, name)
    t.notOk(reasons.get(forced ?? ''), `${name}: ${forced}`)
    reasons.set(forced ?? '', name)
  }
})
