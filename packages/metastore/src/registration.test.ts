import { silentLog, systemClock } from '@nyala/client/base'
import t, { type Test } from 'tap'
import { connectKv } from './etcd-kv.ts'
import { Keys } from './keys.ts'
import type { Kv } from './kv.ts'
import { Membership } from './membership.ts'
import { Registration, type RegistrationLoss } from './registration.ts'
import { EtcdProcess } from './testing/etcd-process.ts'
import { inWorld, memberRecordOf, type World } from './testing/world.ts'

interface Watched {
  readonly registration: Registration
  readonly incarnations: number[]
  readonly losses: RegistrationLoss[]
}

function register(world: World, kv: Kv, id = 'c1'): Watched {
  const incarnations: number[] = []
  const losses: RegistrationLoss[] = []
  const registration = new Registration({
    ...world.on(kv),
    record: memberRecordOf(id),
    onRegistered: (incarnation) => incarnations.push(incarnation),
    onLost: (loss) => losses.push(loss),
  })
  return { registration, incarnations, losses }
}

const keyOf = (world: World): string => world.keys.member('coordinator', memberRecordOf('c1').id)

await inWorld(
  t,
  'a member is registered until it stops, and then at once no more',
  async (t, world) => {
    const kv = world.connect()
    const { registration, incarnations } = register(world, kv)
    await registration.start()
    const { item } = await kv.get(keyOf(world))
    t.equal(item?.createRevision, registration.incarnation)
    t.equal(item?.lease, registration.lease)
    t.same(incarnations, [registration.incarnation])
    await world.clock.sleep(60_000)
    t.equal((await kv.get(keyOf(world))).item?.createRevision, registration.incarnation)
    await registration.stop()
    t.equal((await kv.get(keyOf(world))).item, undefined)
    t.equal(registration.incarnation, undefined)
  },
)

for (const [how, strike] of Object.entries({
  'its lease was revoked behind its back': async (world: World, registration: Registration) => {
    if (registration.lease !== undefined) await world.connect().revokeLease(registration.lease)
  },
  'its key was deleted': async (world: World) => {
    const success = [{ kind: 'delete', key: keyOf(world) } as const]
    await world.connect().commitIf({ compares: [], success })
  },
})) {
  await inWorld(t, `a member is registered anew after ${how}`, async (t, world) => {
    const { registration, incarnations, losses } = register(world, world.connect())
    await registration.start()
    const began = world.clock.now()
    await strike(world, registration)
    await world.until(() => incarnations.length === 2)
    t.ok(world.clock.now() - began < 100, 'without waiting for a renewal')
    t.ok((incarnations[1] ?? 0) > (incarnations[0] ?? 0))
    t.same(losses, [{ kind: 'lapsed', reason: 'the member key was deleted' }])
    t.equal((await world.connect().get(keyOf(world))).item?.createRevision, incarnations[1])
    await registration.stop()
  })
}

await inWorld(t, 'a member cut off is registered anew when it is back', async (t, world) => {
  const kv = world.connect()
  const { registration, incarnations, losses } = register(world, kv)
  await registration.start()
  kv.cut()
  await world.clock.sleep(5000)
  t.equal(registration.incarnation, undefined)
  t.equal((await world.connect().get(keyOf(world))).item, undefined)
  t.equal(losses[0]?.kind, 'lapsed')
  kv.heal()
  await world.until(() => incarnations.length === 2)
  await registration.stop()
})

await inWorld(t, 'a short cut changes nothing', async (t, world) => {
  const kv = world.connect()
  const { registration, incarnations, losses } = register(world, kv)
  await registration.start()
  kv.cut()
  await world.clock.sleep(1500)
  kv.heal()
  await world.clock.sleep(30_000)
  t.equal(incarnations.length, 1)
  t.same(losses, [])
  await registration.stop()
})

await inWorld(
  t,
  'a restarted member takes the place of its predecessor as a new incarnation',
  async (t, world) => {
    const dead = world.connect()
    const predecessor = register(world, dead)
    await predecessor.registration.start()
    dead.cut()
    const successor = register(world, world.connect())
    const began = world.clock.now()
    await successor.registration.start()
    t.ok(world.clock.now() - began < 100, 'without waiting for the old lease to expire')
    t.ok((successor.incarnations[0] ?? 0) > (predecessor.incarnations[0] ?? 0))
    await world.clock.sleep(5000)
    dead.heal()
    await world.clock.sleep(10_000)
    t.equal(predecessor.registration.superseded, true, 'a predecessor that wakes gives up')
    t.equal(successor.incarnations.length, 1)
    t.same(successor.losses, [])
    await predecessor.registration.stop()
    t.equal(
      (await world.connect().get(keyOf(world))).item?.createRevision,
      successor.incarnations[0],
    )
    await successor.registration.stop()
  },
)

await inWorld(t, 'of two living members with one id the newer stays', async (t, world) => {
  const older = register(world, world.connect())
  await older.registration.start()
  const newer = register(world, world.connect({ latencyMs: () => 20 }))
  await newer.registration.start()
  await world.clock.sleep(30_000)
  t.same(
    older.losses.map((loss) => loss.kind),
    ['superseded'],
  )
  t.equal(older.incarnations.length, 1)
  t.same(newer.losses, [])
  t.equal(newer.incarnations.length, 1)
  await older.registration.stop()
  await newer.registration.stop()
})

