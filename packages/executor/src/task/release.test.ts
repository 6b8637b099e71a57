import { existsSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { crc32 } from 'node:zlib'
import { deferred, silentLog, systemClock as clock } from '@nyala/client/base'
import { SqlError } from '@nyala/client/protocol'
import { encodeFrame, type Transport, type TransportEvents } from '@nyala/client/wire'
import t, { type Test } from 'tap'
import { diskFiles, type SegmentFiles } from '../exchange/segment-files.ts'
import { SegmentPuller } from '../exchange/segment-puller.ts'
import { SegmentStore } from '../exchange/segment-store.ts'
import type { KernelListener } from '../kernel/kernel-handle.ts'
import type { FromExecutor, Segment, TaskSpec } from '../protocol/index.ts'
import { resultTask, temporaryDirectory } from '../testing/world.ts'
import { type Kernels, TaskManager } from './task-manager.ts'

const BYTES = Buffer.from('rows')

const SEGMENT: Segment = {
  ...{ executor: 'e2', address: 'there:1', host: 'there', path: '/there/0.parquet' },
  ...{ partition: 0, rows: 1, bytes: BYTES.length, crc: crc32(BYTES) },
}

/** Another executor, which has the segment. */
function producer(): Transport {
  let events: TransportEvents | undefined
  return {
    bufferedBytes: 0,
    start: (given) => {
      events = given
    },
    send(data) {
      const { kind, call } = JSON.parse(String(data)) as { kind: string; call: number }
      if (kind !== 'fetchSegment') return
      const header = { kind: 'segment', last: false, call, sequence: 0, crc: crc32(BYTES) } as const
      queueMicrotask(() => {
        events?.onBinary(encodeFrame({ ...header, payload: BYTES }))
        events?.onText(JSON.stringify({ kind: 'ended', call, frames: 1, bytes: BYTES.length }))
      })
    },
    drained: () => Promise.resolve(),
    close: () => undefined,
    terminate: () => undefined,
  }
}

/** The tasks of an executor whose kernels never end a task; what its disk, or its kernel, does otherwise. */
async function open(
  t: Test,
  { files = {}, begin }: { files?: Partial<SegmentFiles>; begin?: () => never } = {},
) {
  const directory = await temporaryDirectory()
  t.teardown(() => rm(directory, { recursive: true }))
  const disk = { ...diskFiles, ...files }
  const place = { executor: 'e1', address: 'here:1', host: 'here' }
  const store = await SegmentStore.open(directory, place, undefined, disk)
  const common = { store, clock, log: silentLog }
  const dial = (): Promise<Transport> => Promise.resolve(producer())
  const puller = new SegmentPuller({ ...common, cluster: 'test', dial, files: disk })
  t.teardown(() => puller.close())
  const started = deferred<undefined>()
  const listeners: KernelListener[] = []
  const kernels: Kernels = {
    start: (_, listener) => {
      listeners.push(listener)
      started.resolve(undefined)
      begin?.()
      return { credit: () => undefined, cancel: () => undefined }
    },
    recycle: () => undefined,
  }
  const tasks = new TaskManager({
    ...{ ...common, puller, kernels, onLoadChange: () => undefined },
    describeWritten: () => Promise.reject(new Error('no tables here')),
  })
  const failed = deferred<FromExecutor>()
  const owner = {
    send: (message: FromExecutor) => {
      if (message.kind === 'taskFailed') failed.resolve(message)
    },
    sendFrame: () => undefined,
  }
  const start = (spec: Partial<TaskSpec> = {}): void => {
    const inputs = [{ exchange: 0, segments: [SEGMENT] }]
    tasks.startTask(owner, { epoch: 1, call: 1, spec: resultTask('', { inputs, ...spec }) })
  }
  const ofQuery = join(store.root, 'e1', 'q1')
  const told = { started: started.promise, failed: failed.promise }
  return { tasks, puller, store, start, ofQuery, listeners, ...told }
}

/** All that can go on without the disk has done so. */
async function turns(): Promise<void> {
  for (let i = 0; i < 10; i++) await new Promise((resolve) => setImmediate(resolve))
}

t.test('a copy that was about to begin when its query ended leaves no directory', async (t) => {
  const [asked, go] = [deferred<undefined>(), deferred<undefined>()]
  const [made, removed] = [deferred<undefined>(), deferred<undefined>()]
  const { tasks, start, ofQuery, failed } = await open(t, {
    files: {
      async makeDirectory(path) {
        if (path.endsWith('pulled')) {
          asked.resolve(undefined)
          await go.promise
        }
        await diskFiles.makeDirectory(path)
        made.resolve(undefined)
      },
      async remove(path) {
        await diskFiles.remove(path)
        if (path.endsWith('q1')) removed.resolve(undefined)
      },
    },
  })
  start()
  await asked.promise
  tasks.releaseQuery('q1', 1)
  await failed
  await turns()
  go.resolve(undefined)
  await Promise.all([made.promise, removed.promise])
  await turns()
  t.notOk(existsSync(ofQuery))
})

t.test('a task that looks for a copy when its query ends begins no other', async (t) => {
  const [asked, go] = [deferred<undefined>(), deferred<undefined>()]
  const { tasks, puller, start, store, ofQuery, started } = await open(t, {
    files: {
      async realPath(path) {
        if (path.includes('pulled')) {
          asked.resolve(undefined)
          await go.promise
        }
        return await diskFiles.realPath(path)
      },
    },
  })
  start()
  await started
  const looked = puller.pull(
    { queryId: 'q1', inputs: [{ exchange: 0, segments: [SEGMENT] }] },
    { signal: new AbortController().signal },
  )
  await asked.promise
  await puller.forget('q1')
  tasks.releaseQuery('q1', 1)
  await store.deleteQuery('q1')
  go.resolve(undefined)
  await t.rejects(looked, { error: 'query_canceled' } as object as Error)
  await puller.close()
  t.notOk(existsSync(ofQuery))
  t.equal(store.usedBytes, 0)
})

t.test(
  'whoever asks for a drain is told of its end, also where another asked before',
  async (t) => {
    const { tasks, start } = await open(t)
    start()
    const drained = [tasks.drain(), tasks.drain()]
    tasks.releaseQuery('q1', 1)
    await Promise.all([...drained, tasks.drain()])
  },
)

t.test('a query that is here again keeps its segments when a task of before ends', async (t) => {
  const removed: string[] = []
  const { tasks, start, ofQuery, listeners } = await open(t, {
    files: {
      async remove(path) {
        removed.push(path)
        await diskFiles.remove(path)
      },
    },
  })
  const output = { kind: 'exchange', exchange: 1, partitions: 1, keys: [] } as const
  start({ inputs: [], output })
  tasks.releaseQuery('q1', 1)
  start({ inputs: [], output, attempt: 1 })
  listeners[0]?.onFailed(new SqlError('query_canceled', 'the task was canceled'))
  await turns()
  t.notOk(removed.includes(ofQuery))
  listeners[1]?.onFailed(new SqlError('query_canceled', 'the task was canceled'))
  tasks.releaseQuery('q1', 1)
  await turns()
  t.ok(removed.includes(ofQuery))
})

for (const inputs of [[], undefined]) {
  const claim = inputs === undefined ? 'after its inputs have come' : 'at once'
  t.test(`a task that cannot begin, ${claim}, fails, and its executor goes on`, async (t) => {
    const { tasks, start, failed } = await open(t, {
      begin: () => {
        throw new Error('there is no kernel')
      },
    })
    start(inputs === undefined ? {} : { inputs })
    t.match(await failed, { error: { error: 'internal_error', message: 'there is no kernel' } })
    t.equal(tasks.load().tasksRunning, 0)
  })

  t.test(
    `a query whose id is no name fails ${claim}, and there is nothing to delete`,
    async (t) => {
      const queryId = '../q1'
      const { tasks, start, failed, store, puller } = await open(t)
      const output = { kind: 'exchange', exchange: 1, partitions: 1, keys: [] } as const
      start({ queryId, output, ...(inputs === undefined ? {} : { inputs }) })
      t.match(await failed, { error: { error: 'protocol_violation' } })
      tasks.releaseQuery(queryId, 1)
      await puller.close()
      await store.deleteQuery(queryId)
      t.equal(tasks.load().tasksRunning, 0)
    },
  )
}
