import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import t, { type Test } from 'tap'
import { systemClock } from '../base/clock.ts'
import { SqlError } from '../protocol/errors.ts'
import { type FakeCall, FakeCoordinator, type FakeOptions } from '../testing/fake-coordinator.ts'
import { numbersAnswer } from '../testing/sample-results.ts'
import {
  connect,
  ConnectionError,
  type Database,
  param,
  type Session,
  SqlError as Exported,
} from './index.ts'

/** A client of one fake coordinator, both gone when the test ends. */
async function setUp(test: Test, options: FakeOptions) {
  const fake = await FakeCoordinator.start(options)
  const db = await connect(fake.url)
  test.teardown(async () => {
    await db.close()
    await fake.close()
  })
  return { fake, db }
}

const numbers = (rows: number, batchRows = 1000) => numbersAnswer(rows, batchRows)

t.test('a query gives rows, columns, statistics and its id', async (t) => {
  const { db, fake } = await setUp(t, { onStatement: (call) => call.answer(numbers(2500)) })
  const result = await db.query<{ n: bigint; text: string }>('select * from t where a = $1', ['x'])
  t.equal(result.rows.length, 2500)
  t.strictSame(result.rows[2499], { n: 2499n, text: 'row 2499' })
  t.strictSame(result.columns, [
    { name: 'n', type: 'BIGINT' },
    { name: 'text', type: 'VARCHAR' },
  ])
  t.match(result, { rowCount: 2500, command: 'SELECT', coordinator: 'c1', notices: [] })
  t.match(result.queryId, /^q[0-9a-f]{24}$/)
  t.equal(result.stats.rows, 2500)
  const [sent] = fake.receivedOf('statement')
  t.match(sent, {
    sql: 'select * from t where a = $1',
    parameters: [{ type: 'VARCHAR', value: 'x' }],
    session: { database: 'default', settings: {}, revision: 0 },
  })
})

t.test('a result without rows has columns all the same', async (t) => {
  const { db } = await setUp(t, { onStatement: (call) => call.answer(numbers(0)) })
  const result = await db.query('select 1')
  t.strictSame(result.rows, [])
  t.equal(result.columns.length, 2)
  t.equal((await db.stream('select 1').table()).schema.fields.length, 2)
})

t.test('a statement without a result tells what it did', async (t) => {
  const { db } = await setUp(t, {
    onStatement: (call) => call.answer({ command: 'INSERT', rows: 12, notices: ['slow'] }),
  })
  t.match(await db.execute('insert into t values (1)'), {
    rowCount: 12,
    command: 'INSERT',
    notices: ['slow'],
  })
  t.match(await db.query('insert'), { rows: [], columns: [], rowCount: 12 })
  await t.rejects(db.stream('insert').table(), { code: '42804' })
})

t.test('a stream gives rows, batches, a table or IPC bytes of the same result', async (t) => {
  const { db } = await setUp(t, { onStatement: (call) => call.answer(numbers(2500)) })
  let last: unknown
  for await (const row of db.stream('select 1')) last = row
  t.strictSame(last, { n: 2499n, text: 'row 2499' })
  const sizes: number[] = []
  for await (const batch of db.stream('select 1').batches()) sizes.push(batch.numRows)
  t.strictSame(sizes, [1000, 1000, 500])
  const table = await db.stream('select 1').table()
  t.strictSame(table.get(2499)?.toJSON(), { n: 2499n, text: 'row 2499' })
  const parts: Uint8Array[] = []
  for await (const part of db.stream('select 1').ipc()) parts.push(part)
  const { tableFromIPC } = await import('apache-arrow')
  t.equal(tableFromIPC(Buffer.concat(parts)).numRows, 2500)
})

t.test('a stream tells its query, its coordinator and its end', async (t) => {
  const { db } = await setUp(t, { onStatement: (call) => call.answer(numbers(3)) })
  const stream = db.stream('select 1')
  t.equal(stream.id, undefined)
  t.strictSame(
    (await stream.columns).map((column) => column.name),
    ['n', 'text'],
  )
  t.match(stream.id, /^q/)
  t.equal(stream.coordinator, 'c1')
  await stream.drain()
  t.match(await stream.finished, { rowCount: 3, command: 'SELECT', queryId: stream.id })
})

