import t, { type Test } from 'tap'
import { systemClock } from '../base/clock.ts'
import {
  type AttachMessage,
  type FakeCall,
  FakeCoordinator,
  type FakeOptions,
} from '../testing/fake-coordinator.ts'
import { numbersAnswer } from '../testing/sample-results.ts'
import { crc32 } from '../wire/crc32-node.ts'
import { chainCrc } from '../wire/crc32.ts'
import { type ClientEvent, connect, type Move } from './index.ts'

const ANSWER = numbersAnswer(100, 10)
const [SCHEMA = new Uint8Array(), ...BATCHES] = ANSWER.messages ?? []

interface Script {
  readonly onStatement: (call: FakeCall) => void | Promise<void>
  readonly onAttach: (call: FakeCall, place: AttachMessage, nth: number) => void | Promise<void>
}

async function setUp(test: Test, script: Script) {
  let attached = 0
  const options = (id: string): FakeOptions => ({
    id,
    resumable: true,
    onStatement: (call) => script.onStatement(call),
    onAttach: (call, place) => script.onAttach(call, place, attached++),
  })
  const fakes = await Promise.all(
    ['c1', 'c2', 'c3'].map((id) => FakeCoordinator.start(options(id))),
  )
  const events: ClientEvent[] = []
  const db = await connect({
    endpoints: fakes.map((fake) => fake.address),
    onEvent: (event) => events.push(event),
    retry: { minDelay: 1, maxDelay: 5 },
    discover: false,
  })
  test.teardown(async () => {
    await db.close()
    for (const fake of fakes) await fake.close()
  })
  return { db, fakes, events, attached: () => attached }
}

/** Plays the first batches of the result, and dies. */
async function beginAndDie(call: FakeCall, batches: number): Promise<void> {
  call.accept()
  call.columns(ANSWER.columns ?? [])
  await call.frame(SCHEMA)
  for (const batch of BATCHES.slice(0, batches)) await call.frame(batch)
  // What was sent is on its way before the connection goes.
  await systemClock.sleep(50)
  await call.coordinator.close()
}

/** Plays what is left of the result from a place on. */
async function goOn(call: FakeCall, { place }: AttachMessage): Promise<void> {
  const [at] = place
  const frames = at?.frames ?? 0
  const before = BATCHES.slice(0, Math.max(0, frames - 1))
  const crc = before.reduce((sum, batch) => chainCrc(crc32, sum, crc32(batch)), 0)
  call.startTask(0, { frames, rows: before.length * 10, crc })
  call.accept()
  call.columns(ANSWER.columns ?? [])
  call.streaming(true)
  if (frames === 0) await call.frame(SCHEMA)
  for (const batch of BATCHES.slice(before.length)) await call.frame(batch)
  call.finish()
}

const numbers = async (stream: AsyncIterable<unknown>): Promise<number[]> => {
  const found: number[] = []
  for await (const row of stream) found.push(Number((row as { readonly n: bigint }).n))
  return found
}
const ALL = Array.from({ length: 100 }, (_, i) => i)

t.test('a result goes on at another coordinator, each row once', async (t) => {
  for (const batches of [0, 1, 5, 10]) {
    const { db, fakes, attached } = await setUp(t, {
      onStatement: (call) => beginAndDie(call, batches),
      onAttach: (call, place) => goOn(call, place),
    })
    const moves: Move[] = []
    const stream = db.stream('select 1', [], { onMoved: (move) => moves.push(move) })
    t.same(await numbers(stream), ALL)
    t.equal(attached(), 1)
    const [asked] = fakes.flatMap((fake) => fake.receivedOf('attach'))
    t.match(asked, { queryId: stream.id, place: [{ task: 0, attempt: 0, frames: batches + 1 }] })
    t.match(moves, [{ resumed: true, to: stream.coordinator }])
    t.equal(fakes.flatMap((fake) => fake.receivedOf('statement')).length, 1)
    const confirmed = (): boolean => fakes.some((fake) => fake.receivedOf('received').length === 1)
    while (!confirmed()) await systemClock.sleep(5)
    t.pass('the end is confirmed')
  }
})

t.test('a result goes on although those that take over die as well', async (t) => {
  const { db } = await setUp(t, {
    onStatement: (call) => beginAndDie(call, 3),
    onAttach: async (call, place, nth) => {
      if (nth === 0) await call.coordinator.close()
      else await goOn(call, place)
    },
  })
  t.same(await numbers(db.stream('select 1')), ALL)
})

t.test('a coordinator that is not ready to go on is asked again', async (t) => {
  const { db, attached } = await setUp(t, {
    onStatement: (call) => beginAndDie(call, 3),
    onAttach: async (call, place, nth) => {
      if (nth < 3) call.fail({ error: 'cannot_connect_now', message: 'another one was faster' })
      else await goOn(call, place)
    },
  })
  t.same(await numbers(db.stream('select 1')), ALL)
  t.equal(attached(), 4)
})

t.test('a coordinator that shuts down hands its results over', async (t) => {
  const { db } = await setUp(t, {
    onStatement: async (call) => {
      call.accept()
      call.columns(ANSWER.columns ?? [])
      await call.frame(SCHEMA)
      for (const batch of BATCHES.slice(0, 4)) await call.frame(batch)
      call.coordinator.broadcast({ kind: 'draining' })
      call.fail({ error: 'cannot_connect_now', message: 'shutting down' })
    },
    onAttach: (call, place) => goOn(call, place),
  })
  t.same(await numbers(db.stream('select 1')), ALL)
})

