import { Prng } from '@nyala/client/base'
import { ManualClock } from '@nyala/metastore/memory'
import t from 'tap'
import { type SimulatedExecutor, simulateStage } from './testing/simulated-cluster.ts'

/** What one task of a stage takes on a fast executor. */
const TASK_MS = 100
/** More than this part of the best possible time is a starving or a drowning executor. */
const MAKESPAN_MAX = 1.3
const SLOWNESS = 4

const cluster = (fast: number, threads: number): readonly SimulatedExecutor[] => [
  ...Array.from({ length: fast }, (_, i) => ({ id: `fast-${i}`, threads, speed: 1 })),
  { id: 'slow', threads, speed: 1 / SLOWNESS },
]

const idealMs = (executors: readonly SimulatedExecutor[], work: readonly number[]): number =>
  work.reduce((sum, w) => sum + w, 0) / executors.reduce((sum, e) => sum + e.threads * e.speed, 0)

for (const [fast, threads, tasksPerThread] of [
  [2, 2, 4],
  [3, 1, 4],
  [3, 4, 4],
  [2, 2, 8],
  [2, 2, 16],
  [3, 1, 12],
  [3, 4, 8],
  [5, 2, 10],
] as const) {
  const shape = `${fast} fast and one slow executor of ${threads} threads, ${tasksPerThread} tasks a thread`
  t.test(`no executor starves or drowns: ${shape}`, async (t) => {
    const executors = cluster(fast, threads)
    const work = Array.from({ length: executors.length * threads * tasksPerThread }, () => TASK_MS)
    const clock = new ManualClock()
    const outcome = await clock.run(simulateStage(clock, executors, work))
    const ratio = outcome.makespanMs / idealMs(executors, work)
    t.ok(ratio <= MAKESPAN_MAX, `${ratio.toFixed(2)} of the best possible time`)
    const [slow, quick] = [outcome.tasks.get('slow') ?? 0, outcome.tasks.get('fast-0') ?? 0]
    const share = slow / quick
    t.ok(share > 0.15 && share < 0.45, `the slow one did ${slow} tasks, a fast one ${quick}`)
    for (const { id, speed } of executors) {
      const idleMs = outcome.makespanMs - (outcome.endedMs.get(id) ?? 0)
      // At the end an executor may wait for the last task of another, and that is all.
      t.ok(idleMs <= (TASK_MS * SLOWNESS * 2) / speed, `${id} was idle for the last ${idleMs} ms`)
      t.ok(
        (outcome.peak.get(id) ?? 0) <= threads + 1,
        `${id} never had more than it can begin soon`,
      )
    }
  })
}

t.test('tasks of very different sizes leave no executor out either', async (t) => {
  for (const seed of [1, 2, 3, 4, 5]) {
    const random = new Prng(seed)
    const executors = cluster(3, 2)
    const work = Array.from({ length: 120 }, () => TASK_MS / 4 + random.below(TASK_MS))
    const clock = new ManualClock()
    const outcome = await clock.run(simulateStage(clock, executors, work))
    const ratio = outcome.makespanMs / idealMs(executors, work)
    t.ok(ratio <= MAKESPAN_MAX, `seed ${seed}: ${ratio.toFixed(2)} of the best possible time`)
    t.equal(
      [...outcome.tasks.values()].reduce((a, b) => a + b, 0),
      work.length,
      'each ran once',
    )
  }
})
