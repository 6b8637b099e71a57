import { struckAt } from './moment-drills.ts'
import type { Drill, Round } from './round.ts'
import { noticed } from './strikes.ts'

/** Drills of files that come when their write has long ended. */
export const LITTER_DRILLS: readonly Drill[] = [
  {
    name: 'executor-late-with-files',
    summary:
      'SIGSTOP of an executor that was asked for files of a table; woken when their write is committed without it',
    load: ['fill', 'fill', 'transfer', 'small'],
    bounds: { stallMs: 4_000 },
    failpoints: true,
    run: wakeAfterTheEnd,
    afterwards: cameLate,
    mutant: { name: 'no-litter-sweep', fails: ['tidy'] },
  },
]

async function wakeAfterTheEnd(round: Round): Promise<void> {
  const victim = await struckAt(round, 'prepare.received', { isFirst: true, what: 'stop' })
  try {
    await noticed(round, victim)
    await round.loadRecovered()
  } finally {
    await round.signal(victim, 'SIGCONT')
  }
}

/** What it wrote was there, or nothing was shown. */
function cameLate(round: Round): Promise<void> {
  return round.until('struck', 0, () =>
    round.logged().some(({ event }) => event === 'litterRemoved')
      ? undefined
      : 'no file came after the end of its write',
  )
}
