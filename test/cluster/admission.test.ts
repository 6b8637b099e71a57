import { connect, type Session } from '@nyala/client'
import t from 'tap'
import { errorOf, EVENT_ROWS, openWorld, until, type World } from './world.ts'

/** Runs for minutes on its own; none of its pairs is kept. */
const LONG = 'SELECT count(*) FROM events a, events b WHERE a.id + b.id = -1'
const COUNT = 'SELECT count(DISTINCT id) AS n FROM events'
/** What has a memory limit of its own is no cheap query. */
const COUNTED = { mem_limit: '200MB' }

/** A query has its columns long before its rows: it streams as soon as it runs. */
const statesOf = async ({ db }: World): Promise<readonly string[]> =>
  (await db.status()).queries
    .map(({ state }) => (state === 'streaming' ? 'running' : state))
    .toSorted()

t.test('a cluster of two coordinators that runs two queries at once', async (t) => {
  const world = await openWorld({
    coordinators: 2,
    executors: 2,
    variables: {
      ...process.env,
      NYALA_MAX_RUNNING_QUERIES: '2',
      NYALA_MAX_QUEUED_QUERIES: '2',
      NYALA_DEFAULT_SETTINGS: 'query_timeout_s=100, max_spill_bytes=4GB',
    },
  })
  t.teardown(() => world[Symbol.asyncDispose]())
  const { db, cluster } = world
  const addresses = cluster.processes.flatMap((p) => (p.role === 'coordinator' ? [p.address] : []))
  const [first, second] = await Promise.all(
    addresses.map((address) => connect(`nyala://${address}/default`)),
  )
  if (first === undefined || second === undefined)
    throw new Error('two coordinators were asked for')
  t.teardown(() => Promise.all([first.close(), second.close()]))
  const answers = async (): Promise<void> =>
    void t.strictSame((await db.query(COUNT)).rows, [{ n: BigInt(EVENT_ROWS) }])

  await t.test('further queries wait, wherever they came from, and say why', async (t) => {
    const stop = new AbortController()
    const run = async (session: Session): Promise<unknown> =>
      await errorOf(session.query(LONG, [], { signal: stop.signal }))
    const sessions = await Promise.all(
      [first, first, second, second].map((from) => from.session({ set: COUNTED })),
    )
    const running = sessions.slice(0, 2).map(run)
    await until('two run', async () => String(await statesOf(world)) === 'running,running')
    const waiting = sessions.slice(2).map(run)
    await until('two wait', async () => {
      return String(await statesOf(world)) === 'queued,queued,running,running'
    })
    const { queries, members } = await db.status()
    for (const { waitsFor } of queries.filter((query) => query.state === 'queued')) {
      t.match(waitsFor, /max_running_queries = 2/)
    }
    const queued = members.reduce((sum, member) => sum + (member.load['queriesQueued'] ?? 0), 0)
    t.equal(queued, 2)
    await t.test('cheap ones do not wait', answers)
    const full = await errorOf((await second.session({ set: COUNTED })).query(COUNT))
    t.equal(full.error, 'too_many_queries')
    t.match(full.message, /max_queued_queries = 2/)
    stop.abort()
    await Promise.all([...running, ...waiting])
    // The others hear of it a message later.
    const counted = await first.session({ set: COUNTED })
    await until('their slots are free', () =>
      counted.query(COUNT).then(
        () => true,
        () => false,
      ),
    )
  })

  await t.test('who waits runs when another ends, and in time or not at all', async (t) => {
    const stop = new AbortController()
    const sessions = await Promise.all([1, 2].map(() => first.session({ set: COUNTED })))
    const running = sessions.map((s) => errorOf(s.query(LONG, [], { signal: stop.signal })))
    await until('two run', async () => String(await statesOf(world)) === 'running,running')
    const hasty = await second.session({ set: { ...COUNTED, queue_timeout_s: '1' } })
    const late = await errorOf(hasty.query(COUNT))
    t.equal(late.error, 'too_many_queries')
    t.match(
      `${late.message} ${late.hint}`,
      /queue_timeout_s = 1.*max_running_queries = 2.*SET queue_timeout_s/,
    )
    const patient = (await second.session({ set: COUNTED })).query(COUNT)
    await until('one waits', async () => (await statesOf(world)).includes('queued'))
    stop.abort()
    const { rows, stats } = await patient
    t.strictSame(rows, [{ n: BigInt(EVENT_ROWS) }])
    t.ok(stats.queuedMs > 0)
    await Promise.all(running)
  })

  await t.test('a query that cannot ever fit is refused at once', async (t) => {
    const greedy = await first.session({ set: { mem_limit: '900TB' } })
    const error = await errorOf(greedy.query(COUNT))
    t.equal(error.error, 'configuration_limit_exceeded')
    t.match(error.hint, /mem_limit/)
  })

  await t.test('who sends many queries at once does not make others wait for them', async (t) => {
    const stop = new AbortController()
    const many = Array.from({ length: 10 }, () =>
      errorOf(first.query(LONG, [], { signal: stop.signal })),
    )
    await until('all of them run, or wait for room on the executors', async () => {
      return String(await statesOf(world)) === String(many.map(() => 'running'))
    })
    const other = await connect(`nyala://${addresses[0]}/default`)
    t.teardown(() => other.close())
    t.strictSame((await other.query(COUNT)).rows, [{ n: BigInt(EVENT_ROWS) }])
    t.equal((await statesOf(world)).length, many.length, 'none of them has ended')
    stop.abort()
    await Promise.all(many)
  })

  await t.test('a query is seen and killed from any coordinator', async (t) => {
    const session = await first.session()
    const killed = errorOf(session.query(LONG))
    const shown = async (): Promise<Readonly<Record<string, unknown>> | undefined> => {
      const { rows } = await second.query('SHOW QUERIES')
      return rows.find((row) => row['statement'] === LONG && row['state'] !== 'canceled')
    }
    await until('it runs', async () => (await shown())?.['tasks'] === '0/1')
    const row = await shown()
    t.match(row, { state: /running|streaming/, database: 'default', session: / · client \d+$/ })
    const id = String(row?.['id'])
    await second.execute(`KILL QUERY '${id}'`)
    t.match(await killed, { error: 'query_canceled', queryId: id })
    await t.test('once', async (t) => {
      for (const [sql, error] of [
        [`KILL QUERY '${id}'`, 'undefined_object'],
        ['CANCEL QUERY nonsense', 'invalid_parameter_value'],
      ] as const)
        t.equal((await errorOf(second.execute(sql))).error, error)
    })
    const { rows } = await second.query('SHOW QUERIES')
    const ended = rows.find((one) => one['id'] === id)
    t.match(ended, {
      state: 'canceled',
      detail: /query_canceled/,
      coordinator: row?.['coordinator'],
    })
    t.match(rows[0], { statement: 'SHOW QUERIES' }, 'what runs comes first')
    const counted = rows.find((one) => one['statement'] === COUNT && one['state'] === 'finished')
    t.match(counted, { rows: 1n, tasks: /^(\d+)\/\1$/ })
  })

  await t.test('a session has the settings of the cluster until it says otherwise', async (t) => {
    const session = await second.session()
    const setting = async (name: string): Promise<unknown> =>
      (await session.query(`SHOW ${name}`)).rows[0]?.[name]
    t.equal(await setting('query_timeout_s'), '100')
    t.equal(await setting('max_spill_bytes'), '4GB')
    await session.execute('SET query_timeout_s = 0')
    t.equal(await setting('query_timeout_s'), '0')
    await session.execute('RESET query_timeout_s')
    t.equal(await setting('query_timeout_s'), '100')
  })

  const pairs = 'FROM events a, events b WHERE a.id < 5000'
  for (const { what, set, sql, code, knob } of [
    {
      what: 'memory',
      set: { mem_limit: '60MB' },
      sql: `SELECT length(string_agg(a.city || b.city, '')) AS n ${pairs}`,
      code: 'out_of_memory',
      knob: /mem_limit/,
    },
    {
      what: 'disk',
      set: { mem_limit: '100MB', max_spill_bytes: '20MB' },
      sql: `SELECT a.id, b.id AS other, hash(a.id, b.id) AS h ${pairs} ORDER BY h LIMIT 1 OFFSET 900000000`,
      code: 'configuration_limit_exceeded',
      knob: /max_spill_bytes/,
    },
    {
      what: 'time',
      set: { query_timeout_s: '1' },
      sql: LONG,
      code: 'statement_timeout',
      knob: /query_timeout_s/,
    },
    {
      what: 'rows',
      set: { max_rows: '1000' },
      sql: 'SELECT * FROM events',
      code: 'configuration_limit_exceeded',
      knob: /max_rows/,
    },
    {
      what: 'rows without end',
      set: { max_rows: '1000' },
      sql: 'SELECT a.id FROM events a, events b',
      code: 'configuration_limit_exceeded',
      knob: /max_rows/,
    },
    {
      what: 'rows of several tasks',
      set: { max_rows: '1000', distribution: 'force' },
      sql: 'SELECT id, city FROM events ORDER BY city, id DESC',
      code: 'configuration_limit_exceeded',
      knob: /max_rows/,
    },
    {
      what: 'segments',
      set: { max_spill_bytes: '2MB', distribution: 'force' },
      sql: 'SELECT *, hash(id) AS h FROM events ORDER BY h',
      code: 'configuration_limit_exceeded',
      knob: /max_spill_bytes/,
    },
  ] as const) {
    await t.test(
      `a query that runs away with ${what} is stopped, its neighbours are not`,
      async (t) => {
        const runaway = errorOf((await first.session({ set })).query(sql))
        await answers()
        const error = await runaway
        t.equal(error.error, code)
        t.match(`${error.message} ${error.hint}`, knob)
        await answers()
        await until('nothing of it is left', async () => (await statesOf(world)).length === 0)
        await until('its segments are gone', async () => {
          const { members } = await db.status()
          return members.every((member) => (member.load['exchangeBytes'] ?? 0) === 0)
        })
      },
    )
  }
})
