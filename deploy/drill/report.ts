import type { RoundResult } from './round.ts'
import { type DrillReport, isAsItMust } from './run-drill.ts'

const TIMES = ['detectedMs', 'leaderMs', 'worstStallMs', 'recoveredMs'] as const

/** A table with one line for each drill: times as p50/p99/max over its strikes, in milliseconds. */
export function tableOf(reports: readonly DrillReport[]): string {
  const head = [
    ...['drill', 'strikes', 'detected', 'new leader', 'worst stall', 'whole again', 'calls'],
    ...['moved', 'errors', 'lost', 'doubled', 'verdict'],
  ]
  const rows = reports.map((report) => [
    nameOf(report),
    String(report.rounds.length),
    ...TIMES.map((time) => distribution(report.rounds.map((round) => round[time]))),
    ...(['calls', 'moves', 'errors', 'rowsLost', 'rowsDoubled'] as const).map((count) =>
      String(report.rounds.reduce((sum, round) => sum + round[count], 0)),
    ),
    verdictOf(report),
  ])
  const widths = head.map((_, i) => Math.max(...[head, ...rows].map((row) => row[i]?.length ?? 0)))
  const line = (row: readonly string[]): string =>
    `| ${row.map((cell, i) => cell.padEnd(widths[i] ?? 0)).join(' | ')} |`
  return [
    line(head),
    `|${widths.map((w) => '-'.repeat(w + 2)).join('|')}|`,
    ...rows.map(line),
  ].join('\n')
}

/** p50/p99/max; one number where there is one; a dash where there is none. */
export function distribution(values: readonly (number | undefined)[]): string {
  const sorted = values.filter((one) => one !== undefined).toSorted((a, b) => a - b)
  if (sorted.length === 0) return '–'
  const at = (part: number): string =>
    String(Math.round(sorted[Math.ceil(sorted.length * part) - 1] ?? 0))
  return sorted.length === 1 ? at(1) : `${at(0.5)}/${at(0.99)}/${at(1)}`
}

export const nameOf = ({ drill, mutant }: DrillReport): string =>
  mutant === undefined ? drill.name : `${drill.name} with ${mutant}`

export function verdictOf(report: DrillReport): string {
  if (report.skipped !== undefined) return `skipped: ${report.skipped}`
  if (report.mutant === undefined) return isAsItMust(report) ? 'passed' : 'FAILED'
  return isAsItMust(report) ? 'failed, as it must' : 'DID NOT FAIL as it must'
}

/** Why it failed, a line for each claim. */
export const failuresOf = ({ failures }: DrillReport): readonly string[] =>
  failures.map(({ claim, failure }) => `${claim}: ${failure}`)

/** One JSON object a drill. */
export const jsonOf = (report: DrillReport): string =>
  JSON.stringify({
    drill: report.drill.name,
    ...(report.mutant === undefined ? {} : { mutant: report.mutant }),
    seed: report.seed,
    verdict: report.skipped === undefined ? verdictWord(report) : 'skipped',
    ...(report.skipped === undefined ? {} : { reason: report.skipped }),
    failures: report.failures,
    rounds: report.rounds.map(({ checks, ...round }) => ({
      ...round,
      failures: checks.filter(({ failure }) => failure !== undefined),
    })),
  })

const verdictWord = (report: DrillReport): string => (isAsItMust(report) ? 'passed' : 'failed')

/** What a person who waits is told of one strike. */
export function lineOf(round: RoundResult): string {
  const ms = (value: number | undefined): string =>
    value === undefined ? '–' : `${Math.round(value)} ms`
  return [
    `${struckOf(round)}: detected ${ms(round.detectedMs)}, new leader ${ms(round.leaderMs)}`,
    `worst stall ${ms(round.worstStallMs)}, whole again ${ms(round.recoveredMs)}`,
    `${round.calls} calls, ${round.moves} moved, ${round.errors} errors`,
    `rows lost ${round.rowsLost}, doubled ${round.rowsDoubled}`,
  ].join(' · ')
}

const struckOf = ({ victim }: RoundResult): string =>
  victim === undefined ? 'struck nobody' : `struck ${victim === '' ? 'all' : victim}`
