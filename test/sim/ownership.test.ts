import t from 'tap'
import { OWNERSHIP_MUTANTS, OwnershipSimulation } from './ownership-simulation.ts'
import { OWNERSHIP_REGRESSIONS } from './regressions.ts'
import { firstSeed, SEEDS } from './seeds.ts'

const MUTANT_SEEDS = 1_000

t.test(
  'every frame comes once, each owner epoch has one owner, and no record is left',
  async (t) => {
    let [claims, completed] = [0, 0]
    for (let seed = firstSeed; seed < firstSeed + SEEDS; seed++) {
      const report = await new OwnershipSimulation(seed).run()
      for (const violation of report.violations) t.fail(`seed ${seed}: ${violation}`)
      claims += report.claims
      completed += report.completed
    }
    t.ok(claims > SEEDS / 2, `${claims} takeovers`)
    t.ok(completed > SEEDS, `${completed} queries gave their clients all they asked for`)
  },
)

t.test('what has gone wrong once does not again', async (t) => {
  for (const [seed, what] of Object.entries(OWNERSHIP_REGRESSIONS)) {
    const { violations } = await new OwnershipSimulation(Number(seed)).run()
    t.same(violations, [], `seed ${seed}: ${what}`)
  }
})

for (const mutant of OWNERSHIP_MUTANTS) {
  t.test(`${mutant} is noticed`, async (t) => {
    for (let seed = 1; seed <= MUTANT_SEEDS; seed++) {
      const { violations } = await new OwnershipSimulation(seed, { mutant }).run()
      if (violations.length === 0) continue
      t.pass(`seed ${seed}: ${violations[0]}`)
      return
    }
    t.fail(`${mutant} broke nothing in ${MUTANT_SEEDS} seeds`)
  })
}