t.test('a result can be read once', async (t) => {
  const { db } = await setUp(t, { onStatement: (call) => call.answer(numbers(3)) })
  const stream = db.stream('select 1')
  await stream.table()
  await t.rejects(stream.table(), { code: '22023', message: /already being read by table/ })
})

t.test('leaving a loop early cancels the statement on the coordinator', async (t) => {
  let stopped = false
  const { db } = await setUp(t, {
    async onStatement(call) {
      await call.answer(numbersAnswer(40_000, 2_000, '.'.repeat(600)))
      stopped = call.canceled
    },
  })
  let count = 0
  for await (const row of db.stream('select 1')) {
    if (row['n'] === 4n) break
    count++
  }
  t.equal(count, 4)
  await until(() => stopped)
  t.ok(stopped)
})

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await systemClock.sleep(5)
}

t.test('a reader that does not read holds the coordinator back', async (t) => {
  let call: FakeCall | undefined
  const answer = numbersAnswer(40_000, 2_000, '.'.repeat(600))
  const total = (answer.messages ?? []).reduce((sum, message) => sum + message.byteLength, 0)
  const { db } = await setUp(t, {
    onStatement(given) {
      call = given
      return given.answer(answer)
    },
  })
  const rows = db.stream('select 1')[Symbol.asyncIterator]()
  await rows.next()
  await until(() => (call?.creditBytes ?? 1) <= 0)
  const sent = call?.sentBytes ?? 0
  t.ok(total > 20_000_000, `${total} bytes in all`)
  t.ok(sent < 10_000_000, `${sent} bytes sent ahead of the reader`)
  let count = 1
  while ((await rows.next()).done !== true) count++
  t.equal(count, 40_000)
})

t.test('many statements run at once on one connection', async (t) => {
  const { db, fake } = await setUp(t, {
    async onStatement(call) {
      const rows = Number(call.sql.split(' ')[1])
      await call.answer(numbers(rows, 7))
    },
  })
  const sizes = Array.from({ length: 40 }, (_, i) => i * 3)
  const warnings: Error[] = []
  const onWarning = (warning: Error): void => void warnings.push(warning)
  process.on('warning', onWarning)
  t.teardown(() => process.off('warning', onWarning))
  const results = await Promise.all(sizes.map((size) => db.query(`select ${size}`)))
  t.strictSame(
    results.map((result) => result.rows.length),
    sizes,
  )
  t.equal(fake.clients, 1)
  // Warnings are told in a later turn.
  await new Promise((resolve) => setImmediate(resolve))
  t.same(warnings, [], 'Node finds nothing amiss, such as many listeners of one signal')
})

t.test('an error keeps all that the coordinator said, in its class', async (t) => {
  const { db } = await setUp(t, {
    onStatement(call) {
      call.accept()
      throw new SqlError('undefined_table', 'table "x" not found', {
        hint: 'create it',
        position: { line: 1, column: 15, offset: 14 },
        queryId: call.queryId,
        coordinator: 'c1',
      })
    },
  })
  const error: unknown = await db.query('select * from x').catch((caught: unknown) => caught)
  t.ok(error instanceof Exported)
  t.match(error, {
    name: 'UndefinedTableError',
    code: '42P01',
    message: 'table "x" not found',
    hint: 'create it',
    position: { line: 1, column: 15 },
    coordinator: 'c1',
    retryable: false,
  })
  t.match((error as SqlError).queryId, /^q/)
  t.match((error as SqlError).stack, /database\.test/, 'the stack is that of the call')
})

t.test('an aborted signal ends the statement here and there', async (t) => {
  let call: FakeCall | undefined
  const { db } = await setUp(t, {
    async onStatement(given) {
      call = given
      given.accept()
      await given.untilStopped()
      given.fail({ error: 'query_canceled', message: 'cancelled' })
    },
  })
  const controller = new AbortController()
  const running = db.query('select 1', [], { signal: controller.signal })
  await until(() => call !== undefined)
  controller.abort()
  await t.rejects(running, { name: 'AbortError', code: '57014' })
  await until(() => call?.canceled === true)
  await t.rejects(db.query('select 1', [], { signal: AbortSignal.abort() }), { name: 'AbortError' })
  await t.rejects(db.query('select 1', [], { signal: AbortSignal.timeout(20) }), {
    name: 'TimeoutError',
    code: '57014',
  })
})

