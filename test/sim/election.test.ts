import t from 'tap'
import { ClusterSimulation } from './cluster-simulation.ts'
import { type Mutant, MUTANTS } from './inspector.ts'
import { ELECTION_REGRESSIONS } from './regressions.ts'
import { firstSeed, runSeeds, SEEDS, violationsOf } from './seeds.ts'

/** Seeds that are tried until a mutant is found out; the rarest of them shows in one of thirty. */
const MUTANT_SEEDS = 400
/** Where to begin looking for one that shows rarely. */
const FIRST_GUILTY: Readonly<Partial<Record<Mutant, number>>> = { unguardedRemoval: 100 }

t.test('whatever breaks, one leads, the past is fenced, and the cluster heals', async (t) => {
  const summary = await runSeeds('election', { from: firstSeed, seeds: SEEDS / 2 })
  t.strictSame(violationsOf(summary), [])
  const { epochs = 0, writes = 0 } = summary.totals
  t.ok(epochs > SEEDS, `${epochs} terms: leaders do change`)
  t.ok(writes > 10 * SEEDS, `${writes} writes under an epoch: leaders do work`)
})

t.test('what has gone wrong once does not again', async (t) => {
  for (const [seed, what] of Object.entries(ELECTION_REGRESSIONS)) {
    const summary = await runSeeds('election', { from: Number(seed), seeds: 1 })
    t.strictSame(violationsOf(summary), [], what)
  }
})

t.test('the same seed gives the same run', async (t) => {
  const [one, other] = await Promise.all(
    [0, 1].map(() => new ClusterSimulation(firstSeed, { tells: true }).run()),
  )
  t.same(one, other)
})

for (const mutant of MUTANTS) {
  t.test(`${mutant} is noticed`, async (t) => {
    const from = FIRST_GUILTY[mutant] ?? 1
    const summary = await runSeeds('election', { from, seeds: MUTANT_SEEDS, mutant, first: true })
    const [found] = violationsOf(summary)
    t.ok(found, found ?? `${mutant} broke nothing in ${MUTANT_SEEDS} seeds`)
  })
}
