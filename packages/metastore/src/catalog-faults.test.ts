import t from 'tap'
import type { Catalog } from './catalog.ts'
import type { MemoryKvFaults } from './memory-kv.ts'
import { openCatalog } from './testing/catalog-world.ts'
import { fails } from './testing/failures.ts'
import { inWorld, tableOf, viewOf } from './testing/world.ts'
import {
  createDatabase,
  createRelation,
  dropDatabase,
  dropRelation,
  renameRelation,
  replaceView,
} from './testing/catalog-verbs.ts'

const names = (catalog: Catalog): readonly string[] =>
  catalog
    .snapshot()
    .relations('default')
    .map(({ record }) => record.name)

/** Loses the reply of the next commit, once. */
function losingOneReply(): MemoryKvFaults {
  let lost = false
  return {
    fate: (method) => {
      if (method !== 'commitIf' || lost) return 'pass'
      lost = true
      return 'loseReply'
    },
  }
}

const DDL: Readonly<Record<string, (catalog: Catalog) => Promise<{ readonly revision: number }>>> =
  {
    'create table': (catalog) => createRelation(catalog, tableOf('default', 'new')),
    'create database': (catalog) => createDatabase(catalog, { name: 'new' }),
    'drop database': (catalog) => dropDatabase(catalog, 'old', { cascade: true }),
    'drop table': (catalog) =>
      dropRelation(catalog, { database: 'old', name: 't' }, { expect: 'table' }),
    'rename table': (catalog) =>
      renameRelation(
        catalog,
        { database: 'old', name: 't' },
        { database: 'default', name: 't2' },
        { expect: 'table' },
      ),
    'replace view': (catalog) => replaceView(catalog, viewOf('old', 'v', 'SELECT 2')),
    'update table': (catalog) =>
      catalog.updateTable({ database: 'old', name: 't' }, (current) => ({
        ...current,
        snapshotId: current.snapshotId + 1,
      })),
  }

for (const [verb, run] of Object.entries(DDL)) {
  await inWorld(
    t,
    `${verb}: a lost reply is recognised as success and done once`,
    async (t, world) => {
      const { catalog, kv } = await openCatalog(world)
      await createDatabase(catalog, { name: 'old' })
      await createRelation(catalog, tableOf('old', 't'))
      await createRelation(catalog, viewOf('old', 'v'))
      const before = world.etcd.store.revision
      kv.faults = losingOneReply()
      const { revision } = await run(catalog)
      t.equal(revision, before + 1)
      t.equal(world.etcd.store.revision, before + 1)
      await catalog.close()
    },
  )

  await inWorld(t, `${verb}: a request that arrives late is not done twice`, async (t, world) => {
    const { catalog, kv } = await openCatalog(world)
    await createDatabase(catalog, { name: 'old' })
    await createRelation(catalog, tableOf('old', 't'))
    await createRelation(catalog, viewOf('old', 'v'))
    const before = world.etcd.store.revision
    let sent = 0
    kv.faults = {
      fate: (method) =>
        method === 'commitIf' && sent++ === 0 ? { kind: 'late', afterMs: 7800 } : 'pass',
    }
    await run(catalog)
    await world.clock.sleep(10_000)
    t.equal(world.etcd.store.revision, before + 1)
    await catalog.close()
  })
}

await inWorld(
  t,
  'a creation that arrives after its table was dropped does not bring it back',
  async (t, world) => {
    const [a, b] = [await openCatalog(world), await openCatalog(world)]
    let sent = 0
    a.kv.faults = {
      fate: (method) =>
        method === 'commitIf' && sent++ === 0 ? { kind: 'late', afterMs: 7800 } : 'pass',
    }
    const { revision } = await createRelation(a.catalog, tableOf('default', 't'))
    await b.catalog.atLeast(revision)
    await dropRelation(b.catalog, { database: 'default', name: 't' }, { expect: 'table' })
    await world.clock.sleep(10_000)
    t.same(names(a.catalog), [])
    await a.catalog.close()
    await b.catalog.close()
  },
)

await inWorld(t, 'a lost reply after which others wrote is still recognised', async (t, world) => {
  const [a, b] = [await openCatalog(world), await openCatalog(world)]
  let calls = 0
  // The reply is lost, then the connection for a while, in which the other catalog goes on.
  a.kv.faults = { fate: () => (calls++ === 0 ? 'loseReply' : calls < 6 ? 'unavailable' : 'pass') }
  const creating = createRelation(a.catalog, tableOf('default', 'mine'))
  await world.clock.sleep(10)
  for (let i = 0; i < 20; i++) await createRelation(b.catalog, tableOf('default', `other${i}`))
  const { record } = await creating
  t.equal(a.catalog.snapshot().relation('default', 'mine')?.record.id, record.id)
  await a.catalog.close()
  await b.catalog.close()
})

await inWorld(
  t,
  'a lost reply that the guard has forgotten is called unknown, not guessed',
  async (t, world) => {
    const [a, b] = [await openCatalog(world), await openCatalog(world)]
    let calls = 0
    a.kv.faults = { fate: () => (calls++ === 0 ? 'loseReply' : calls < 6 ? 'unavailable' : 'pass') }
    const creating = createRelation(a.catalog, tableOf('default', 'mine'))
    const unknown = fails(t, 'commit_outcome_unknown', creating)
    await world.clock.sleep(10)
    for (let i = 0; i < 40; i++) await createRelation(b.catalog, tableOf('default', `other${i}`))
    await unknown
    await a.catalog.close()
    await b.catalog.close()
  },
)

await inWorld(
  t,
  'a rename whose first guard has forgotten is told by the database that it went to',
  async (t, world) => {
    const [a, b] = [await openCatalog(world), await openCatalog(world)]
    await createDatabase(a.catalog, { name: 'old' })
    const { revision } = await createRelation(a.catalog, tableOf('old', 't'))
    await b.catalog.atLeast(revision)
    let calls = 0
    a.kv.faults = { fate: () => (calls++ === 0 ? 'loseReply' : calls < 6 ? 'unavailable' : 'pass') }
    const renaming = renameRelation(
      a.catalog,
      { database: 'old', name: 't' },
      { database: 'default', name: 'mine' },
      { expect: 'table' },
    )
    await world.clock.sleep(10)
    for (let i = 0; i < 40; i++) await createRelation(b.catalog, tableOf('old', `other${i}`))
    await renaming
    t.same(names(a.catalog), ['mine'])
    await a.catalog.close()
    await b.catalog.close()
  },
)

await inWorld(
  t,
  'without the store a verb fails as not done, and with doubt as unknown',
  async (t, world) => {
    const { catalog, kv } = await openCatalog(world)
    kv.cut()
    await fails(t, 'metastore_unavailable', createRelation(catalog, tableOf('default', 't')))
    kv.heal()
    kv.faults = { fate: () => 'loseRequest' }
    await fails(t, 'commit_outcome_unknown', createRelation(catalog, tableOf('default', 't')))
    kv.faults = {}
    await createRelation(catalog, tableOf('default', 't'))
    await catalog.close()
  },
)
