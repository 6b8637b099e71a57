import t from 'tap'
import { FORMAT_VERSION, openCluster } from './cluster.ts'
import { inWorld } from './testing/world.ts'

await inWorld(t, 'members that start together make one cluster', async (t, world) => {
  const records = await Promise.all([1, 2, 3].map(() => openCluster(world.on(world.connect()))))
  t.equal(new Set(records.map((record) => record.id)).size, 1)
  t.equal(records[0]?.formatVersion, FORMAT_VERSION)
  const { items } = await world.connect().range(world.keys.root)
  t.same(
    items.map((item) => item.key.slice(world.keys.root.length)),
    ['catalog/databases/default', 'catalog/root', 'cluster'],
  )
})

await inWorld(t, 'a lost reply does not make a second cluster', async (t, world) => {
  let calls = 0
  const kv = world.connect({ fate: () => (calls++ === 0 ? 'loseReply' : 'pass') })
  const first = await openCluster(world.on(kv))
  t.same(await openCluster({ ...world.on(kv), expectedId: first.id }), first)
})

await inWorld(t, 'another cluster or another format is refused', async (t, world) => {
  const kv = world.connect()
  const { id } = await openCluster(world.on(kv))
  await t.rejects(openCluster({ ...world.on(kv), expectedId: 'other' }), {
    error: 'invalid_parameter_value',
    message: `cluster "test" has id "${id}", expected "other"`,
  })
  const put = (value: string) =>
    kv.commitIf({
      compares: [],
      success: [{ kind: 'put', key: world.keys.clusterRecord, value }],
    })
  await put(`{"format":1,"record":{"id":"x","formatVersion":2,"createdAt":0}}`)
  await t.rejects(openCluster(world.on(kv)), { message: /has format 2, this software has 1/ })
  await put('{"format":2}')
  await t.rejects(openCluster(world.on(kv)), { message: /cannot be read/ })
})
