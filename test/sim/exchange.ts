/** The receivers of segments: `node test/dist/sim/exchange.js --seed N`. */
const MUTANTS = ['no-refetch', 'no-segment-checksum', 'patient-pulls'] as const

// The guards are those of the product, which are switched off before any of it is loaded.
const at = process.argv.indexOf('--mutant')
if (at >= 0) Object.assign(process.env, { NYALA_DRILL: '1', NYALA_MUTANT: process.argv[at + 1] })
const { runFromCommandLine } = await import('./command-line.ts')
const { ExchangeSimulation } = await import('./exchange-simulation.ts')
process.exitCode = await runFromCommandLine({
  name: 'exchange',
  mutants: MUTANTS,
  run: (seed) => new ExchangeSimulation(seed).run(),
})

export {}
