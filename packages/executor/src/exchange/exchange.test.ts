import { mkdir, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { systemClock as clock } from '@nyala/client/base'
import t from 'tap'
import type { Segment, TaskSpec } from '../protocol/index.ts'
import { FakeConsumer } from '../testing/fake-coordinator.ts'
import { memberId, resultTask, tableOf, World } from '../testing/world.ts'

const COLUMNS = [
  { name: 'k', type: 'BIGINT' },
  { name: 'h', type: 'HUGEINT' },
  { name: 'z', type: 'TIME WITH TIME ZONE' },
]
const ROWS =
  "SELECT i % 10 AS k, i::HUGEINT AS h, TIMETZ '10:00:00+02' AS z FROM range(200000) t(i)"

/** Writes segments on one executor; each world has one fake coordinator, which knows the executor that came last. */
async function write(world: World, partitions: number): Promise<readonly Segment[]> {
  const outcome = await world.coordinator.run(
    resultTask(ROWS, {
      output: { kind: 'exchange', exchange: 3, partitions, keys: partitions > 1 ? ['k'] : [] },
    }),
  )
  if (outcome.error !== undefined) throw outcome.error
  return outcome.finished?.segments ?? []
}

const reader = (segments: readonly Segment[], options: Partial<TaskSpec> = {}): TaskSpec =>
  resultTask('', {
    task: 1,
    sql: [
      {
        kind: 'text',
        text: 'SELECT count(*) AS n, sum(h) AS s, typeof(any_value(h)) AS th, typeof(any_value(z)) AS tz FROM ',
      },
      { kind: 'exchange', exchange: 3, columns: COLUMNS },
      { kind: 'text', text: ' AS x' },
    ],
    inputs: [{ exchange: 3, segments }],
    ...options,
  })

const expected = {
  n: 200_000n,
  s: '19999900000',
  th: 'HUGEINT',
  tz: 'TIME WITH TIME ZONE',
}

t.test('segments on the same machine are read where they lie, types and all', async (t) => {
  await using world = await World.start()
  await world.startExecutor()
  const segments = await write(world, 4)
  const { outcome, frames } = await world.coordinator.fetch(reader(segments))
  t.match(tableOf(frames).get(0)?.toJSON(), expected)
  t.equal(outcome.finished?.statistics.pulledBytes, 0)
})

t.test('segments of another machine are pulled, checked and read', async (t) => {
  await using world = await World.start()
  const producer = await world.startExecutor()
  const segments = await write(world, 4)
  world.coordinator.drop()
  await world.startExecutor({
    id: memberId('e2'),
    host: 'there',
    directory: join(world.directory, 'elsewhere'),
  })
  await world.coordinator.until(() =>
    world.coordinator.messages.some((m) => m.kind === 'hello' && m.executor === 'e2'),
  )
  const { outcome, frames } = await world.coordinator.fetch(reader(segments))
  t.match(tableOf(frames).get(0)?.toJSON(), expected)
  const bytes = segments.reduce((sum, segment) => sum + segment.bytes, 0)
  t.equal(outcome.finished?.statistics.pulledBytes, bytes)
  t.ok(segments.every((segment) => segment.address === producer.address))
})

t.test('an exchange without segments is an empty relation of its columns', async (t) => {
  await using world = await World.start()
  await world.startExecutor()
  const { frames } = await world.coordinator.fetch(reader([]))
  t.match(tableOf(frames).get(0)?.toJSON(), { n: 0n, s: null, th: 'HUGEINT' })
})

t.test('a segment whose producer is gone fails the task with its name', async (t) => {
  await using world = await World.start()
  await world.startExecutor()
  const [segment] = await write(world, 1)
  const lost = { ...segment, executor: 'e9', host: 'nowhere', address: '127.0.0.1:1' } as Segment
  const outcome = await world.coordinator.run(reader([lost]))
  t.match(outcome.error, { error: 'executor_lost', message: /executor "e9" at 127\.0\.0\.1:1/ })
})

t.test('a segment that several tasks read is pulled once', async (t) => {
  await using world = await World.start()
  await world.startExecutor()
  const segments = (await write(world, 4)).map((segment) => ({ ...segment, host: 'nowhere' }))
  const outcomes = await Promise.all(
    [1, 2, 3].map((task) => world.coordinator.fetch(reader(segments, { task }))),
  )
  const pulled = outcomes.map(({ outcome }) => outcome.finished?.statistics.pulledBytes ?? 0)
  t.equal(
    pulled.reduce((sum, bytes) => sum + bytes, 0),
    segments.reduce((sum, segment) => sum + segment.bytes, 0),
  )
  for (const { frames } of outcomes) t.match(tableOf(frames).get(0)?.toJSON(), expected)
})

t.test('a copy that vanishes is pulled again by the next task', async (t) => {
  await using world = await World.start()
  await world.startExecutor()
  const segments = (await write(world, 1)).map((segment) => ({ ...segment, host: 'nowhere' }))
  const { queryId } = reader(segments)
  await world.coordinator.fetch(reader(segments))
  const [{ path } = { path: '' }] = segments
  await rm(join(path.slice(0, path.indexOf(queryId)), queryId, 'pulled'), { recursive: true })
  const { outcome, frames } = await world.coordinator.fetch(reader(segments, { task: 2 }))
  t.match(tableOf(frames).get(0)?.toJSON(), expected)
  t.equal(outcome.finished?.statistics.pulledBytes, segments[0]?.bytes)
})

t.test('a segment that vanishes is lost, which is no fault of the statement', async (t) => {
  await using world = await World.start()
  await world.startExecutor()
  const segments = await write(world, 1)
  const [{ path, bytes } = { path: '', bytes: 0 }] = segments
  await writeFile(path, Buffer.alloc(bytes, 'no Parquet any more'))
  const damaged = await world.coordinator.run(reader(segments))
  t.match(damaged.error, { error: 'executor_lost', message: /cannot be read any more/ })
  t.equal(damaged.error?.retryable, true)
  await writeFile(path, 'too short')
  const cut = await world.coordinator.run(reader(segments, { attempt: 1 }))
  t.match(cut.error, { error: 'executor_lost', message: /came damaged/, retryable: true })
  await rm(path)
  const gone = await world.coordinator.run(reader(segments, { attempt: 2 }))
  t.match(gone.error, { error: 'executor_lost', message: /is gone/, retryable: true })
  const producers = [damaged, cut, gone].map(({ unreadable }) => unreadable)
  t.same(producers, ['e1', 'e1', 'e1'], 'and whoever wrote it is told of')
})

t.test(
  'a byte that changed after it was written is found when the segment is pulled',
  async (t) => {
    await using world = await World.start()
    await world.startExecutor()
    const segments = (await write(world, 1)).map((segment) => ({ ...segment, host: 'nowhere' }))
    const [{ path } = { path: '' }] = segments
    const whole = await readFile(path)
    const changed = Buffer.from(whole)
    changed.writeUInt8(changed.readUInt8(1000) ^ 1, 1000)
    await writeFile(path, changed)
    const outcome = await world.coordinator.run(reader(segments))
    t.match(outcome.error, { error: 'executor_lost', detail: /checksum is \d+, expected \d+/ })
    await writeFile(path, whole)
    const again = await world.coordinator.fetch(reader(segments, { attempt: 1 }))
    t.match(tableOf(again.frames).get(0)?.toJSON(), expected)
    t.equal(again.outcome.finished?.statistics.pulledBytes, whole.byteLength)
  },
)

t.test('a copy whose size is wrong is not used', async (t) => {
  await using world = await World.start()
  await world.startExecutor()
  const [segment] = await write(world, 1)
  const wrong = { ...segment, host: 'nowhere', bytes: (segment?.bytes ?? 0) + 1 } as Segment
  const outcome = await world.coordinator.run(reader([wrong]))
  t.match(outcome.error, {
    error: 'executor_lost',
    message: /came damaged/,
    detail: /bytes came, expected/,
  })
})

t.test('the data port serves segments of the query and nothing else', async (t) => {
  await using world = await World.start()
  const executor = await world.startExecutor()
  const [segment] = await write(world, 1)
  const path = segment?.path ?? ''
  const secret = join(world.directory, 'secret')
  await writeFile(secret, 'secret')
  await symlink(secret, join(path, '..', 'link'))
  await mkdir(join(path, '..', '..', '..', 'q2'), { recursive: true })
  await writeFile(join(path, '..', '..', '..', 'q2', 'other.parquet'), 'of another query')
  const consumer = await FakeConsumer.connect({
    address: executor.address,
    cluster: world.cluster,
    clock,
  })
  const attempts: readonly (readonly [string, string, string])[] = [
    ['q1', '/etc/passwd', 'insufficient_privilege'],
    ['q1', join(path, '..', 'link'), 'insufficient_privilege'],
    ['q1', `${path}/../../../../../../secret`, 'executor_lost'],
    ['q1', join(path, '..', '..', '..', 'q2', 'other.parquet'), 'insufficient_privilege'],
    ['..', path, 'protocol_violation'],
    ['q1', `${path}.gone`, 'executor_lost'],
  ]
  for (const [call, [queryId, wanted, error]] of attempts.entries()) {
    consumer.connection.send({
      kind: 'fetchSegment',
      call,
      queryId,
      path: wanted,
      creditBytes: 1000,
    })
    t.match(await consumer.end(call), { kind: 'failed', error: { error } }, `${queryId} ${wanted}`)
  }
  consumer.connection.send({
    kind: 'fetchSegment',
    call: 100,
    queryId: 'q1',
    path,
    creditBytes: 10 ** 9,
  })
  t.match(await consumer.end(100), { kind: 'ended', bytes: segment?.bytes })
  consumer.close()
})

t.test('a consumer of another cluster or version is turned away', async (t) => {
  await using world = await World.start()
  const executor = await world.startExecutor()
  const consumer = await FakeConsumer.connect({
    address: executor.address,
    cluster: 'other',
    clock,
  })
  await consumer.until(() => consumer.closed)
  t.same(consumer.messages, [])
})

t.test('an executor that starts again clears what its earlier life has left', async (t) => {
  await using world = await World.start()
  const left = join(world.directory, 'work', 'exchange', 'e1', 'q0', '0-0')
  await mkdir(left, { recursive: true })
  await writeFile(join(left, 'x.parquet'), '')
  await world.startExecutor()
  const { existsSync } = await import('node:fs')
  t.notOk(existsSync(left))
})
