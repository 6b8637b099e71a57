import { silentLog } from '@nyala/client/base'
import { SqlError } from '@nyala/client/protocol'
import { Board, Keys, QUARANTINED_MAX } from '@nyala/metastore'
import { ManualClock, MemoryEtcd, type MemoryKvFaults } from '@nyala/metastore/memory'
import t from 'tap'
import { Quarantine, QUARANTINE_MS } from './quarantine.ts'

const asked = (sql: string, database = 'default'): Parameters<Quarantine['check']>[0] => ({
  sql,
  parameters: [],
  session: { database, settings: {}, revision: 0 },
})
const deadly = new SqlError('query_quarantined', 'the kernels of 2 executors died')

/** Coordinators that share an etcd. */
class World {
  readonly clock = new ManualClock()
  readonly #etcd = new MemoryEtcd(this.clock)

  run<T>(work: Promise<T>): Promise<T> {
    return this.clock.run(work)
  }

  async coordinator(id: string, faults: MemoryKvFaults = {}): Promise<Quarantine> {
    const { clock } = this
    const log = silentLog
    const board = new Board({
      kv: this.#etcd.connect(faults),
      keys: new Keys('test'),
      clock,
      log,
    })
    await board.start()
    t.teardown(() => board.stop())
    return new Quarantine({ clock, log, self: id, board })
  }
}

/** A test in a world of its own, with time going by as fast as the work allows. */
const inWorld = (claim: string, body: (test: typeof t, world: World) => Promise<void>) =>
  t.test(claim, (test) => {
    const world = new World()
    return world.run(body(test as typeof t, world))
  })

await inWorld(
  'a statement that killed kernels is refused for a while, and no other',
  async (t, world) => {
    const quarantine = await world.coordinator('c1')
    await quarantine.note(asked('SELECT 1'), new SqlError('kernel_crashed', 'one kernel died'))
    t.doesNotThrow(() => quarantine.check(asked('SELECT 1')), 'one death is no proof')
    await quarantine.note(asked('SELECT 1'), deadly)
    t.throws(() => quarantine.check(asked('SELECT 1')), { code: '58002' })
    t.doesNotThrow(() => quarantine.check(asked('SELECT 2')))
    t.doesNotThrow(() => quarantine.check(asked('SELECT 1', 'other')))
    await world.clock.sleep(QUARANTINE_MS - 1_000)
    t.throws(() => quarantine.check(asked('SELECT 1')), { message: /for 1 s more/ })
    await world.clock.sleep(2_000)
    t.doesNotThrow(() => quarantine.check(asked('SELECT 1')))
  },
)

await inWorld(
  'what one coordinator found all refuse, and a new one too, for as long',
  async (t, world) => {
    const [first, second] = [await world.coordinator('c1'), await world.coordinator('c2')]
    await first.note(asked('SELECT 1'), deadly)
    await world.clock.sleep(10)
    t.throws(() => second.check(asked('SELECT 1')), { code: '58002', message: /for 60 s more/ })
    t.doesNotThrow(() => second.check(asked('SELECT 2')))
    await world.clock.sleep(30_000)
    const third = await world.coordinator('c3')
    t.throws(() => third.check(asked('SELECT 1')), { message: /for 30 s more/ })
    await world.clock.sleep(32_000)
    for (const one of [first, second, third]) t.doesNotThrow(() => one.check(asked('SELECT 1')))
  },
)

await inWorld(
  'without etcd a coordinator refuses by itself, and keeps nobody waiting',
  async (t, world) => {
    const quarantine = await world.coordinator('c1', {
      fate: (method) => (method === 'grantLease' ? 'unavailable' : 'pass'),
    })
    const startedMs = world.clock.now()
    await quarantine.note(asked('SELECT 1'), deadly)
    t.ok(world.clock.now() - startedMs <= 1_000)
    t.throws(() => quarantine.check(asked('SELECT 1')), { code: '58002' })
  },
)

await inWorld('what is remembered is bounded, here and in etcd', async (t, world) => {
  const [first, second] = [await world.coordinator('c1'), await world.coordinator('c2')]
  for (let i = 0; i <= QUARANTINED_MAX; i++) await first.note(asked(`SELECT ${i}`), deadly)
  await world.clock.sleep(10)
  t.throws(() => first.check(asked('SELECT 1')), { code: '58002' })
  const known = Array.from({ length: QUARANTINED_MAX + 1 }, (_, i) => asked(`SELECT ${i}`)).filter(
    (one) => {
      try {
        second.check(one)
        return false
      } catch {
        return true
      }
    },
  )
  t.ok(known.length >= QUARANTINED_MAX - 10 && known.length <= QUARANTINED_MAX, `${known.length}`)
})
