import { assert } from '@nyala/client/base'
import type { TableFile, TaskSpec } from '@nyala/executor/protocol'
import type { Produced, TaskPart } from '../plan/fragment/tasks.ts'
import {
  type ExchangeSize,
  type Fragment,
  type PhysicalPlan,
  writtenAs,
  writtenExchanges,
} from '../plan/physical-plan.ts'
import type { StageState } from './stage.ts'

/** Where the files of one attempt go, by the task's number in the query. */
export type TableOutputOf = (
  task: number,
  attempt: number,
) => Extract<TaskSpec['output'], { kind: 'table' }>

/** Where the rows of a fragment's task go; `table` takes those that would be the result. */
export function taskOutput(
  { output }: Pick<Fragment, 'output'>,
  { exchanges }: Pick<PhysicalPlan, 'exchanges'>,
  table: TaskSpec['output'] | undefined,
): TaskSpec['output'] {
  if (output.kind === 'result') return table ?? output
  const { exchange, keys, buckets } = output
  const columns = exchanges.get(exchange)?.columns
  return { kind: 'exchange', exchange, partitions: buckets, keys: [...keys], columns }
}

/** The files of a table that were written by the attempts that count. All stages have ended. */
export const writtenFiles = (stages: readonly RunStage[]): readonly TableFile[] =>
  stages.flatMap(({ state }) =>
    state.tasks.flatMap((task) => (task.kind === 'finished' ? (task.tableFiles ?? []) : [])),
  )

/** Executors whose segments a fragment reads. */
export const producersOf = (
  { inputs }: Pick<Fragment, 'inputs'>,
  produced: (exchange: number) => readonly Produced[],
): ReadonlySet<string> =>
  new Set(
    inputs.flatMap(({ exchange }) => produced(exchange).map(({ segment }) => segment.executor)),
  )

/** Executors whose segments are needed but that are gone, or are back in another life than `lifeOf` says. */
export function lostProducers(
  stages: readonly RunStage[],
  lifeOf: (fragment: Fragment, task: number, attempt: number) => number | undefined,
  lifeNow: (executor: string) => number | undefined,
): ReadonlySet<string> {
  const lost = new Set<string>()
  for (const { state, fragment } of stages) {
    if (fragment.output.kind !== 'exchange') continue
    state.tasks.forEach((task, i) => {
      if (task.kind !== 'finished') return
      if (lifeNow(task.executor) !== lifeOf(fragment, i, task.attempt)) lost.add(task.executor)
    })
  }
  return lost
}

/** A stage that has run, or runs. */
export interface RunStage {
  readonly fragment: Fragment
  readonly parts: readonly TaskPart[]
  readonly state: StageState
}

/** A stage as it ended or stands, for profiles. */
export interface StageReport extends RunStage {
  readonly startedMs: number
  readonly endedMs: number | undefined
}

/** The segments of an exchange, by the tasks that wrote them. The stages that write it have ended. */
export function producedBy(
  stages: readonly RunStage[],
  plan: PhysicalPlan,
  read: number,
): readonly Produced[] {
  const exchange = writtenAs(plan, read)
  return stages.flatMap(({ fragment, state }) => {
    if (fragment.output.kind !== 'exchange' || fragment.output.exchange !== exchange) return []
    return state.tasks.flatMap((task, i) => {
      if (task.kind === 'skipped') return []
      assert(task.kind === 'finished', 'a stage starts only after the stages that feed it')
      return task.segments.map((segment) => ({ producer: `${fragment.id}/${i}`, segment }))
    })
  })
}

/**
 * The plan after the first `done` of its stages have ended: what is left is planned again, now that it is known what
 * they have written.
 */
export function adaptedPlan(
  plan: PhysicalPlan,
  stages: readonly RunStage[],
  done: number,
): PhysicalPlan {
  if (plan.adapt === undefined) return plan
  const ended = plan.fragments.slice(0, done)
  const measured = new Map<number, ExchangeSize>()
  for (const exchange of writtenExchanges(plan, done)) {
    const segments = producedBy(stages, plan, exchange).map((p) => p.segment)
    const rows = segments.reduce((sum, segment) => sum + segment.rows, 0)
    const bytes = segments.reduce((sum, segment) => sum + segment.bytes, 0)
    measured.set(exchange, { rows, bytes })
  }
  if (measured.size === 0) return plan
  const next = plan.adapt(measured)
  return next === undefined ? plan : { ...next, fragments: [...ended, ...next.fragments] }
}
