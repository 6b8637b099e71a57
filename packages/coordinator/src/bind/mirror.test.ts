import { systemClock } from '@nyala/client/base'
import t from 'tap'
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
