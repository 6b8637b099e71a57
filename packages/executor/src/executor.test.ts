import { symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { crc32 } from 'node:zlib'
import { systemClock as clock } from '@nyala/client/base'
import { chainCrc, FRAME_HEADER_BYTES } from '@nyala/client/wire'
import t from 'tap'
import { FakeConsumer } from './testing/fake-coordinator.ts'
import { payloads, resultTask, tableOf, World } from './testing/world.ts'

t.test(
  'a small result comes whole on the control socket, before the task has finished',
  async (t) => {
    await using world = await World.start()
    await world.startExecutor()
    const outcome = await world.coordinator.run(resultTask("SELECT 42 AS a, 'x' AS b"))
    t.same(
      outcome.messages.map((message) => message.kind),
      ['taskColumns', 'taskFinished'],
    )
    t.match(outcome.messages[0], {
      columns: [
        { name: 'a', type: 'INTEGER' },
        { name: 'b', type: 'VARCHAR' },
      ],
    })
    t.equal(outcome.inline.length, outcome.finished?.frames)
    t.equal(outcome.finished?.rows, 1)
    t.same(
      tableOf(outcome.inline)
        .toArray()
        .map((row) => row?.toJSON()),
      [{ a: 42, b: 'x' }],
    )
  },
)

t.test(
  'a large result is pulled from the data port, under credit and with right checksums',
  async (t) => {
    await using world = await World.start()
    const executor = await world.startExecutor()
    const spec = resultTask('SELECT i, i * 2 AS j FROM range(1000000) t(i)')
    const running = world.coordinator.run(spec)
    await world.coordinator.heard(spec, 'taskStreaming')
    const { queryId, task, attempt } = spec
    let unacknowledged = 0
    const credit = 256 * 1024
    const consumer = await FakeConsumer.connect({
      address: executor.address,
      cluster: world.cluster,
      clock,
      onFrame: (frame) => {
        t.ok(unacknowledged < credit, 'no frame comes without credit')
        const bytes = frame.payload.byteLength + FRAME_HEADER_BYTES
        unacknowledged += bytes
        setImmediate(() => {
          unacknowledged -= bytes
          consumer.connection.send({ kind: 'credit', call: 7, bytes })
          const frames = frame.sequence + 1
          world.coordinator.send({ kind: 'acknowledge', epoch: 1, queryId, task, attempt, frames })
        })
      },
    })
    consumer.connection.send({
      kind: 'fetchResult',
      call: 7,
      epoch: 1,
      ...{ queryId, task, attempt },
      fromFrame: 0,
      creditBytes: credit,
    })
    const ended = await consumer.end(7)
    const outcome = await running
    t.equal(ended.kind, 'ended')
    t.equal(outcome.inline.length, 0)
    t.equal(consumer.frames.length, outcome.finished?.frames)
    const chained = consumer.frames
      .slice(1)
      .reduce((crc, f) => chainCrc(crc32, crc, f.frame.crc), 0)
    t.equal(outcome.finished?.crc, chained)
    t.ok(consumer.frames.every(({ frame }) => frame.task === task && frame.attempt === attempt))
    t.ok(consumer.frames.every(({ frame }, i) => frame.sequence === i && frame.call === 7))
    t.ok(consumer.frames.every(({ frame }) => crc32(frame.payload) === frame.crc))
    const table = payloads(consumer.frames)
    t.equal(table.numRows, 1_000_000)
    t.equal(table.get(999_999)?.toJSON()['j'], 1_999_998n)
    consumer.close()
  },
)

t.test('a table location is listed with rows, schemas and partition values', async (t) => {
  await using world = await World.start()
  await world.startExecutor()
  const directory = join(world.root, 't')
  const write = resultTask(`SELECT i::INTEGER AS a, 'x' AS b FROM range(10) t(i)`, {
    output: { kind: 'exchange', exchange: 1, partitions: 1, keys: [] },
  })
  const { finished } = await world.coordinator.run(write)
  const [segment] = finished?.segments ?? []
  t.equal(segment?.rows, 10)
  const { mkdir, copyFile } = await import('node:fs/promises')
  await mkdir(join(directory, 'day=2024-01-01'), { recursive: true })
  await mkdir(join(directory, 'day=__HIVE_DEFAULT_PARTITION__'))
  await copyFile(segment?.path ?? '', join(directory, 'day=2024-01-01', 'a.parquet'))
  await copyFile(
    segment?.path ?? '',
    join(directory, 'day=__HIVE_DEFAULT_PARTITION__', 'b.parquet'),
  )
  await writeFile(join(directory, '_SUCCESS'), '')
  const listing = await world.coordinator.inspect('location', [directory])
  t.equal(listing.location, directory)
  t.same(listing.schemas, [
    [
      { name: 'a', type: 'INTEGER' },
      { name: 'b', type: 'VARCHAR' },
    ],
  ])
  t.match(listing.files, [
    { rows: 10, schema: 0, partition: [{ key: 'day', value: '2024-01-01' }] },
    { rows: 10, schema: 0, partition: [{ key: 'day', value: null }] },
  ])
})

t.test('paths outside the roots are refused, also through dots and links', async (t) => {
  await using world = await World.start()
  await world.startExecutor()
  await symlink('/etc', join(world.root, 'link'))
  for (const path of [
    '/etc/passwd',
    `${world.root}/../../../../etc/passwd`,
    `${world.root}/link/passwd`,
  ]) {
    const refusal = world.coordinator.inspect('paths', [path])
    await t.rejects(
      refusal,
      { error: 'insufficient_privilege', message: new RegExp('outside the roots') },
      path,
    )
  }
})
