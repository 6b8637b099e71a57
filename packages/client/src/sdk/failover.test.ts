import { once } from 'node:events'
import { type AddressInfo, createServer, type Socket } from 'node:net'
import t, { type Test } from 'tap'
import { systemClock } from '../base/clock.ts'
import { type FakeCall, FakeCoordinator, type FakeOptions } from '../testing/fake-coordinator.ts'
import { numbersAnswer } from '../testing/sample-results.ts'
import { OUTRUN } from './coordinators.ts'
import { type ClientEvent, connect } from './index.ts'

const until = async (condition: () => boolean): Promise<void> => {
  while (!condition()) await systemClock.sleep(5)
}

/** Two coordinators that play the same; the first to get a statement is `first`. */
async function setUpTwo(
  test: Test,
  onStatement: (call: FakeCall, attempt: number) => void | Promise<void>,
) {
  let attempts = 0
  const options = (id: string): FakeOptions => ({
    id,
    onStatement: (call) => onStatement(call, attempts++),
  })
  const fakes = [
    await FakeCoordinator.start(options('c1')),
    await FakeCoordinator.start(options('c2')),
  ]
  const events: ClientEvent[] = []
  const db = await connect({
    endpoints: fakes.map((fake) => fake.address),
    onEvent: (event) => events.push(event),
    retry: { minDelay: 1, maxDelay: 5, attempts: 4 },
    discover: false,
  })
  test.teardown(async () => {
    await db.close()
    for (const fake of fakes) await fake.close()
  })
  return { db, fakes, events, attempts: () => attempts }
}

t.test('a read whose coordinator dies before a row is run by another one', async (t) => {
  for (const stage of ['statement', 'accepted', 'columns', 'frames'] as const) {
    const answer = numbersAnswer(100, 10)
    const { db, events, attempts } = await setUpTwo(t, async (call, attempt) => {
      if (attempt > 0) return call.answer(answer)
      if (stage !== 'statement') call.accept()
      if (stage === 'columns' || stage === 'frames') call.columns(answer.columns ?? [])
      if (stage === 'frames') for (const message of answer.messages ?? []) await call.frame(message)
      await call.coordinator.close()
    })
    const stream = db.stream('select * from t')
    // Frames that came but were not read are not "delivered": the read starts only after the death.
    if (stage === 'frames') await until(() => attempts() === 2)
    const rows: unknown[] = []
    for await (const row of stream) rows.push(row)
    t.equal(rows.length, 100, `cut after ${stage}`)
    t.strictSame(rows[99], { n: 99n, text: 'row 99' })
    const moved = events.find((event) => event.kind === 'statementMoved')
    t.match(moved, { kind: 'statementMoved', to: stream.coordinator })
  }
})

t.test('the repeated statement carries the same id', async (t) => {
  const { db, fakes } = await setUpTwo(t, async (call, attempt) => {
    if (attempt === 0) call.coordinator.cutClients()
    else await call.answer(numbersAnswer(1, 1))
  })
  await db.query('select 1')
  const ids = fakes.flatMap((fake) => fake.receivedOf('statement')).map((m) => m.statementId)
  t.equal(ids.length, 2)
  t.equal(ids[0], ids[1])
})

t.test('what a coordinator loses does not come back to it while there is another', async (t) => {
  const asked: string[] = []
  const { db } = await setUpTwo(t, async (call, attempt) => {
    asked.push(call.coordinator.id)
    if (attempt % 2 === 1) return call.answer(numbersAnswer(1, 1))
    // Where a new connection goes is left to chance, so that once proves nothing.
    return call.coordinator.cutClients()
  })
  for (let i = 0; i < 20; i++) await db.query('select 1')
  for (let i = 0; i < asked.length; i += 2) t.not(asked[i], asked[i + 1], `statement ${i / 2}`)
  t.equal(asked.length, 40)
})

