import t from 'tap'
import type { Catalog } from './catalog.ts'
import type { TableRecord } from './records.ts'
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

const names = (catalog: Catalog, database = 'default'): readonly string[] =>
  catalog
    .snapshot()
    .relations(database)
    .map(({ record }) => record.name)

await inWorld(
  t,
  'a new cluster has the default database, which cannot be dropped',
  async (t, world) => {
    const { catalog } = await openCatalog(world)
    t.same(
      catalog
        .snapshot()
        .databases()
        .map(({ record }) => record.name),
      ['default'],
    )
    await fails(t, 'duplicate_database', createDatabase(catalog, { name: 'DEFAULT' }))
    await fails(t, 'invalid_parameter_value', dropDatabase(catalog, 'default', { cascade: true }))
    await catalog.close()
  },
)

await inWorld(t, 'what one catalog creates, another sees at its revision', async (t, world) => {
  const [a, b] = [await openCatalog(world), await openCatalog(world, { latencyMs: () => 50 })]
  const database = await createDatabase(a.catalog, { name: 'Sales', comment: 'ours' })
  t.equal(database.created, true)
  const table = await createRelation(a.catalog, tableOf('sales', 'Orders'))
  const snapshot = await b.catalog.atLeast(table.revision)
  const seen = snapshot.relation('SALES', 'oRDERS')
  t.same(seen?.record, table.record)
  t.equal(seen?.record.database, 'Sales', 'as it was written at CREATE')
  t.equal(snapshot.database('sales')?.record.comment, 'ours')
  t.equal(snapshot.relation('sales', 'other'), undefined)
  t.equal(snapshot.relation('other', 'orders'), undefined)
  t.same(snapshot.relations('other'), [])
  await a.catalog.close()
  await b.catalog.close()
})

await inWorld(t, 'a snapshot does not change', async (t, world) => {
  const { catalog } = await openCatalog(world)
  const before = catalog.snapshot()
  await createRelation(catalog, tableOf('default', 't'))
  t.equal(before.relation('default', 't'), undefined)
  t.ok(catalog.snapshot().relation('default', 't'))
  t.equal(catalog.snapshot(), catalog.snapshot(), 'and is made once')
  await catalog.close()
})

await inWorld(
  t,
  'names that are taken, absent or of the other kind are refused as such',
  async (t, world) => {
    const { catalog } = await openCatalog(world)
    await createRelation(catalog, tableOf('default', 't'))
    await createRelation(catalog, viewOf('default', 'v'))
    const at = (name: string, database = 'default') => ({ database, name })
    const table = { expect: 'table' } as const
    const view = { expect: 'view' } as const
    const { catalog: c } = { catalog }
    await fails(
      t,
      'duplicate_table',
      createRelation(c, tableOf('default', 'T')),
      'table "t" already exists in database "default"',
    )
    await fails(t, 'duplicate_table', createRelation(c, viewOf('default', 't')))
    await fails(
      t,
      'duplicate_table',
      createRelation(c, tableOf('default', 'v')),
      'view "v" already exists in database "default"',
    )
    await fails(t, 'duplicate_table', replaceView(c, viewOf('default', 't')))
    await fails(
      t,
      'undefined_database',
      createRelation(c, tableOf('no', 't')),
      'database "no" not found',
    )
    await fails(t, 'undefined_database', replaceView(c, viewOf('no', 't')))
    await fails(t, 'undefined_database', dropDatabase(c, 'no'))
    await fails(t, 'undefined_database', dropRelation(c, at('t', 'no'), table))
    await fails(
      t,
      'undefined_table',
      dropRelation(c, at('x'), table),
      'table "x" not found in database "default"',
    )
    await fails(t, 'undefined_table', dropRelation(c, at('t'), view), '"t" is a table, not a view')
    await fails(t, 'undefined_table', dropRelation(c, at('v'), table), '"v" is a view, not a table')
    await fails(t, 'undefined_table', renameRelation(c, at('x'), at('y'), table))
    await fails(t, 'undefined_table', renameRelation(c, at('v'), at('y'), table))
    await fails(t, 'duplicate_table', renameRelation(c, at('t'), at('v'), table))
    await fails(t, 'undefined_database', renameRelation(c, at('t'), at('t', 'no'), table))
    await fails(
      t,
      'undefined_table',
      c.updateTable(at('x'), (current) => current),
    )
    await fails(
      t,
      'undefined_table',
      c.updateTable(at('v'), (current) => current),
    )
    t.same(names(catalog), ['t', 'v'])
    await catalog.close()
  },
)

