import { parseArgs } from 'node:util'
import { systemClock } from '@nyala/client/base'

export interface Simulation {
  readonly name: string
  readonly mutants: readonly string[]
  run(
    seed: number,
    options: { readonly mutant: string | undefined; readonly tells: boolean },
  ): Promise<{ readonly violations: readonly string[]; readonly story: readonly string[] }>
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
      help: { type: 'boolean', default: false },
    },
  })
  const { mutant, seed } = values
  const print = (line: string): void => void process.stdout.write(`${line}\n`)
  if (values.help || (mutant !== undefined && !simulation.mutants.includes(mutant))) {
    print(`usage: node test/dist/sim/${simulation.name}.js [--seed N | --from N --seeds N] [--mutant NAME]

  --seed N        runs one seed and tells what happened
  --seeds N       runs so many, from --from (default 1000, from 1)
  --mutant NAME   switches a guard off: ${simulation.mutants.join(', ')}`)
    return values.help ? 0 : USAGE_EXIT
  }
  if (seed !== undefined) {
    const { story, violations } = await simulation.run(Number(seed), { mutant, tells: true })
    for (const line of [...story, ...violations.map((one) => `violated: ${one}`)]) print(line)
    return violations.length === 0 ? 0 : 1
  }
  const began = systemClock.now()
  const first = Number(values.from)
  const count = Number(values.seeds)
  let broken = 0
  for (let one = first; one < first + count; one++) {
    const { violations } = await simulation.run(one, { mutant, tells: false })
    if (violations.length === 0) continue
    broken++
    print(`seed ${one}: ${violations[0]}`)
  }
  const seconds = (systemClock.now() - began) / 1000
  print(`${count} seeds in ${seconds.toFixed(1)} s, ${broken} of them broke an invariant`)
  return broken === 0 ? 0 : 1
}
