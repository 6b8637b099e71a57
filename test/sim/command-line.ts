import { parseArgs } from 'node:util'
import { systemClock } from '@nyala/client/base'

export interface Simulation {
  readonly name: string
  readonly mutants: readonly string[]
  run(
    seed: number,
    options: { readonly mutant: string | undefined; readonly tells: boolean },
  ): Promise<Report>
}

/** What one seed came to; further numbers count what happened in it. */
interface Report {
  readonly violations: readonly string[]
  readonly story: readonly string[]
}

/** What many seeds came to, as `--json` prints it. */
export interface Summary {
  readonly seeds: number
  /** Of all seeds that broke an invariant, with their first violation. */
  readonly violations: readonly { readonly seed: number; readonly violation: string }[]
  /** Sums of the numbers that the seeds report, by name. */
  readonly totals: Readonly<Record<string, number>>
}

const USAGE_EXIT = 3

/** One seed, told as it happened, or many: 1 when any of them breaks an invariant. */
export async function runFromCommandLine(simulation: Simulation): Promise<number> {
  const { values } = parseArgs({
    options: {
      seed: { type: 'string' },
      from: { type: 'string', default: '1' },
      seeds: { type: 'string', default: '1000' },
      mutant: { type: 'string' },
      first: { type: 'boolean', default: false },
      json: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  })
  const { mutant, seed } = values
  const print = (line: string): void => void process.stdout.write(`${line}\n`)
  if (values.help || (mutant !== undefined && !simulation.mutants.includes(mutant))) {
    print(`usage: node test/dist/sim/${simulation.name}.js [--seed N | --from N --seeds N] [--mutant NAME] [--first] [--json]

  --seed N        runs one seed and tells what happened
  --seeds N       runs so many, from --from (default 1000, from 1)
  --mutant NAME   switches a guard off: ${simulation.mutants.join(', ')}
  --first         ends at the first seed that breaks an invariant
  --json          prints one line of JSON with all violations and the sums of what the seeds report`)
    return values.help ? 0 : USAGE_EXIT
  }
  if (seed !== undefined) {
    const { story, violations } = await simulation.run(Number(seed), { mutant, tells: true })
    for (const line of [...story, ...violations.map((one) => `violated: ${one}`)]) print(line)
    return violations.length === 0 ? 0 : 1
  }
  const began = systemClock.now()
  const summary = await runSeeds(simulation, {
    ...{ from: Number(values.from), seeds: Number(values.seeds), mutant, first: values.first },
  })
  const broken = summary.violations.length
  if (values.json) print(JSON.stringify(summary))
  else {
    for (const { seed, violation } of summary.violations) print(`seed ${seed}: ${violation}`)
    const seconds = (systemClock.now() - began) / 1000
    print(`${summary.seeds} seeds in ${seconds.toFixed(1)} s, ${broken} of them broke an invariant`)
  }
  return broken === 0 ? 0 : 1
}

async function runSeeds(
  simulation: Simulation,
  options: {
    readonly from: number
    readonly seeds: number
    readonly mutant: string | undefined
    readonly first: boolean
  },
): Promise<Summary> {
  const { from, mutant, first } = options
  const violations: { seed: number; violation: string }[] = []
  const totals: Record<string, number> = {}
  let seed = from
  for (; seed < from + options.seeds; seed++) {
    const report = await simulation.run(seed, { mutant, tells: false })
    for (const [name, count] of Object.entries<unknown>({ ...report })) {
      if (typeof count === 'number') totals[name] = (totals[name] ?? 0) + count
    }
    const [violation] = report.violations
    if (violation === undefined) continue
    violations.push({ seed, violation })
    if (first) break
  }
  return { seeds: Math.min(seed - from + 1, options.seeds), violations, totals }
}
