import { formatBytes } from '../plan/planner.ts'
import { pruningCounts } from '../plan/estimate/prune-scan.ts'
import type { TaskPart } from '../plan/fragment/tasks.ts'
import {
  type ExchangeInput,
  type Fragment,
  type PhysicalPlan,
  taskBytes,
  taskText,
} from '../plan/physical-plan.ts'
import type { QueryRun } from '../schedule/query-run.ts'

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

function parseOperators(profile: string | undefined): unknown {
  if (profile === undefined) return null
  try {
    return JSON.parse(profile)
  } catch {
    return null
  }
}

function outputText({ output }: Fragment): string {
  if (output.kind === 'result') return 'result to the client'
  const { exchange, keys, buckets } = output
  const how = keys.length === 0 ? 'gathered' : `${buckets} buckets by ${keys.join(', ')}`
  return `exchange_${exchange}, ${how}`
}

/** The plan for people: fragments in the order in which they run, each with its SQL and its scans. */
export function planText(plan: PhysicalPlan, verbose: boolean): readonly string[] {
  const lines = [plan.reason, '']
  for (const fragment of plan.fragments) {
    lines.push(`fragment ${fragment.id}: ${tasksText(fragment)} → ${outputText(fragment)}`)
    const { why, rowsExpected } = fragment
    if (why !== undefined) {
      lines.push(`  ${why}${rowsExpected === undefined ? '' : `, about ${rowsExpected} rows`}`)
    }
    for (const id of fragment.scans) lines.push(`  ${scanText(plan, fragment, id)}`)
    for (const input of fragment.inputs) lines.push(`  reads ${inputText(input)}`)
    lines.push(...indent(readableSql(plan, fragment)))
    if (verbose) lines.push(...taskLines(plan, fragment))
    lines.push('')
  }
  return lines.slice(0, -1)
}

function tasksText(fragment: Fragment): string {
  if (fragment.inputs.some((input) => input.use === 'buckets')) return 'a task for each few buckets'
  if (fragment.inputs.some((input) => input.use === 'divided'))
    return 'a task for each few segments'
  const tasks = fragment.divided?.groups.length ?? 1
  return `${tasks} task${tasks === 1 ? '' : 's'}`
}

const inputText = ({ exchange, use }: ExchangeInput): string => {
  const how = { whole: 'whole', divided: 'in parts', buckets: 'by bucket' }[use]
  return `exchange_${exchange} ${how}`
}

/** The SQL of each task whose part is known before it runs. */
function taskLines(plan: PhysicalPlan, fragment: Fragment): readonly string[] {
  if (fragment.inputs.some((input) => input.use !== 'whole')) return []
  const parts: readonly TaskPart[] = fragment.divided?.groups.map((_, group) => ({
    kind: 'splits',
    group,
  })) ?? [{ kind: 'all' }]
  return parts.flatMap((part, task) => [
    `  task ${task}: ${formatBytes(taskBytes(plan, fragment, part))}`,
    ...indent(taskText(plan, fragment, part)),
  ])
}

const indent = (text: string): readonly string[] => text.split('\n').map((line) => `    ${line}`)

/** The fragment's SQL with scans and exchanges by name. */
function readableSql(plan: PhysicalPlan, fragment: Fragment): string {
  return fragment
    .readable()
    .map((part) => {
      if (part.kind === 'text') return part.text
      if (part.kind === 'exchange') return `"exchange_${part.exchange}"`
      const scan = plan.scans.get(part.scan)
      return `"${scan?.database ?? ''}"."${scan?.table ?? ''}"`
    })
    .join('')
}

function scanText(plan: PhysicalPlan, fragment: Fragment, id: number): string {
  const scan = plan.scans.get(id)
  if (scan === undefined) return ''
  const bytes = scan.files.reduce((sum, file) => sum + file.bytes, 0)
  const rows = scan.files.reduce((sum, file) => sum + file.rows, 0)
  const files =
    scan.files.length === scan.filesTotal
      ? `${scan.filesTotal}`
      : `${scan.files.length} of ${scan.filesTotal}`
  const partitions =
    scan.partitionColumns.length === 0
      ? ''
      : `, partitions ${scan.partitionsLeft} of ${scan.partitionsTotal}`
  const counts = pruningCounts(scan)
  const groups =
    scan.rowGroupsLeft === undefined || scan.rowGroupsLeft.size === 0
      ? ''
      : `, row groups ${counts.rowGroups} of ${counts.rowGroupsTotal}`
  const how = fragment.divided?.scan === id ? 'divided' : 'read whole'
  return `scan ${scan.database}.${scan.table} as ${scan.alias}: ${files} files${partitions}${groups}, ${rows} rows, ${formatBytes(bytes)}, ${how}`
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
          `${' '.repeat(depth)}${name}: ${operator.operator_cardinality ?? 0} rows, ${ms((operator.operator_timing ?? 0) * 1000)}`,
        ]
  const next = name === '' ? depth : depth + 2
  return [...line, ...(operator.children ?? []).flatMap((child) => operatorLines(child, next))]
}

const ms = (value: number): string =>
  value >= 1000 ? `${(value / 1000).toFixed(2)} s` : `${value.toFixed(1)} ms`
