import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { silentLog, systemClock as clock } from '@nyala/client/base'
import t from 'tap'
import { type FakeCoordinator, FakeConsumer } from '../testing/fake-coordinator.ts'
import type { FromExecutor } from '../protocol/index.ts'
import { resultTask, tableOf, World } from '../testing/world.ts'
import { OWNER_GRACE_MS } from './task-manager.ts'

const ENDLESS = 'SELECT sum(sqrt(i) * sin(i)) FROM range(1000000000000) t(i)'
const ref = { queryId: 'q1', task: 0, attempt: 0 }

/** The number of tasks that the executor last said it runs; waits for one that is `wanted`. */
async function untilRunning(coordinator: FakeCoordinator, wanted: number): Promise<void> {
  await coordinator.until(() => {
    const loads = coordinator.messages.filter((message) => message.kind === 'load')
    return loads.at(-1)?.tasksRunning === wanted
  })
}

t.test('a start that is repeated is answered again and runs once', async (t) => {
  await using world = await World.start()
  await world.startExecutor()
  const first = await world.coordinator.fetch(resultTask('SELECT random() AS r'))
  const second = await world.coordinator.fetch(resultTask('SELECT random() AS r'))
  t.same(tableOf(second.frames).toArray(), tableOf(first.frames).toArray())
  t.same(second.outcome.finished, first.outcome.finished)
})

t.test(
  'a start under the number of another task is refused, and gets nothing of that',
  async (t) => {
    await using world = await World.start()
    await world.startExecutor()
    await world.coordinator.run(resultTask('SELECT 1 AS a'))
    const other = await world.coordinator.run(resultTask('SELECT 2 AS a'))
    t.match(other.error, { error: 'protocol_violation', message: /is another task/ })
    t.same(other.inline, [])
  },
)

t.test('a start that is repeated while the task runs leads to one end', async (t) => {
  await using world = await World.start()
  await world.startExecutor()
  const { coordinator } = world
  const spec = resultTask('SELECT count(*) AS n FROM range(100000000) t(i) WHERE i % 3 = 0')
  const running = coordinator.run(spec)
  await coordinator.heard(ref, 'taskProgress')
  coordinator.send({ kind: 'startTask', epoch: 1, call: 99, spec })
  const outcome = await running
  t.equal(outcome.finished?.rows, 1)
  await untilRunning(coordinator, 0)
})

t.test('commands of an older epoch are refused, those of a newer one obeyed', async (t) => {
  await using world = await World.start()
  await world.startExecutor()
  const { coordinator } = world
  const running = coordinator.run(resultTask(ENDLESS), 5)
  await coordinator.heard(ref, 'taskProgress')
  const old = await coordinator.run(resultTask('SELECT 1', { task: 1 }), 4)
  t.match(old.error, { error: 'task_superseded', message: /epoch 4.*epoch 5/ })
  coordinator.send({ kind: 'releaseQuery', epoch: 4, queryId: 'q1' })
  const fresh = await coordinator.run(resultTask('SELECT 1', { task: 2 }), 6)
  t.equal(fresh.error, undefined, 'the query is still there')
  coordinator.send({ kind: 'cancelTask', epoch: 6, ...ref })
  t.match((await running).error, { error: 'query_canceled' })
})

t.test('a former owner that cancels a task is told that it is not its own any more', async (t) => {
  await using world = await World.start()
  await world.startExecutor()
  const { coordinator } = world
  const running = coordinator.run(resultTask(ENDLESS), 5)
  await coordinator.heard(ref, 'taskProgress')
  coordinator.send({ kind: 'takeQuery', epoch: 6, queryId: 'q1' })
  coordinator.send({ kind: 'cancelTask', epoch: 5, ...ref })
  t.match((await running).error, { error: 'task_superseded', message: /epoch 5.*epoch 6/ })
  await untilRunning(coordinator, 1)
  coordinator.send({ kind: 'releaseQuery', epoch: 6, queryId: 'q1' })
  await untilRunning(coordinator, 0)
  coordinator.send({ kind: 'cancelTask', epoch: 5, ...ref, task: 3 })
  const isTold = (message: FromExecutor): boolean =>
    message.kind === 'taskFailed' && message.task === 3
  await coordinator.until(() => coordinator.messages.some(isTold))
})

