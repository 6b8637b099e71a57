import { connect, type QueryStream, SqlError } from '@nyala/client'
import t from 'tap'
import {
  dividedSession,
  isSorted,
  LARGE,
  type Reading,
  readLarge,
  ROWS,
  SORTED,
} from './stream-reader.ts'
import { errorOf, openWorld, pidOf, until } from './world.ts'

const EARLY = Math.floor(ROWS / 10)

t.test('a result that streams when its coordinator is lost', async (t) => {
  const world = await openWorld({ coordinators: 3, executors: 2 })
  t.teardown(() => world[Symbol.asyncDispose]())
  const { db, cluster } = world
  const coordinators = (): readonly string[] =>
    cluster.processes.filter(({ role }) => role === 'coordinator').map(({ id }) => id)
  const allServe = (): Promise<void> =>
    until('all coordinators serve', async () => {
      // Asked of one that is killed at this moment it fails.
      const { members } = (await db.status().catch(() => undefined)) ?? { members: [] }
      const alive = members.filter((m) => m.role === 'coordinator' && m.state === 'alive')
      return alive.length === 3 && coordinators().length === 3
    })
  const signal = (stream: QueryStream, name: 'SIGKILL' | 'SIGSTOP' | 'SIGTERM'): string => {
    const id = stream.coordinator ?? ''
    process.kill(pidOf(cluster, id), name)
    return id
  }
  const isExact = (reading: Reading): void => {
    const { rows, lost, doubled } = reading
    t.strictSame({ rows, lost, doubled }, { rows: ROWS, lost: 0, doubled: 0 })
  }
  const nothingIsLeft = (): Promise<void> =>
    until('no task, query or record is left', async () => {
      const { queries, members } = await db.status()
      const running = members.reduce((sum, m) => sum + (m.load['tasksRunning'] ?? 0), 0)
      return queries.length === 0 && running === 0
    })

  await t.test(
    'goes on when it is killed, from several tasks that sort a range each',
    async (t) => {
      const session = await dividedSession(db, true)
      const plan = (await session.query(`EXPLAIN ${SORTED}`)).rows.map(
        (row) => Object.values(row)[0],
      )
      t.match(plan.join(), /for each range/, 'the plan is such')
      let killed = ''
      const moves: unknown[] = []
      const stream = session.stream(SORTED, [], { onMoved: (move) => moves.push(move) })
      const at = [{ rows: EARLY, act: (s: QueryStream) => void (killed = signal(s, 'SIGKILL')) }]
      const reading = await readLarge(stream, { at })
      isExact(reading)
      t.comment(`longest wait ${Math.round(reading.stallMs)} ms`)
      t.ok(isSorted(reading.ids), 'it keeps its order')
      t.match(moves, [{ from: killed, to: stream.coordinator, resumed: true }])
      t.not(stream.coordinator, killed)
      await allServe()
    },
  )

  await t.test('goes on when it is paused, which does no harm when it wakes', async (t) => {
    const session = await dividedSession(db, true)
    let paused = ''
    const at = [
      { rows: EARLY, act: (s: QueryStream) => void (paused = signal(s, 'SIGSTOP')) },
      { rows: ROWS * 0.9, act: () => cluster.kill(paused, 'SIGCONT') },
    ]
    const stream = session.stream(LARGE)
    const reading = await readLarge(stream, { at })
    isExact(reading)
    t.comment(`longest wait ${Math.round(reading.stallMs)} ms`)
    t.not(stream.coordinator, paused)
    await allServe()
    await nothingIsLeft()
  })

  await t.test('is handed over by a coordinator that shuts down', async (t) => {
    const session = await dividedSession(db, true)
    let ended = ''
    const stream = session.stream(LARGE)
    const at = [{ rows: EARLY, act: (s: QueryStream) => void (ended = signal(s, 'SIGTERM')) }]
    const reading = await readLarge(stream, { at })
    isExact(reading)
    t.comment(`longest wait ${Math.round(reading.stallMs)} ms`)
    t.not(stream.coordinator, ended)
    await allServe()
  })

  await t.test('goes on when those that took over are lost too', async (t) => {
    const session = await dividedSession(db, true)
    const at = [0.1, 0.5].map((part) => ({
      rows: ROWS * part,
      act: async (s: QueryStream) => {
        signal(s, 'SIGKILL')
        await allServe()
      },
    }))
    const reading = await readLarge(session.stream(LARGE), { at })
    isExact(reading)
    t.ok(new Set(reading.coordinators).size > 1)
  })

  await t.test('is had whole by whoever attaches before its client reads', async (t) => {
    const first = (await dividedSession(db, true)).stream(LARGE)
    await first.columns
    await using other = await connect(cluster.url)
    const id = first.id ?? ''
    let reading: Reading | undefined
    await until('there is a record to attach to', async () => {
      try {
        reading = await readLarge(other.attach(id))
        return true
      } catch (error) {
        if (error instanceof SqlError && error.error === 'undefined_object') return false
        throw error
      }
    })
    if (reading !== undefined) isExact(reading)
    t.match(await errorOf(first.drain()), { error: 'task_superseded' })
    t.match(await errorOf(other.attach(id).drain()), { error: 'undefined_object' })
    await nothingIsLeft()
  })

  await t.test('is had whole by whoever attaches when its reader has some of it', async (t) => {
    const stream = (await dividedSession(db, true)).stream(LARGE)
    await using other = await connect(cluster.url)
    const act = async (s: QueryStream): Promise<void> => {
      isExact(await readLarge(other.attach(s.id ?? '')))
    }
    const reading = readLarge(stream, { at: [{ rows: ROWS / 2, act }] })
    t.match(await errorOf(reading), { error: 'task_superseded' })
    await nothingIsLeft()
  })

  await t.test('is cancelled by its id when its coordinator is dead', async (t) => {
    await using other = await connect(cluster.url)
    const stream = other.stream(LARGE)
    const batches = stream.columnBatches()
    await batches.next()
    const id = stream.id ?? ''
    const dead = signal(stream, 'SIGKILL')
    await until('another coordinator is asked', () => db.coordinator !== dead)
    await db.cancelQuery(id)
    const read = async (): Promise<void> => {
      for await (const batch of { [Symbol.asyncIterator]: () => batches }) void batch
    }
    const error = await errorOf(read())
    t.match(error.error, /undefined_object|query_canceled/)
    await allServe()
    await nothingIsLeft()
  })

  await t.test('is stopped for good when its client is gone for good', async () => {
    const other = await connect(cluster.url)
    const stream = other.stream(LARGE)
    await stream.columnBatches().next()
    await stream.cancel()
    await other.close()
    await nothingIsLeft()
  })
})

t.test('a result goes on when etcd loses its leader with its coordinator', async (t) => {
  const world = await openWorld({ coordinators: 2, executors: 2, etcd: 3 })
  t.teardown(() => world[Symbol.asyncDispose]())
  const { db, cluster } = world
  const { etcd } = await db.status()
  const leader = etcd.find((one) => one.leader)?.pid ?? 0
  t.ok(leader > 0)
  const session = await dividedSession(db, true)
  const act = (stream: QueryStream): void => {
    process.kill(leader, 'SIGKILL')
    process.kill(pidOf(cluster, stream.coordinator ?? ''), 'SIGKILL')
  }
  const reading = await readLarge(session.stream(LARGE), { at: [{ rows: EARLY, act }] })
  t.strictSame([reading.rows, reading.lost, reading.doubled], [ROWS, 0, 0])
  t.comment(`longest wait ${Math.round(reading.stallMs)} ms`)
})
