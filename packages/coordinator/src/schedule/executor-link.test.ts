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

t.test('a small result whose end comes before its last frame ends with that frame', async (t) => {
  const clock = new ManualClock()
  const executors = new Executors({ clock, log: silentLog, cluster: 'x', coordinator: 'c1' })
  const executor = new FakeExecutor()
  executors.accept(executor)
  executor.say({
    ...{ kind: 'hello', protocol: PROTOCOL_VERSION, cluster: 'x', executor: 'e1', incarnation: 1 },
    ...{ dataAddress: 'e1:1', host: 'h', pid: 1, threads: 1, memoryLimitBytes: 0 },
    ...{ kernel: '1', roots: [] },
  })
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
