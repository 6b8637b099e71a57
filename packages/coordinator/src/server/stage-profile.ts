import { type PhysicalPlan, writtenAs } from '../plan/physical-plan.ts'
import type { StageReport } from '../schedule/run-exchanges.ts'
import type { TaskProfile } from './profile.ts'

/** What became of the buckets of the exchanges that a stage read. */
export interface BucketUse {
  readonly all: number
  /** Nobody had written into them: no task reads them. */
  readonly empty: number
  /** So small that one task read several of them. */
  readonly joined: number
  /** So large that several tasks read a part each. */
  readonly cut: number
}

/** What one executor did for a stage. */
export interface ExecutorShare {
  readonly executor: string
  readonly tasks: number
  readonly rows: number
  /** Of its tasks together, which may have run at once. */
  readonly elapsedMs: number
  readonly cpuMs: number
  readonly inputBytes: number
  readonly pulledBytes: number
  readonly writtenBytes: number
  /** Of the task that had most. */
  readonly peakMemoryBytes: number
  readonly spillBytes: number
}

/** The buckets that a stage read, where it read any; `reports` are the stages that have run. */
export function bucketUse(
  plan: Pick<PhysicalPlan, 'exchanges'>,
  { fragment, parts }: Pick<StageReport, 'fragment' | 'parts'>,
  reports: readonly Pick<StageReport, 'fragment'>[],
): BucketUse | undefined {
  const read = new Set(
    fragment.inputs
      .filter(({ use }) => use === 'buckets')
      .map(({ exchange }) => writtenAs(plan, exchange)),
  )
  if (read.size === 0) return undefined
  const written = reports.flatMap(({ fragment: { output } }) =>
    output.kind === 'exchange' && read.has(output.exchange) ? [output.buckets] : [],
  )
  const used = new Set<number>()
  const cut = new Set<number>()
  let joined = 0
  for (const part of parts) {
    if (part.kind !== 'buckets') continue
    for (const bucket of part.buckets) (part.cut === undefined ? used : cut).add(bucket)
    if (part.buckets.size > 1) joined += part.buckets.size
  }
  const all = Math.max(0, ...written)
  return { all, empty: Math.max(0, all - used.size - cut.size), joined, cut: cut.size }
}

/** By executor, in the order of their names. */
export function executorShares(tasks: readonly TaskProfile[]): readonly ExecutorShare[] {
  const names = [...new Set(tasks.map(({ executor }) => executor))].toSorted()
  return names.map((executor) => {
    const own = tasks.filter((task) => task.executor === executor)
    const sum = (of: (task: TaskProfile) => number): number =>
      own.reduce((total, task) => total + of(task), 0)
    return {
      executor,
      tasks: own.length,
      rows: sum(({ rows }) => rows),
      elapsedMs: sum(({ elapsedMs }) => elapsedMs),
      cpuMs: sum(({ cpuMs }) => cpuMs),
      inputBytes: sum(({ inputBytes }) => inputBytes),
      pulledBytes: sum(({ pulledBytes }) => pulledBytes),
      writtenBytes: sum(({ writtenBytes }) => writtenBytes),
      peakMemoryBytes: Math.max(0, ...own.map(({ peakMemoryBytes }) => peakMemoryBytes)),
      spillBytes: sum(({ spillBytes }) => spillBytes),
    }
  })
}

/** The longest time divided by the mean; 1 where nothing took any. */
export function skewOf(tasks: readonly Pick<TaskProfile, 'elapsedMs'>[]): number {
  const times = tasks.map(({ elapsedMs }) => elapsedMs)
  const total = times.reduce((sum, one) => sum + one, 0)
  return total > 0 ? (Math.max(...times) * times.length) / total : 1
}
