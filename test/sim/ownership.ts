import { runFromCommandLine } from './command-line.ts'
import {
  OWNERSHIP_MUTANTS,
  type OwnershipMutant,
  OwnershipSimulation,
} from './ownership-simulation.ts'

/** Owners of queries and their takeover: `node test/dist/sim/ownership.js --seed N`. */
process.exitCode = await runFromCommandLine({
  name: 'ownership',
  mutants: OWNERSHIP_MUTANTS,
  run: (seed, { mutant, tells }) =>
    new OwnershipSimulation(seed, { mutant: mutant as OwnershipMutant | undefined, tells }).run(),
})
