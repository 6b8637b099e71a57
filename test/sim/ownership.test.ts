import t from 'tap'
import { OWNERSHIP_MUTANTS } from './ownership-simulation.ts'
import { OWNERSHIP_REGRESSIONS } from './regressions.ts'
import { firstSeed, runSeeds, SEEDS, violationsOf } from './seeds.ts'

const MUTANT_SEEDS = 1_000

t.test(
  'every frame comes once, each owner epoch has one owner, and no record is left',
  async (t) => {
    const summary = await runSeeds('ownership', { from: firstSeed, seeds: SEEDS / 2 })
    t.strictSame(violationsOf(summary), [])
    const { claims = 0, completed = 0 } = summary.totals
    t.ok(claims > SEEDS / 4, `${claims} takeovers`)
    t.ok(completed > SEEDS / 2, `${completed} queries gave their clients all they asked for`)
  },
)

t.test('what has gone wrong once does not again', async (t) => {
  for (const [seed, what] of Object.entries(OWNERSHIP_REGRESSIONS)) {
    const summary = await runSeeds('ownership', { from: Number(seed), seeds: 1 })
    t.strictSame(violationsOf(summary), [], what)
  }
})

for (const mutant of OWNERSHIP_MUTANTS) {
  t.test(`${mutant} is noticed`, async (t) => {
    const summary = await runSeeds('ownership', {
      ...{ from: 1, seeds: MUTANT_SEEDS, mutant, first: true },
    })
    const [found] = violationsOf(summary)
    t.ok(found, found ?? `${mutant} broke nothing in ${MUTANT_SEEDS} seeds`)
  })
}
