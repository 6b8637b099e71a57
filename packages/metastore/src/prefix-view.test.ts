import { Prng, silentLog, systemClock } from '@nyala/client/base'
import { Etcd3 } from 'etcd3'
import t, { type Test } from 'tap'
import { connectKv } from './etcd-kv.ts'
import { type Kv, KvError, type Operation } from './kv.ts'
import { PrefixView } from './prefix-view.ts'
import { EtcdProcess } from './testing/etcd-process.ts'
import { inWorld } from './testing/world.ts'

const write = async (kv: Kv, ...success: readonly Operation[]): Promise<number> =>
  (await kv.commitIf({ compares: [], success })).revision
const put = (key: string, value: string): Operation => ({ kind: 'put', key, value })

async function equalsListing(t: Test, view: PrefixView, kv: Kv): Promise<void> {
  const { items } = await kv.range('/v/')
  const seen = [...view.items()].sort((a, b) => (a.key < b.key ? -1 : 1))
  t.same(seen, items)
}

await inWorld(t, 'a view shows what is there and what comes', async (t, world) => {
  const kv = world.connect()
  await write(kv, put('/v/a', '1'), put('/w/a', 'outside'))
  const view = new PrefixView({ ...world.on(kv), prefix: '/v/' })
  await view.start()
  t.same(
    [...view.items()].map((item) => item.key),
    ['/v/a'],
  )
  const revision = await write(kv, put('/v/b', '2'), { kind: 'delete', key: '/v/a' })
  await view.waitFor(() => view.revision >= revision)
  t.equal(view.revision, revision)
  t.equal(view.get('/v/a'), undefined)
  t.equal(view.get('/v/b')?.value, '2')
  await view.stop()
})

await inWorld(t, 'a view changes once for each commit, never by half of one', async (t, world) => {
  const kv = world.connect({ repeatEvents: true })
  const view = new PrefixView({ ...world.on(kv), prefix: '/v/' })
  await view.start()
  const sums: number[] = []
  view.onChange(() => {
    sums.push([...view.items()].reduce((sum, item) => sum + Number(item.value), 0))
  })
  await write(kv, put('/v/a', '50'), put('/v/b', '50'))
  await write(kv, put('/v/a', '20'), put('/v/b', '80'))
  const last = await write(kv, put('/v/a', '100'), { kind: 'delete', key: '/v/b' })
  await view.waitFor(() => view.revision >= last)
  t.same(sums, [100, 100, 100], 'repeated events change nothing')
  await view.stop()
})

await inWorld(t, 'a broken view resumes without listing again', async (t, world) => {
  const kv = world.connect()
  const writer = world.connect()
  const view = new PrefixView({ ...world.on(kv), prefix: '/v/' })
  await view.start()
  kv.cut()
  await write(writer, put('/v/a', '1'))
  const revision = await write(writer, put('/v/b', '2'))
  await world.clock.sleep(2000)
  t.equal(view.get('/v/a'), undefined)
  kv.heal()
  await view.waitFor(() => view.revision >= revision)
  await equalsListing(t, view, writer)
  t.equal(view.listings, 1)
  await view.stop()
})

await inWorld(t, 'a view that fell behind a compaction lists again', async (t, world) => {
  const kv = world.connect()
  const writer = world.connect()
  await write(writer, put('/v/a', '1'))
  const view = new PrefixView({ ...world.on(kv), prefix: '/v/' })
  await view.start()
  kv.cut()
  await write(writer, { kind: 'delete', key: '/v/a' })
  const revision = await write(writer, put('/v/b', '2'))
  world.etcd.compact()
  kv.heal()
  await view.waitFor(() => view.revision >= revision)
  await equalsListing(t, view, writer)
  t.equal(view.listings, 2)
  await view.stop()
})

await inWorld(t, 'a deletion at the very compaction revision is not lost', async (t, world) => {
  const kv = world.connect()
  const writer = world.connect()
  await write(writer, put('/v/a', '1'))
  const view = new PrefixView({ ...world.on(kv), prefix: '/v/' })
  await view.start()
  kv.cut()
  // The next revision after what the view has is the deletion, and exactly it becomes the compaction revision.
  const revision = await write(writer, { kind: 'delete', key: '/v/a' })
  t.equal(revision, view.revision + 1)
  world.etcd.compact(revision)
  kv.heal()
  await view.waitFor(() => view.get('/v/a') === undefined)
  t.equal(view.listings, 2)
  await view.stop()
})