await inWorld(t, 'names that cannot be keys or shown are refused', async (t, world) => {
  const { catalog } = await openCatalog(world)
  for (const name of ['', 'a\n', '\ud800', 'x'.repeat(256)]) {
    await fails(t, 'invalid_parameter_value', createDatabase(catalog, { name }))
    await fails(t, 'invalid_parameter_value', createRelation(catalog, tableOf('default', name)))
  }
  for (const name of ['a/b', 'x'.repeat(255), '日本', 'İ', '"']) {
    await createRelation(catalog, tableOf('default', name))
    t.equal(catalog.snapshot().relation('default', name)?.record.name, name)
  }
  await catalog.close()
})

await inWorld(t, 'if exists and if not exists make a repeat harmless', async (t, world) => {
  const { catalog } = await openCatalog(world)
  const { revision } = await createRelation(catalog, tableOf('default', 't'))
  const again = await createRelation(catalog, tableOf('default', 'T'), { ifNotExists: true })
  t.same([again.created, again.record.name], [false, 't'])
  t.ok(again.revision >= revision)
  const database = await createDatabase(catalog, { name: 'Default' }, { ifNotExists: true })
  t.equal(database.created, false)
  const absent = { database: 'default', name: 'x' }
  const options = { expect: 'table', ifExists: true } as const
  t.equal((await dropRelation(catalog, absent, options)).dropped, undefined)
  t.equal((await dropRelation(catalog, { ...absent, database: 'x' }, options)).dropped, undefined)
  t.equal((await dropDatabase(catalog, 'x', { ifExists: true })).dropped, undefined)
  await catalog.close()
})

await inWorld(
  t,
  'a database with tables is dropped only with cascade, and then whole',
  async (t, world) => {
    const { catalog, kv } = await openCatalog(world)
    await createDatabase(catalog, { name: 'd' })
    for (let i = 0; i < 200; i++) await createRelation(catalog, tableOf('d', `t${i}`))
    await fails(
      t,
      'database_not_empty',
      dropDatabase(catalog, 'd'),
      'database "d" has 200 tables and views',
    )
    const { dropped, revision } = await dropDatabase(catalog, 'd', { cascade: true })
    t.equal(dropped?.length, 200)
    t.equal(catalog.snapshot().database('d'), undefined)
    t.equal((await kv.get(world.keys.catalogRoot)).item?.modRevision, revision)
    t.equal((await kv.range(world.keys.names('d'))).items.length, 0)
    t.equal((await kv.range(world.keys.tables('d'))).items.length, 0)
    await catalog.close()
  },
)

await inWorld(t, 'a rename keeps the table, also into another database', async (t, world) => {
  const { catalog, kv } = await openCatalog(world)
  const { record } = await createRelation(catalog, tableOf('default', 'a'))
  const expect = { expect: 'table' } as const
  const at = (name: string, database = 'default') => ({ database, name })
  await renameRelation(catalog, at('a'), at('b'), expect)
  t.same(names(catalog), ['b'])
  await renameRelation(catalog, at('b'), at('B'), expect)
  t.same(names(catalog), ['B'], 'a change of case is a rename too')
  await createDatabase(catalog, { name: 'other' })
  const moved = await renameRelation(catalog, at('B'), at('c', 'OTHER'), expect)
  t.same(names(catalog), [])
  t.same(names(catalog, 'other'), ['c'])
  const { recentWrites, ...kept } = moved.record
  t.equal(recentWrites.length, 3)
  t.match({ ...record, recentWrites }, { ...kept, database: 'default', name: 'a' })
  t.equal((await kv.range(world.keys.tables('default'))).items.length, 0)
  await catalog.close()
})

