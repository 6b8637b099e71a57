import type { MemberId } from '@nyala/client/protocol'
import t from 'tap'
import type { Owner } from './query-log.ts'
import { ReadFloor, readFloors } from './read-floor.ts'
import { inWorld, type World } from './testing/world.ts'

const c1: Owner = { id: 'c1' as MemberId, startedAt: 1 }

const revisions = async (world: World): Promise<readonly number[]> =>
  (await readFloors(world.on(world.connect()))).map(({ record }) => record.revision)

await inWorld(t, 'a floor keeps all until it is raised, and never falls', async (t, world) => {
  const floor = await ReadFloor.open({ ...world.on(world.connect()), owner: c1 })
  t.same(await revisions(world), [0])
  t.equal(await floor.raise(7), true)
  t.equal(await floor.raise(5), true)
  t.same(await revisions(world), [7])
  const restarted = await ReadFloor.open({
    ...world.on(world.connect()),
    owner: { ...c1, startedAt: 2 },
  })
  t.same(await revisions(world), [7, 0], 'a process that has begun anew has one of its own')
  await floor.close()
  await restarted.raise(9)
  t.same(await revisions(world), [9])
})

await inWorld(t, 'a floor whose reply was lost is known again', async (t, world) => {
  const kv = world.connect()
  const floor = await ReadFloor.open({ ...world.on(kv), owner: c1 })
  let lost = 0
  kv.faults = { fate: (method) => (method === 'commitIf' && lost++ === 0 ? 'loseReply' : 'pass') }
  t.equal(await floor.raise(3), true)
  t.equal(await floor.raise(4), true)
  t.ok(lost > 2)
  t.same(await revisions(world), [4])
})

await inWorld(t, 'who was taken for dead learns it when it speaks again', async (t, world) => {
  const kv = world.connect()
  const floor = await ReadFloor.open({ ...world.on(kv), owner: c1 })
  await floor.raise(3)
  const [found] = await readFloors(world.on(kv))
  await kv.commitIf({ compares: [], success: [{ kind: 'delete', key: found?.key ?? '' }] })
  t.equal(await floor.raise(4), false)
  t.same(await revisions(world), [4])
  t.equal(await floor.raise(5), true)
})