t.test(
  'of coordinators that have all failed lately the first to fail is dialled first',
  async (t) => {
    const asked: string[] = []
    const fakes = await Promise.all(
      ['c1', 'c2', 'c3'].map((id) =>
        FakeCoordinator.start({
          id,
          onStatement: (call) =>
            asked.push(id) % 2 === 0
              ? call.answer(numbersAnswer(1, 1))
              : call.coordinator.cutClients(),
        }),
      ),
    )
    t.teardown(() => Promise.all(fakes.map((fake) => fake.close())))
    const endpoints = fakes.map((fake) => fake.address)
    await using db = await connect({ endpoints, discover: false, retry: { minDelay: 1 } })
    // Each loses its connection once; from then on all are in doubt.
    for (let i = 0; i < 12; i++) await db.query('select 1')
    const losers = asked.filter((_, i) => i % 2 === 0)
    for (let i = 2; i < losers.length; i++) {
      t.equal(new Set(losers.slice(i - 2, i + 1)).size, 3, losers.slice(i - 2, i + 1).join())
    }
  },
)

t.test(
  'a read that is cut after rows were handed out says how many, and repeats none',
  async (t) => {
    const answer = numbersAnswer(100, 10)
    const { db, fakes, attempts } = await setUpTwo(t, async (call) => {
      call.accept()
      call.columns(answer.columns ?? [])
      for (const message of (answer.messages ?? []).slice(0, 4)) await call.frame(message)
      await call.untilStopped()
    })
    const seen: unknown[] = []
    const read = (async () => {
      for await (const row of db.stream('select 1')) {
        seen.push(row['n'])
        if (seen.length === 30) for (const fake of fakes) fake.cutClients()
      }
    })()
    await t.rejects(read, {
      name: 'ConnectionError',
      code: '08006',
      retryable: true,
      rowsDelivered: 30,
    })
    t.equal(new Set(seen).size, 30)
    t.equal(attempts(), 1)
  },
)

t.test(
  'a write that may have been done is not told as refused by who could not look',
  async (t) => {
    for (const first of ['unknown', 'lost'] as const) {
      const { db } = await setUpTwo(t, async (call, attempt) => {
        if (attempt > 0) return call.fail({ error: 'metastore_unavailable', message: 'no leader' })
        if (first === 'lost') return call.coordinator.close()
        return call.fail({ error: 'commit_outcome_unknown', message: 'no answer' })
      })
      const statementId = `my-insert-${first}`
      await t.rejects(db.execute('insert into t values (1)', [], { statementId }), {
        ...{ name: 'CommitUnknownError', code: '40003', statementId, message: /no leader/ },
      })
    }
    const { db } = await setUpTwo(t, (call, attempt) =>
      attempt > 0
        ? call.fail({ error: 'undefined_table', message: 'no table' })
        : call.fail({ error: 'commit_outcome_unknown', message: 'no answer' }),
    )
    await t.rejects(
      db.execute('insert into t values (1)'),
      { code: '42P01' },
      'what it says of itself',
    )
  },
)

t.test('a write whose connection is lost has an unknown outcome and is not repeated', async (t) => {
  const { db, fakes } = await setUpTwo(t, (call) => {
    call.accept()
    call.coordinator.cutClients()
  })
  await t.rejects(db.execute("kill query 'q1'"), {
    name: 'CommitUnknownError',
    code: '40003',
    hint: /look whether it did/,
  })
  t.equal(fakes.flatMap((fake) => fake.receivedOf('statement')).length, 1)
})

t.test('a write whose outcome is kept is sent again under its id, up to a limit', async (t) => {
  let lost = 1
  const { db, fakes } = await setUpTwo(t, async (call, attempt) => {
    if (attempt >= lost) return call.answer({ command: 'INSERT', rows: 1 })
    call.accept()
    call.coordinator.cutClients()
    return undefined
  })
  const ids = (): readonly string[] =>
    fakes.flatMap((fake) => fake.receivedOf('statement')).map((m) => m.statementId)
  t.match(await db.execute('insert into t values (1)'), { rowCount: 1 })
  t.equal(ids().length, 2)
  t.equal(new Set(ids()).size, 1)
  lost = Number.POSITIVE_INFINITY
  const statementId = 'my-insert-2'
  await t.rejects(db.execute('insert into t values (2)', [], { statementId }), {
    ...{ name: 'CommitUnknownError', code: '40003', statementId },
  })
  t.equal(new Set(ids()).size, 2)
  lost = 0
  t.match(await db.execute('insert into t values (2)', [], { statementId }), { rowCount: 1 })
  t.equal(new Set(ids()).size, 2, 'asked again by the same id')
  await t.rejects(
    async () => db.execute('insert into t values (3)', [], { statementId: 'no id' }),
    { code: '22023', message: /"no id" is not an id/ },
  )
})

