import { type TransactionMutant, TransactionSimulation } from '@nyala/coordinator/testing'
import t from 'tap'
import { simulatedAnomalies } from './simulated.ts'

const MUTANT_SEEDS = 150

/** What of a run without this guard its clients can see. */
const MUTANTS: readonly TransactionMutant[] = [
  'blind-heads',
  'torn-commit',
  'rebased-rewrite',
  'old-snapshots',
]

for (const mutant of MUTANTS) {
  t.test(`clients see that a guard is missing: ${mutant}`, async (t) => {
    for (let seed = 1; seed <= MUTANT_SEEDS; seed++) {
      const { history } = await new TransactionSimulation(seed, { mutant }).run()
      const [found] = simulatedAnomalies(history)
      if (found !== undefined) return t.pass(`seed ${seed}: ${found.name}: ${found.text}`)
    }
    return t.fail(`${mutant} showed nothing to clients in ${MUTANT_SEEDS} seeds`)
  })
}
