import { expectedTasks, type TaskPart } from '../plan/fragment/tasks.ts'
import { type Fragment, type PhysicalPlan, scanOf, taskBytes } from '../plan/physical-plan.ts'
import type { TaskProgress } from './executor-link.ts'
import type { StageState } from './stage.ts'

/** A task under way, as far as progress is concerned. */
export interface LiveTask {
  readonly index: number
  readonly fragment: Fragment
  readonly part: TaskPart
  progress: TaskProgress | undefined
}

/** Where a query stands: tasks, and bytes of the splits of what is done or, in part, under way. */
export interface RunProgress {
  readonly tasksDone: number
  readonly tasksRunning: number
  readonly rowsRead: number
  readonly bytesRead: number
  readonly bytesTotal: number
  /** Of the largest kernel instance that has a task of it under way, with whatever else runs there. */
  readonly memoryBytes: number
}

export function runProgress(
  plan: PhysicalPlan,
  reports: readonly {
    readonly fragment: Fragment
    readonly parts: readonly TaskPart[]
    readonly state: StageState
  }[],
  live: Iterable<LiveTask>,
): RunProgress {
  let [tasksDone, tasksRunning, bytesRead, rowsRead, memoryBytes] = [0, 0, 0, 0, 0]
  for (const { fragment, parts, state } of reports) {
    state.tasks.forEach((task, index) => {
      const part = parts[index]
      if (task.kind !== 'finished' || part === undefined) return
      tasksDone++
      bytesRead += taskBytes(plan, fragment, part)
    })
  }
  for (const { fragment, part, progress } of live) {
    tasksRunning++
    bytesRead += Math.round(taskBytes(plan, fragment, part) * (progress?.fraction ?? 0))
    rowsRead += progress?.rowsRead ?? 0
    memoryBytes = Math.max(memoryBytes, progress?.memoryBytes ?? 0)
  }
  const bytesTotal = plan.fragments.reduce((sum, f) => sum + fragmentBytes(plan, f), 0)
  return { tasksDone, tasksRunning, rowsRead, bytesRead, bytesTotal, memoryBytes }
}

/** What the tasks of a fragment read together: a divided scan once, any other by every task. */
function fragmentBytes(plan: PhysicalPlan, fragment: Fragment): number {
  const tasks = fragment.divided?.[0]?.groups.length ?? 1
  return fragment.scans.reduce((sum, id) => {
    const bytes = scanOf(plan, id).files.reduce((n, file) => n + file.bytes, 0)
    const isDivided = fragment.divided?.some(({ scan }) => scan === id) ?? false
    return sum + (isDivided ? bytes : bytes * tasks)
  }, 0)
}

/** Tasks of all stages: of those that have not begun as many as are expected. */
export const tasksTotal = (
  plan: PhysicalPlan,
  reports: readonly { readonly parts: readonly TaskPart[] }[],
  slots: number,
): number =>
  plan.fragments.reduce(
    (sum, fragment, i) => sum + (reports[i]?.parts.length ?? expectedTasks(fragment, slots)),
    0,
  )
