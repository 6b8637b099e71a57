import { mkdtemp, mkdir, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { startLocalCluster } from '@nyala/deploy'
import t from 'tap'
import { writeData } from './data.ts'
import { runSuite } from './runner.ts'

/** The suites lie with the sources, one level above what is compiled of them. */
const SUITES = new URL('../../sql/', import.meta.url)
/** Names of suites to run alone, for whoever works on one. */
const chosen = (process.env['SUITES'] ?? '').split(',').filter((name) => name !== '')
const TIMEOUT_MS = 110_000

t.setTimeout(TIMEOUT_MS)

t.test('SQL means what the suites say', { timeout: TIMEOUT_MS }, async (t) => {
  const directory = await mkdtemp(join(tmpdir(), 'nyala-sql-'))
  const [data, outside] = [join(directory, 'data'), join(directory, 'outside')]
  await mkdir(data)
  await mkdir(outside)
  await writeData(data, outside)
  const cluster = await startLocalCluster({
    dir: join(directory, 'cluster'),
    coordinators: 2,
    executors: 2,
    threads: 1,
    roots: [data],
    variables: process.env,
  })
  t.teardown(async () => {
    await cluster.stop()
    await rm(directory, { recursive: true })
  })
  await cluster.joined()
  const coordinators = cluster.processes
    .filter((p) => p.role === 'coordinator')
    .map((p) => `nyala://${p.address}`)
  const files = (await readdir(SUITES)).filter((name) => name.endsWith('.test')).sort()
  for (const file of files) {
    const name = file.slice(0, -'.test'.length)
    if (chosen.length > 0 && !chosen.includes(name)) continue
    await t.test(name, { timeout: TIMEOUT_MS }, (t) =>
      runSuite(t, new URL(file, SUITES), name, {
        coordinators,
        data,
        update: process.env['UPDATE'] === '1',
      }),
    )
  }
})
