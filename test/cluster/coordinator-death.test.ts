import { existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { connect, type Database, type Session } from '@nyala/client'
import type { Failpoint } from '@nyala/client/base'
import { failpointLine } from '@nyala/metastore'
import t from 'tap'
import { dividedSession, LARGE, readLarge, ROWS } from './stream-reader.ts'
import { errorOf, EVENT_ROWS, openWorld, pidOf, until } from './world.ts'

/** Some seconds of one thread's work on one row of result. */
const SLOW = `SELECT count(md5(a.city || b.i)) AS n FROM events a, range(20) b(i)`
const SLOW_ROWS = EVENT_ROWS * 20

t.test('a coordinator that dies at a named moment of a query', async (t) => {
  const dir = mkdtempSync(join(tmpdir(), 'nyala-test-'))
  t.teardown(() => rmSync(dir, { recursive: true, force: true }))
  const file = join(dir, 'failpoints')
  const variables = {
    ...process.env,
    NYALA_DRILL: '1',
    NYALA_FAILPOINTS: file,
    NYALA_MAX_RUNNING_QUERIES: '1',
    NYALA_DRAIN_SECONDS: '0',
  }
  const world = await openWorld({ coordinators: 3, executors: 1, variables })
  t.teardown(() => world[Symbol.asyncDispose]())
  const { db, cluster } = world
  const at = async (id: string): Promise<Database> => {
    const { address = '' } = cluster.processes.find((one) => one.id === id) ?? {}
    return connect({ endpoints: [address] })
  }
  const allServe = (): Promise<void> =>
    until('all coordinators serve, and nothing runs', async () => {
      const status = await db.status().catch(() => undefined)
      const alive = status?.members.filter((m) => m.role === 'coordinator' && m.state === 'alive')
      const tasks = status?.members.reduce((sum, m) => sum + (m.load['tasksRunning'] ?? 0), 0)
      return alive?.length === 3 && status?.queries.length === 0 && tasks === 0
    })
  /** The coordinator that a client is connected to runs a query. */
  const runs = (there: Database): Promise<void> =>
    until('a query runs', async () =>
      (await there.status()).queries.some(
        ({ state }) => state === 'running' || state === 'streaming',
      ),
    )
  const arm = (name: Failpoint, only?: string): void =>
    writeFileSync(file, failpointLine(name, 'kill', only))
  /** Who died there; to be called once it must have. */
  const struck = (): string => {
    const [name] = readdirSync(dir)
    if (name === undefined || existsSync(file)) throw new Error('nobody came to the failpoint')
    rmSync(join(dir, name))
    return name.replace('failpoints.', '')
  }

  // At query.running and others too, under load: the drill coordinator-kill-at-moments.
  for (const name of ['query.planning', 'query.ending'] as const) {
    await t.test(`${name}: the query is run elsewhere`, async (t) => {
      const moves: unknown[] = []
      arm(name)
      const stream = db.stream('SELECT count(*) AS n, sum(id) AS s FROM events', [], {
        onMoved: (move) => moves.push(move),
      })
      const rows: unknown[] = []
      for await (const row of stream) rows.push(row)
      const sum = (EVENT_ROWS * (EVENT_ROWS - 1)) / 2
      t.match(rows, [{ n: EVENT_ROWS }], name)
      t.equal(Number((rows[0] as { s: unknown }).s), sum)
      t.match(moves, [{ from: struck(), to: stream.coordinator, resumed: false }])
      await allServe()
    })
  }

  await t.test('query.queued: it waits its turn elsewhere', async (t) => {
    await using first = await at('c2')
    await using second = await at('c2')
    // What promises memory is not let in for being small.
    const set = { mem_limit: '64MB' }
    const slow = (there: Database): Promise<Session> => there.session({ set })
    arm('query.queued')
    const running = (await slow(first)).query(SLOW)
    await runs(first)
    const waited = (await slow(second)).query('SELECT count(DISTINCT id) AS n FROM events')
    t.match((await waited).rows, [{ n: EVENT_ROWS }])
    t.match((await running).rows, [{ n: SLOW_ROWS }])
    t.equal(struck(), 'c2')
    await allServe()
  })

  for (const name of ['query.planWritten', 'query.recorded'] as const) {
    await t.test(`${name}: each row comes once`, async (t) => {
      arm(name)
      const stream = db.stream('SELECT id, hash(id) AS noise FROM events')
      const seen = new Set<unknown>()
      let rows = 0
      for await (const batch of stream.columnBatches()) {
        rows += batch.length
        for (let row = 0; row < batch.length; row++) seen.add(batch.columns[0]?.[row])
      }
      t.strictSame([rows, seen.size], [EVENT_ROWS, EVENT_ROWS])
      t.not(stream.coordinator, struck())
      await allServe()
    })
  }

  for (const name of ['query.claiming', 'query.claimed'] as const) {
    await t.test(`${name}: the one after that takes over`, async (t) => {
      const session = await dividedSession(db, true)
      const act = (stream: { readonly coordinator: string | undefined }): void => {
        arm(name)
        process.kill(pidOf(cluster, stream.coordinator ?? ''), 'SIGKILL')
      }
      const { rows, lost, doubled } = await readLarge(session.stream(LARGE), {
        at: [{ rows: ROWS / 10, act }],
      })
      t.strictSame({ rows, lost, doubled }, { rows: ROWS, lost: 0, doubled: 0 })
      struck()
      await allServe()
    })
  }

  await t.test('query.cancelling: it is cancelled all the same', async (t) => {
    await using other = await connect(cluster.url)
    const stream = other.stream(SLOW)
    const rows = errorOf(stream.drain())
    await runs(other)
    arm('query.cancelling')
    await stream.cancel()
    t.match(await rows, { error: 'query_canceled' })
    await until('the failpoint was reached', () => !existsSync(file))
    struck()
    await allServe()
  })

  await t.test('what outlives the drain of a coordinator is run elsewhere', async (t) => {
    const stream = db.stream(SLOW)
    const rows: unknown[] = []
    const read = (async () => {
      for await (const row of stream) rows.push(row)
    })()
    await runs(db)
    const before = stream.coordinator ?? ''
    process.kill(pidOf(cluster, before), 'SIGTERM')
    await read
    t.match(rows, [{ n: SLOW_ROWS }])
    t.not(stream.coordinator, before)
    await allServe()
  })
})
