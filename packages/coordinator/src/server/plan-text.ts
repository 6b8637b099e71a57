import type { Scan } from '../plan/scan.ts'
import { pruningText } from '../plan/estimate/prune-scan.ts'
import type { TaskPart } from '../plan/fragment/tasks.ts'
import {
  type ExchangeInput,
  type Fragment,
  type PhysicalPlan,
  taskBytes,
  taskText,
  writtenAs,
} from '../plan/physical-plan.ts'
import { formatBytes } from '../plan/format.ts'

/**
 * The plan for people: which fragment reads what of which others, then each fragment in the order in which they can run,
 * with its operators, what is expected of them, and its SQL. `verbose` adds the SQL of each task.
 */
export function planText(plan: PhysicalPlan, verbose: boolean): readonly string[] {
  const lines = [plan.reason, '']
  if (plan.fragments.length > 1) lines.push(...overview(plan), '')
  for (const fragment of plan.fragments) {
    lines.push(`fragment ${fragment.id}: ${tasksText(fragment)} → ${outputText(fragment)}`)
    const { why, expected } = fragment
    if (expected !== undefined) lines.push(`  expects ${sizeText(expected)}`)
    if (why !== undefined) lines.push(`  because ${why}`)
    for (const id of fragment.scans) lines.push(`  ${scanText(plan, fragment, id)}`)
    for (const input of fragment.inputs) lines.push(`  reads ${inputText(input, fragment)}`)
    for (const { depth, text, rows } of fragment.operators?.() ?? [])
      lines.push(`    ${'  '.repeat(depth)}${text} · ${countText(rows)}`)
    lines.push(...indent(readableSql(plan, fragment)))
    if (verbose) lines.push(...taskLines(plan, fragment))
    lines.push('')
  }
  return lines.slice(0, -1)
}

export function outputText({ output }: Fragment): string {
  if (output.kind === 'result') return 'result to the client'
  const { exchange, keys, buckets } = output
  const how = keys.length === 0 ? 'not in buckets' : `${buckets} buckets by ${keys.join(', ')}`
  return `exchange_${exchange}, ${how}`
}

/** The fragments as a tree: below each the exchanges that it reads, and who writes them. */
function overview(plan: PhysicalPlan): readonly string[] {
  const seen = new Set<number>()
  const writers = (exchange: number): readonly Fragment[] =>
    plan.fragments.filter(
      ({ output }) => output.kind === 'exchange' && output.exchange === writtenAs(plan, exchange),
    )
  const visit = (fragment: Fragment, depth: number): readonly string[] => {
    const tables = fragment.scans.map((id) => plan.scans.get(id)?.alias ?? '')
    const of = tables.length === 0 ? '' : ` over ${tables.join(', ')}`
    const line = `${'  '.repeat(depth)}fragment ${fragment.id}, ${tasksText(fragment)}${of}`
    if (seen.has(fragment.id)) return [`${line}, as above`]
    seen.add(fragment.id)
    const below = fragment.inputs.flatMap((input) => {
      const from = writers(input.exchange)
      const expected = from[0]?.expected
      const size = expected === undefined ? '' : `: ${sizeText(expected)}`
      return [
        `${'  '.repeat(depth + 1)}${inputText(input, fragment)}${size}`,
        ...from.flatMap((writer) => visit(writer, depth + 2)),
      ]
    })
    return [line, ...below]
  }
  return plan.fragments
    .filter(({ output }) => output.kind === 'result')
    .flatMap((fragment) => visit(fragment, 0))
}

function tasksText(fragment: Fragment): string {
  if (fragment.inputs.some((input) => input.use === 'buckets')) return 'a task for each few buckets'
  if (fragment.inputs.some((input) => input.use === 'divided'))
    return 'a task for each few segments'
  if (fragment.ranges !== undefined) return `${fragment.ranges} tasks, one for each range in order`
  const tasks = fragment.divided?.[0]?.groups.length ?? 1
  return `${tasks} task${tasks === 1 ? '' : 's'}`
}

function inputText({ exchange, use }: ExchangeInput, { cuttable }: Fragment): string {
  const how = { whole: 'whole', divided: 'in parts', buckets: 'by bucket' }[use]
  const cut = cuttable === exchange ? ', a large bucket in parts' : ''
  return `exchange_${exchange} ${how}${cut}`
}

/** The SQL of each task whose part is known before it runs. */
function taskLines(plan: PhysicalPlan, fragment: Fragment): readonly string[] {
  if (fragment.inputs.some((input) => input.use !== 'whole')) return []
  const parts: readonly TaskPart[] = fragment.divided?.[0]?.groups.map((_, group) => ({
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
      if (part.kind === 'range') return '$range'
      const scan = plan.scans.get(part.scan)
      return `"${scan?.database ?? ''}"."${scan?.table ?? ''}"`
    })
    .join('')
}

function scanText(plan: PhysicalPlan, fragment: Fragment, id: number): string {
  const scan = plan.scans.get(id)
  if (scan === undefined) return ''
  const { database, table, alias } = scan
  let rows = 0
  let bytes = 0
  for (const file of scan.files) {
    const left = scan.rowGroupsLeft?.get(file)
    const groups = file.rowGroups.filter((_, i) => left?.includes(i) ?? true)
    rows += left === undefined ? file.rows : groups.reduce((sum, group) => sum + group.rows, 0)
    bytes += left === undefined ? file.bytes : groups.reduce((sum, group) => sum + group.bytes, 0)
  }
  const name = `${database}.${table}${alias === table ? '' : ` as ${alias}`}`
  const partitions = partitionsText(scan)
  const { statistics } = scan
  const known =
    statistics === undefined ? ', no statistics' : statistics.stale ? ', old statistics' : ''
  return `scan ${name}: ${pruningText(scan)}${partitions}, ${countText(rows)}, ${formatBytes(bytes)}${known}, ${howRead(fragment, id)}`
}

function partitionsText(scan: Scan): string {
  if (scan.partitionColumns.length === 0 && scan.layout === undefined) return ''
  // Of managed tables files are left out, whatever tells that they cannot matter.
  const left =
    scan.layout === undefined
      ? scan.partitionsLeft
      : new Set(scan.files.map(({ partition }) => partition)).size
  const { skipped } = scan
  // How many there are only the manifests say that were not read.
  if (skipped !== undefined)
    return `, partitions ${left}, manifests ${skipped.read} of ${skipped.total}`
  return `, partitions ${left} of ${scan.partitionsTotal}`
}

function howRead(fragment: Fragment, scan: number): string {
  const divided = fragment.divided?.find((one) => one.scan === scan)
  if (divided !== undefined) {
    const { apart } = divided
    return apart === undefined
      ? 'divided among the tasks'
      : `divided among the tasks by values of ${apart}`
  }
  const isAlone = fragment.divided === undefined && fragment.inputs.every((i) => i.use === 'whole')
  return isAlone ? 'read whole' : 'read whole by every task'
}

export const sizeText = ({
  rows,
  bytes,
}: {
  readonly rows: number
  readonly bytes: number
}): string => `${countText(rows)}, ${formatBytes(bytes)}`

/** `1.2 M rows`: what is estimated is not known to the last digit. */
export function countText(rows: number): string {
  if (rows === 1) return '1 row'
  const units = ['', ' k', ' M', ' G', ' T']
  let value = rows
  let unit = 0
  while (value >= 1000 && unit < units.length - 1) {
    value /= 1000
    unit++
  }
  const digits = unit === 0 ? String(Math.round(value)) : value.toPrecision(3)
  return `${Number(digits)}${units[unit] ?? ''} rows`
}
