import type { ResultSoFar, TaskSpec } from '@nyala/executor/protocol'
import { type Produced, segmentsOf, type TaskPart } from '../plan/fragment/tasks.ts'
import { type Fragment, type PhysicalPlan, taskFiles, taskSql } from '../plan/physical-plan.ts'
import { type TableOutputOf, taskOutput } from './run-exchanges.ts'

/** What all tasks of a query have in common. */
export interface SpecOptions {
  readonly queryId: string
  readonly memoryLimitBytes: number
  readonly spillLimitBytes?: number
  readonly profile: boolean
  readonly kernelSettings: Readonly<Record<string, string>>
  readonly rowsMax: number
  readonly table?: TableOutputOf | undefined
}

export interface TaskAttempt {
  readonly plan: PhysicalPlan
  readonly fragment: Fragment
  readonly part: TaskPart
  /** Its number in the query. */
  readonly number: number
  readonly attempt: number
  /** What the client has of an attempt that was lost. */
  readonly after: ResultSoFar | undefined
  /** A kernel died under it: no other task is to run beside it. */
  readonly alone?: boolean
  readonly produced: (exchange: number) => readonly Produced[]
}

/** An attempt of a task as its executor is told. */
export function taskSpecOf(options: SpecOptions, task: TaskAttempt): TaskSpec {
  const {
    queryId,
    memoryLimitBytes,
    spillLimitBytes = 0,
    rowsMax,
    profile,
    kernelSettings,
  } = options
  const { plan, fragment, part, number, attempt, after, alone, produced } = task
  const inputs = fragment.inputs.map((input) => ({
    exchange: input.exchange,
    segments: segmentsOf(input, part, produced(input.exchange)),
  }))
  return {
    queryId,
    task: number,
    attempt,
    sql: taskSql(plan, fragment, part),
    files: taskFiles(plan, fragment, part),
    output: taskOutput(fragment, plan, options.table?.(number, attempt)),
    inputs,
    memoryLimitBytes,
    ...(spillLimitBytes > 0 ? { spillLimitBytes } : {}),
    threads: 0,
    profile,
    kernelSettings,
    ...(after === undefined ? {} : { after }),
    ...(alone === true ? { alone } : {}),
    ...(fragment.rowsMax === undefined ? {} : { rowsMax: fragment.rowsMax }),
    ...(rowsMax > 0 && fragment.output.kind === 'result' ? { rowsLimit: rowsMax } : {}),
  }
}
