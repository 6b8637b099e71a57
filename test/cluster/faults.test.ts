import { connect } from '@nyala/client'
import t from 'tap'
import {
  childrenOf,
  errorOf,
  EVENT_ROWS,
  isAlive,
  openWorld,
  pidOf,
  until,
  type World,
} from './world.ts'

/** Runs for minutes on its own: a hundred and sixty billion pairs, none of which is kept. */
const LONG = 'SELECT count(*) FROM events a, events b WHERE a.id + b.id = -1'
/** Runs for half a second or so, long enough to be met while it does. */
const SLOW = 'SELECT count(*) AS n FROM events a, events b WHERE b.id < 800 AND a.id + b.id = -1'
const GROUPED =
  'SELECT city, count(*) AS n, sum(amount) AS total FROM events GROUP BY city ORDER BY city'

const tasksRunning = async (world: World): Promise<number> => {
  const { members } = await world.db.status()
  return members
    .filter((m) => m.role === 'executor')
    .reduce((sum, m) => sum + (m.load['tasksRunning'] ?? 0), 0)
}

t.test('a cluster of two coordinators and two executors', async (t) => {
  const world = await openWorld({ coordinators: 2, executors: 2 })
  t.teardown(() => world[Symbol.asyncDispose]())
  const { db, cluster } = world
  const runsTask = async (id: string): Promise<boolean> =>
    (await db.status()).members.some((m) => m.id === id && (m.load['tasksRunning'] ?? 0) > 0)
  const servesAnew = async (id: string, dead: number): Promise<boolean> =>
    (await db.status()).members.some((m) => m.id === id && m.pid !== dead && m.state === 'alive')

  await t.test('a query of the whole table counts every row once, divided or not', async (t) => {
    for (const distribution of ['single', 'force', 'auto']) {
      const session = await db.session({ set: { distribution } })
      const { rows } = await session.query('SELECT count(*) AS n, sum(id) AS s FROM events')
      t.strictSame(rows, [
        { n: BigInt(EVENT_ROWS), s: (BigInt(EVENT_ROWS) * BigInt(EVENT_ROWS - 1)) / 2n },
      ])
    }
  })

  await t.test('status names every process of the cluster by its pid', async (t) => {
    const { members, etcd, leader } = await db.status()
    const pids = [...members, ...etcd].map((m) => m.pid)
    t.strictSame(new Set(pids), new Set(cluster.processes.map((p) => p.pid)))
    t.ok(members.some((m) => m.id === leader && m.role === 'coordinator'))
  })

  await t.test('what one coordinator creates, the next statement at another sees', async (t) => {
    const [first, second] = cluster.url
      .replace(/^nyala:\/\//, '')
      .replace(/\/.*$/, '')
      .split(',')
    await using a = await connect(`nyala://${first}/default`)
    await using b = await connect(`nyala://${second}/default`)
    for (let i = 0; i < 20; i++) {
      const made = await a.session()
      await made.execute(`CREATE VIEW seen_${i} AS SELECT ${i} AS n`)
      const other = await b.session({ revision: made.revision })
      t.strictSame((await other.query(`SELECT n FROM seen_${i}`)).rows, [{ n: i }])
    }
  })

  await t.test('a canceled query fails at once and its tasks are gone soon', async (t) => {
    const controller = new AbortController()
    const running = errorOf(db.query(LONG, [], { signal: controller.signal }))
    await until('the task runs', async () => (await tasksRunning(world)) > 0)
    controller.abort()
    t.equal((await running).code, '57014')
    await until('the task is gone', async () => (await tasksRunning(world)) === 0)
  })

  await t.test(
    'a client of one coordinator sees and cancels a query of another by its id',
    async (t) => {
      const other = cluster.processes.find(
        (p) => p.role === 'coordinator' && p.id !== db.coordinator,
      )
      await using elsewhere = await connect(`nyala://${other?.address}/default`)
      const stream = db.stream(LONG)
      const failed = errorOf(stream.drain())
      await until('the query is listed', async () => {
        const { queries } = await elsewhere.status()
        return queries.some((q) => q.id === stream.id && q.coordinator === db.coordinator)
      })
      await elsewhere.cancelQuery(String(stream.id))
      t.equal((await failed).code, '57014')
      t.equal((await errorOf(elsewhere.cancelQuery(String(stream.id)))).error, 'undefined_object')
    },
  )

  await t.test('the queries of a client that goes away are stopped', async () => {
    const other = await connect(cluster.url)
    const lost = errorOf(other.query(LONG))
    await until('the task runs', async () => (await tasksRunning(world)) > 0)
    await other.close()
    await lost
    await until('the task is gone', async () => (await tasksRunning(world)) === 0)
  })

  await t.test('a query_timeout_s ends a query that runs longer', async (t) => {
    const session = await db.session({ set: { query_timeout_s: '1' } })
    const error = await errorOf(session.query(LONG))
    t.equal(error.error, 'statement_timeout')
    t.match(error.hint, /query_timeout_s/)
  })

  await t.test('killed kernels are replaced and what they ran runs again', async (t) => {
    const executor = pidOf(cluster, 'e1')
    const answers = Array.from({ length: 4 }, () => db.query(SLOW))
    await until('e1 runs a task', () => runsTask('e1'))
    const killed = childrenOf(executor)
    t.ok(killed.length > 0, 'there are kernels to kill')
    for (const kernel of killed) process.kill(kernel, 'SIGKILL')
    for (const answer of await Promise.all(answers)) t.strictSame(answer.rows, [{ n: 0n }])
    await until('e1 has a new kernel', () =>
      childrenOf(executor).some((kernel) => !killed.includes(kernel)),
    )
    t.equal((await db.query(GROUPED)).rows.length, 97)
  })

  await t.test('an executor killed under divided queries does not change their rows', async (t) => {
    const session = await db.session({ set: { distribution: 'force' } })
    const expected = (await session.query(GROUPED)).rows
    const dead = pidOf(cluster, 'e2')
    const slow = Array.from({ length: 2 }, () => session.query(SLOW))
    const grouped = Array.from({ length: 6 }, () => session.query(GROUPED))
    await until('e2 runs a task', () => runsTask('e2'))
    process.kill(dead, 'SIGKILL')
    for (const answer of await Promise.all(slow)) t.strictSame(answer.rows, [{ n: 0n }])
    for (const answer of await Promise.all(grouped)) t.strictSame(answer.rows, expected)
    await until('another process serves as e2', () => servesAnew('e2', dead))
  })

  await t.test('no kernel outlives its executor', async (t) => {
    const executor = pidOf(cluster, 'e1')
    const kernels = childrenOf(executor)
    t.ok(kernels.length > 0, 'there are kernels to end')
    process.kill(executor, 'SIGKILL')
    await until('its kernels are gone', () => !kernels.some(isAlive))
    await until('another process serves as e1', () => servesAnew('e1', executor))
  })

  await t.test('nothing is left of queries that have ended', async () => {
    await until('no task or query is left', async () => {
      const { queries } = await db.status()
      return queries.length === 0 && (await tasksRunning(world)) === 0
    })
  })
})
