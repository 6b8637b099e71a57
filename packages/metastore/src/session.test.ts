import t from 'tap'
import type { MemoryKv } from './memory-kv.ts'
import { Session } from './session.ts'
import { inWorld, type World } from './testing/world.ts'

const open = (world: World, kv: MemoryKv): Promise<Session> =>
  Session.open({ ...world.on(kv), ttlSeconds: 3 })

await inWorld(t, 'a session that is renewed stays valid', async (t, world) => {
  const session = await open(world, world.connect())
  for (let second = 0; second < 30; second++) {
    await world.clock.sleep(1000)
    t.equal(session.valid, true)
  }
  await session.close()
  t.equal(session.valid, false)
})

await inWorld(t, 'a session that cannot renew ends before its lease does', async (t, world) => {
  const kv = world.connect()
  const session = await open(world, kv)
  const began = world.clock.now()
  kv.cut()
  const reason = await session.lost
  t.match(reason, /not renewed in time/)
  const elapsed = world.clock.now() - began
  t.ok(elapsed > 2000 && elapsed < 3000, `after ${elapsed} ms`)
  t.equal(await world.connect().keepAlive(session.lease), 3, 'the lease itself still lives')
})

await inWorld(t, 'a session counts from when a renewal was sent', async (t, world) => {
  let latencyMs = 0
  const kv = world.connect({ latencyMs: () => latencyMs })
  const session = await open(world, kv)
  const began = world.clock.now()
  // The renewal at 750 ms is answered after 700 ms, but good until 750 + 3000 ms less the margin only.
  latencyMs = 700
  await world.clock.sleep(1500)
  t.equal(session.valid, true)
  kv.cut()
  await session.lost
  t.ok(world.clock.now() - began < 750 + 3000)
})

await inWorld(
  t,
  'a session survives lost renewals as long as one gets through',
  async (t, world) => {
    let calls = 0
    const kv = world.connect({ fate: () => (++calls % 10 === 0 ? 'pass' : 'loseRequest') })
    calls = 9
    const session = await open(world, kv)
    await world.clock.sleep(20_000)
    t.equal(session.valid, true)
    await session.close()
  },
)

await inWorld(
  t,
  'a lease revoked behind its back ends the session at the next renewal',
  async (t, world) => {
    const session = await open(world, world.connect())
    await world.connect().revokeLease(session.lease)
    t.equal(session.valid, true, 'which is why validity is a hint')
    const began = world.clock.now()
    t.match(await session.lost, /gone on the server/)
    t.ok(world.clock.now() - began <= 750)
  },
)

await inWorld(
  t,
  'closing a session gives its lease back at once, or leaves it to expire',
  async (t, world) => {
    const kv = world.connect()
    const session = await open(world, kv)
    await session.close()
    t.equal(await kv.keepAlive(session.lease), 0)
    const other = await open(world, kv)
    kv.cut()
    await other.close()
    await world.clock.sleep(3001)
    t.equal(await world.connect().keepAlive(other.lease), 0)
  },
)
