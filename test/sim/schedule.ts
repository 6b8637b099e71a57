/** The running of queries: `node test/dist/sim/schedule.js --seed N`. */
const MUTANTS = ['no-retry-elsewhere', 'no-rerun-after-rows', 'no-hold', 'no-refetch'] as const

// The guards are those of the product, which are switched off before any of it is loaded.
const at = process.argv.indexOf('--mutant')
if (at >= 0) Object.assign(process.env, { NYALA_DRILL: '1', NYALA_MUTANT: process.argv[at + 1] })
const { runFromCommandLine } = await import('./command-line.ts')
const { ScheduleSimulation } = await import('./schedule-simulation.ts')
process.exitCode = await runFromCommandLine({
  name: 'schedule',
  mutants: MUTANTS,
  run: (seed, { tells }) => new ScheduleSimulation(seed, { tells }).run(),
})

export {}
