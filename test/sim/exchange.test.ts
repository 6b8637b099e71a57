import t from 'tap'
import { EXCHANGE_REGRESSIONS } from './regressions.ts'
import { firstSeed, runSeeds, SEEDS, violationsOf } from './seeds.ts'

const MUTANTS = ['no-refetch', 'no-segment-checksum', 'patient-pulls'] as const
const MUTANT_SEEDS = 100

t.test('what is pulled is what was written, or the pull says why not', async (t) => {
  const seeds = Math.ceil((SEEDS * 4) / 5)
  const summary = await runSeeds('exchange', { from: firstSeed, seeds })
  t.strictSame(violationsOf(summary), [])
  const { pulled = 0, failed = 0, disordered = 0 } = summary.totals
  t.ok(pulled > 2 * seeds, `${pulled} pulls of three readers each`)
  t.ok(failed > seeds / 20 && disordered > seeds, `${failed} failed, ${disordered} messages harmed`)
})

t.test('what has gone wrong once does not again', async (t) => {
  for (const [seed, what] of Object.entries(EXCHANGE_REGRESSIONS)) {
    const summary = await runSeeds('exchange', { from: Number(seed), seeds: 1 })
    t.strictSame(violationsOf(summary), [], what)
  }
})

for (const mutant of MUTANTS) {
  t.test(`${mutant} is noticed`, async (t) => {
    const options = { from: 1, seeds: MUTANT_SEEDS, mutant, first: true }
    const [found] = violationsOf(await runSeeds('exchange', options))
    t.ok(found, found ?? `${mutant} broke nothing in ${MUTANT_SEEDS} seeds`)
  })
}
