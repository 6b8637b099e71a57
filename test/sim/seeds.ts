import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import type { Summary } from './command-line.ts'

/** How many seeds `npm test` runs, half of each where two simulations share a part; NYALA_SEEDS sets another number. */
export const SEEDS = Number(process.env['NYALA_SEEDS'] ?? 1_000)
/** Other seeds each day, so that more of them are tried over time; NYALA_SEED sets the first one. */
export const firstSeed: number = Number(
  process.env['NYALA_SEED'] ?? 10_000 * Math.floor(Date.now() / 86_400_000),
)

/**
 * Runs seeds of a simulation by the command that a person would type: in a process of its own, as the test runner
 * follows every promise of its own process, which doubles the time. `first` ends at the first that breaks an invariant.
 */
export function runSeeds(
  simulation: string,
  options: {
    readonly from: number
    readonly seeds: number
    readonly mutant?: string
    readonly first?: boolean
  },
): Promise<Summary> {
  const { from, seeds, mutant, first = false } = options
  const program = fileURLToPath(new URL(`./${simulation}.js`, import.meta.url))
  const args = [program, '--json', '--from', String(from), '--seeds', String(seeds)]
  if (mutant !== undefined) args.push('--mutant', mutant)
  if (first) args.push('--first')
  return new Promise((resolve, reject) => {
    execFile(process.execPath, args, (error, stdout) => {
      // The exit code 1 of a broken invariant is in the summary, too.
      if (stdout.trim() === '') reject(error ?? new Error(`${simulation} printed nothing`))
      else resolve(JSON.parse(stdout) as Summary)
    })
  })
}

/** The violations of a run, as a test names them. */
export const violationsOf = ({ violations }: Summary): readonly string[] =>
  violations.map(({ seed, violation }) => `seed ${seed}: ${violation}`)
