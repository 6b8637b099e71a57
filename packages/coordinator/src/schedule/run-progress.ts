import { type Fragment, type PhysicalPlan, taskBytes, taskCount } from '../plan/physical-plan.ts'
import type { TaskProgress } from './executor-link.ts'
import type { StageState } from './stage.ts'

/** A task under way, as far as progress is concerned. */
export interface LiveTask {
  readonly index: number
  readonly fragment: Fragment
  progress: TaskProgress | undefined
}

/** Where a query stands: tasks, and bytes of the splits of what is done or, in part, under way. */
export interface RunProgress {
  readonly tasksDone: number
  readonly tasksRunning: number
  readonly rowsRead: number
  readonly bytesRead: number
  readonly bytesTotal: number
}

export function runProgress(
  plan: PhysicalPlan,
  reports: readonly { readonly fragment: Fragment; readonly state: StageState }[],
  live: Iterable<LiveTask>,
): RunProgress {
  let [tasksDone, tasksRunning, bytesRead, rowsRead] = [0, 0, 0, 0]
  for (const { fragment, state } of reports) {
    state.tasks.forEach((task, index) => {
      if (task.kind !== 'finished') return
      tasksDone++
      bytesRead += taskBytes(plan, fragment, index)
    })
  }
  for (const { fragment, index, progress } of live) {
    tasksRunning++
    bytesRead += Math.round(taskBytes(plan, fragment, index) * (progress?.fraction ?? 0))
    rowsRead += progress?.rowsRead ?? 0
  }
  const bytesTotal = plan.fragments.reduce((sum, f) => sum + fragmentBytes(plan, f), 0)
  return { tasksDone, tasksRunning, rowsRead, bytesRead, bytesTotal }
}

const fragmentBytes = (plan: PhysicalPlan, fragment: Fragment): number =>
  Array.from({ length: taskCount(fragment) }, (_, i) => taskBytes(plan, fragment, i)).reduce(
    (a, b) => a + b,
    0,
  )
