import t from 'tap'
import { SCHEDULE_REGRESSIONS } from './regressions.ts'
import { firstSeed, runSeeds, SEEDS, violationsOf } from './seeds.ts'

const MUTANT_SEEDS = 200
/** Where to begin looking for a seed that shows a mutant. */
const GUILTY: Readonly<Record<string, number>> = {
  'no-retry-elsewhere': 16,
  'no-rerun-after-rows': 144,
  'no-hold': 69,
  'no-refetch': 7,
}

t.test('whatever breaks, every row comes once and nothing is left on any executor', async (t) => {
  const seeds = Math.ceil(SEEDS * 0.15)
  const summary = await runSeeds('schedule', { from: firstSeed, seeds })
  t.strictSame(violationsOf(summary), [])
  const { completed = 0, reruns = 0, takeovers = 0 } = summary.totals
  t.ok(completed > seeds / 2, `${completed} queries gave their clients all rows`)
  t.ok(reruns > seeds / 4, `${reruns} attempts after the first of a task`)
  t.ok(takeovers > seeds / 20, `${takeovers} times a client went to another coordinator`)
})

t.test('what has gone wrong once does not again', async (t) => {
  for (const [seed, what] of Object.entries(SCHEDULE_REGRESSIONS)) {
    const summary = await runSeeds('schedule', { from: Number(seed), seeds: 1 })
    t.strictSame(violationsOf(summary), [], what)
  }
})

for (const [mutant, from] of Object.entries(GUILTY)) {
  t.test(`${mutant} is noticed`, async (t) => {
    const options = { from, seeds: MUTANT_SEEDS, mutant, first: true }
    const [found] = violationsOf(await runSeeds('schedule', options))
    t.ok(found, found ?? `${mutant} broke nothing in ${MUTANT_SEEDS} seeds`)
  })
}
