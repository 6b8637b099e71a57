import { Prng } from '@nyala/client/base'
import {
  type ExecutorState,
  newStage,
  Placement,
  planDispatch,
  type StageState,
  toFinished,
  toRunning,
} from '@nyala/coordinator/testing'
import { type Measurement, median, round, spread } from './measurement.ts'

const EXECUTORS = [10, 100, 1_000]
const THREADS = 8
const GOAL_US = 25
const ROUNDS = 9
const PLACEMENTS = 20_000
/** Tasks of a stage for each thread. */
const TASKS_PER_THREAD = 1

/**
 * What it takes to place a task, with the code of production and members that are nothing but their load. No socket,
 * no process. By CPU time, that of the collector and of compiling included.
 */
export async function measurePlacement(): Promise<readonly Measurement[]> {
  const measurements: Measurement[] = []
  for (const count of EXECUTORS) {
    measurements.push(
      measurement(
        `placement of one task, ${count} executors`,
        rounds(() => placeOneByOne(count)),
      ),
      measurement(
        `placement in a stage of ${count * THREADS * TASKS_PER_THREAD} tasks, ${count} executors`,
        rounds(() => placeStage(count)),
      ),
      measurement(
        `dispatch when one task of it has ended, ${count} executors`,
        rounds(() => placeNext(count)),
      ),
    )
  }
  return Promise.resolve(measurements)
}

/** CPU time of this process: the machine may have other work. */
function cpuMs(): number {
  const { user, system } = process.cpuUsage()
  return (user + system) / 1_000
}

const rounds = (one: () => number): readonly number[] => {
  // The first rounds are compiled while they run.
  for (let i = 0; i < 2; i++) one()
  return Array.from({ length: ROUNDS }, one)
}

const measurement = (name: string, samplesUs: readonly number[]): Measurement => ({
  name,
  value: median(samplesUs),
  unit: 'µs',
  goal: { kind: 'most', value: GOAL_US },
  detail: `${ROUNDS} rounds: ${spread(samplesUs)}; least ${round(Math.min(...samplesUs))}`,
})

const memberOf = (i: number, tasksRunning: number, threads = THREADS): ExecutorState => ({
  id: `e${i}`,
  threads,
  slots: 2 * THREADS,
  tasksRunning,
  memoryReservedBytes: 0,
  memoryLimitBytes: 2 ** 34,
  queuedBytes: 0,
  draining: false,
})

const membersOf = (count: number, random: Prng): Placement =>
  Placement.of(Array.from({ length: count }, (_, i) => memberOf(i, random.below(THREADS))))

/** Tasks come and go everywhere: each placement follows a change of load, and is counted where it was put. */
function placeOneByOne(count: number): number {
  const random = new Prng(1)
  const placement = membersOf(count, random)
  const files = Array.from({ length: 1_000 }, (_, i) => `/data/lineitem/part-${i}.parquet`)
  const startedAt = cpuMs()
  for (let i = 0; i < PLACEMENTS; i++) {
    placement.set(memberOf(random.below(count), random.below(THREADS)))
    const id = placement.place({ affinity: files[i % files.length] })
    const state = placement.get(id ?? '')
    if (state === undefined) throw new Error('no executor has room')
    placement.set({ ...state, tasksRunning: state.tasksRunning + 1 })
    placement.set(state)
  }
  return ((cpuMs() - startedAt) * 1_000) / PLACEMENTS
}

const stageOf = (count: number, tasks: number): StageState =>
  newStage(Array.from({ length: count * tasks }, (_, i) => `/data/lineitem/part-${i}.parquet`))

/** All tasks of a new stage at once; for each of them. */
function placeStage(count: number): number {
  const placement = Placement.of(Array.from({ length: count }, (_, i) => memberOf(i, 0)))
  const stage = stageOf(count, THREADS * TASKS_PER_THREAD)
  const startedAt = cpuMs()
  const assignments = planDispatch(stage, placement)
  const elapsedMs = cpuMs() - startedAt
  if (assignments.length !== stage.tasks.length) throw new Error('not every task was placed')
  return (elapsedMs * 1_000) / assignments.length
}

/** A stage of two tasks for each executor, of one thread each: one task ends, the next is placed. */
function placeNext(count: number): number {
  const placement = Placement.of(Array.from({ length: count }, (_, i) => memberOf(i, 0, 1)))
  const countTasks = (id: string, by: number): void => {
    const state = placement.get(id)
    if (state !== undefined) placement.set({ ...state, tasksRunning: state.tasksRunning + by })
  }
  let stage = stageOf(count, 2)
  const running: { readonly task: number; readonly executor: string }[] = []
  let [dispatches, elapsedMs] = [0, 0]
  for (;;) {
    const startedAt = cpuMs()
    const assignments = planDispatch(stage, placement)
    if (dispatches > 0) elapsedMs += cpuMs() - startedAt
    for (const assignment of assignments) {
      stage = toRunning(stage, assignment)
      countTasks(assignment.executor, 1)
      running.push(assignment)
    }
    const ended = running.shift()
    if (ended === undefined || dispatches === 200) return (elapsedMs * 1_000) / dispatches
    dispatches++
    stage = toFinished(stage, ended.task, FINISHED)
    countTasks(ended.executor, -1)
  }
}

const FINISHED: Parameters<typeof toFinished>[2] = {
  rows: 1,
  segments: [],
  statistics: {
    elapsedMs: 100,
    cpuMs: 100,
    rows: 1,
    bytes: 0,
    peakMemoryBytes: 0,
    spillBytes: 0,
    pulledBytes: 0,
  },
  profile: undefined,
}