t.test('cancelling a stream ends whoever reads it', async (t) => {
  const { db } = await setUp(t, {
    async onStatement(call) {
      call.accept()
      await call.untilStopped()
      call.fail({ error: 'query_canceled', message: 'cancelled' })
    },
  })
  const stream = db.stream('select 1')
  const read = stream.drain()
  await stream.cancel()
  await t.rejects(read, { name: 'AbortError' })
  await t.rejects(stream.columns, { name: 'AbortError' })
})

t.test('progress is told to a callback and to whoever follows it', async (t) => {
  const { db } = await setUp(t, {
    async onStatement(call) {
      call.accept()
      call.progress(1, 4)
      call.progress(2, 4)
      await call.answer(numbers(1))
    },
  })
  const told: number[] = []
  const stream = db.stream('select 1', [], { onProgress: (p) => told.push(p.fraction) })
  const followed: number[] = []
  const following = (async () => {
    for await (const progress of stream.progress()) followed.push(progress.fraction)
  })()
  await stream.drain()
  await following
  t.strictSame(told, [0.25, 0.5])
  t.equal(followed.at(-1), 0.5)
})

t.test('USE and SET are seen by the statements after them, awaited or not', async (t) => {
  const { db, fake } = await setUp(t, {
    async onStatement(call) {
      const { session } = call.statement
      const change =
        call.sql === 'use sales'
          ? { ...session, database: 'sales' }
          : call.sql === 'set a = 1'
            ? { ...session, settings: { ...session.settings, a: '1' } }
            : session
      await systemClock.sleep(10)
      await call.answer({ command: 'OK', session: { ...change, revision: session.revision + 1 } })
    },
  })
  await Promise.all([db.execute('use sales'), db.execute('set a = 1'), db.execute('select 1')])
  const contexts = fake.receivedOf('statement').map((message) => message.session)
  t.strictSame(contexts, [
    { database: 'default', settings: {}, revision: 0 },
    { database: 'sales', settings: {}, revision: 1 },
    { database: 'sales', settings: { a: '1' }, revision: 2 },
  ])
  t.equal(db.database, 'sales')
  t.strictSame(db.settings, { a: '1' })
  t.equal(db.revision, 3)
})

t.test('sessions do not see each other’s settings', async (t) => {
  const { db, fake } = await setUp(t, {
    onStatement: (call) =>
      call.answer({ command: 'USE', session: { ...call.statement.session, database: 'other' } }),
  })
  await using session = await db.session({ database: 'x', set: { mem_limit: '2GB' } })
  await session.execute('use other')
  t.equal(session.database, 'other')
  t.equal(db.database, 'default')
  t.match(fake.receivedOf('statement')[0]?.session, {
    database: 'x',
    settings: { mem_limit: '2GB' },
  })
  await session.close()
  await t.rejects(session.query('select 1'), { code: '08000', message: 'the session is closed' })
  await db.execute('select 1')
})

t.test('a template runs when awaited, with its values as parameters', async (t) => {
  const { db, fake } = await setUp(t, { onStatement: (call) => call.answer(numbers(1)) })
  const filter = db.sql`n > ${5n}`
  const { rows } = await db.sql<{ n: bigint }>`select * from ${db.sql.id('t')} where ${filter}`
  t.equal(rows[0]?.n, 0n)
  const statements = fake.receivedOf('statement')
  t.equal(statements.length, 1, 'a fragment does not run')
  t.match(statements[0], {
    sql: 'select * from "t" where n > $1',
    parameters: [{ type: 'BIGINT', value: '5' }],
  })
  await db.sql`select ${param('1.5', 'DECIMAL(3,1)')}`.execute()
  t.match(fake.receivedOf('statement')[1]?.parameters, [{ type: 'DECIMAL(3,1)', value: '1.5' }])
})

t.test('a prepared statement runs again with other parameters', async (t) => {
  const { db, fake } = await setUp(t, { onStatement: (call) => call.answer(numbers(1)) })
  const statement = await db.prepare('select $1')
  await statement.query([1])
  await statement.execute([2])
  t.strictSame(
    fake.receivedOf('statement').map((message) => message.parameters[0]?.value),
    ['1', '2'],
  )
  const ids = fake.receivedOf('statement').map((message) => message.statementId)
  t.equal(new Set(ids).size, 2, 'each use is a statement of its own')
})

