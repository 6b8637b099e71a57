import { silentLog } from '@nyala/client/base'
import { PROTOCOL_VERSION } from '@nyala/client/protocol'
import { encodeFrame, type Transport, type TransportEvents } from '@nyala/client/wire'
import type { FromExecutor, TaskSpec } from '@nyala/executor/protocol'
import { ManualClock } from '@nyala/metastore/memory'
import t from 'tap'
import { Executors } from './executors.ts'

/** An executor's end of its control socket. */
class FakeExecutor implements Transport {
  readonly bufferedBytes = 0
  #events: TransportEvents | undefined

  start(events: TransportEvents): void {
    this.#events = events
  }

  say(message: FromExecutor): void {
    this.#events?.onText(JSON.stringify(message))
  }

  frame(sequence: number): void {
    const payload = new Uint8Array(4)
    const origin = { call: 1, task: 0, attempt: 0, crc: 0 }
    this.#events?.onBinary(
      encodeFrame({ kind: 'arrow', last: false, sequence, ...origin, payload }),
    )
  }

  send(): void {}
  drained(): Promise<void> {
    return Promise.resolve()
  }
  close(): void {}
  terminate(): void {}
}

const ref = { queryId: 'q', task: 0, attempt: 0 }
const spec: TaskSpec = {
  ...ref,
  sql: [],
  files: [],
  output: { kind: 'result' },
  inputs: [],
  memoryLimitBytes: 0,
  threads: 0,
  profile: false,
  kernelSettings: {},
}
const statistics = { elapsedMs: 0, cpuMs: 0, rows: 0, bytes: 0, peakMemoryBytes: 0 }
const finished: FromExecutor = {
  ...{ kind: 'taskFinished', ...ref, rows: 0, frames: 2, crc: 0, segments: [] },
  statistics: { ...statistics, spillBytes: 0, pulledBytes: 0 },
}

const nothing = (): void => undefined
const EVENTS = {
  ...{ columns: nothing, progress: nothing, frame: nothing, finished: nothing, failed: nothing },
}

function joined(): { readonly executors: Executors; readonly executor: FakeExecutor } {
  const clock = new ManualClock()
  const executors = new Executors({ clock, log: silentLog, cluster: 'x', coordinator: 'c1' })
  const executor = new FakeExecutor()
  executors.accept(executor)
  executor.say({
    ...{ kind: 'hello', protocol: PROTOCOL_VERSION, cluster: 'x', executor: 'e1', incarnation: 1 },
    ...{ dataAddress: 'e1:1', host: 'h', pid: 1, threads: 1, memoryLimitBytes: 0 },
    ...{ kernel: '1', roots: [] },
  })
  return { executors, executor }
}

const loadOf = (tasksRunning: number, tasksOwned: number): FromExecutor => ({
  ...{ kind: 'load', tasksRunning, tasksOwned, memoryReservedBytes: 0, queuedBytes: 0 },
  ...{ exchangeBytes: 0, kernels: 1, draining: false },
})

t.test(
  'a slot that a task leaves is offered to who waits, whatever the executor tells',
  async (t) => {
    const { executors, executor } = joined()
    executor.say(loadOf(0, 0))
    const link = executors.get('e1')
    for (let task = 0; task < 4; task++) link?.startTask({ ...spec, task }, 1, EVENTS)
    t.equal(executors.placement.isFull, true)
    const asked: string[] = []
    const waiting = (session: string, take = nothing): void => {
      executors.onChange(
        () => {
          asked.push(session)
          take()
        },
        { session, running: () => 0 },
      )
    }
    waiting('first', () => link?.startTask({ ...spec, task: 4 }, 1, EVENTS))
    waiting('second')
    executor.say({ ...finished, frames: 0 })
    await Promise.resolve()
    t.same(asked, ['first'], 'who comes first, and nobody for whom nothing is left')
    executor.say({ ...finished, task: 1, frames: 0 })
    executor.say({ ...finished, task: 2, frames: 0 })
    await Promise.resolve()
    t.same(asked, ['first', 'first', 'second'], 'once for all that ended in one go')
  },
)

t.test('an executor that others keep full takes one task of this coordinator', async (t) => {
  const { executors, executor } = joined()
  executor.say(loadOf(9, 0))
  t.equal(executors.placement.isFull, false)
  executors.get('e1')?.startTask(spec, 1, EVENTS)
  t.equal(executors.placement.isFull, true)
  executor.say(loadOf(10, 1))
  t.equal(executors.placement.isFull, true)
})

t.test('a small result whose end comes before its last frame ends with that frame', async (t) => {
  const { executors, executor } = joined()
  const seen: string[] = []
  executors.get('e1')?.startTask(spec, 1, {
    columns: () => undefined,
    progress: () => undefined,
    frame: ({ sequence }) => seen.push(`frame ${sequence}`),
    finished: () => seen.push('finished'),
    failed: ({ message }) => seen.push(message),
  })
  executor.frame(0)
  executor.say(finished)
  t.same(seen, ['frame 0'])
  executor.frame(1)
  t.same(seen, ['frame 0', 'frame 1', 'finished'])
  t.equal(executors.get('e1')?.tasksRunning, 0)
})
