import { readFile, writeFile } from 'node:fs/promises'
import { pathToFileURL } from 'node:url'
import { machineText } from './report.ts'

const USAGE = `usage: node test/dist/bench/drill-page.js PASSED MUTANTS

Puts what all drills measured into deploy/DRILLS.md. Its arguments are files of JSON lines:

  npx nyala drill --all --json > passed.jsonl
  npx nyala drill --all --mutants --json > mutants.jsonl`

const PAGE = new URL('../../../deploy/DRILLS.md', import.meta.url)
const BEGIN = '<!-- measured -->'

/** What the page needs of a line that `nyala drill --json` prints. */
export interface DrillLine {
  readonly drill: string
  readonly mutant?: string
  readonly verdict: 'passed' | 'failed' | 'skipped'
  readonly reason?: string
  readonly failures: readonly { readonly claim: string }[]
  readonly rounds: readonly RoundLine[]
}

interface RoundLine {
  readonly detectedMs?: number
  readonly leaderMs?: number
  readonly worstStallMs?: number
  readonly recoveredMs?: number
  readonly calls: number
  readonly moves: number
  readonly errors: number
  readonly rowsLost: number
  readonly rowsDoubled: number
}

const TIMES = ['detectedMs', 'leaderMs', 'worstStallMs', 'recoveredMs'] as const
const COUNTS = ['calls', 'moves', 'errors', 'rowsLost', 'rowsDoubled'] as const

const PASSED_HEAD = [
  '| drill | detected | new leader | worst stall | whole again | calls | moved | errors | lost | doubled | verdict |',
  '|---|---|---|---|---|---|---|---|---|---|---|',
]
const MUTANTS_HEAD = ['| drill | without | fails by |', '|---|---|---|']

/** The longest of each time, the sum of each count: one row of the first table. */
export function passedRow({ drill, rounds, verdict, reason }: DrillLine): string {
  const times = TIMES.map((time) => {
    const measured = rounds.map((round) => round[time]).filter((one) => one !== undefined)
    return measured.length === 0 ? '' : String(Math.round(Math.max(...measured)))
  })
  const counts = COUNTS.map((count) => rounds.reduce((sum, round) => sum + round[count], 0))
  return rowOf([drill, ...times, ...counts, reason === undefined ? verdict : `skipped: ${reason}`])
}

/** Which claims do not hold without the guard: one row of the second table. */
export function mutantRow({ drill, mutant, verdict, failures, reason }: DrillLine): string {
  const claims = [...new Set(failures.map(({ claim }) => claim))].join(', ')
  const told = verdict === 'passed' ? claims : `**does not fail as it must** (${claims})`
  return rowOf([drill, mutant ?? '', reason === undefined ? told : `skipped: ${reason}`])
}

const rowOf = (cells: readonly (string | number)[]): string =>
  `| ${cells.map((cell) => String(cell).replaceAll(/[|\n]/g, ' ')).join(' | ')} |`

/** The page with what was measured after its mark. */
export function withMeasured(
  page: string,
  lines: { readonly passed: readonly DrillLine[]; readonly mutants: readonly DrillLine[] },
  circumstances: string,
): string {
  const mark = page.indexOf(BEGIN)
  if (mark < 0) throw new Error(`the page has no ${BEGIN}`)
  const { passed, mutants } = lines
  return [
    `${page.slice(0, mark)}${BEGIN}`,
    `${circumstances} ${countOf(passed)} of ${passed.length} passed; without the guard that each is about ${countOf(mutants)} of ${mutants.length} fail, as they must.`,
    [...PASSED_HEAD, ...passed.map(passedRow)].join('\n'),
    '## Without the guard',
    [...MUTANTS_HEAD, ...mutants.map(mutantRow)].join('\n'),
  ]
    .join('\n\n')
    .concat('\n')
}

const countOf = (lines: readonly DrillLine[]): number =>
  lines.filter(({ verdict }) => verdict === 'passed').length

const linesOf = async (file: string): Promise<readonly DrillLine[]> =>
  (await readFile(file, 'utf8'))
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as DrillLine)

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  const [passed, mutants] = process.argv.slice(2)
  if (passed === undefined || mutants === undefined) {
    process.stderr.write(`${USAGE}\n`)
    process.exitCode = 2
  } else {
    const lines = { passed: await linesOf(passed), mutants: await linesOf(mutants) }
    const circumstances = `Measured on ${new Date().toISOString().slice(0, 10)}: ${machineText()}.`
    await writeFile(PAGE, withMeasured(await readFile(PAGE, 'utf8'), lines, circumstances))
  }
}
