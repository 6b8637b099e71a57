import type { Down, QueryState } from '@nyala/client/protocol'
import type { RunningQuery } from './query-registry.ts'
import type { QueryProgress } from './query-statement.ts'

/** State and numbers of one statement. */
export class CallTracker {
  state: QueryState = 'planning'
  waitsFor: string | undefined
  progress: (() => QueryProgress) | undefined
  profile: (() => unknown) | undefined
  readonly #started: number

  constructor(started: number) {
    this.#started = started
  }

  status(now: number): ReturnType<RunningQuery['status']> {
    const progress = this.progress?.()
    return {
      ...(this.waitsFor === undefined ? {} : { waitsFor: this.waitsFor }),
      elapsedMs: now - this.#started,
      rows: progress?.rows ?? 0,
      memoryBytes: progress?.memoryBytes ?? 0,
      tasksDone: progress?.tasksDone ?? 0,
      tasksTotal: progress?.tasksTotal ?? 0,
    }
  }

  message(call: number, now: number): Extract<Down, { kind: 'progress' }> | undefined {
    const progress = this.progress?.()
    if (progress === undefined) return undefined
    const { tasksDone, tasksRunning, tasksTotal, executors, rowsRead, bytesRead, bytesTotal } =
      progress
    const fraction = bytesTotal > 0 ? bytesRead / bytesTotal : tasksDone / Math.max(1, tasksTotal)
    return {
      kind: 'progress',
      call,
      state: this.state,
      tasksDone,
      tasksRunning,
      tasksTotal,
      executors,
      rowsRead,
      bytesRead,
      bytesTotal,
      fraction: Math.min(1, fraction),
      elapsedMs: now - this.#started,
    }
  }
}
