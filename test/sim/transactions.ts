import {
  TRANSACTION_MUTANTS,
  type TransactionMutant,
  TransactionSimulation,
} from '@nyala/coordinator/testing'
import { simulatedAnomalies } from '../history/simulated.ts'
import { runFromCommandLine } from './command-line.ts'

/** Transactions, their commit and its participants: `node test/dist/sim/transactions.js --seed N`. */
process.exitCode = await runFromCommandLine({
  name: 'transactions',
  mutants: TRANSACTION_MUTANTS,
  run: (seed, { mutant, tells }) =>
    new TransactionSimulation(seed, { mutant: mutant as TransactionMutant | undefined, tells })
      .run()
      .then(({ violations, ...report }) => {
        const seen = simulatedAnomalies(report.history).map(({ name, text }) => `${name}: ${text}`)
        return { ...report, violations: [...violations, ...seen] }
      }),
})
