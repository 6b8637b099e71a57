import t from 'tap'
import { ClusterSimulation } from './cluster-simulation.ts'
import { type Mutant, MUTANTS } from './inspector.ts'
import { ELECTION_REGRESSIONS } from './regressions.ts'
import { firstSeed, SEEDS } from './seeds.ts'

/** Seeds that are tried until a mutant is found out; the rarest of them shows in one of thirty. */
const MUTANT_SEEDS = 400
/** Where to begin looking for one that shows rarely. */
const FIRST_GUILTY: Readonly<Partial<Record<Mutant, number>>> = { unguardedRemoval: 100 }

t.test('whatever breaks, one leads, the past is fenced, and the cluster heals', async (t) => {
  let [epochs, writes] = [0, 0]
  for (let seed = firstSeed; seed < firstSeed + SEEDS / 2; seed++) {
    const report = await new ClusterSimulation(seed).run()
    for (const violation of report.violations) t.fail(`seed ${seed}: ${violation}`)
    epochs += report.epochs
    writes += report.writes
  }
  t.ok(epochs > SEEDS, `${epochs} terms: leaders do change`)
  t.ok(writes > 10 * SEEDS, `${writes} writes under an epoch: leaders do work`)
})

t.test('what has gone wrong once does not again', async (t) => {
  for (const [seed, what] of Object.entries(ELECTION_REGRESSIONS)) {
    const { violations } = await new ClusterSimulation(Number(seed)).run()
    t.same(violations, [], `seed ${seed}: ${what}`)
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
    const first = FIRST_GUILTY[mutant] ?? 1
    for (let seed = first; seed < first + MUTANT_SEEDS; seed++) {
      const { violations } = await new ClusterSimulation(seed, { mutant }).run()
      if (violations.length === 0) continue
      t.pass(`seed ${seed}: ${violations[0]}`)
      return
    }
    t.fail(`${mutant} broke nothing in ${MUTANT_SEEDS} seeds`)
  })
}