await inWorld(
  t,
  'replacing a view keeps its id and creates it where it was not',
  async (t, world) => {
    const { catalog } = await openCatalog(world)
    const first = await replaceView(catalog, viewOf('default', 'v', 'SELECT 1'))
    const second = await replaceView(catalog, viewOf('default', 'V', 'SELECT 2'))
    t.same([first.created, second.created], [true, false])
    t.equal(second.record.id, first.record.id)
    const { record } = catalog.snapshot().relation('default', 'v') ?? {}
    t.ok(record?.kind === 'view' && record.sql === 'SELECT 2')
    await catalog.close()
  },
)

await inWorld(
  t,
  'an update is made of the current record, however often others come first',
  async (t, world) => {
    const [a, b] = [await openCatalog(world), await openCatalog(world, { latencyMs: () => 30 })]
    await createRelation(a.catalog, tableOf('default', 't'))
    const target = { database: 'default', name: 't' }
    const next = (current: TableRecord): TableRecord => ({
      ...current,
      id: 'another',
      name: 'another',
      snapshotId: current.snapshotId + 1,
    })
    await b.catalog.atLeast(a.catalog.snapshot().revision)
    const updates = [a, b, a, b, a, b].map(({ catalog }) => catalog.updateTable(target, next))
    const results = await Promise.all(updates)
    t.equal(new Set(results.map(({ revision }) => revision)).size, 6)
    const { record } =
      (await a.catalog.atLeast(Math.max(...results.map((r) => r.revision)))).relation(
        'default',
        't',
      ) ?? {}
    t.ok(record?.kind === 'external' && record.snapshotId === 7)
    t.equal(record?.name, 't', "identity is not the updater's to change")
    await a.catalog.close()
    await b.catalog.close()
  },
)

await inWorld(t, 'an update does not follow a name to another table', async (t, world) => {
  const [a, b] = [await openCatalog(world), await openCatalog(world)]
  const target = { database: 'default', name: 't' }
  await createRelation(a.catalog, tableOf('default', 't'))
  await b.catalog.atLeast(a.catalog.snapshot().revision)
  b.kv.faults = { latencyMs: () => 100 }
  const update = b.catalog.updateTable(target, (current) => ({ ...current, snapshotId: 9 }))
  await dropRelation(a.catalog, target, { expect: 'table' })
  await createRelation(a.catalog, tableOf('default', 't'))
  await fails(t, 'concurrent_ddl', update)
  await a.catalog.close()
  await b.catalog.close()
})

await inWorld(t, 'of concurrent creations of one table exactly one wins', async (t, world) => {
  const catalogs = await Promise.all([0, 1, 2, 3].map(() => openCatalog(world)))
  const results = await Promise.allSettled(
    catalogs.map(({ catalog }) => createRelation(catalog, tableOf('default', 't'))),
  )
  const won = results.filter((result) => result.status === 'fulfilled')
  t.equal(won.length, 1)
  for (const result of results) {
    if (result.status === 'rejected') t.match(result.reason, { error: 'duplicate_table' })
  }
  const [first] = won
  const snapshot = await catalogs[0]?.catalog.atLeast(first?.value.revision ?? 0)
  t.same(snapshot?.relation('default', 't')?.record, first?.value.record)
  await Promise.all(catalogs.map(({ catalog }) => catalog.close()))
})