await inWorld(t, 'a view that starts before the store waits for it', async (t, world) => {
  const kv = world.connect()
  kv.cut()
  const view = new PrefixView({ ...world.on(kv), prefix: '/v/' })
  const started = view.start()
  await world.clock.sleep(3000)
  t.equal(view.revision, 0)
  kv.heal()
  await started
  t.ok(view.revision > 0)
  await view.stop()
})

await inWorld(t, 'start and waitFor end with the reason of their signal', async (t, world) => {
  const kv = world.connect()
  kv.cut()
  const view = new PrefixView({ ...world.on(kv), prefix: '/v/' })
  const abort = new AbortController()
  const started = view.start(abort)
  abort.abort(new Error('enough'))
  await t.rejects(started, { message: 'enough' })
  await t.rejects(
    view.waitFor(() => false),
    KvError,
    'an abort of start stops the view',
  )
})

await inWorld(t, 'waiting for a stopped view fails rather than hangs', async (t, world) => {
  const view = new PrefixView({ ...world.on(world.connect()), prefix: '/v/' })
  await view.start()
  const waiting = view.waitFor(() => false)
  await view.stop()
  await t.rejects(waiting, KvError)
})

await inWorld(
  t,
  'whatever happens to its connection, a view ends up equal to a listing',
  async (t, world) => {
    const seed = Number(process.env['NYALA_SEED'] ?? Date.now() % 1e9)
    t.comment(`seed ${seed}`)
    const prng = new Prng(seed)
    const kv = world.connect({
      fate: () => (prng.chance(0.1) ? 'unavailable' : 'pass'),
      latencyMs: () => prng.below(20),
      repeatEvents: true,
    })
    const writer = world.connect()
    const view = new PrefixView({ ...world.on(kv), prefix: '/v/' })
    await view.start()
    const history = new Map<number, string>()
    const { store } = world.etcd
    const remember = (): unknown => history.set(store.revision, JSON.stringify(store.range('/v/')))
    remember()
    store.onRevision(remember)
    let unknownStates = 0
    view.onChange(() => {
      const seen = [...view.items()].sort((a, b) => (a.key < b.key ? -1 : 1))
      if (history.get(view.revision) !== JSON.stringify(seen)) unknownStates++
    })
    for (let step = 0; step < 500; step++) {
      const key = `/v/${prng.below(8)}`
      const other = `/v/${8 + prng.below(8)}`
      const drop: Operation = { kind: 'delete', key }
      const change = prng.chance(0.3) ? drop : put(key, `${step}`)
      await write(writer, change, put(other, `${step}`))
      if (prng.chance(0.1)) kv.dropConnections()
      if (prng.chance(0.05)) kv.cut()
      if (prng.chance(0.1)) kv.heal()
      if (prng.chance(0.05)) world.etcd.compact()
      if (prng.chance(0.5)) await world.clock.sleep(prng.below(100))
    }
    kv.heal()
    await view.waitFor(() => view.revision >= world.etcd.store.revision)
    await equalsListing(t, view, writer)
    t.equal(unknownStates, 0, 'every state it showed was one of the store')
    await view.stop()
  },
)

await t.test('on etcd, a view survives compaction past its revision and a restart', async (t) => {
  await using etcd = await EtcdProcess.start(process.env)
  const options = { endpoints: [etcd.endpoint], clock: systemClock, log: silentLog }
  await using kv = await connectKv(options)
  await using writer = await connectKv(options)
  const raw = new Etcd3({ hosts: etcd.endpoint })
  t.teardown(() => raw.close())
  await write(writer, put('/v/a', '1'))
  const view = new PrefixView({ kv, prefix: '/v/', clock: systemClock, log: silentLog })
  await view.start()
  const first = await write(writer, put('/v/b', '2'))
  await view.waitFor(() => view.revision >= first)

  await etcd.kill()
  await etcd.restart()
  await write(writer, { kind: 'delete', key: '/v/a' })
  const last = await write(writer, put('/v/c', '3'))
  await raw.kv.compact({ revision: last, physical: true })
  await view.waitFor(() => view.revision >= last)
  await equalsListing(t, view, writer)
  await view.stop()
})
