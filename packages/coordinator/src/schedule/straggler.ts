import type { ExecutorState } from './placement.ts'
import type { StageState } from './stage.ts'

/**
 * Executors that had better take no more tasks of a stage: each has shown by the tasks it finished that the others
 * would be through with all that is pending before it was through with one more. So a slow executor works for as long
 * as it helps, and is not what everyone waits for at the end. Where nothing is known of an executor, it may work.
 */
export function stragglers(
  stage: StageState,
  executors: readonly ExecutorState[],
  threadsOf: (executor: string) => number,
): ReadonlySet<string> {
  const pending = stage.tasks.filter((task) => task.kind === 'pending').length
  const meanMs = meanTaskMs(stage)
  const working = new Set(stage.tasks.flatMap((t) => (t.kind === 'running' ? [t.executor] : [])))
  // One that is full of other queries' tasks cannot be waited for.
  const isFree = (e: ExecutorState): boolean => working.has(e.id) || e.tasksRunning < e.slots
  const open = executors.filter((e) => !e.draining && meanMs.has(e.id) && isFree(e))
  const tasksPerMs = (id: string): number => threadsOf(id) / Math.max(1, meanMs.get(id) ?? 1)
  const found = new Set<string>()
  for (const { id } of open) {
    const others = open.filter((e) => e.id !== id)
    const rate = others.reduce((sum, e) => sum + tasksPerMs(e.id), 0)
    const fastestMs = Math.min(...others.map((e) => meanMs.get(e.id) ?? 0))
    // The others end what they have begun, then all that is pending.
    if (rate > 0 && (meanMs.get(id) ?? 0) > fastestMs + pending / rate) found.add(id)
  }
  return found
}

/** Milliseconds that a task took each executor, on average over those that it finished. */
function meanTaskMs(stage: StageState): ReadonlyMap<string, number> {
  const sums = new Map<string, { ms: number; tasks: number }>()
  for (const task of stage.tasks) {
    if (task.kind !== 'finished') continue
    const sum = sums.get(task.executor) ?? { ms: 0, tasks: 0 }
    sums.set(task.executor, { ms: sum.ms + task.statistics.elapsedMs, tasks: sum.tasks + 1 })
  }
  return new Map([...sums].map(([id, { ms, tasks }]) => [id, ms / tasks]))
}