await inWorld(
  t,
  'a table created while its database is dropped is refused or dropped with it',
  async (t, world) => {
    for (const [createMs, dropMs] of [
      [10, 20],
      [20, 10],
      [10, 10],
    ] as const) {
      const [a, b] = [await openCatalog(world), await openCatalog(world)]
      const { revision } = await createDatabase(a.catalog, { name: 'd' })
      await b.catalog.atLeast(revision)
      a.kv.faults = { latencyMs: () => createMs }
      b.kv.faults = { latencyMs: () => dropMs }
      const [created, dropped] = await Promise.allSettled([
        createRelation(a.catalog, tableOf('d', 't')),
        dropDatabase(b.catalog, 'd'),
      ])
      t.not(created.status, dropped.status, 'exactly one succeeds')
      const reason =
        created.status === 'rejected'
          ? created.reason
          : dropped.status === 'rejected'
            ? dropped.reason
            : {}
      t.match(reason, {
        error: created.status === 'rejected' ? 'undefined_database' : 'database_not_empty',
      })
      await dropDatabase(b.catalog, 'd', { cascade: true, ifExists: true })
      t.equal((await b.kv.range(world.keys.tables('d'))).items.length, 0)
      await a.catalog.close()
      await b.catalog.close()
    }
  },
)

await inWorld(t, 'a refusal is not due to a stale view', async (t, world) => {
  const [a, b] = [await openCatalog(world), await openCatalog(world)]
  b.kv.dropConnections()
  // Until its view resumes, b does not know of the table, and yet drops it.
  await createRelation(a.catalog, tableOf('default', 't'))
  t.same(names(b.catalog), [])
  const { dropped } = await dropRelation(
    b.catalog,
    { database: 'default', name: 't' },
    { expect: 'table' },
  )
  t.equal(dropped?.name, 't')
  await a.catalog.close()
  await b.catalog.close()
})

await inWorld(
  t,
  "atLeast reaches revisions that were not the catalog's, and gives up on those to come",
  async (t, world) => {
    const { catalog, kv } = await openCatalog(world)
    const { revision } = await kv.commitIf({
      compares: [],
      success: [{ kind: 'put', key: '/x', value: '' }],
    })
    const snapshot = await catalog.atLeast(revision)
    t.ok(snapshot.revision >= revision)
    await fails(t, 'metastore_unavailable', catalog.atLeast(revision + 1, { timeoutMs: 2000 }))
    const abort = new AbortController()
    const waiting = catalog.atLeast(revision + 1, abort)
    abort.abort(new Error('enough'))
    await t.rejects(waiting, { message: 'enough' })
    await catalog.close()
  },
)

await inWorld(
  t,
  'a record that cannot be read keeps its name and spoils no other',
  async (t, world) => {
    const { catalog, kv } = await openCatalog(world)
    const { record } = await createRelation(catalog, tableOf('default', 'good'))
    const bad = await createRelation(catalog, tableOf('default', 'bad'))
    const key = world.keys.table('default', bad.record.id)
    const { revision } = await kv.commitIf({
      compares: [],
      success: [
        { kind: 'put', key, value: '{"format":9}' },
        {
          kind: 'put',
          key: world.keys.name('default', 'dangling'),
          value: '{"format":1,"record":{"id":"x"}}',
        },
        {
          kind: 'put',
          key: world.keys.name('default', 'wrong'),
          value: `{"format":1,"record":{"id":"${record.id}"}}`,
        },
      ],
    })
    const snapshot = await catalog.atLeast(revision)
    t.ok(snapshot.relation('default', 'good'))
    t.same(
      snapshot.relations('default').map((relation) => relation.record.name),
      ['good'],
    )
    t.equal(snapshot.countNames('default'), 4)
    for (const name of ['bad', 'dangling', 'wrong']) {
      const reading = Promise.resolve().then(() => snapshot.relation('default', name))
      await fails(t, 'data_corrupted', reading)
      await fails(t, 'data_corrupted', createRelation(catalog, tableOf('default', name)))
    }
    await catalog.close()
  },
)