t.test('an epoch is remembered after the query was released', async (t) => {
  await using world = await World.start()
  await world.startExecutor()
  await world.coordinator.run(resultTask('SELECT 1'), 7)
  world.coordinator.send({ kind: 'releaseQuery', epoch: 7, queryId: 'q1' })
  const late = await world.coordinator.run(resultTask('SELECT 1', { task: 1 }), 6)
  t.match(late.error, { error: 'task_superseded' })
})

t.test(
  'a former owner that releases a query late does not make it take older commands',
  async (t) => {
    await using world = await World.start()
    await world.startExecutor()
    const { coordinator } = world
    await coordinator.hello()
    coordinator.send({ kind: 'takeQuery', epoch: 7, queryId: 'q1' })
    coordinator.send({ kind: 'releaseQuery', epoch: 5, queryId: 'q1' })
    const late = await coordinator.run(resultTask('SELECT 1'), 6)
    t.match(late.error, { error: 'task_superseded', message: /epoch 6.*epoch 7/ })
  },
)

t.test('a newer attempt ends the older one, and an older one is refused', async (t) => {
  await using world = await World.start()
  await world.startExecutor()
  const { coordinator } = world
  const first = coordinator.run(resultTask(ENDLESS))
  await coordinator.heard(ref, 'taskProgress')
  const second = await coordinator.run(resultTask('SELECT 1', { attempt: 1 }))
  t.equal(second.error, undefined)
  t.match((await first).error, { error: 'query_canceled' })
  const third = await coordinator.run(resultTask('SELECT 1', { attempt: 0, task: 0 }))
  t.match(third.error, { error: 'task_superseded' })
})

t.test('a released query stops its tasks and leaves no files', async (t) => {
  await using world = await World.start()
  await world.startExecutor()
  const { coordinator } = world
  const written = await coordinator.run(
    resultTask('SELECT 1 AS a', {
      output: { kind: 'exchange', exchange: 0, partitions: 1, keys: [] },
    }),
  )
  const path = written.finished?.segments[0]?.path ?? ''
  t.ok(existsSync(path))
  const running = coordinator.run(resultTask(ENDLESS, { task: 1 }))
  await coordinator.heard({ ...ref, task: 1 }, 'taskProgress')
  coordinator.send({ kind: 'releaseQuery', epoch: 1, queryId: 'q1' })
  t.match((await running).error, { error: 'query_canceled' })
  await untilRunning(coordinator, 0)
  while (existsSync(join(world.directory, 'work', 'exchange', 'e1', 'q1'))) await clock.sleep(5)
  t.notOk(existsSync(path))
})

t.test('a small result that takes long is not held back until its end', async (t) => {
  await using world = await World.start()
  const executor = await world.startExecutor()
  const { coordinator } = world
  const slow = "levenshtein(repeat('a', 50), repeat('b', 50 + (i % 2)::INTEGER))"
  const spec = resultTask(`SELECT ${slow} AS l FROM range(100000000) t(i)`)
  const running = coordinator.run(spec)
  await coordinator.heard(ref, 'taskStreaming')
  const consumer = await FakeConsumer.connect({
    address: executor.address,
    cluster: world.cluster,
    clock,
  })
  consumer.connection.send({
    kind: 'fetchResult',
    call: 1,
    epoch: 1,
    ...ref,
    fromFrame: 0,
    creditBytes: 1_000_000,
  })
  await consumer.until(() => consumer.frames.length >= 2)
  coordinator.send({ kind: 'cancelTask', epoch: 1, ...ref })
  t.match(await consumer.end(1), { kind: 'failed', error: { error: 'query_canceled' } })
  t.match((await running).error, { error: 'query_canceled' })
  consumer.close()
})

t.test('the queries of a coordinator that is gone are released after a while', async (t) => {
  await using world = await World.start()
  await world.startExecutor()
  const { coordinator } = world
  void coordinator.run(resultTask(ENDLESS))
  await coordinator.heard(ref, 'taskProgress')
  const droppedAt = clock.now()
  coordinator.drop()
  await coordinator.hello()
  await untilRunning(coordinator, 0)
  t.ok(clock.now() - droppedAt >= OWNER_GRACE_MS - 10)
})

t.test('a coordinator that comes back in time goes on with its task', async (t) => {
  await using world = await World.start()
  await world.startExecutor()
  const { coordinator } = world
  // The kernel's now() is when the statement began.
  const sql = `SELECT epoch_ms(any_value(now())) AS began, count(*) AS n
               FROM range(600000000) t(i) WHERE i % 3 = 0`
  void coordinator.run(resultTask(sql))
  await coordinator.heard(ref, 'taskProgress')
  const droppedAt = clock.wall()
  coordinator.drop()
  const { outcome, frames } = await coordinator.fetch(resultTask(sql), 2)
  t.equal(outcome.finished?.rows, 1)
  const began = Number(tableOf(frames).get(0)?.['began'])
  t.ok(began > droppedAt - 60_000 && began < droppedAt, `it did not begin anew, but at ${began}`)
})

