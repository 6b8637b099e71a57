import t from 'tap'
import { Catalog } from './catalog.ts'
import { openCluster } from './cluster.ts'
import { NewestRevision } from './newest-revision.ts'
import { inWorld, tableOf } from './testing/world.ts'
import {
  createDatabase,
  createRelation,
  dropDatabase,
  dropRelation,
} from './testing/catalog-verbs.ts'

await inWorld(t, 'every change of the catalog is told, and nothing else is', async (t, world) => {
  const kv = world.connect()
  await openCluster(world.on(kv))
  await using catalog = await Catalog.open(world.on(kv))
  const newest = new NewestRevision(world.on(world.connect()))
  const { revision: made } = await createDatabase(catalog, { name: 'd' })
  t.equal(await newest.read(), made)
  const { revision: created } = await createRelation(catalog, tableOf('d', 't'))
  t.equal(await newest.read(), created)
  await kv.commitIf({ compares: [], success: [{ kind: 'put', key: 'other', value: '' }] })
  t.equal(await newest.read(), created, 'what is not of the catalog is not waited for')
  const target = { database: 'd', name: 't' }
  const dropped = await dropRelation(catalog, target, { expect: 'table' })
  t.equal(await newest.read(), dropped.revision)
  await dropDatabase(catalog, 'd')
  const snapshot = await catalog.atLeast(await newest.read())
  t.equal(snapshot.database('d'), undefined)
})

await inWorld(t, 'a read that was sent before is never shared', async (t, world) => {
  const kv = world.connect()
  await openCluster(world.on(kv))
  await using catalog = await Catalog.open(world.on(kv))
  let calls = 0
  const slow = world.connect({
    latencyMs: () => {
      calls++
      return 100
    },
  })
  const newest = new NewestRevision(world.on(slow))
  const together = [newest.read(), newest.read(), newest.read()]
  await world.clock.sleep(60)
  // The first was read from the store by now, and is on its way back.
  const { revision } = await createDatabase(catalog, { name: 'd' })
  const later = newest.read()
  t.ok((await Promise.all(together)).every((one) => one < revision))
  t.equal(await later, revision)
  t.equal(calls, 2, 'those that ask at once share one')
})

await inWorld(t, 'however many ask while etcd is slow, few reads are sent', async (t, world) => {
  const kv = world.connect()
  await openCluster(world.on(kv))
  let calls = 0
  kv.faults = {
    latencyMs: () => {
      calls++
      return 250
    },
  }
  const newest = new NewestRevision(world.on(kv))
  const reads: Promise<number>[] = []
  for (let i = 0; i < 200; i++) {
    reads.push(newest.read())
    await world.clock.sleep(1)
  }
  await Promise.all(reads)
  t.ok(calls <= 8, `${calls} reads`)
})

await inWorld(t, 'silence is known as long as it lasts', async (t, world) => {
  const kv = world.connect()
  await openCluster(world.on(kv))
  const newest = new NewestRevision(world.on(kv))
  await newest.read()
  t.equal(newest.silentSince, undefined)
  kv.cut()
  const since = world.clock.now()
  await t.rejects(newest.read(), /metastore is unavailable/)
  t.equal(newest.silentSince, since)
  kv.heal()
  await newest.read()
  t.equal(newest.silentSince, undefined)
})
