import t from 'tap'
import type { Guard } from './testing/simulated-world.ts'
import { WriteSimulation } from './testing/write-simulation.ts'

const SEED = Number(process.env['NYALA_SEED'] ?? 1)
const RUNS = Number(process.env['NYALA_RUNS'] ?? 150)

t.test(
  'under lost, late and repeated messages every write is done once or not at all',
  async (t) => {
    const ends = { done: 0, failed: 0, unknown: 0, shared: 0 }
    for (let seed = SEED; seed < SEED + RUNS; seed++) {
      const simulation = new WriteSimulation(seed)
      for (const violation of await simulation.run()) {
        t.fail(`NYALA_SEED=${seed} NYALA_RUNS=1: ${violation}`)
      }
      ends.done += simulation.ends.done
      ends.failed += simulation.ends.failed
      ends.unknown += simulation.ends.unknown
      ends.shared += simulation.shared
    }
    if (RUNS > 20) {
      t.ok(ends.done > RUNS && ends.failed > RUNS && ends.unknown > RUNS, JSON.stringify(ends))
      t.ok(ends.shared > RUNS / 10, `${ends.shared} shared commits`)
    }
  },
)

/** Runs of which one at least must fail where a guard is missing. */
const MUTANT_RUNS = 40

for (const without of ['outcome', 'record', 'head'] as const satisfies readonly Guard[]) {
  t.test(`without the compare of the ${without} it does not hold`, async (t) => {
    for (let seed = 1; seed <= MUTANT_RUNS; seed++) {
      const [violation] = await new WriteSimulation(seed, { without }).run()
      if (violation !== undefined) return t.pass(`seed ${seed}: ${violation}`)
    }
    return t.fail(`${MUTANT_RUNS} runs found nothing`)
  })
}