t.test('the consumer of a finished result is told when its query is released', async (t) => {
  await using world = await World.start()
  const executor = await world.startExecutor()
  const { coordinator } = world
  const outcome = await coordinator.run(resultTask('SELECT i FROM range(500000) t(i)'))
  t.equal(outcome.finished?.rows, 500_000)
  const consumer = await FakeConsumer.connect({
    address: executor.address,
    cluster: world.cluster,
    clock,
  })
  // The schema uses it up: how many rows a frame has depends on how fast the kernel was.
  const creditBytes = 1
  consumer.connection.send({
    kind: 'fetchResult',
    call: 1,
    epoch: 1,
    ...ref,
    fromFrame: 0,
    creditBytes,
  })
  await consumer.until(() => consumer.frames.length >= 1)
  coordinator.send({ kind: 'releaseQuery', epoch: 1, queryId: 'q1' })
  t.match(await consumer.end(1), {
    kind: 'failed',
    error: { error: 'query_canceled', message: /released/, queryId: 'q1' },
  })
  consumer.close()
})

t.test('bytes that begin to wait are reported, and their end', async () => {
  await using world = await World.start()
  await world.startExecutor()
  const { coordinator } = world
  const queued = (): readonly number[] =>
    coordinator.messages.flatMap((m) => (m.kind === 'load' ? [m.queuedBytes] : []))
  void coordinator.run(resultTask('SELECT i, i * i AS j FROM range(100000000) t(i)'))
  // Nobody reads it: the kernel goes on for as long as there is room.
  await coordinator.until(() => queued().some((bytes) => bytes > 4 * 1024 * 1024))
  coordinator.send({ kind: 'releaseQuery', epoch: 1, queryId: 'q1' })
  await coordinator.until(() => queued().at(-1) === 0)
  await untilRunning(coordinator, 0)
})

t.test('tasks of the coordinator that is told are told apart', async () => {
  await using world = await World.start()
  await world.startExecutor()
  const { coordinator } = world
  void coordinator.run(resultTask(ENDLESS))
  await coordinator.until(() => {
    const load = coordinator.messages.filter((message) => message.kind === 'load').at(-1)
    return load?.tasksRunning === 1 && load.tasksOwned === 1
  })
  coordinator.drop()
  await coordinator.hello()
  await coordinator.until(() => {
    const load = coordinator.messages.filter((message) => message.kind === 'load').at(-1)
    return load?.tasksRunning === 1 && load.tasksOwned === 0
  })
})

t.test('a result is asked for in vain where there is none', async (t) => {
  await using world = await World.start()
  const executor = await world.startExecutor()
  await world.coordinator.run(resultTask('SELECT 1'))
  const consumer = await FakeConsumer.connect({
    address: executor.address,
    cluster: world.cluster,
    clock,
  })
  const ask = { kind: 'fetchResult', epoch: 1, creditBytes: 1_000_000 } as const
  consumer.connection.send({ ...ask, call: 1, ...ref, queryId: 'q2', fromFrame: 0 })
  t.match(await consumer.end(1), { kind: 'failed', error: { error: 'executor_lost' } })
  consumer.connection.send({ ...ask, call: 2, ...ref, fromFrame: 9 })
  t.match(await consumer.end(2), { kind: 'failed', error: { message: /frame 9/ } })
  consumer.close()
})

t.test('a crash of the kernel fails the task with an error that says to try again', async (t) => {
  await using world = await World.start()
  const executor = await world.startExecutor()
  const running = world.coordinator.run(resultTask(ENDLESS))
  await world.coordinator.heard(ref, 'taskProgress')
  process.kill(executor.kernelPids[0] ?? 0, 'SIGKILL')
  t.match((await running).error, { error: 'kernel_crashed', retryable: true, queryId: 'q1' })
  const again = await world.coordinator.run(resultTask('SELECT 1', { attempt: 1 }))
  t.equal(again.finished?.rows, 1)
})