await inWorld(t, 'lost replies do not keep a member from registering', async (t, world) => {
  let calls = 0
  const kv = world.connect({ fate: () => (++calls % 3 === 0 ? 'loseReply' : 'pass') })
  const { registration, incarnations } = register(world, kv)
  await registration.start()
  await world.clock.sleep(20_000)
  const { item } = await world.connect().get(keyOf(world))
  t.equal(item?.createRevision, registration.incarnation)
  t.equal(incarnations.at(-1), registration.incarnation)
  await registration.stop()
})

await inWorld(
  t,
  'an updated record keeps its incarnation, and survives a new registration',
  async (t, world) => {
    const kv = world.connect()
    const membership = new Membership(world.on(kv))
    await membership.start()
    const { registration, incarnations } = register(world, kv)
    await registration.start()
    t.equal(await registration.update((record) => ({ ...record, state: 'draining' })), true)
    await membership.waitFor('draining', ([m]) => m?.state === 'draining', { timeoutMs: 100 })
    t.equal(membership.member('coordinator', 'c1')?.incarnation, incarnations[0])
    if (registration.lease !== undefined) await kv.revokeLease(registration.lease)
    await world.until(() => incarnations.length === 2)
    await membership.waitFor('again', ([m]) => m?.incarnation === incarnations[1], {
      timeoutMs: 100,
    })
    t.equal(membership.member('coordinator', 'c1')?.state, 'draining')
    await registration.stop()
    t.equal(await registration.update((record) => record), false)
    await membership.stop()
  },
)

await inWorld(t, 'an abort ends a start that cannot succeed', async (t, world) => {
  const kv = world.connect()
  kv.cut()
  const { registration } = register(world, kv)
  const abort = new AbortController()
  const started = registration.start(abort)
  await world.clock.sleep(1000)
  abort.abort(new Error('enough'))
  await t.rejects(started, { message: 'enough' })
  kv.heal()
  await world.clock.sleep(10_000)
  t.equal((await kv.get(keyOf(world))).item, undefined)
})

await inWorld(t, 'the membership shows who is registered and who vanished', async (t, world) => {
  const kv = world.connect()
  const membership = new Membership(world.on(kv))
  await membership.start()
  const executor = new Registration({
    ...world.on(kv),
    record: memberRecordOf('e1', 'executor'),
  })
  const coordinator = register(world, kv)
  let changes = 0
  const stop = membership.onChange(() => changes++)
  await executor.start()
  await coordinator.registration.start()
  await membership.waitFor('both', (members) => members.length === 2, { timeoutMs: 1000 })
  t.same(
    membership.members().map((member) => member.id),
    ['c1', 'e1'],
  )
  t.same(
    membership.coordinators().map((member) => member.id),
    ['c1'],
  )
  t.same(
    membership.executors().map((member) => member.id),
    ['e1'],
  )
  t.equal(membership.member('executor', 'e1')?.incarnation, executor.incarnation)
  t.ok(changes >= 2)
  stop()
  await executor.stop()
  await membership.waitFor('e1 gone', (members) => members.length === 1, { timeoutMs: 100 })
  await coordinator.registration.stop()
  await membership.stop()
})

await inWorld(t, 'waiting for members in vain says who is there', async (t, world) => {
  const kv = world.connect()
  const membership = new Membership(world.on(kv))
  await membership.start()
  const { registration } = register(world, kv)
  await registration.start()
  const waiting = membership.waitFor('3 executors', () => false, { timeoutMs: 500 })
  await t.rejects(waiting, {
    error: 'metastore_unavailable',
    message: 'waited 500 ms for 3 executors; registered: coordinator "c1"',
  })
  await registration.stop()
  await membership.stop()
})

await inWorld(t, 'a member whose record is not understood is left out', async (t, world) => {
  const kv = world.connect()
  const { registration } = register(world, kv)
  await registration.start()
  const key = `${world.keys.members}executors/e9`
  await kv.commitIf({ compares: [], success: [{ kind: 'put', key, value: '{"format":2}' }] })
  const membership = new Membership(world.on(kv))
  await membership.start()
  t.same(
    membership.members().map((member) => member.id),
    ['c1'],
  )
  await registration.stop()
  await membership.stop()
})

await t.test(
  'on etcd, a member is registered anew after its lease was revoked',
  async (t: Test) => {
    await using etcd = await EtcdProcess.start(process.env)
    const options = { endpoints: [etcd.endpoint], clock: systemClock, log: silentLog }
    await using kv = await connectKv(options)
    const keys = new Keys('test')
    const on = { kv, keys, clock: systemClock, log: silentLog }
    const membership = new Membership(on)
    await membership.start()
    const incarnations: number[] = []
    const registration = new Registration({
      ...on,
      record: memberRecordOf('c1'),
      onRegistered: (incarnation) => incarnations.push(incarnation),
    })
    await registration.start()
    if (registration.lease !== undefined) await kv.revokeLease(registration.lease)
    await membership.waitFor(
      'the new incarnation',
      ([member]) => member !== undefined && member.incarnation > (incarnations[0] ?? 0),
      { timeoutMs: 5000 },
    )
    // The watch may be quicker than the reply to the write.
    while (incarnations.length < 2) await systemClock.sleep(5)
    t.equal(incarnations.length, 2)
    await etcd.kill()
    await etcd.restart()
    await systemClock.sleep(1000)
    t.ok(membership.member('coordinator', 'c1'), 'and survives a restart of etcd')
    await registration.stop()
    await membership.waitFor('c1 gone', (members) => members.length === 0, { timeoutMs: 10_000 })
    await membership.stop()
  },
)
