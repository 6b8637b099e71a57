import { formatBytes } from '../plan/format.ts'
import { type PhysicalPlan, taskBytes } from '../plan/physical-plan.ts'
import type { QueryRun } from '../schedule/query-run.ts'
import { TASKS_PER_FRAGMENT_MAX } from '../schedule/task-numbers.ts'
import type { ResumedRun } from '../schedule/resumed-run.ts'
import { outputText } from './plan-text.ts'

/** What a query did, stage by stage; JSON as it stands, text by {@link profileText}. */
export interface QueryProfile {
  readonly reason: string
  readonly planMs: number
  readonly stages: readonly StageProfile[]
}

export interface StageProfile {
  readonly fragment: number
  readonly output: string
  readonly elapsedMs: number
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
    stages: run.reports.map(({ fragment, parts, state, startedMs, endedMs }) => ({
      fragment: fragment.id,
      output: outputText(fragment),
      elapsedMs: (endedMs ?? startedMs) - startedMs,
      tasks: state.tasks.flatMap((task, index): readonly TaskProfile[] => {
        if (task.kind !== 'finished') return []
        const { statistics } = task
        return [
          {
            task: index,
            attempt: task.attempt,
            executor: task.executor,
            inputBytes: taskBytes(plan, fragment, parts[index] ?? { kind: 'all' }),
            rows: task.rows,
            elapsedMs: statistics.elapsedMs,
            cpuMs: statistics.cpuMs,
            peakMemoryBytes: statistics.peakMemoryBytes,
            spillBytes: statistics.spillBytes,
            pulledBytes: statistics.pulledBytes,
            operators: parseOperators(task.profile),
          },
        ]
      }),
    })),
  }
}

/** Of a query that went on here: the tasks of its result that had not ended before. Earlier stages died with their coordinator. */
export function resumedProfileOf(run: ResumedRun, elapsedMs: number): QueryProfile {
  const tasks = run.endedHere.map(({ executor, result }): TaskProfile => ({
    task: result.task % TASKS_PER_FRAGMENT_MAX,
    attempt: result.attempt,
    executor,
    inputBytes: 0,
    rows: result.rows,
    elapsedMs: result.statistics.elapsedMs,
    cpuMs: result.statistics.cpuMs,
    peakMemoryBytes: result.statistics.peakMemoryBytes,
    spillBytes: result.statistics.spillBytes,
    pulledBytes: result.statistics.pulledBytes,
    operators: parseOperators(result.profile),
  }))
  const fragment = Math.floor((run.endedHere[0]?.result.task ?? 0) / TASKS_PER_FRAGMENT_MAX)
  return {
    reason: 'the query was begun at another coordinator; this is what went on here',
    planMs: 0,
    stages: tasks.length === 0 ? [] : [{ fragment, output: 'result', elapsedMs, tasks }],
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
    const times = stage.tasks.map((t) => t.elapsedMs)
    const mean = times.reduce((a, b) => a + b, 0) / Math.max(1, times.length)
    const skew = mean > 0 ? Math.max(...times) / mean : 1
    lines.push(
      '',
      `stage ${stage.fragment} → ${stage.output}: ${stage.tasks.length} tasks, ${ms(stage.elapsedMs)}, skew ${skew.toFixed(2)}`,
    )
    for (const t of stage.tasks) {
      lines.push(
        `  task ${t.task} on ${t.executor}${t.attempt > 0 ? ` (attempt ${t.attempt})` : ''}: ${t.rows} rows, ${ms(t.elapsedMs)}, cpu ${ms(t.cpuMs)}, ` +
          `input ${formatBytes(t.inputBytes)}, pulled ${formatBytes(t.pulledBytes)}, memory ${formatBytes(t.peakMemoryBytes)}, spill ${formatBytes(t.spillBytes)}`,
      )
    }
    const widest = stage.tasks.toSorted((a, b) => b.elapsedMs - a.elapsedMs)[0]
    if (widest?.operators !== null && widest !== undefined) {
      lines.push(`  operators of task ${widest.task}:`, ...operatorLines(widest.operators, 4))
    }
  }
  return lines
}

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