t.test('a draining executor takes no new task and waits for its queries', async (t) => {
  await using world = await World.start()
  const warnings: string[] = []
  const log = { ...silentLog, warn: (event: string) => void warnings.push(event) }
  const executor = await world.startExecutor({ log })
  const { coordinator } = world
  const running = coordinator.run(
    resultTask('SELECT count(*) AS n FROM range(100000000) t(i) WHERE i % 3 = 0'),
  )
  await coordinator.heard(ref, 'taskProgress')
  const drained = executor.drain()
  const refused = await coordinator.run(resultTask('SELECT 1', { queryId: 'q2' }))
  t.match(refused.error, { error: 'cannot_connect_now', message: /draining/ })
  t.equal((await running).finished?.rows, 1)
  coordinator.send({ kind: 'releaseQuery', epoch: 1, queryId: 'q1' })
  await drained
  t.notOk(warnings.includes('drainedWithQueries'), 'it did not give up waiting')
  t.notOk(executor.kernelPids.some((pid) => existsSync(`/proc/${pid}/exe`)))
})

t.test('another coordinator goes on with a result where its client is', async (t) => {
  await using world = await World.start()
  const executor = await world.startExecutor()
  const { coordinator } = world
  const { address, cluster } = { address: executor.address, cluster: world.cluster }
  const spec = resultTask('SELECT i, i * i AS j FROM range(3000000) t(i)')
  void coordinator.run(spec)
  await coordinator.heard(ref, 'taskStreaming')
  coordinator.send({ kind: 'keepQuery', epoch: 1, queryId: ref.queryId })
  const old = await FakeConsumer.connect({ address, cluster, clock })
  const fetch = { kind: 'fetchResult', call: 1, ...ref } as const
  old.connection.send({ ...fetch, epoch: 1, fromFrame: 0, creditBytes: 1_000_000 })
  await old.until(() => old.frames.length >= 2)
  const taken = (): readonly FromExecutor[] =>
    coordinator.messages.filter((message) => message.kind === 'queryTaken')
  coordinator.send({ kind: 'takeQuery', epoch: 7, queryId: ref.queryId })
  await coordinator.until(() => taken().length > 0)
  t.match(taken(), [{ epoch: 7, tasks: [{ task: ref.task, attempt: ref.attempt, firstFrame: 0 }] }])

  // What the old owner still says or asks for is of no effect.
  coordinator.send({ kind: 'acknowledge', epoch: 1, ...ref, frames: 2 })
  coordinator.send({ kind: 'cancelTask', epoch: 1, ...ref })
  coordinator.send({ kind: 'releaseQuery', epoch: 1, queryId: ref.queryId })
  const late = await FakeConsumer.connect({ address, cluster, clock })
  late.connection.send({ ...fetch, epoch: 1, fromFrame: 0, creditBytes: 1_000_000 })
  t.match(await late.end(1), { kind: 'failed', error: { error: 'task_superseded' } })

  coordinator.send({ kind: 'resumeTask', epoch: 7, call: 9, ...ref })
  const next = await FakeConsumer.connect({ address, cluster, clock })
  next.connection.send({
    ...fetch,
    epoch: 7,
    fromFrame: 1,
    creditBytes: Number.MAX_SAFE_INTEGER,
  })
  t.match(await old.end(1), { kind: 'failed', error: { error: 'task_superseded' } })
  const acknowledge = (): void => {
    const frames = next.frames.length + 1
    coordinator.send({ kind: 'acknowledge', epoch: 7, ...ref, frames })
  }
  while (!next.messages.some((message) => message.kind === 'ended')) {
    acknowledge()
    await clock.sleep(5)
  }
  t.ok(next.frames.every(({ frame }, i) => frame.sequence === i + 1))
  t.equal(tableOf([old.frames[0], ...next.frames].flatMap((f) => f?.bytes ?? [])).numRows, 3e6)
  for (const consumer of [old, late, next]) consumer.close()
})

t.test('a query that is taken over where it is not is refused to its old owner', async (t) => {
  await using world = await World.start()
  await world.startExecutor()
  const { coordinator } = world
  await coordinator.hello()
  coordinator.send({ kind: 'takeQuery', epoch: 5, queryId: ref.queryId })
  t.match((await coordinator.run(resultTask('SELECT 1'), 1)).error, { error: 'task_superseded' })
  t.equal((await coordinator.run(resultTask('SELECT 2', { attempt: 1 }), 5)).finished?.rows, 1)
  coordinator.send({ kind: 'resumeTask', epoch: 6, call: 3, ...ref, attempt: 4 })
  await coordinator.until(() =>
    coordinator.messages.some((m) => m.kind === 'taskFailed' && m.error.error === 'executor_lost'),
  )
})
