import { runFromCommandLine } from './command-line.ts'
import { ClusterSimulation } from './cluster-simulation.ts'
import { type Mutant, MUTANTS } from './inspector.ts'

/** Membership, election, suspicion and replacement: `node test/dist/sim/election.js --seed N`. */
process.exitCode = await runFromCommandLine({
  name: 'election',
  mutants: MUTANTS,
  run: (seed, { mutant, tells }) =>
    new ClusterSimulation(seed, { mutant: mutant as Mutant | undefined, tells }).run(),
})
