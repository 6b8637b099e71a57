import { systemClock } from '@nyala/client/base'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { PlanningWorld, sketchColumns, sketchListing } from '../testing/index.ts'
import { Mirror } from './mirror.ts'

t.test('partition values that do not fit leave nothing behind', async (t) => {
  const mirror = await Mirror.open(systemClock)
  t.teardown(() => mirror.close())
  const columns = [{ name: 'y', type: 'INTEGER' }]
  const all = { alias: 't', predicate: 'true', timezone: 'UTC' }
  // The first rows fit: they are in the table when a later one does not.
  const values = [...Array.from({ length: 600 }, (_, i) => [String(i)]), ['x']]
  await t.rejects(mirror.loadPartitions('k', columns, values), {
    message: /does not fit its column/,
  })
  t.equal(await mirror.prune('k', all), undefined)
  await mirror.loadPartitions('k', columns, [['1'], [null]])
  t.same(await mirror.prune('k', all), new Set([0, 1]))
})

t.test('names are looked up and plans made at the same time', async (t) => {
  const directory = await mkdtemp(join(tmpdir(), 'nyala-mirror-'))
  t.teardown(() => rm(directory, { recursive: true }))
  await using world = await PlanningWorld.open(directory)
  // Each is of another database, with a table and columns that the mirror has not seen.
  const queries = Array.from({ length: 12 }, (_, i) => ({
    database: `d${i}`,
    sql: `SELECT a${i}, count(*) FROM t${i} GROUP BY 1`,
  }))
  for (const [i, { database }] of queries.entries()) {
    await world.addDatabase(database)
    const listing = sketchListing(`/t${i}`, [sketchColumns(`a${i} INTEGER`)], [{ path: 'f' }])
    await world.addTable({ database, name: `t${i}`, listing })
  }
  const plans = await Promise.all(
    queries.map(async ({ database, sql }) => {
      const { query, scans, columns } = await world.bind(sql, { database })
      t.equal(columns?.length, 2, sql)
      return world.mirror.boundPlan(query, scans, database)
    }),
  )
  for (const [i, plan] of plans.entries()) t.match(plan?.json, `"a${i}"`)
})
