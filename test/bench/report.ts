import { cpus, totalmem } from 'node:os'
import { met, type Measurement, round } from './measurement.ts'

export interface Report {
  readonly measuredAt: string
  readonly machine: string
  readonly versions: string
  readonly scaleFactor: number
  readonly threads: number
  readonly measurements: readonly Measurement[]
}

export const machineText = (): string =>
  `${cpus()[0]?.model.trim() ?? 'unknown processor'}, ${cpus().length} cores, ` +
  `${Math.round(totalmem() / 1024 ** 3)} GiB, ${process.platform}`

/** One line of the table that is printed while it is measured. */
export function lineText(measurement: Measurement): string {
  const { name, value, unit, detail } = measurement
  return `${mark(measurement)} ${name}: ${round(value)} ${unit} (goal ${goalText(measurement)}) · ${detail}`
}

/** The report as Markdown, with the numbers as JSON below. */
export function markdown(report: Report): string {
  const rows = report.measurements.map(
    (one) =>
      `| ${mark(one)} | ${one.name} | ${round(one.value)} ${one.unit} | ${goalText(one)} | ${one.detail} |`,
  )
  return [
    '# What was measured',
    '',
    `\`npm run bench -- --write\` on ${report.measuredAt}: ${report.versions}; ${report.machine}.`,
    `Sample data at scale factor ${report.scaleFactor}, ${report.threads} threads for the executor and for DuckDB alone; one coordinator, one executor, one etcd member.`,
    'The wall times are those of a machine that had other work too if it had; processor times are not touched by that.',
    '',
    '| | what | measured | goal | |',
    '|---|---|---|---|---|',
    ...rows,
    '',
    '```json',
    JSON.stringify(report, undefined, 2),
    '```',
    '',
  ].join('\n')
}

function mark(measurement: Measurement): string {
  const isMet = met(measurement)
  if (isMet === undefined) return ' '
  return isMet ? '✓' : '✗'
}

function goalText({ goal, unit }: Measurement): string {
  if (goal === undefined) return 'none'
  return `${goal.kind === 'most' ? '≤' : '≥'} ${round(goal.value)} ${unit}`
}
