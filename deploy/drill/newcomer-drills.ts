import { Herd } from './herd.ts'
import type { Drill, Round } from './round.ts'
import { follower } from './strikes.ts'

/** Drills of clients that come while something is broken. */
export const NEWCOMER_DRILLS: readonly Drill[] = [
  {
    name: 'newcomers-coordinator-stop',
    summary:
      'SIGSTOP of a coordinator that clients dial who come then: they are greeted by another one',
    load: ['small', 'divided'],
    bounds: { stallMs: 6_000 },
    run: receiveNewcomers,
    mutant: { name: 'no-dial-race', fails: ['stall'] },
  },
]

/** So many that a third of them, who dial the one that hangs, are there for certain. */
const NEWCOMERS = 60
/** A dial to a process that hangs takes 2 s; the next one begins after a quarter of a second. */
const GREETED_MS = 1_000
const CONNECTED_MS = 20_000

async function receiveNewcomers(round: Round): Promise<void> {
  const { target, database, facts, variables } = round.options
  const victim = await follower(round)
  const { url } = target
  const herd = { clients: NEWCOMERS, url, database, questions: facts.small, variables }
  await using before = new Herd(herd)
  // What it takes where nothing is broken.
  const usual = await slowest(round, before)
  await using newcomers = new Herd(herd)
  await round.strike(victim, 'SIGSTOP')
  try {
    const tookMs = await slowest(round, newcomers)
    const bound = round.bound(GREETED_MS) + usual
    await round.until('stall', 0, () =>
      tookMs <= bound ? undefined : `a client was greeted after ${Math.round(tookMs)} ms only`,
    )
    await round.loadRecovered()
  } finally {
    await round.signal(victim, 'SIGCONT')
  }
}

/** What the slowest of the connections took, milliseconds. */
async function slowest(round: Round, herd: Herd): Promise<number> {
  let end: { readonly tookMs?: readonly number[]; readonly error?: unknown } | undefined
  herd.connect().then(
    ({ failed, errors, tookMs }) => {
      end = failed === 0 ? { tookMs } : { error: `${failed} clients: ${errors[0]}` }
    },
    (error: unknown) => (end = { error }),
  )
  await round.until('errors', round.bound(CONNECTED_MS), () =>
    end === undefined ? 'clients that came have not been greeted' : undefined,
  )
  await round.until('errors', 0, () => (end?.error === undefined ? undefined : String(end.error)))
  return Math.max(...(end?.tookMs ?? []))
}
