import { silentLog } from '@nyala/client/base'
import { SqlError } from '@nyala/client/protocol'
import {
  Catalog,
  type CatalogSnapshot,
  Keys,
  NewestRevision,
  openCluster,
  Patience,
} from '@nyala/metastore'
import { createDatabase, ManualClock, MemoryEtcd, type MemoryKv } from '@nyala/metastore/memory'
import t, { type Test } from 'tap'
import type { ReadConsistency } from '../bind/settings.ts'
import { ReadHolds } from '../write/read-holds.ts'
import { StatementRead } from './read-consistency.ts'

const keys = new Keys('test')
const quiet = new AbortController().signal

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
    { revision = 0, signal = quiet } = {},
  ): StatementRead {
    const { newest, holds, clock, notices } = this
    const patience = new Patience(clock)
    const reading = { settings: { readConsistency }, revision, signal, patience, notices }
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

/** Reads as a statement does that reads the catalog. */
async function toNewest(read: StatementRead): Promise<CatalogSnapshot> {
  await read.open()
  return read.newest()
}

await inWorld('a statement sees what was committed elsewhere before it', async (t, world) => {
  const [here, there] = [await world.open(), await world.catalog()]
  for (const [i, consistency] of (['available', 'strong'] as const).entries()) {
    world.view.cut()
    await createDatabase(there, { name: `d${i}` })
    world.clock.after(100, () => world.view.heal())
    const old = world.read(here, 'session')
    await toNewest(old)
    t.equal(old.catalog.database(`d${i}`), undefined, 'what its coordinator has not seen')
    const read = world.read(here, consistency)
    await read.open()
    t.equal(read.catalog, old.catalog, 'at hand is what its coordinator has seen')
    t.ok((await read.newest()).database(`d${i}`), consistency)
    t.ok(read.catalog.database(`d${i}`))
    t.equal(world.holds.oldest, old.catalog.revision)
    for (const one of [old, read]) one.release()
    t.equal(world.holds.oldest, undefined)
  }
  t.same(world.notices, [])
  await Promise.all([here.close(), there.close()])
})

await inWorld('what is asked for ahead tells of all before the statement', async (t, world) => {
  const [here, there] = [await world.open(), await world.catalog()]
  const earlier = world.read(here, 'strong')
  await earlier.open()
  earlier.ask()
  world.asked.faults = { latencyMs: () => 20 }
  // The first asks etcd, then the commit is acknowledged, then the second comes: it must not share what was asked before.
  await world.clock.sleep(15)
  world.view.cut()
  await createDatabase(there, { name: 'd' })
  world.clock.after(100, () => world.view.heal())
  const later = world.read(here, 'strong')
  await later.open()
  later.ask()
  const before = later.catalog
  await world.clock.sleep(50)
  t.equal(later.catalog, before, 'what is at hand stays as long as it is worked with')
  t.equal((await earlier.newest()).database('d'), undefined)
  t.ok((await later.newest()).database('d'))
  await Promise.all([here.close(), there.close()])
})

await inWorld('a snapshot at hand that is new enough stays', async (t, world) => {
  const [here, there] = [await world.open(), await world.catalog()]
  const { revision } = await createDatabase(there, { name: 'd' })
  const read = world.read(here, 'strong', { revision })
  await read.open()
  t.ok(read.catalog.database('d'), 'what its session has seen is there at once')
  const first = read.catalog
  read.ask()
  await world.clock.sleep(10)
  await createDatabase(there, { name: 'later' })
  await here.atLeast(revision + 1)
  t.equal(await read.newest(), first, 'though its coordinator has seen more since')
  const own = new StatementRead(
    { ...world, catalog: here },
    {
      ...{ ...world, settings: { readConsistency: 'strong' }, revision: 0, signal: quiet },
      patience: new Patience(world.clock),
    },
    first,
  )
  world.asked.cut()
  t.equal(await toNewest(own), first, 'what a transaction reads stays, and nothing is asked')
  await Promise.all([here.close(), there.close()])
})

await inWorld('without etcd reads go on, told so, and strong ones fail', async (t, world) => {
  const catalog = await world.open()
  world.asked.cut()
  const began = world.clock.now()
  const first = world.read(catalog, 'available')
  await toNewest(first)
  t.equal(first.catalog.revision, catalog.snapshot().revision)
  t.match(world.notices, [/etcd does not answer: .* after revision \d+ may be missing/])
  t.equal(world.clock.now() - began, 1_000)
  await toNewest(world.read(catalog, 'available'))
  t.ok(world.clock.now() - began < 1_100, 'the next one knows already')
  await failsUnavailable(t, toNewest(world.read(catalog, 'strong')))
  t.ok(world.clock.now() - began < 10_000)
  const asked = world.clock.now()
  await world.read(catalog, 'strong').open()
  await toNewest(world.read(catalog, 'session'))
  t.equal(world.clock.now(), asked, 'what is at hand waits for nobody')
  world.asked.heal()
  await toNewest(world.read(catalog, 'strong'))
  t.equal(world.notices.length, 2)
  await catalog.close()
})

await inWorld('who is cancelled while etcd is asked holds nothing', async (t, world) => {
  const catalog = await world.open()
  world.asked.cut()
  const controller = new AbortController()
  const { signal } = controller
  const read = world.read(catalog, 'strong', { signal })
  await read.open()
  world.clock.after(10, () => controller.abort(new SqlError('query_canceled', 'enough')))
  await t.rejects(read.newest(), /enough/)
  read.release()
  world.asked.heal()
  const there = await world.catalog()
  await createDatabase(there, { name: 'd' })
  const other = world.read(catalog, 'strong')
  const late = toNewest(other)
  other.release()
  await late
  t.equal(world.holds.oldest, undefined)
  await Promise.all([catalog.close(), there.close()])
})
