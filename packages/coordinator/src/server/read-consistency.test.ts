import { silentLog } from '@nyala/client/base'
import { SqlError } from '@nyala/client/protocol'
import { Catalog, Keys, NewestRevision, openCluster } from '@nyala/metastore'
import { ManualClock, MemoryEtcd, type MemoryKv } from '@nyala/metastore/memory'
import t, { type Test } from 'tap'
import type { ReadConsistency } from '../bind/settings.ts'
import { ReadHolds } from '../write/read-holds.ts'
import { StatementRead } from './read-consistency.ts'

const keys = new Keys('test')

/** A coordinator that reads statements, and another one that commits. */
class World {
  readonly clock = new ManualClock()
  readonly #etcd = new MemoryEtcd(this.clock)
  readonly holds = new ReadHolds()
  readonly notices: string[] = []
  /** Of the view, and of what asks how new it is. */
  readonly view: MemoryKv = this.#etcd.connect()
  readonly asked: MemoryKv = this.#etcd.connect()
  readonly newest = new NewestRevision({ kv: this.asked, keys, clock: this.clock })

  catalog(kv: MemoryKv = this.#etcd.connect()): Promise<Catalog> {
    return Catalog.open({ kv, keys, clock: this.clock, log: silentLog })
  }

  async open(): Promise<Catalog> {
    await openCluster({ kv: this.#etcd.connect(), keys, clock: this.clock })
    return this.catalog(this.view)
  }

  read(
    catalog: Catalog,
    readConsistency: ReadConsistency,
    { sql = 'SELECT 1', signal = new AbortController().signal } = {},
  ): StatementRead {
    const { newest, holds, clock, notices } = this
    const reading = { sql, settings: { readConsistency }, revision: 0, signal, notices }
    return new StatementRead({ catalog, newest, holds, clock }, reading, undefined)
  }
}

async function inWorld(claim: string, body: (t: Test, world: World) => Promise<void>) {
  await t.test(claim, (test) => {
    const world = new World()
    return world.clock.run(body(test, world))
  })
}

const failsUnavailable = async (t: Test, work: Promise<unknown>): Promise<void> => {
  const error = await work.then(
    () => undefined,
    (failure: unknown) => failure,
  )
  t.ok(error instanceof SqlError && error.error === 'metastore_unavailable', String(error))
}

await inWorld('a statement sees what was committed elsewhere before it', async (t, world) => {
  const [here, there] = [await world.open(), await world.catalog()]
  for (const [i, consistency] of (['available', 'strong'] as const).entries()) {
    world.view.cut()
    await there.createDatabase({ name: `d${i}` })
    world.clock.after(100, () => world.view.heal())
    const old = world.read(here, 'session')
    await old.open()
    t.equal(old.catalog.database(`d${i}`), undefined, 'what its coordinator has not seen')
    const read = world.read(here, consistency)
    await read.open()
    t.ok(read.catalog.database(`d${i}`), consistency)
    t.equal(world.holds.oldest, old.catalog.revision)
    for (const one of [old, read]) one.release()
    t.equal(world.holds.oldest, undefined)
  }
  t.same(world.notices, [])
  await Promise.all([here.close(), there.close()])
})

await inWorld('rows that are written out wait for nobody, and may after all', async (t, world) => {
  const [here, there] = [await world.open(), await world.catalog()]
  world.view.cut()
  await there.createDatabase({ name: 'd' })
  world.view.heal()
  const read = world.read(here, 'strong', { sql: ' INSERT INTO d.t VALUES (1)' })
  await read.open()
  t.equal(read.catalog.database('d'), undefined)
  t.ok((await read.newest()).database('d'))
  t.equal(read.catalog, await read.newest())
  await Promise.all([here.close(), there.close()])
})

await inWorld('without etcd reads go on, told so, and strong ones fail', async (t, world) => {
  const catalog = await world.open()
  world.asked.cut()
  const began = world.clock.now()
  const first = world.read(catalog, 'available')
  await first.open()
  t.equal(first.catalog.revision, catalog.snapshot().revision)
  t.match(world.notices, [/etcd does not answer: .* after revision \d+ may be missing/])
  t.equal(world.clock.now() - began, 1_000)
  await world.read(catalog, 'available').open()
  t.ok(world.clock.now() - began < 1_100, 'the next one knows already')
  await failsUnavailable(t, world.read(catalog, 'strong').open())
  t.ok(world.clock.now() - began < 10_000)
  for (const sql of ['SET read_consistency = session', '/* x */ -- y\n ROLLBACK', 'use d']) {
    await world.read(catalog, 'strong', { sql }).open()
  }
  await world.read(catalog, 'session').open()
  world.asked.heal()
  await world.read(catalog, 'strong').open()
  t.equal(world.notices.length, 2)
  await catalog.close()
})

await inWorld('who is cancelled while etcd is asked holds nothing', async (t, world) => {
  const catalog = await world.open()
  world.asked.cut()
  const controller = new AbortController()
  const { signal } = controller
  const read = world.read(catalog, 'strong', { signal })
  const opening = read.open()
  world.clock.after(10, () => controller.abort(new SqlError('query_canceled', 'enough')))
  await t.rejects(opening, /enough/)
  world.asked.heal()
  const other = world.read(catalog, 'strong')
  const late = other.open()
  other.release()
  await late
  t.equal(world.holds.oldest, undefined)
  await catalog.close()
})
