import { type Clock, isMutant } from '@nyala/client/base'
import type { Placement } from './placement.ts'
import { type Ledger, ledgerOf } from './stage-ledger.ts'
import { type Assignment, attemptsLeft, isLastSlot, lastAttempt, type StageState } from './stage.ts'

/** Executors tell of a running task this often, whatever it does: the interval of `kernel-main.ts`. */
const TICK_MS = 100
/** How an attempt gets on is judged by so many of the last words of it. */
const TICKS = 8
/** An attempt is behind that is told of this many times less often than it should be. */
const SLOWNESS = 3
/** Nothing is held against an attempt before it is this old. */
const JUDGED_AFTER_MS = 1_000
/** How often a stage is looked at. */
export const LOOK_MS = 200
/** An attempt is behind, too, that takes this many times what others took on the mean for a task of the stage. */
const PEERS_SLOWNESS = 4
const PEERS_MIN = 2
const BEHIND_PEERS_AFTER_MS = 2_000

/** How one attempt gets on, by the clock of who reads: slow executors tell little, and hung ones nothing. */
export class Pace {
  readonly startedMs: number
  readonly #ticks: number[] = []

  constructor(startedMs: number) {
    this.startedMs = startedMs
  }

  tick(nowMs: number): void {
    this.#ticks.push(nowMs)
    if (this.#ticks.length > TICKS) this.#ticks.shift()
  }

  isBehind(nowMs: number): boolean {
    if (nowMs - this.startedMs < JUDGED_AFTER_MS) return false
    const [first = this.startedMs] = this.#ticks
    const sinceMs = this.#ticks.length === TICKS ? first : this.startedMs
    return nowMs - sinceMs > (this.#ticks.length + 1) * TICK_MS * SLOWNESS
  }
}

/** How a running attempt does, and whether another of the same task would do no harm. */
export interface Runner {
  readonly pace: Pace
  readonly mayBeTwo: boolean
}

/**
 * The second attempts that had better begin now, elsewhere, of tasks that do not get on where they run: what waits for
 * nobody else is waiting for these. Only where nothing is pending, so that no thread is taken from what has not begun.
 */
export function planTwins(
  stage: StageState,
  placement: Placement,
  now: {
    readonly ms: number
    readonly runner: (task: number) => Runner | undefined
  },
): readonly Assignment[] {
  const ledger = ledgerOf(stage.tasks)
  if (ledger.pending.length > 0 || ledger.tasksRunning === 0 || isMutant('no-speculation'))
    return []
  const late: number[] = []
  const slow = new Set<string>()
  stage.tasks.forEach((task, index) => {
    const runner = task.kind === 'running' ? now.runner(index) : undefined
    if (task.kind !== 'running' || runner === undefined) return
    const isSlow = runner.pace.isBehind(now.ms)
    if (isSlow) slow.add(task.executor)
    if (!isSlow && !isBehindPeers(ledger, task.executor, now.ms - runner.pace.startedMs)) return
    // One is left for an attempt that fails.
    const isLeft = attemptsLeft(stage, index) > 1
    if (task.twin === undefined && runner.mayBeTwo && isLeft) late.push(index)
  })
  return placed(stage, placement, { late, slow })
}

function placed(
  stage: StageState,
  placement: Placement,
  { late, slow }: { readonly late: readonly number[]; readonly slow: ReadonlySet<string> },
): readonly Assignment[] {
  const taken = new Set<string>()
  const assignments: Assignment[] = []
  for (const index of late) {
    const task = stage.tasks[index]
    if (task?.kind !== 'running') continue
    const accepts = (id: string): boolean =>
      id !== task.executor &&
      !task.avoid.has(id) &&
      !slow.has(id) &&
      !taken.has(id) &&
      !isLastSlot(placement.get(id))
    const executor = placement.place({ affinity: stage.affinities[index], accepts })
    if (executor === undefined) continue
    // More of them, where there is room, at the next look.
    taken.add(executor)
    assignments.push({ task: index, attempt: lastAttempt(task) + 1, executor })
  }
  return assignments
}

/** Executors that finished tasks of the stage took much less for each. */
function isBehindPeers({ done }: Ledger, executor: string, elapsedMs: number): boolean {
  if (elapsedMs < BEHIND_PEERS_AFTER_MS) return false
  let [ms, tasks] = [0, 0]
  for (const [id, sum] of done) {
    if (id === executor) continue
    ms += sum.ms
    tasks += sum.tasks
  }
  return tasks >= PEERS_MIN && elapsedMs > (PEERS_SLOWNESS * ms) / tasks
}

/** Calls `action` at intervals until the result is called. */
export function every(clock: Clock, ms: number, action: () => void): () => void {
  let stop: () => void
  const wait = (): void => {
    stop = clock.after(ms, () => {
      wait()
      action()
    })
  }
  wait()
  return () => stop()
}