t.test('rows are checked and typed by a schema', async (t) => {
  const { db } = await setUp(t, { onStatement: (call) => call.answer(numbers(3)) })
  const schema = {
    '~standard': {
      validate: (row: unknown) => {
        const n = Number((row as { n: bigint }).n)
        return n < 2 ? { value: { n } } : { issues: [{ message: 'too large', path: ['n'] }] }
      },
    },
  }
  await t.rejects(db.query('select 1', [], { schema }), {
    code: 'XX002',
    message: 'row 3 does not fit the schema at "n": too large',
  })
})

t.test('columns of the same name are told apart', async (t) => {
  const answer = numbers(1)
  const columns = [
    { name: 'a', type: 'BIGINT' },
    { name: 'a', type: 'VARCHAR' },
  ]
  const { db } = await setUp(t, { onStatement: (call) => call.answer({ ...answer, columns }) })
  t.strictSame((await db.query('select 1')).rows, [{ a: 0n, a_1: 'row 0' }])
})

t.test(
  'status, profile, completion and cancelling by id are asked of the coordinator',
  async (t) => {
    const status = {
      cluster: 'fake',
      leader: 'c1',
      epoch: 3,
      members: [],
      etcd: [],
      queries: [],
      transactions: [],
    }
    const { db, fake } = await setUp(t, {
      onRequest(request) {
        if (request.kind === 'status') return status
        if (request.kind === 'complete')
          return { start: 7, items: [{ text: 'orders', kind: 'table' }] }
        if (request.kind === 'profile') return { operators: [] }
        throw new SqlError('undefined_object', `query "${request.queryId}" is not running`)
      },
    })
    t.strictSame(await db.status(), status)
    t.match(await db.complete('select o', 8), { start: 7, items: [{ text: 'orders' }] })
    const id = `q${'0'.repeat(24)}`
    t.strictSame(await db.profile(id), { operators: [] })
    await t.rejects(db.cancelQuery(id), { code: '42704' })
    await t.rejects(db.cancelQuery('nonsense'), { code: '22023' })
    t.match(fake.receivedOf('complete')[0], {
      sql: 'select o',
      offset: 8,
      session: { revision: 0 },
    })
  },
)

t.test('a closed database refuses statements and ends those that run', async (t) => {
  const { db } = await setUp(t, {
    async onStatement(call) {
      call.accept()
      await call.untilStopped()
    },
  })
  const running = db.query('select 1')
  await db.close()
  await t.rejects(running, { code: '08000' })
  await t.rejects(db.query('select 1'), { code: '08000' })
})

t.test('a coordinator of another protocol version is refused with the reason', async (t) => {
  await using fake = await FakeCoordinator.start({ protocol: 99 })
  await t.rejects(connect(fake.url), {
    code: '08000',
    message: /protocol 99/,
    hint: /client that came with the cluster/,
  })
})

t.test('where nothing listens the error names the addresses', async (t) => {
  const error: unknown = await connect('nyala://127.0.0.1:1,127.0.0.1:2').catch((e: unknown) => e)
  t.ok(error instanceof ConnectionError)
  t.match(error, { code: '08006', hint: /127.0.0.1:1, 127.0.0.1:2/, retryable: true })
})

t.test('a handle is disposed of with its scope', async (t) => {
  await using fake = await FakeCoordinator.start()
  let db: Database | undefined
  {
    await using scoped = await connect(fake.url)
    db = scoped
  }
  await t.rejects(db.query('select 1'), { code: '08000' })
  await until(() => fake.clients === 0)
})

t.test('a session that is closed is forgotten', async (t) => {
  const { db } = await setUp(t, { onStatement: (call) => call.answer(numbers(1)) })
  const useOne = async (close: boolean): Promise<WeakRef<Session>> => {
    const session = await db.session()
    await session.query('select 1')
    if (close) await session.close()
    return new WeakRef(session)
  }
  const [open, closed] = [await useOne(false), await useOne(true)]
  setFlagsFromString('--expose-gc')
  const collect = runInNewContext('gc') as () => void
  for (let round = 0; closed.deref() !== undefined && round < 100; round++) {
    await new Promise(setImmediate)
    collect()
  }
  t.equal(closed.deref(), undefined)
  t.not(open.deref(), undefined, 'the database closes it, so it knows it')
  await db.close()
  await t.rejects(async () => open.deref()?.query('select 1'), { code: '08000' })
})
