import { silentLog, systemClock } from '@nyala/client/base'
import { decodeFrame, encodeFrame } from '@nyala/client/wire'
import t from 'tap'
import type { KernelListener } from '../kernel/kernel-handle.ts'
import type { FromExecutor, TaskSpec } from '../protocol/index.ts'
import { TaskManager, type TaskManagerOptions } from './task-manager.ts'
import type { OwnerLink } from './owner-link.ts'

const spec = (task: number): TaskSpec => ({
  ...{ queryId: 'q', task, attempt: 0, sql: [], files: [], inputs: [] },
  ...{ output: { kind: 'result' }, memoryLimitBytes: 0, threads: 0, profile: false },
  kernelSettings: {},
})

const FINISHED = {
  ...{ rows: 1, frames: 1, files: [], bytes: 0, elapsedMs: 0, cpuMs: 0 },
  ...{ peakMemoryBytes: 0, spillBytes: 0, profile: undefined },
}

class Link implements OwnerLink {
  readonly messages: FromExecutor['kind'][] = []
  readonly calls: number[] = []

  send({ kind }: FromExecutor): void {
    this.messages.push(kind)
  }

  sendFrame(bytes: Uint8Array): void {
    const frame = decodeFrame(bytes)
    if (typeof frame === 'string') throw new Error(frame)
    this.calls.push(frame.call)
  }
}

/** Tasks whose kernels do what they are told to. */
function openTasks() {
  const kernels: KernelListener[] = []
  const parts = {
    kernels: {
      start: (_: unknown, listener: KernelListener) => {
        kernels.push(listener)
        return { credit: () => undefined, cancel: () => undefined }
      },
      recycle: () => undefined,
    },
    ...{ clock: systemClock, log: silentLog, onLoadChange: () => undefined },
  }
  const tasks = new TaskManager(parts as unknown as TaskManagerOptions)
  const end = (kernel: number): void => {
    const payload = new Uint8Array(4)
    const frame = encodeFrame({
      ...{ kind: 'arrow', call: 0, task: 0, attempt: 0, sequence: 0, last: false, crc: 0 },
      payload,
    })
    kernels[kernel]?.onFrame(Buffer.from(frame))
    kernels[kernel]?.onFinished(FINISHED as unknown as Parameters<KernelListener['onFinished']>[0])
  }
  return { tasks, end }
}

t.test('frames go to the socket that their call is of, and to no other', (t) => {
  const { tasks, end } = openTasks()
  const [former, now] = [new Link(), new Link()]
  tasks.startTask(former, { epoch: 1, call: 7, spec: spec(0) })
  tasks.onLinkClosed(former)
  // Its coordinator is back, and has the same query do something else here, which gives it all of the query's tasks.
  tasks.startTask(now, { epoch: 1, call: 1, spec: spec(1) })
  end(0)
  t.same(now.calls, [], 'call 7 of this socket is something else')
  end(1)
  t.same(now.calls, [1])
  tasks.startTask(now, { epoch: 1, call: 2, spec: spec(0) })
  t.same(now.calls, [1, 2], 'asked for again it comes under the call that asks')
  t.end()
})
