import { mkdirSync, readdirSync, symlinkSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { systemClock as clock } from '@nyala/client/base'
import { CLAIM_FILE, claimDirectory, openCluster } from '@nyala/metastore'
import t from 'tap'
import { resultTask, World } from '../testing/world.ts'

t.test('a task writes to tables of its own cluster, and not to those of another', async (t) => {
  await using world = await World.start()
  await world.startExecutor()
  const { kv, keys } = world
  const cluster = await openCluster({ kv, keys, clock })
  const directoryOf = (warehouse: string): string => {
    const directory = join(world.root, warehouse, 'default', 't', 'data')
    mkdirSync(directory, { recursive: true })
    return directory
  }
  const [own, foreign] = [directoryOf('own'), directoryOf('foreign')]
  const place = { what: 'warehouse', path: join(world.root, 'own') } as const
  await claimDirectory({ kv, keys, clock }, cluster, place)
  const claim = { format: 1, clusterId: 'elsewhere', clusterName: 'a', directoryId: 'b' }
  writeFileSync(join(world.root, 'foreign', CLAIM_FILE), JSON.stringify(claim))
  const write = (directory: string, task: number) =>
    world.coordinator.run(
      resultTask('SELECT 1 AS n', {
        task,
        output: {
          ...{ kind: 'table', directory, name: `w-${task}` },
          ...{ fieldIds: '{n: 1}', fileBytesMax: 1_000_000 },
        },
      }),
    )
  t.match((await write(foreign, 0)).error, {
    error: 'foreign_directory',
    message: new RegExp(`id "elsewhere".*id "${cluster.id}"`),
  })
  t.strictSame(readdirSync(foreign), [])
  t.equal((await write(own, 1)).error, undefined)
  t.equal(readdirSync(own).length, 1)

  const link = join(world.root, 'link')
  symlinkSync(join(world.root, 'own'), link)
  const reached = join(link, 'default', 't', 'data')
  const { finished } = await write(reached, 2)
  t.equal(
    dirname(finished?.tableFiles?.[0]?.path ?? ''),
    reached,
    'files are told of as the table is reached',
  )
})
