import { existsSync } from 'node:fs'
import { mkdir, readdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { systemClock as clock } from '@nyala/client/base'
import t from 'tap'
import type { Segment, TaskSpec } from '../protocol/index.ts'
import type { TaskOutcome } from '../testing/fake-coordinator.ts'
import { memberId, resultTask, tableOf, World } from '../testing/world.ts'

/** Values of every type that a key can have; each is written together with a NULL. */
const KEYS: readonly { readonly type: string; readonly values: readonly string[] }[] = [
  { type: 'BOOLEAN', values: ['true', 'false'] },
  { type: 'TINYINT', values: ['-128', '0', '127'] },
  { type: 'INTEGER', values: ['-1', '2147483647'] },
  { type: 'BIGINT', values: ['-9223372036854775808', '0', '1'] },
  { type: 'UBIGINT', values: ['0', '18446744073709551615'] },
  { type: 'HUGEINT', values: ['-99999999999999999999999999999999999999', '5'] },
  { type: 'DOUBLE', values: ["'NaN'", "'-0.0'", "'0.0'", "'-Infinity'", '1e300'] },
  { type: 'FLOAT', values: ["'NaN'", "'-0.0'", "'0.0'", '1.5'] },
  { type: 'DECIMAL(4,2)', values: ['-0.01', '99.99'] },
  { type: 'DECIMAL(18,2)', values: ['-0.01', '99.99'] },
  { type: 'DECIMAL(38,2)', values: ['-0.01', '99.99'] },
  { type: 'VARCHAR', values: ["''", "'a'", "'ü😀'", "repeat('long ', 1000)", "'a '"] },
  { type: 'BLOB', values: ["''::BLOB", "'\\x00\\xFF'::BLOB"] },
  { type: 'DATE', values: ["'1970-01-01'", "'0001-01-01'", "'infinity'"] },
  { type: 'TIME', values: ["'00:00:00'", "'23:59:59.999999'"] },
  { type: 'TIMESTAMP', values: ["'2000-01-01 00:00:00.000001'"] },
  { type: 'TIMESTAMP WITH TIME ZONE', values: ["'2000-01-01 00:00:00+02'"] },
  { type: 'INTERVAL', values: ["'1 month 2 days'", "'32 days'"] },
  { type: 'UUID', values: ["'00000000-0000-0000-0000-000000000001'"] },
  { type: 'INTEGER[]', values: ['[]', '[1, NULL, 2]', '[NULL]'] },
  {
    type: 'STRUCT(a INTEGER, b VARCHAR)',
    values: ["{'a': 1, 'b': NULL}", "{'a': NULL, 'b': 'x'}"],
  },
  { type: 'MAP(VARCHAR, INTEGER)', values: ["MAP {'a': 1}", 'MAP {}'] },
]

const keyRows = (type: string, values: readonly string[]): string =>
  ['NULL', ...values]
    .map((v, i) => `SELECT ${i} AS i, CAST(${v} AS ${type}) AS k`)
    .join(' UNION ALL ')

/** Writes the rows of a statement into buckets on whichever executor is connected. */
function write(world: World, sql: string, options: Partial<TaskSpec> = {}): Promise<TaskOutcome> {
  return world.coordinator.run(
    resultTask(sql, {
      output: { kind: 'exchange', exchange: 0, partitions: 16, keys: ['k'] },
      ...options,
    }),
  )
}

const segmentsOf = ({ error, finished }: TaskOutcome): readonly Segment[] => {
  if (error !== undefined) throw error
  return finished?.segments ?? []
}

/** Which bucket each row, by its number, has come into. */
async function bucketsOf(
  world: World,
  segments: readonly Segment[],
  task: number,
): Promise<object> {
  const parts = segments.map(
    ({ path, partition }) => `SELECT i, ${partition} AS p FROM read_parquet('${path}')`,
  )
  const sql = `SELECT * FROM (${parts.join(' UNION ALL ')}) ORDER BY i`
  const { frames } = await world.coordinator.fetch(resultTask(sql, { task, queryId: 'q9' }))
  return Object.fromEntries(
    tableOf(frames)
      .toArray()
      .map((row) => [Number(row['i']), Number(row['p'])]),
  )
}

t.test('equal keys come into one bucket, whichever executor writes them', async (t) => {
  await using world = await World.start()
  const found: Record<string, object>[] = []
  for (const id of ['e1', 'e2']) {
    await world.startExecutor({ id: memberId(id) })
    await world.coordinator.until(() =>
      world.coordinator.messages.some((m) => m.kind === 'hello' && m.executor === id),
    )
    const buckets: Record<string, object> = {}
    for (const [task, { type, values }] of KEYS.entries()) {
      const segments = segmentsOf(await write(world, keyRows(type, values), { task }))
      buckets[type] = await bucketsOf(world, segments, task)
    }
    found.push(buckets)
    world.coordinator.drop()
  }
  const [first, second] = found
  t.same(first, second)
  for (const type of ['DOUBLE', 'FLOAT']) {
    const buckets = first?.[type] as Readonly<Record<number, number>>
    t.equal(buckets[2], buckets[3], '-0.0 is 0.0')
  }
  const intervals = first?.['INTERVAL'] as Readonly<Record<number, number>>
  t.equal(intervals[1], intervals[2], '1 month 2 days are 32 days')
  for (const [type, rows] of Object.entries(first ?? {})) {
    const wanted = (KEYS.find((key) => key.type === type)?.values.length ?? 0) + 1
    t.equal(Object.keys(rows).length, wanted, `every row of ${type} is somewhere`)
  }
})

t.test('tasks that each read some of 256 buckets read every row once', async (t) => {
  await using world = await World.start()
  await world.startExecutor()
  const sql = 'SELECT i % 50000 AS k, i AS v, i::VARCHAR AS s FROM range(400000) t(i)'
  const output = { kind: 'exchange', exchange: 0, partitions: 256, keys: ['k'] } as const
  const outcome = await write(world, sql, { output })
  const segments = segmentsOf(outcome)
  t.equal(new Set(segments.map((segment) => segment.partition)).size, 256)
  t.equal(segments.length, 256, 'no bucket is closed and begun anew')
  let [rows, keys, sum] = [0, 0, 0]
  for (let task = 1; task <= 8; task++) {
    const own = segments.filter((segment) => segment.partition % 8 === task - 1)
    const { frames } = await world.coordinator.fetch(
      resultTask('', {
        task,
        sql: [
          {
            kind: 'text',
            text: 'SELECT count(*) AS n, count(DISTINCT k) AS d, sum(v)::BIGINT AS s FROM ',
          },
          {
            kind: 'exchange',
            exchange: 0,
            columns: [
              { name: 'k', type: 'BIGINT' },
              { name: 'v', type: 'BIGINT' },
              { name: 's', type: 'VARCHAR' },
            ],
          },
          { kind: 'text', text: ' AS x' },
        ],
        inputs: [{ exchange: 0, segments: own }],
      }),
    )
    const row = tableOf(frames).get(0)
    rows += Number(row?.['n'])
    keys += Number(row?.['d'])
    sum += Number(row?.['s'])
  }
  t.same([rows, keys, sum], [400_000, 50_000, (400_000 * 399_999) / 2])
})

t.test('segments are counted while a query lives, and gone with it', async (t) => {
  await using world = await World.start()
  const executor = await world.startExecutor()
  const used = (): unknown => executor.health()['exchangeBytes']
  const segments = segmentsOf(await write(world, 'SELECT i AS k FROM range(100000) t(i)'))
  const bytes = segments.reduce((sum, segment) => sum + segment.bytes, 0)
  t.equal(used(), bytes)
  const reader = resultTask('', {
    task: 1,
    sql: [
      { kind: 'text', text: 'SELECT count(*) AS n FROM ' },
      { kind: 'exchange', exchange: 0, columns: [{ name: 'k', type: 'BIGINT' }] },
      { kind: 'text', text: ' AS x' },
    ],
    inputs: [{ exchange: 0, segments: segments.map((s) => ({ ...s, host: 'elsewhere' })) }],
  })
  const { frames } = await world.coordinator.fetch(reader)
  t.equal(tableOf(frames).get(0)?.['n'], 100_000n)
  t.equal(used(), 2 * bytes, 'copies count')
  world.coordinator.send({ kind: 'releaseQuery', epoch: 1, queryId: 'q1' })
  const directory = join(world.directory, 'work', 'exchange', 'e1')
  // Counted once they are gone.
  while (used() !== 0) await clock.sleep(5)
  t.same(await readdir(directory), [])
})

t.test('segments go when the owner of their query does not come back', async () => {
  await using world = await World.start()
  await world.startExecutor()
  const segments = segmentsOf(await write(world, 'SELECT i AS k FROM range(1000) t(i)'))
  world.coordinator.drop()
  while (existsSync(segments[0]?.path ?? '')) await clock.sleep(20)
})

t.test(
  'what a failed attempt has written goes at once, and the attempts beside it stay',
  async (t) => {
    await using world = await World.start()
    const executor = await world.startExecutor()
    const kept = segmentsOf(await write(world, 'SELECT i AS k FROM range(1000) t(i)'))
    const sql =
      "SELECT CASE WHEN i = 2999999 THEN 'x' ELSE i::VARCHAR END::BIGINT AS k FROM range(3000000) t(i)"
    const failed = await write(world, sql, { task: 1 })
    t.match(failed.error, { error: 'invalid_text_representation' })
    const directory = join(world.directory, 'work', 'exchange', 'e1', 'q1')
    const bytes = kept.reduce((sum, segment) => sum + segment.bytes, 0)
    while ((await readdir(directory)).includes('1-0')) await clock.sleep(5)
    // It counts until it is known to be gone.
    while (executor.health()['exchangeBytes'] !== bytes) await clock.sleep(5)
    t.ok(kept.every((segment) => existsSync(segment.path)))
  },
)

t.test(
  'a query that keeps more than it may on disk is stopped by the name of its knob',
  async (t) => {
    await using world = await World.start()
    await world.startExecutor()
    const neighbour = write(world, 'SELECT i AS k FROM range(3000000) t(i)', { queryId: 'q2' })
    const endless = 'SELECT hash(i) AS k, i AS v FROM range(100000000000) t(i)'
    const { error } = await write(world, endless, { spillLimitBytes: 2_000_000 })
    t.match(error, {
      error: 'configuration_limit_exceeded',
      message: /max_spill_bytes = 2000000/,
      hint: /SET max_spill_bytes/,
    })
    const sorted = 'SELECT i AS k, hash(i) AS h FROM range(30000000) t(i) ORDER BY h'
    const spilled = await world.coordinator.run(
      resultTask(sorted, { task: 1, memoryLimitBytes: 60_000_000, spillLimitBytes: 10_000_000 }),
    )
    t.match(spilled.error, {
      error: 'configuration_limit_exceeded',
      message: /spilled.*max_spill_bytes = 10000000/,
    })
    t.equal((await neighbour).finished?.rows, 3_000_000, 'others go on')
  },
)

t.test('an executor takes no more segments than it has disk for', async (t) => {
  await using world = await World.start()
  const executor = await world.startExecutor({ exchangeLimitBytes: 3_000_000 })
  const endless = 'SELECT hash(i) AS k, i AS v FROM range(100000000000) t(i)'
  const { error } = await write(world, endless)
  t.match(error, { error: 'disk_full', hint: /--exchange-limit/, retryable: false })
  while (executor.health()['exchangeBytes'] !== 0) await clock.sleep(5)
  const small = segmentsOf(await write(world, 'SELECT i AS k FROM range(1000) t(i)', { task: 1 }))
  const pulled = small.map((s) => ({ ...s, host: 'elsewhere', bytes: 4_000_000 }))
  const outcome = await world.coordinator.run(
    resultTask('SELECT 1', { task: 2, inputs: [{ exchange: 0, segments: pulled }] }),
  )
  t.match(outcome.error, { error: 'disk_full' }, 'nor does it pull them')
})

t.test('nothing is left of an earlier life of the executor', async (t) => {
  await using world = await World.start()
  const left = join(world.directory, 'work', 'exchange', 'e1', 'q0', 'pulled')
  await mkdir(left, { recursive: true })
  await writeFile(join(left, '0.parquet'), 'left over')
  const executor = await world.startExecutor()
  t.notOk(existsSync(left))
  t.equal(executor.health()['exchangeBytes'], 0)
})
