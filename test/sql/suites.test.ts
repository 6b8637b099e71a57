import { mkdtemp, mkdir, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type LocalCluster, startLocalCluster } from '@nyala/deploy'
import t from 'tap'
import { writeData } from './data.ts'
import { runSuite } from './runner.ts'

/** The suites lie with the sources, one level above what is compiled of them. */
const SUITES = new URL('../../sql/', import.meta.url)
/** Names of suites to run alone, for whoever works on one. */
const chosen = (process.env['SUITES'] ?? '').split(',').filter((name) => name !== '')
const TIMEOUT_MS = 250_000

t.setTimeout(TIMEOUT_MS)

t.test('SQL means what the suites say', { timeout: TIMEOUT_MS }, async (t) => {
  const suites = (await readdir(SUITES))
    .filter((name) => name.endsWith('.test'))
    .map((name) => name.slice(0, -'.test'.length))
    .sort()
  const unknown = chosen.filter((name) => !suites.includes(name))
  t.same(unknown, [], `SUITES names suites of ${suites.join(', ')}`)
  if (unknown.length > 0) return
  const directory = await mkdtemp(join(tmpdir(), 'nyala-sql-'))
  let cluster: LocalCluster | undefined
  t.teardown(async () => {
    await cluster?.stop()
    await rm(directory, { recursive: true })
  })
  const [data, outside] = [join(directory, 'data'), join(directory, 'outside')]
  await mkdir(data)
  await mkdir(outside)
  await writeData(data, outside)
  cluster = await startLocalCluster({
    dir: join(directory, 'cluster'),
    coordinators: 2,
    executors: 2,
    threads: 1,
    roots: [data],
    variables: process.env,
  })
  await cluster.joined()
  const coordinators = cluster.processes
    .filter((p) => p.role === 'coordinator')
    .map((p) => `nyala://${p.address}`)
  for (const name of chosen.length > 0 ? chosen : suites) {
    await t.test(name, { timeout: TIMEOUT_MS }, (t) =>
      runSuite(t, new URL(`${name}.test`, SUITES), name, {
        coordinators,
        data,
        update: process.env['UPDATE'] === '1',
      }),
    )
  }
})