t.test('a statement that was refused before it began goes elsewhere, even a write', async (t) => {
  const { db } = await setUpTwo(t, async (call, attempt) => {
    if (attempt > 0) return call.answer({ command: 'INSERT', rows: 1 })
    call.fail({ error: 'cannot_connect_now', message: 'shutting down' })
    call.coordinator.broadcast({ kind: 'draining' })
  })
  t.match(await db.execute('insert into t values (1)'), { rowCount: 1 })
})

t.test(
  'a read that its coordinator hands on goes elsewhere, and so do those after it',
  async (t) => {
    const asked: string[] = []
    const { db } = await setUpTwo(t, async (call, attempt) => {
      asked.push(call.coordinator.id)
      if (attempt > 0) return call.answer(numbersAnswer(1, 1))
      call.accept()
      call.fail({ error: 'cannot_connect_now', message: 'no executor is reached from here' })
    })
    const { rows } = await db.query('select 1')
    t.equal(rows.length, 1)
    await db.query('select 2')
    const [first, ...others] = asked
    t.equal(others.length, 2)
    t.notOk(others.includes(first ?? ''))
  },
)

t.test(
  'a coordinator that drains gets no new statement, and those that run end there',
  async (t) => {
    let first: FakeCall | undefined
    const { db } = await setUpTwo(t, async (call, attempt) => {
      if (attempt > 0) return call.answer(numbersAnswer(1, 1))
      first = call
      call.accept()
    })
    const running = db.query('select 1')
    await until(() => first !== undefined)
    const draining = first?.coordinator
    draining?.broadcast({ kind: 'draining' })
    await until(() => db.coordinator === undefined)
    const { coordinator } = await db.query('select 2')
    t.not(coordinator, draining?.id)
    await first?.answer(numbersAnswer(5, 5))
    t.equal((await running).coordinator, draining?.id)
  },
)

t.test('a broken result is never taken for a complete one', async (t) => {
  const answer = numbersAnswer(100, 10)
  const [schema = new Uint8Array(), batch = new Uint8Array()] = answer.messages ?? []
  const breakages: Readonly<Record<string, (call: FakeCall) => Promise<void> | void>> = {
    'a frame is missing at the end': (call) =>
      call.finish({ tasks: call.ends.map((end) => ({ ...end, frames: 3 })) }),
    'the row count is another': (call) => call.finish({ rows: 11 }),
    'the checksum is another': (call) =>
      call.finish({ tasks: call.ends.map((end) => ({ ...end, crc: 1 })) }),
    'a frame is damaged': async (call) => void (await call.frame(batch, { crc: 1 })),
    'a frame is skipped': async (call) => void (await call.frame(batch, { sequence: 9 })),
    'a frame is replaced by an earlier one': async (call) => {
      await call.frame(batch, { sequence: 1 })
      call.finish()
    },
    'the end of the task is not told': (call) => call.finish({ tasks: [] }),
    'frames of two attempts take turns': async (call) => {
      await call.frame(batch, { attempt: 1 })
      await call.frame(batch)
    },
    'a task ends that has more frames': (call) => {
      for (const end of call.ends) call.taskEnded({ ...end, frames: 1, rows: 0, crc: 0 })
    },
  }
  for (const [name, breakage] of Object.entries(breakages)) {
    const { db, attempts } = await setUpTwo(t, async (call, attempt) => {
      if (attempt > 0) return call.answer(answer)
      call.accept()
      call.columns(answer.columns ?? [])
      await call.frame(schema)
      await call.frame(batch)
      await breakage(call)
    })
    const stream = db.stream('select 1')
    const rows = stream[Symbol.asyncIterator]()
    const error: unknown = await (async () => {
      while ((await rows.next()).done !== true);
    })().catch((caught: unknown) => caught)
    if (attempts() === 1) t.match(error, { code: '08006', message: /is broken/ }, name)
    else t.equal((await stream.finished).rowCount, 100, `${name}: read again elsewhere`)
    const whole = await db.query('select 1')
    t.equal(whole.rows.length, 100, `${name}: the next statement is whole`)
  }
})

