/**
 * Which executor takes a task: pure, so that the tests and a simulation run the same code as production.
 *
 * The load of an executor is its running tasks per slot, plus the part of its memory that is reserved, plus what waits
 * to be sent, in units of one slot. The least loaded wins; among those within {@link AFFINITY_SLACK} of it the one that
 * the task's files belong to (highest rendezvous hash, Thaler and Ravishankar 1998) does, so that the same file is read
 * by the same executor and is found in its caches. Tasks are handed out only as slots free up, so a slow executor
 * is given fewer of them, and a fast one is never kept waiting by it.
 */
export interface ExecutorState {
  readonly id: string
  /** Tasks that may run at once. */
  readonly slots: number
  /** Tasks known to run there, those of other coordinators included. */
  readonly tasksRunning: number
  readonly memoryReservedBytes: number
  readonly memoryLimitBytes: number
  readonly queuedBytes: number
  readonly draining: boolean
}

/** How much more loaded, in slots, an executor may be and still be preferred for its caches. */
export const AFFINITY_SLACK = 1
/** Bytes waiting to be sent that count as one busy slot. */
const QUEUED_BYTES_PER_SLOT = 16 * 1024 * 1024

/** Load in busy slots; `slots` or more means full. */
export function loadOf(executor: ExecutorState): number {
  const memory =
    executor.memoryLimitBytes === 0 ? 0 : executor.memoryReservedBytes / executor.memoryLimitBytes
  return (
    executor.tasksRunning + memory * executor.slots + executor.queuedBytes / QUEUED_BYTES_PER_SLOT
  )
}

/**
 * The executor for a task, or undefined when all are full or draining (`overcommit` ignores full).
 * `affinity` names what the task reads; `avoid` are executors that failed it before, taken only when no other is left.
 */
export function placeTask(
  executors: readonly ExecutorState[],
  task: {
    readonly affinity?: string | undefined
    readonly avoid?: ReadonlySet<string> | undefined
  },
  overcommit = false,
): string | undefined {
  const open = executors.filter((e) => !e.draining && (overcommit || e.tasksRunning < e.slots))
  const preferred = open.filter((e) => task.avoid?.has(e.id) !== true)
  const candidates = preferred.length > 0 ? preferred : open
  const first = candidates[0]
  if (first === undefined) return undefined
  // Relative load: an executor with eight slots and four tasks is as busy as one with two and one.
  const relative = candidates.map((e) => loadOf(e) / e.slots)
  const least = Math.min(...relative)
  let best: ExecutorState | undefined
  let bestRank = -1
  candidates.forEach((executor, i) => {
    const slack = task.affinity === undefined ? 0 : AFFINITY_SLACK / executor.slots
    if ((relative[i] ?? 0) > least + slack) return
    const rank = rendezvous(task.affinity ?? '', executor.id)
    if (rank > bestRank) [best, bestRank] = [executor, rank]
  })
  return (best ?? first).id
}

/** FNV-1a over both names with a final mix: stable between processes, which a random tie-break would not be. */
export function rendezvous(key: string, id: string): number {
  let hash = 0x811c9dc5
  for (const text of [key, '\u0001', id]) {
    for (let i = 0; i < text.length; i++) {
      hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193)
    }
  }
  hash ^= hash >>> 16
  hash = Math.imul(hash, 0x85ebca6b)
  hash ^= hash >>> 13
  return hash >>> 0
}
