import { readFile, writeFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { median, percentile } from './measurement.ts'

/** What one measure of one kind of fault came to, of all its injections. */
export interface FaultRow {
  /** As `--only` takes it. */
  readonly name: string
  readonly fault: string
  /** What the samples are of. */
  readonly what: string
  readonly samplesMs: readonly number[]
  /** The part `p` of the samples is to be at most so long. */
  readonly goal: { readonly p: number; readonly ms: number }
  /** What must not be, besides being late. */
  readonly bad: readonly string[]
  /** Answers that clients compared, all of them right where `bad` is empty. */
  readonly calls: number
  readonly secondsPerInjection: number
  /** Day, UTC. */
  readonly measuredAt: string
  readonly machine: string
  /** How many processes wanted to run in the minute before. */
  readonly load: number
  /** So many were struck at once. */
  readonly clusters?: number
}

const REPOSITORY = new URL('../../../', import.meta.url)
const STORE = fileURLToPath(new URL('test/bench/failover.json', REPOSITORY))
const README = fileURLToPath(new URL('README.md', REPOSITORY))
const BEGIN = '<!-- failover -->'
const END = '<!-- end of failover -->'

const HEAD = [
  '| fault | what | injections | p50 | p99 | max | goal | met | answers, all right |',
  '|---|---|---|---|---|---|---|---|---|',
]

export const isMet = ({ samplesMs, goal, bad }: FaultRow): boolean =>
  bad.length === 0 && samplesMs.length > 0 && percentile(samplesMs, goal.p) <= goal.ms

/** A row of the README. */
export function lineOf(row: FaultRow): string {
  const { fault, what, samplesMs, goal, bad, calls } = row
  const ms = (value: number): string => `${value.toFixed(0)} ms`
  const times =
    samplesMs.length === 0
      ? ['–', '–', '–']
      : [median(samplesMs), percentile(samplesMs, 0.99), Math.max(...samplesMs)].map(ms)
  const wanted = `${goal.p === 1 ? 'max' : `p${goal.p * 100}`} ≤ ${ms(goal.ms)}`
  const verdict = isMet(row) ? 'yes' : ['no', ...bad].join('; ')
  const cells = [fault, what, samplesMs.length, ...times, wanted, verdict, calls]
  return `| ${cells.map((cell) => String(cell).replaceAll(/[|\n]/g, ' ')).join(' | ')} |`
}

/** The table of the README. */
export const tableOf = (rows: readonly FaultRow[]): string =>
  [...HEAD, ...rows.map(lineOf)].join('\n')

/** What the README says of where and when the rows were measured: the day of each only where they differ. */
export function circumstancesOf(rows: readonly FaultRow[]): string {
  const machines = [...new Set(rows.map(({ machine }) => machine))].join('; ')
  const days = [...new Set(rows.map(({ measuredAt }) => measuredAt))].toSorted()
  const faultsOf = (day: string): string =>
    [...new Set(rows.filter((row) => row.measuredAt === day).map(({ fault }) => fault))].join(', ')
  const when =
    days.length === 1 ? days[0] : days.map((day) => `${day} (${faultsOf(day)})`).join(', ')
  const loads = rows.map(({ load }) => load)
  const [least, most] = [Math.min(...loads), Math.max(...loads)].map((one) => one.toFixed(1))
  const load = least === most ? `a load of ${least}` : `loads of ${least} to ${most}`
  const counts = [...new Set(rows.map(({ clusters = 1 }) => clusters))].toSorted((a, b) => a - b)
  const struckAt = (count: number): string =>
    [
      ...new Set(rows.filter(({ clusters = 1 }) => clusters === count).map(({ fault }) => fault)),
    ].join(', ')
  const parallel =
    counts.length === 1 && counts[0] === 1
      ? ''
      : ` Clusters struck at once: ${counts.map((count) => `${count} (${struckAt(count)})`).join(', ')}.`
  return `Measured on ${when}, ${load} before: ${machines}.${parallel}`
}

export async function readRows(): Promise<readonly FaultRow[]> {
  try {
    return JSON.parse(await readFile(STORE, 'utf8')) as readonly FaultRow[]
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return []
    throw error
  }
}

/** Puts rows in the place of those of the same fault, in the order of `names`, and shows all of them in the README. */
export async function writeRows(
  rows: readonly FaultRow[],
  names: readonly string[],
): Promise<void> {
  const kept = (await readRows()).filter(({ name }) => !rows.some((row) => row.name === name))
  const place = ({ name }: FaultRow): number => names.indexOf(name)
  const all = [...kept, ...rows].toSorted((a, b) => place(a) - place(b))
  // A row a line: what changes is seen.
  await writeFile(STORE, `[\n${all.map((row) => JSON.stringify(row)).join(',\n')}\n]\n`)
  const text = await readFile(README, 'utf8')
  await writeFile(README, withTable(text, all))
}

/** The README with these rows between its marks. */
export function withTable(readme: string, rows: readonly FaultRow[]): string {
  const [from, to] = [readme.indexOf(BEGIN), readme.indexOf(END)]
  if (from < 0 || to < from) throw new Error(`the README has no ${BEGIN} … ${END}`)
  const shown = rows.length === 0 ? '' : `${tableOf(rows)}\n\n${circumstancesOf(rows)}\n\n`
  return `${readme.slice(0, from)}${BEGIN}\n\n${shown}${readme.slice(to)}`
}