t.test(
  'a connection that hangs is given up after its pings, and the read goes on elsewhere',
  async (t) => {
    let hung: FakeCoordinator | undefined
    const { db } = await setUpTwo(t, async (call, attempt) => {
      if (attempt > 0) return call.answer(numbersAnswer(1, 1))
      hung = call.coordinator
      hung.hang()
    })
    const started = systemClock.now()
    const result = await db.query('select 1')
    const waited = systemClock.now() - started
    t.not(result.coordinator, hung?.id)
    t.ok(waited < 5_000, `${Math.round(waited)} ms`)
  },
)

t.test('a coordinator that never welcomes is left for another', async (t) => {
  await using mute = await FakeCoordinator.start({ id: 'c1', silent: true })
  await using good = await FakeCoordinator.start({ id: 'c2' })
  for (let i = 0; i < 2; i++) {
    await using db = await connect({ endpoints: [mute.address, good.address] })
    t.equal(db.coordinator, 'c2')
  }
})

t.test('members that the cluster tells of are dialled when the given ones are gone', async (t) => {
  await using second = await FakeCoordinator.start({ id: 'c2' })
  const first = await FakeCoordinator.start({ id: 'c1' })
  await using db = await connect({ url: first.url, retry: { minDelay: 1 } })
  first.broadcast({
    kind: 'members',
    coordinators: [
      { id: 'c1', address: first.address },
      { id: 'c2', address: second.address },
    ],
  })
  await until(() => db.addresses.includes(second.address))
  await first.close()
  t.equal((await db.query('select 1')).coordinator, 'c2')
})

t.test('a statement is not sent for ever', async (t) => {
  const { db, attempts } = await setUpTwo(t, (call) => call.coordinator.cutClients())
  await t.rejects(db.query('select 1'), { name: 'ConnectionError', rowsDelivered: 0 })
  t.equal(attempts(), 5)
})

t.test('events can be followed in a loop', async (t) => {
  await using fake = await FakeCoordinator.start()
  const db = await connect(fake.url)
  const kinds: string[] = []
  const following = (async () => {
    for await (const event of db.events()) kinds.push(event.kind)
  })()
  await db.query('select 1')
  fake.cutClients()
  await until(() => kinds.includes('disconnected'))
  await db.query('select 1')
  await db.close()
  await following
  t.strictSame(kinds, ['disconnected', 'connected'])
})

t.test('a fresh client is not held by a coordinator whose process is stopped', async (t) => {
  // As the kernel of one does: sockets are taken, and nobody says a word.
  const sockets = new Set<Socket>()
  const stopped = createServer((socket) => {
    sockets.add(socket)
    socket.on('error', () => undefined)
    socket.on('close', () => sockets.delete(socket)).resume()
  })
  await once(stopped.listen(0, '127.0.0.1'), 'listening')
  const { port } = stopped.address() as AddressInfo
  await using fake = await FakeCoordinator.start({
    onStatement: (call) => call.answer({ command: 'SELECT' }),
  })
  const endpoints = [`127.0.0.1:${port}`, fake.address]
  let held = 0
  // Which one is dialled first is left to chance.
  while (held < 3) {
    const reasons: string[] = []
    const before = sockets.size
    let taken = 0
    stopped.once('connection', () => (taken = 1))
    const onEvent = (event: ClientEvent): void => {
      if (event.kind === 'unreachable') reasons.push(event.reason)
    }
    await using db = await connect({ endpoints, discover: false, onEvent })
    await db.query('select 1')
    held += taken
    t.strictSame(reasons, taken === 1 ? [OUTRUN] : [], 'the dial was not waited for to its end')
    t.equal(before, 0)
    await until(() => sockets.size === 0)
  }
  stopped.close()
})
