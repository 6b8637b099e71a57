import { TRANSACTION_MUTANTS } from '@nyala/coordinator/testing'
import t from 'tap'
import { firstSeed, runSeeds, SEEDS, violationsOf } from './seeds.ts'

const MUTANT_SEEDS = 300

t.test(
  'a transaction is in all its tables or in none, and its client is told the truth',
  async (t) => {
    const summary = await runSeeds('transactions', { from: firstSeed, seeds: SEEDS })
    t.strictSame(violationsOf(summary), [])
    const { committed = 0, failed = 0, asked = 0, crashes = 0 } = summary.totals
    t.ok(committed > SEEDS && failed > SEEDS, `${committed} committed, ${failed} failed`)
    t.ok(asked > SEEDS / 10 && crashes > SEEDS / 2, `${asked} asked again, ${crashes} crashes`)
  },
)

for (const mutant of TRANSACTION_MUTANTS) {
  t.test(`${mutant} is noticed`, async (t) => {
    const options = { from: 1, seeds: MUTANT_SEEDS, mutant, first: true }
    const [found] = violationsOf(await runSeeds('transactions', options))
    t.ok(found, found ?? `${mutant} broke nothing in ${MUTANT_SEEDS} seeds`)
  })
}
