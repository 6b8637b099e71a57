import { systemClock as clock } from '@nyala/client/base'
import { FRAME_HEADER_BYTES } from '@nyala/client/wire'
import t from 'tap'
import { resultTask, World } from '../testing/world.ts'
import { ConstantKernel } from './constant-kernel.ts'

const options = { timeZone: 'UTC', timeoutMs: 5_000 }

async function open(): Promise<ConstantKernel> {
  const kernel = await ConstantKernel.open({ clock, memoryLimitBytes: 64 * 1024 * 1024 })
  t.teardown(() => kernel.close())
  return kernel
}

const CONSTANTS = [
  '1',
  '-1::TINYINT AS a, 1::SMALLINT, 1::BIGINT, 1::HUGEINT, 1::UHUGEINT, 255::UTINYINT, 1::USMALLINT, 1::UINTEGER, 1::UBIGINT',
  '1.5, 1.50::DECIMAL(4,2), 12345678901234567890.12, 1e3, 1.5::FLOAT',
  "'text', '', 'zoë 😀', 'x'::BLOB, NULL, NULL::VARCHAR, true, false",
  "DATE '2024-02-29', TIME '10:00:01.5', TIMESTAMP '2024-01-01 10:00:00', TIMESTAMP_NS '2024-01-01 10:00:00.123456789'",
  "TIMESTAMPTZ '2024-01-01 10:00:00+02', TIMETZ '10:00:00+02', INTERVAL '1 month 2 days'",
  "'2024-01-01'::TIMESTAMP_S, '2024-01-01'::TIMESTAMP_MS, '101'::BIT, '00000000-0000-0000-0000-000000000001'::UUID",
  "1 + 2, 7 / 2, 'a' || 'b', 1 < 2, CASE WHEN 1 = 1 THEN 'x' ELSE 'y' END, coalesce(NULL, 3)",
  "[1, 2] AS list, {'a': 1} AS struct, 'a'::ENUM('a', 'b') AS e, '{}'::JSON AS j",
  '1 AS a, 2 AS a, 3 AS "quoted ""name"""',
]

t.test('names, types and bytes are those of a task on an executor', async (t) => {
  await using world = await World.start()
  await world.startExecutor()
  const kernel = await open()
  const statements = [
    ...CONSTANTS.map((items) => `SELECT ${items}`),
    'SELECT 1 WHERE false',
    // No NULL among numbers: what memory has in its place is not written.
    "SELECT * FROM (VALUES (1, 'x'), (2, NULL)) t(a, b)",
  ]
  for (const [i, sql] of statements.entries()) {
    const task = resultTask(sql, {
      queryId: `q${i}`,
      rowsMax: 10,
      kernelSettings: { TimeZone: 'UTC' },
    })
    const outcome = await world.coordinator.run(task)
    const columns = outcome.messages.find((message) => message.kind === 'taskColumns')
    const here = await kernel.run(sql, options)
    t.same(here.columns, columns?.kind === 'taskColumns' ? columns.columns : undefined, sql)
    t.equal(here.rows, outcome.finished?.rows, sql)
    t.same(
      here.payloads.map(({ bytes }) => Buffer.from(bytes).toString('hex')),
      outcome.inline.map((frame) =>
        Buffer.from(frame.subarray(FRAME_HEADER_BYTES)).toString('hex'),
      ),
      sql,
    )
  }
})

t.test(
  'an error has the name that a task would give it, and harms no later statement',
  async (t) => {
    const kernel = await open()
    for (const [sql, error] of [
      ["SELECT CAST('x' AS INTEGER)", 'invalid_text_representation'],
      ['SELECT 100::TINYINT + 100::TINYINT', 'numeric_value_out_of_range'],
      ['SELECT nothing', 'undefined_column'],
    ] as const) {
      const failure = await kernel.run(sql, options).catch((cause: unknown) => cause)
      t.match(failure, { error }, sql)
    }
    t.equal((await kernel.run('SELECT 1', options)).rows, 1)
  },
)

t.test('no file is read, and nothing is set', async (t) => {
  const kernel = await open()
  await t.rejects(kernel.run("SELECT * FROM read_text('/etc/hostname')", options))
  await t.rejects(kernel.run("SELECT * FROM read_parquet('/tmp/x.parquet')", options))
  await t.rejects(kernel.run("SET memory_limit = '1GB'", options))
  await t.rejects(kernel.run('SELECT 1; SELECT 2', options))
})

t.test('a statement that takes too long is stopped, and the next one runs', async (t) => {
  const kernel = await open()
  const endless = 'SELECT sum(sqrt(i) * sin(i)) FROM range(1000000000000) t(i)'
  const stopped = await kernel.run(endless, { ...options, timeoutMs: 50 }).catch((e: unknown) => e)
  t.match(stopped, { error: 'statement_timeout' })
  t.equal((await kernel.run('SELECT 1', options)).rows, 1)
})

t.test('a moment without a zone is one of the session', async (t) => {
  const kernel = await open()
  const sql = "SELECT CAST(TIMESTAMPTZ '2024-01-01 00:00:00' AS VARCHAR)"
  const last = async (timeZone: string): Promise<string> => {
    const { payloads } = await kernel.run(sql, { ...options, timeZone })
    return Buffer.from(payloads[1]?.bytes ?? []).toString('latin1')
  }
  t.match(await last('Europe/Berlin'), /2024-01-01 00:00:00\+01/)
  t.match(await last('UTC'), /2024-01-01 00:00:00\+00/)
})
