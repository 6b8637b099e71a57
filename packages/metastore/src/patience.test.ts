import t from 'tap'
import { ManualClock } from './manual-clock.ts'
import {
  endOfWait,
  type Heard,
  leastPatient,
  mostPatient,
  Patience,
  PATIENCE_MS,
} from './patience.ts'
import { repeatCommit, repeatRead } from './retry.ts'
import { fails } from './testing/failures.ts'
import { inWorld } from './testing/world.ts'

t.test('a wait ends so long after it began, or after anybody was last answered', async (t) => {
  t.equal(endOfWait({ silentSinceMs: undefined, heardMs: 7 }), Infinity)
  t.equal(endOfWait({ silentSinceMs: 10, heardMs: -Infinity }), 10 + PATIENCE_MS)
  t.equal(endOfWait({ silentSinceMs: 10, heardMs: 7 }), 10 + PATIENCE_MS)
  t.equal(endOfWait({ silentSinceMs: 10, heardMs: 30 }, 5), 35)
})

t.test('all that a statement asks has one patience, until it is answered', async (t) => {
  const clock = new ManualClock({ now: 0 })
  const patience = new Patience(clock)
  t.equal(patience.endMs, Infinity, 'it waits for nothing yet')
  t.equal(patience.asked(), PATIENCE_MS)
  await clock.advance(1_000)
  t.equal(patience.asked(), PATIENCE_MS, 'the second call has what the first one has left')
  t.equal(patience.leftMs, PATIENCE_MS - 1_000)
  patience.answered()
  await clock.advance(60_000)
  t.equal(patience.endMs, Infinity, 'it computes')
  t.equal(patience.asked(), 61_000 + PATIENCE_MS)
})

t.test('whoever waits behind others is told of when nobody is answered any more', async (t) => {
  const clock = new ManualClock({ now: 0 })
  const heard: Heard = { lastMs: -Infinity }
  const [first, second] = [new Patience(clock, heard), new Patience(clock, heard)]
  const over: number[] = []
  first.asked()
  second.asked()
  second.watch(() => over.push(clock.now()))
  second.watch(() => over.push(-1))()
  await clock.advance(3_000)
  first.answered()
  await clock.advance(10_000)
  t.strictSame(over, [3_000 + PATIENCE_MS], 'once, and not where that was stopped')
})

t.test('work between two waits does not count, a wait in vain before it does', async (t) => {
  const clock = new ManualClock({ now: 0 })
  const heard: Heard = { lastMs: -Infinity }
  const [other, patience] = [new Patience(clock, heard), new Patience(clock, heard)]
  t.equal(patience.asked(), PATIENCE_MS)
  await clock.advance(1_000)
  patience.working()
  t.equal(patience.endMs, PATIENCE_MS, 'nobody was answered')
  other.answered()
  patience.working()
  await clock.advance(10_000)
  t.equal(patience.endMs, Infinity)
  t.equal(patience.asked(), 11_000 + PATIENCE_MS)
})

t.test('a wait that begins after it is watched ends no later for that', async (t) => {
  const clock = new ManualClock({ now: 0 })
  const patience = new Patience(clock)
  const over: number[] = []
  patience.watch(() => over.push(clock.now()))
  await clock.advance(10_001)
  t.strictSame(over, [])
  patience.asked()
  await clock.advance(10_000)
  t.strictSame(over, [10_001 + PATIENCE_MS])
})

t.test('of a group it is known whose wait ends first and last', async (t) => {
  const clock = new ManualClock({ now: 0 })
  t.equal(mostPatient([]), undefined)
  const [early, late] = [new Patience(clock), new Patience(clock)]
  early.asked()
  await clock.advance(100)
  late.asked()
  t.equal(mostPatient([early, late, early]), late)
  t.equal(leastPatient([late, early, late]), early)
})

await inWorld(t, 'reads and commits of a statement share its patience', async (t, world) => {
  const kv = world.connect()
  const patience = new Patience(world.clock)
  const began = world.clock.now()
  kv.cut()
  const options = { ...world.on(kv), patience }
  const request = { compares: [], success: [{ kind: 'put', key: '/a', value: 'x' }] } as const
  await fails(
    t,
    'metastore_unavailable',
    repeatRead(options, (call) => kv.get('/a', call)),
  )
  await fails(t, 'metastore_unavailable', repeatCommit(options, request))
  await fails(t, 'metastore_unavailable', repeatCommit(options, request))
  const tookMs = world.clock.now() - began
  t.ok(tookMs > PATIENCE_MS / 2 && tookMs <= PATIENCE_MS + 200, `${tookMs} ms`)
  kv.heal()
  await repeatCommit(options, request)
  t.equal(patience.endMs, Infinity)
})
