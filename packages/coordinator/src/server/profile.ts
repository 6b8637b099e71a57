import { formatBytes } from '../plan/format.ts'
import { type PhysicalPlan, taskBytes } from '../plan/physical-plan.ts'
import type { TaskFinished } from '../schedule/executor-link.ts'
import type { QueryRun } from '../schedule/query-run.ts'
import type { StageReport } from '../schedule/run-exchanges.ts'
import { TASKS_PER_FRAGMENT_MAX } from '../schedule/task-numbers.ts'
import type { ResumedRun } from '../schedule/resumed-run.ts'
import { countText, outputText, sizeText } from './plan-text.ts'
import {
  type BucketUse,
  bucketUse,
  executorShares,
  type ExecutorShare,
  skewOf,
} from './stage-profile.ts'

/** What a query did, stage by stage; JSON as it stands, text by {@link profileText}. */
export interface QueryProfile {
  readonly reason: string
  readonly planMs: number
  readonly stages: readonly StageProfile[]
}

export interface StageProfile {
  readonly fragment: number
  readonly output: string
  /** Why its rows went where they went. */
  readonly because?: string | undefined
  /** It is not of the first plan: what earlier stages wrote was found to be other than expected. */
  readonly plannedAgain: boolean
  /** What was expected to come out of it. */
  readonly expected?: { readonly rows: number; readonly bytes: number } | undefined
  /** What became of the buckets that it read, where it read any. */
  readonly buckets?: BucketUse | undefined
  readonly elapsedMs: number
  /** The longest task's time divided by the mean. */
  readonly skew: number
  readonly executors: readonly ExecutorShare[]
  readonly tasks: readonly TaskProfile[]
}

export interface TaskProfile {
  readonly task: number
  readonly attempt: number
  readonly executor: string
  readonly inputBytes: number
  readonly rows: number
  readonly elapsedMs: number
  readonly cpuMs: number
  readonly peakMemoryBytes: number
  readonly spillBytes: number
  readonly pulledBytes: number
  /** Of segments; a result is not written. */
  readonly writtenBytes: number
  /** The kernel's operator tree. */
  readonly operators: unknown
}

export function profileOf(
  planned: { readonly plan: PhysicalPlan; readonly planMs: number },
  run: QueryRun,
): QueryProfile {
  const { plan, planMs } = planned
  return {
    reason: plan.reason,
    planMs,
    stages: run.reports.map((report) => stageProfile(plan, report, run.reports)),
  }
}

function stageProfile(
  plan: PhysicalPlan,
  report: StageReport,
  reports: readonly StageReport[],
): StageProfile {
  const { fragment, parts, state, startedMs, endedMs } = report
  const tasks = state.tasks.flatMap((task, index): readonly TaskProfile[] => {
    if (task.kind !== 'finished') return []
    const inputBytes = taskBytes(plan, fragment, parts[index] ?? { kind: 'all' })
    return [taskProfile(task, { task: index, executor: task.executor, inputBytes })]
  })
  return {
    fragment: fragment.id,
    output: outputText(fragment),
    because: fragment.why,
    plannedAgain: !plan.fragments.includes(fragment),
    expected: fragment.expected,
    buckets: bucketUse(plan, report, reports),
    elapsedMs: (endedMs ?? startedMs) - startedMs,
    skew: skewOf(tasks),
    executors: executorShares(tasks),
    tasks,
  }
}

function taskProfile(
  ended: Pick<TaskFinished, 'attempt' | 'rows' | 'segments' | 'statistics'> & {
    readonly profile?: string | undefined
  },
  about: Pick<TaskProfile, 'task' | 'executor' | 'inputBytes'>,
): TaskProfile {
  const { attempt, rows, segments, statistics, profile } = ended
  return {
    ...about,
    attempt,
    rows,
    elapsedMs: statistics.elapsedMs,
    cpuMs: statistics.cpuMs,
    peakMemoryBytes: statistics.peakMemoryBytes,
    spillBytes: statistics.spillBytes,
    pulledBytes: statistics.pulledBytes,
    writtenBytes: segments.reduce((sum, { bytes }) => sum + bytes, 0),
    operators: parseOperators(profile),
  }
}

/** Of a query that went on here: the tasks of its result that had not ended before. Earlier stages died with their coordinator. */
export function resumedProfileOf(run: ResumedRun, elapsedMs: number): QueryProfile {
  const tasks = run.endedHere.map(({ executor, result }) =>
    taskProfile(result, { task: result.task % TASKS_PER_FRAGMENT_MAX, executor, inputBytes: 0 }),
  )
  const fragment = Math.floor((run.endedHere[0]?.result.task ?? 0) / TASKS_PER_FRAGMENT_MAX)
  return {
    reason: 'the query was begun at another coordinator; this is what went on here',
    planMs: 0,
    stages:
      tasks.length === 0
        ? []
        : [
            {
              ...{ fragment, output: 'result', plannedAgain: false, elapsedMs, tasks },
              ...{ skew: skewOf(tasks), executors: executorShares(tasks) },
            },
          ],
  }
}

function parseOperators(profile: string | undefined): unknown {
  if (profile === undefined) return null
  try {
    return JSON.parse(profile)
  } catch {
    return null
  }
}

