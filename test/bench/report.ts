import { readFile, writeFile } from 'node:fs/promises'
import { cpus, loadavg, totalmem } from 'node:os'
import { join } from 'node:path'
import type { Table } from './bench.ts'
import { met, type Measurement, round } from './measurement.ts'

/** What one part measured, and under what circumstances. */
export interface Section {
  readonly part: string
  readonly scaleFactor: number
  readonly threads: number
  readonly measuredAt: string
  readonly machine: string
  readonly versions: string
  /** What else the machine did. */
  readonly load: string
  readonly measurements: readonly Measurement[]
  readonly table?: Table
}

export const machineText = (): string =>
  `${cpus()[0]?.model.trim() ?? 'unknown processor'}, ${cpus().length} cores, ` +
  `${Math.round(totalmem() / 1024 ** 3)} GiB, ${process.platform}`

/** How many processes wanted to run in the last minute, before anything of ours did. */
export const loadText = (): string => `load ${loadBefore().toFixed(1)}`

export const loadBefore = (): number => loadavg()[0] ?? 0

/** One line of the table that is printed while it is measured. */
export function lineText(measurement: Measurement): string {
  const { name, detail } = measurement
  return `${mark(measurement)} ${name}: ${valueText(measurement)} (goal ${goalText(measurement)}) · ${detail}`
}

/** A table for a terminal. */
export function tableLines({ columns, rows }: Table): readonly string[] {
  const all = [columns, ...rows]
  const widths = columns.map((_, i) => Math.max(...all.map((row) => (row[i] ?? '').length)))
  return all.map((row) => `  ${row.map((cell, i) => cell.padEnd(widths[i] ?? 0)).join('  ')}`)
}

/** Puts a section in the place of that of the same part and scale factor; the others stay. */
export async function writeResults(directory: string, section: Section): Promise<void> {
  const path = join(directory, 'results.json')
  const kept = await readSections(path)
  const isSame = (other: Section): boolean =>
    other.part === section.part && other.scaleFactor === section.scaleFactor
  const sections = [...kept.filter((other) => !isSame(other)), section].toSorted(
    (a, b) => a.scaleFactor - b.scaleFactor || (a.part < b.part ? -1 : 1),
  )
  await writeFile(path, `${JSON.stringify(sections, undefined, 2)}\n`)
  await writeFile(join(directory, 'RESULTS.md'), markdown(sections))
}

async function readSections(path: string): Promise<readonly Section[]> {
  const text = await readFile(path, 'utf8').catch((error: unknown) => {
    if ((error as { readonly code?: string }).code === 'ENOENT') return '[]'
    throw error
  })
  return JSON.parse(text) as readonly Section[]
}

const HEADER = [
  '# What was measured',
  '',
  'Made by `npm run bench -- --write`, which replaces the sections of the parts that it runs; `results.json` has the same numbers.',
  'Clusters have one coordinator and one etcd member, all on one machine. Wall times are those of a machine that had the load that is said; processor times and ratios are touched less by it.',
]

function markdown(sections: readonly Section[]): string {
  return `${[...HEADER, ...sections.flatMap(sectionLines)].join('\n')}\n`
}

function sectionLines(section: Section): readonly string[] {
  const { part, scaleFactor, threads, measuredAt, machine, versions, load } = section
  return [
    '',
    `## ${part}, scale factor ${scaleFactor}`,
    '',
    `${measuredAt}, ${load}, ${threads} threads unless said; ${versions}; ${machine}.`,
    '',
    '|     | what | measured | goal |     |',
    '| --- | --- | --- | --- | --- |',
    ...section.measurements.map((one) =>
      rowText([mark(one), one.name, valueText(one), goalText(one), one.detail]),
    ),
    ...(section.table === undefined ? [] : markdownTable(section.table)),
  ]
}

const markdownTable = ({ columns, rows }: Table): readonly string[] => [
  '',
  rowText(columns),
  rowText(columns.map(() => '---')),
  ...rows.map(rowText),
]

const rowText = (cells: readonly string[]): string =>
  `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`

function mark(measurement: Measurement): string {
  const isMet = met(measurement)
  if (isMet === undefined) return ' '
  return isMet ? '✓' : '✗'
}

const valueText = ({ value, unit }: Measurement): string => `${round(value)} ${unit}`.trim()

function goalText({ goal, unit }: Measurement): string {
  if (goal === undefined) return 'none'
  return `${goal.kind === 'most' ? '≤' : '≥'} ${round(goal.value)} ${unit}`.trim()
}
