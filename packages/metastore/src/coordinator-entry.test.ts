import t from 'tap'
import { Board } from './board.ts'
import { CoordinatorEntry } from './coordinator-entry.ts'
import type { MemoryKvFaults } from './memory-kv.ts'
import { Registration } from './registration.ts'
import { inWorld, memberRecordOf, type World } from './testing/world.ts'

/** A day is long for a simulation. */
const ENTRY_SECONDS = 120

/** A coordinator that registers and has its entry, and whoever looks for it. */
async function setUp(world: World, faults: MemoryKvFaults = {}) {
  const board = new Board(world.on(world.connect()))
  await board.start()
  const kv = world.connect(faults)
  const record = memberRecordOf('c1')
  const entry = new CoordinatorEntry({ ...world.on(kv), record, seconds: ENTRY_SECONDS })
  const registration = new Registration({
    ...world.on(kv),
    record,
    onRegistered: (incarnation) => entry.onRegistered(incarnation),
  })
  await registration.start()
  return { board, kv, entry, registration }
}

await inWorld(
  t,
  'a coordinator that was stopped in order is missed by nobody',
  async (t, world) => {
    const { board, entry, registration } = await setUp(world)
    await world.until(() => board.coordinatorEntries().length === 1)
    t.match(board.coordinatorEntries(), [{ id: 'c1', incarnation: registration.incarnation }])
    await world.clock.sleep(3 * ENTRY_SECONDS * 1_000)
    t.equal(board.coordinatorEntries().length, 1, 'it stays for as long as the coordinator does')
    await registration.stop()
    t.equal(board.coordinatorEntries().length, 1)
    await entry.withdraw()
    await world.until(() => board.coordinatorEntries().length === 0)
    await world.clock.sleep(ENTRY_SECONDS * 1_000)
    t.equal(board.coordinatorEntries().length, 0)
    await board.stop()
  },
)

await inWorld(
  t,
  'one that goes without a word is missed, and forgotten in the end',
  async (t, world) => {
    let isCut = false
    const fate = (): 'pass' | 'unavailable' => (isCut ? 'unavailable' : 'pass')
    const { board, entry, registration } = await setUp(world, { fate })
    await world.until(() => board.coordinatorEntries().length === 1)
    isCut = true
    await world.clock.sleep(ENTRY_SECONDS * 500)
    t.equal(board.coordinatorEntries().length, 1)
    await world.clock.sleep(ENTRY_SECONDS * 600)
    t.equal(board.coordinatorEntries().length, 0)
    await entry.withdraw()
    await registration.stop()
    await board.stop()
  },
)

await inWorld(
  t,
  'the entry of a later life is not taken back by a former one',
  async (t, world) => {
    const first = await setUp(world)
    const second = await setUp(world)
    await world.until(() => {
      const [one] = first.board.coordinatorEntries()
      return one !== undefined && one.incarnation === second.registration.incarnation
    })
    await first.entry.withdraw()
    await world.clock.sleep(1_000)
    t.match(first.board.coordinatorEntries(), [{ incarnation: second.registration.incarnation }])
    await second.registration.stop()
    await second.entry.withdraw()
    for (const { board } of [first, second]) await board.stop()
  },
)
