import type { Placement } from './placement.ts'
import type { Ledger } from './stage-ledger.ts'

/**
 * Executors that had better take no more tasks of a stage: each has shown by the tasks it finished that the others
 * would be through with all that is pending before it was through with one more. So a slow executor works for as long
 * as it helps, and is not what everyone waits for at the end. Where nothing is known of an executor, it may work.
 */
export function stragglers(
  { pending, running, done }: Ledger,
  placement: Pick<Placement, 'get'>,
): ReadonlySet<string> {
  const found = new Set<string>()
  if (done.size < 2) return found
  // One that is full of other queries' tasks cannot be waited for.
  const isOpen = (id: string): boolean => {
    const state = placement.get(id)
    if (state === undefined || state.draining) return false
    return state.tasksRunning < state.slots || running.has(id)
  }
  const threadsOf = (id: string): number => placement.get(id)?.threads ?? 0
  let [open, rate, fastest, second, slowest] = [0, 0, Infinity, Infinity, 0]
  for (const [id, { ms, tasks }] of done) {
    if (!isOpen(id)) continue
    const meanMs = ms / tasks
    open++
    rate += threadsOf(id) / Math.max(1, meanMs)
    slowest = Math.max(slowest, meanMs)
    if (meanMs < fastest) [fastest, second] = [meanMs, fastest]
    else if (meanMs < second) second = meanMs
  }
  // None is slower than the slowest, and none has faster others than all of them.
  if (open < 2 || slowest <= fastest + pending.length / rate) return found
  for (const [id, { ms, tasks }] of done) {
    if (!isOpen(id)) continue
    const meanMs = ms / tasks
    const others = rate - threadsOf(id) / Math.max(1, meanMs)
    // The others end what they have begun, then all that is pending.
    if (meanMs > (meanMs === fastest ? second : fastest) + pending.length / others) found.add(id)
  }
  return found
}
