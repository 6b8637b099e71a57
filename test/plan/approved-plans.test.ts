import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { PlanningWorld, type PlanOptions, planText } from '@nyala/coordinator/testing'
import t from 'tap'
import { fillCatalog } from './catalog.ts'
import { type NamedQuery, PLAN_DIRECTORY, readQueries } from './queries.ts'

const FILES = ['tpch.sql', 'rules.sql', 'pruning.sql', 'refusals.sql']
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

async function plansOf(world: PlanningWorld, { sql }: NamedQuery): Promise<string> {
  const parts: string[] = [sql]
  const seen = new Map<string, string>()
  for (const distribution of ['force', 'auto', 'single'] as const) {
    const { plan } = await world.plan(sql, { ...CLUSTER, distribution })
    const text = planText(plan, false).join('\n')
    const before = seen.get(text)
    parts.push(`---- ${distribution}`, before === undefined ? text : `as with ${before}`)
    seen.set(text, distribution)
  }
  return `${parts.join('\n').replaceAll(/ +$/gm, '')}\n`
}

const fileOf = (name: string): string =>
  `${name.replaceAll(/[^a-z0-9]+/g, '-').replace(/-$/, '')}.txt`

t.test('plans are those that were approved', async (t) => {
  const directory = await mkdtemp(join(tmpdir(), 'nyala-plans-'))
  t.teardown(() => rm(directory, { recursive: true }))
  await using world = await PlanningWorld.open(directory)
  await fillCatalog(world)
  const queries = (await Promise.all(FILES.map(readQueries))).flat()
  const files = queries.map(({ name }) => fileOf(name))
  t.equal(new Set(files).size, files.length, 'each query has a file of its own')
  for (const query of queries) {
    const path = new URL(fileOf(query.name), APPROVED)
    const text = await plansOf(world, query)
    if (isUpdate) await writeFile(path, text)
    const approved = await readFile(path, 'utf8').catch(() => 'there is no approved plan')
    t.equal(text, approved, query.name)
  }
  const left = (await readdir(APPROVED)).filter((name) => !files.includes(name))
  t.same(left, [], 'there is no approved plan without a query')
})

t.test('every reason to refuse has a query', async (t) => {
  const refusals = await readQueries('refusals.sql')
  for (const { name } of refusals) {
    const approved = await readFile(new URL(fileOf(name), APPROVED), 'utf8')
    t.match(/---- force\n(.*)/.exec(approved)?.[1], /^one fragment: /, name)
  }
  const given = refusals.map(({ name }) => fileOf(name))
  const texts = await Promise.all(given.map((f) => readFile(new URL(f, APPROVED), 'utf8')))
  const reasons = new Set(texts.map((text) => /---- force\n(.*)/.exec(text)?.[1]))
  t.ok(reasons.size >= 30, `${reasons.size} different reasons`)
})
