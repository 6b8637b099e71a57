import t from 'tap'
import { AppendSimulation } from './testing/append-simulation.ts'
import type { Guard } from './testing/simulated-world.ts'

const SEED = Number(process.env['NYALA_SEED'] ?? 1)
const RUNS = Number(process.env['NYALA_RUNS'] ?? 100)

t.test(
  'appends that share commits are done once or not at all, each by itself, under any fault',
  async (t) => {
    const ends = { done: 0, repeated: 0, unfit: 0, cancelled: 0, shared: 0 }
    for (let seed = SEED; seed < SEED + RUNS; seed++) {
      const simulation = new AppendSimulation(seed)
      for (const violation of await simulation.run()) {
        t.fail(`NYALA_SEED=${seed} NYALA_RUNS=1: ${violation}`)
      }
      for (const end of ['done', 'repeated', 'unfit', 'cancelled'] as const) {
        ends[end] += simulation.count(end)
      }
      ends.shared += simulation.shared
    }
    if (RUNS > 20) {
      const isVaried = Object.values(ends).every((number) => number > RUNS / 10)
      t.ok(isVaried, JSON.stringify(ends))
    }
  },
)

/** Runs of which one at least must fail where a guard is missing. */
const MUTANT_RUNS = 40

for (const without of ['outcome', 'record', 'head'] as const satisfies readonly Guard[]) {
  t.test(`without the compare of the ${without} it does not hold`, async (t) => {
    for (let seed = 1; seed <= MUTANT_RUNS; seed++) {
      const [violation] = await new AppendSimulation(seed, { without }).run()
      if (violation !== undefined) return t.pass(`seed ${seed}: ${violation}`)
    }
    return t.fail(`${MUTANT_RUNS} runs found nothing`)
  })
}
