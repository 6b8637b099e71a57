/** How many seeds `npm test` runs; NYALA_SEEDS sets another number. */
export const SEEDS = Number(process.env['NYALA_SEEDS'] ?? 1_000)
/** Other seeds each day, so that more of them are tried over time; NYALA_SEED sets the first one. */
export const firstSeed: number = Number(
  process.env['NYALA_SEED'] ?? 10_000 * Math.floor(Date.now() / 86_400_000),
)

// Thousands of calls fail on purpose, and nobody reads where.
Error.stackTraceLimit = 0
