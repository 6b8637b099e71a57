import type { Clock } from '@nyala/client/base'
import { type ExecutorState, Placement } from '../placement.ts'
import * as stages from '../stage.ts'

export interface SimulatedExecutor {
  readonly id: string
  readonly threads: number
  /** Work units a thread does in a millisecond. */
  readonly speed: number
}

export interface SimulatedOutcome {
  readonly makespanMs: number
  /** By executor: tasks done, and when its last one ended. */
  readonly tasks: ReadonlyMap<string, number>
  readonly endedMs: ReadonlyMap<string, number>
  /** Most tasks that an executor had at once. */
  readonly peak: ReadonlyMap<string, number>
}

const SLOTS_PER_THREAD = 2
const SLOTS_MIN = 4

/**
 * Runs one stage on executors that are nothing but threads and a queue, through the dispatch and the transitions of
 * production. `work` has the units of each task.
 */
export async function simulateStage(
  clock: Clock,
  executors: readonly SimulatedExecutor[],
  work: readonly number[],
): Promise<SimulatedOutcome> {
  const started = clock.now()
  const [tasks, endedMs, peak] = [0, 0, 0].map(() => new Map<string, number>())
  const running = new Map(executors.map((e) => [e.id, 0]))
  const queues = new Map(executors.map((e) => [e.id, [] as number[]]))
  const held = (id: string): number => (running.get(id) ?? 0) + (queues.get(id)?.length ?? 0)
  let state = stages.newStage(work.map((_, i) => `/data/part-${i}.parquet`))
  await new Promise<void>((resolve) => {
    const startNext = (executor: SimulatedExecutor): void => {
      const queue = queues.get(executor.id) ?? []
      while ((running.get(executor.id) ?? 0) < executor.threads) {
        const index = queue.shift()
        if (index === undefined) return
        running.set(executor.id, (running.get(executor.id) ?? 0) + 1)
        clock.after((work[index] ?? 0) / executor.speed, () => finish(executor, index))
      }
    }
    const finish = (executor: SimulatedExecutor, index: number): void => {
      running.set(executor.id, (running.get(executor.id) ?? 0) - 1)
      tasks?.set(executor.id, (tasks.get(executor.id) ?? 0) + 1)
      endedMs?.set(executor.id, clock.now() - started)
      state = stages.toFinished(state, index, resultOf((work[index] ?? 0) / executor.speed))
      if (stages.isDone(state)) return resolve()
      dispatch()
      startNext(executor)
    }
    const dispatch = (): void => {
      const placement = Placement.of(executors.map((e) => stateOf(e, held(e.id))))
      for (const assignment of stages.planDispatch(state, placement)) {
        state = stages.toRunning(state, assignment)
        queues.get(assignment.executor)?.push(assignment.task)
      }
      for (const executor of executors) {
        peak?.set(executor.id, Math.max(peak.get(executor.id) ?? 0, held(executor.id)))
        startNext(executor)
      }
    }
    dispatch()
  })
  const none = new Map<string, number>()
  return {
    makespanMs: clock.now() - started,
    tasks: tasks ?? none,
    endedMs: endedMs ?? none,
    peak: peak ?? none,
  }
}

const stateOf = (executor: SimulatedExecutor, tasksRunning: number): ExecutorState => ({
  id: executor.id,
  threads: executor.threads,
  slots: Math.max(SLOTS_MIN, executor.threads * SLOTS_PER_THREAD),
  tasksRunning,
  memoryReservedBytes: 0,
  memoryLimitBytes: 0,
  queuedBytes: 0,
  draining: false,
})

const resultOf = (elapsedMs: number): stages.TaskResult => ({
  rows: 1,
  segments: [],
  statistics: {
    elapsedMs,
    cpuMs: elapsedMs,
    rows: 1,
    bytes: 0,
    peakMemoryBytes: 0,
    spillBytes: 0,
    pulledBytes: 0,
  },
  profile: undefined,
})