t.test('a result that cannot be gone on with ends in an error, after what was read', async (t) => {
  const { db } = await setUp(t, {
    onStatement: (call) => beginAndDie(call, 3),
    onAttach: (call) => call.fail({ error: 'executor_lost', message: 'its rows are gone' }),
  })
  const rows: unknown[] = []
  const read = async (): Promise<void> => {
    for await (const row of db.stream('select 1')) rows.push(row)
  }
  await t.rejects(read(), { code: '57P01', retryable: true })
  t.ok(rows.length <= 30)
})

t.test('what cannot be gone on with is run again while nothing was read', async (t) => {
  let statements = 0
  const { db } = await setUp(t, {
    onStatement: async (call) => {
      if (statements++ === 0) await beginAndDie(call, 3)
      else await call.answer(ANSWER)
    },
    onAttach: (call) => call.fail({ error: 'executor_lost', message: 'its rows are gone' }),
  })
  const stream = db.stream('select 1')
  // Reading before the second statement would hand out what the first has sent.
  while (statements < 2) await systemClock.sleep(5)
  t.same(await numbers(stream), ALL)
})

t.test('frames are not handed out before it is sure what becomes of them', async (t) => {
  let dead = false
  const { db, attached } = await setUp(t, {
    onStatement: async (call) => {
      if (dead) return call.answer(ANSWER)
      call.accept()
      call.columns(ANSWER.columns ?? [])
      // Without a word that they may be handed out.
      call.streamingUnsaid()
      await call.frame(SCHEMA)
      await call.frame(BATCHES[0] ?? SCHEMA)
      await systemClock.sleep(50)
      dead = true
      await call.coordinator.close()
    },
    onAttach: () => undefined,
  })
  t.same(await numbers(db.stream('select 1')), ALL, 'the statement was sent again')
  t.equal(attached(), 0)
})

t.test('a query is attached to by its id', async (t) => {
  const id = 'q0123456789abcdef01234567'
  const { db, fakes } = await setUp(t, {
    onStatement: () => undefined,
    onAttach: (call, place) => goOn(call, place),
  })
  const stream = db.attach<{ n: bigint }>(id)
  t.equal(stream.id, id)
  t.same(await numbers(stream), ALL)
  t.match(
    fakes.flatMap((fake) => fake.receivedOf('attach')),
    [{ queryId: id, place: [], ended: [] }],
  )
  t.throws(() => db.attach('nonsense'), { code: '22023' })
  const refused = await setUp(t, {
    onStatement: () => undefined,
    onAttach: (call) => call.fail({ error: 'undefined_object', message: 'it has ended' }),
  })
  await t.rejects(refused.db.attach(id).drain(), { code: '42704' })
})

t.test('cancelling while nobody serves tells another coordinator', async (t) => {
  const { db, fakes } = await setUp(t, {
    onStatement: (call) => beginAndDie(call, 3),
    onAttach: () => systemClock.sleep(60_000, { signal: stop.signal }).catch(() => undefined),
  })
  const stop = new AbortController()
  t.teardown(() => stop.abort())
  const stream = db.stream('select 1')
  const batches = stream.columnBatches()
  await batches.next()
  while (fakes.flatMap((fake) => fake.receivedOf('attach')).length === 0) await systemClock.sleep(5)
  await stream.cancel()
  const isTold = (): boolean => fakes.some((fake) => fake.receivedOf('cancel').length > 0)
  while (!isTold()) await systemClock.sleep(5)
  t.pass('the one that was asked to go on is told')
})

t.test('a cancel that its coordinator did not live to hear is told to another one', async (t) => {
  const { db, fakes, events } = await setUp(t, {
    onStatement: async (call) => {
      call.accept()
      await call.untilStopped()
      await call.coordinator.close()
    },
    onAttach: () => undefined,
  })
  const stream = db.stream('select 1')
  while (stream.id === undefined) await systemClock.sleep(5)
  await stream.cancel()
  while (!events.some(({ kind }) => kind === 'disconnected')) await systemClock.sleep(5)
  await db.close()
  const told = fakes.flatMap((fake) => fake.receivedOf('cancelQuery'))
  t.match(told, [{ queryId: stream.id }], 'also when the client closes right after')
})

t.test('a cancel that its coordinator hangs over is told to another one', async (t) => {
  const { db, fakes } = await setUp(t, {
    onStatement: async (call) => {
      call.accept()
      await call.untilStopped()
    },
    onAttach: () => undefined,
  })
  const stream = db.stream('select 1')
  while (stream.id === undefined) await systemClock.sleep(5)
  const hung = fakes.find((fake) => fake.receivedOf('statement').length > 0)
  hung?.hang()
  await stream.cancel()
  await db.close()
  t.same(hung?.receivedOf('cancelQuery'), [])
  const told = fakes.flatMap((fake) => fake.receivedOf('cancelQuery'))
  t.match(told, [{ queryId: stream.id }], 'also when the client closes right after')
})