/** The profile for people. */
export function profileText(profile: QueryProfile): readonly string[] {
  const lines = [profile.reason, `planned in ${ms(profile.planMs)}`]
  for (const stage of profile.stages) {
    lines.push(
      '',
      `stage ${stage.fragment} → ${stage.output}: ${stage.tasks.length} tasks, ${ms(stage.elapsedMs)}, skew ${stage.skew.toFixed(2)}`,
      ...decisionLines(stage),
      ...stage.executors.map(shareLine),
    )
    for (const t of stage.tasks) {
      lines.push(
        `  task ${t.task} on ${t.executor}${t.attempt > 0 ? ` (attempt ${t.attempt})` : ''}: ${t.rows} rows, ${ms(t.elapsedMs)}, ${workText(t)}`,
      )
    }
    const widest = stage.tasks.toSorted((a, b) => b.elapsedMs - a.elapsedMs)[0]
    if (widest?.operators !== null && widest !== undefined) {
      lines.push(`  operators of task ${widest.task}:`, ...operatorLines(widest.operators, 4))
    }
  }
  return lines
}

/** What was decided of the stage, some of it only once the stages before had ended. */
function decisionLines({
  plannedAgain,
  because,
  expected,
  buckets,
  tasks,
}: StageProfile): readonly string[] {
  const lines: string[] = []
  if (plannedAgain) lines.push('  planned again, by what the stages before had written')
  if (because !== undefined) lines.push(`  because ${because}`)
  if (expected !== undefined) {
    const rows = tasks.reduce((sum, task) => sum + task.rows, 0)
    lines.push(`  expected ${sizeText(expected)}, has made ${countText(rows)}`)
  }
  if (buckets !== undefined) {
    const { all, empty, joined, cut } = buckets
    const told = [`${all} buckets`, `${empty} empty`, `${joined} put together with others`]
    lines.push(`  ${[...told, `${cut} cut`].join(', ')}`)
  }
  return lines
}

function shareLine(share: ExecutorShare): string {
  const tasks = `${share.tasks} task${share.tasks === 1 ? '' : 's'}`
  return `  executor ${share.executor}: ${tasks}, ${share.rows} rows, ${workText(share)}`
}

const workText = (
  work: Pick<
    TaskProfile,
    'cpuMs' | 'inputBytes' | 'pulledBytes' | 'writtenBytes' | 'peakMemoryBytes' | 'spillBytes'
  >,
): string =>
  [
    `cpu ${ms(work.cpuMs)}`,
    `input ${formatBytes(work.inputBytes)}`,
    `pulled ${formatBytes(work.pulledBytes)}`,
    `written ${formatBytes(work.writtenBytes)}`,
    `memory ${formatBytes(work.peakMemoryBytes)}`,
    `spill ${formatBytes(work.spillBytes)}`,
  ].join(', ')

interface Operator {
  readonly operator_name?: string
  readonly operator_type?: string
  readonly operator_timing?: number
  readonly operator_cardinality?: number
  readonly operator_rows_scanned?: number
  /** A list of one is its element. */
  readonly extra_info?: Readonly<Record<string, string | readonly string[]>>
  readonly children?: readonly Operator[]
}

function operatorLines(operators: unknown, depth: number): readonly string[] {
  const operator = operators as Operator | undefined
  if (typeof operator !== 'object' || operator === null) return []
  const name = (operator.operator_name ?? operator.operator_type ?? '').trim()
  const line =
    name === ''
      ? []
      : [
          `${' '.repeat(depth)}${name}: ${operator.operator_cardinality ?? 0} rows, ${ms((operator.operator_timing ?? 0) * 1000)}${removedText(operator)}`,
        ]
  const next = name === '' ? depth : depth + 2
  return [...line, ...(operator.children ?? []).flatMap((child) => operatorLines(child, next))]
}

/** What filters of a scan, and semi joins, kept from whoever reads them. */
function removedText({
  operator_cardinality: rows = 0,
  operator_rows_scanned: scanned = 0,
  extra_info: about = {},
  children = [],
}: Operator): string {
  const side = { SEMI: 0, RIGHT_SEMI: 1 }[String(about['Join Type'])]
  if (side !== undefined) {
    const asked = children[side]?.operator_cardinality ?? 0
    return asked < rows ? '' : `, semi join removed ${asked - rows} of ${asked} rows`
  }
  const filters = [
    ...said('filter', about['Filters']),
    ...said('runtime filter', about['Dynamic Filters']),
  ]
  if (filters.length === 0 || scanned < rows) return ''
  return `, ${filters.join(' and ')} removed ${scanned - rows} of ${scanned} rows`
}

/** Conditions are optional where the kernel may leave them out: they spare work and decide nothing. */
function said(what: string, filters: string | readonly string[] | undefined): readonly string[] {
  if (filters === undefined) return []
  const conditions = [filters].flat().map((one) => one.replaceAll('optional: ', ''))
  return [`${what} ${conditions.join(' AND ')}`]
}

const ms = (value: number): string =>
  value >= 1000 ? `${(value / 1000).toFixed(2)} s` : `${value.toFixed(1)} ms`
