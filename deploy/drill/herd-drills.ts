import { Herd, type HerdConnect, type HerdResult, type HerdReturn } from './herd.ts'
import { peakBytes } from './kernels.ts'
import type { Drill, Round } from './round.ts'

/** Drills of many clients at once. */
export const HERD_DRILLS: readonly Drill[] = [
  {
    name: 'client-herd',
    summary:
      'SIGKILL of a coordinator that a third of 1,000 clients ask: they spread over the others',
    load: ['small', 'divided'],
    // Whoever asks with a thousand others waits for them.
    bounds: { stallMs: 15_000, detectedMs: 250 },
    begin: (round) => round.leader(),
    run: strikeHerd,
    notices: ({ event, fields }, victim) => event === 'peerLinkClosed' && fields['peer'] === victim,
    mutant: { name: 'no-spread', fails: ['spread'] },
  },
]

const CLIENTS = 1_000
const QUESTIONS_EACH = 2
/** So many that nearly all have one left when a coordinator dies. */
const STRUCK_QUESTIONS_EACH = 2
/** For two thousand small queries, or a thousand connections. */
const HERD_MS = 60_000
/** What a coordinator may take at most, with all those clients. */
const COORDINATOR_BYTES_MAX = 512 * 1024 * 1024
/** What each of the others gets at least, of those that come to them. */
const SHARE_MIN = 0.1
/** Fewer would show nothing. */
const STRUCK_MIN = CLIENTS / 10

/**
 * All connect at once and ask; idle, they ask again, and in the midst of that a coordinator dies: nobody is told an error,
 * those that it had come back to all others, and no coordinator outgrows its bound.
 */
async function strikeHerd(round: Round): Promise<void> {
  const { target, database, facts, variables, clock } = round.options
  await using herd = new Herd({
    clients: CLIENTS,
    url: target.url,
    database,
    questions: facts.small,
    variables,
  })
  const { connects: first } = await noneFailed(round, herd.connect())
  await noneFailed(round, herd.ask(QUESTIONS_EACH).done)
  const victim = await besieged(round, first)
  const { midway, done } = herd.ask(STRUCK_QUESTIONS_EACH)
  await inTime(round, midway)
  const struckMs = clock.wall()
  await round.strike(victim, 'SIGKILL')
  const { returns } = await inTime(round, done)
  await areSpread(
    round,
    returns.filter(({ from, wallMs }) => from === victim && wallMs >= struckMs),
  )
  await noneFailed(round, done)
  await round.until('memory', 0, () => outgrown(round))
}

/** What the clients came to, unless they take too long for it or one of them ends with an error that has no type. */
async function inTime<T>(round: Round, promise: Promise<T>): Promise<T> {
  let end: { readonly reason?: unknown } | undefined
  promise.then(
    () => (end = {}),
    (reason: unknown) => (end = { reason }),
  )
  await round.until('errors', round.bound(HERD_MS), () =>
    end === undefined ? 'the clients have not done what they were to do' : undefined,
  )
  await round.until('errors', 0, () => (end?.reason === undefined ? undefined : String(end.reason)))
  return promise
}

async function noneFailed(round: Round, work: Promise<HerdResult>): Promise<HerdResult> {
  const result = await inTime(round, work)
  const { failed, errors, wrong } = result
  await round.until('errors', 0, () =>
    failed === 0 ? undefined : `${failed} calls failed, the first with ${errors[0]}`,
  )
  await round.until('exact', 0, () => (wrong === 0 ? undefined : `${wrong} answers are wrong`))
  return result
}

/** A coordinator that many ask, one that does not lead if there is any. */
async function besieged(round: Round, connects: readonly HerdConnect[]): Promise<string> {
  const leader = await round.leader()
  const many = [...sharesOf(connects)].filter(([, count]) => count >= STRUCK_MIN)
  const others = many.filter(([id]) => id !== leader)
  const [victim] = round.options.prng.pick(others.length > 0 ? others : many)
  return victim
}

function sharesOf(connects: readonly HerdConnect[]): ReadonlyMap<string, number> {
  const counts = new Map<string, number>()
  for (const { coordinator } of connects) {
    counts.set(coordinator, (counts.get(coordinator) ?? 0) + 1)
  }
  return counts
}

/** Counted is whom they dial first: where one coordinator is too busy for all of them, they go on to others anyhow. */
async function areSpread(round: Round, returns: readonly HerdReturn[]): Promise<void> {
  const others = (await round.processes('coordinator'))
    .filter(({ id }) => id !== round.victim)
    .map(({ id, address }) => ({ id, came: returns.filter(({ to }) => to === address).length }))
  const told = `of ${returns.length} came ${others.map(({ id, came }) => `${came} to ${id}`).join(', ')}`
  const isEven = others.every(({ came }) => came >= returns.length * SHARE_MIN)
  await round.until('struck', 0, () => (returns.length < STRUCK_MIN ? `only ${told}` : undefined))
  await round.until('spread', 0, () => (isEven ? undefined : told))
}

/** Which coordinator had more memory than it may, at any time since it was started. */
async function outgrown(round: Round): Promise<string | undefined> {
  for (const { id, pid } of await round.processes('coordinator')) {
    const bytes = peakBytes(pid)
    if (bytes > COORDINATOR_BYTES_MAX) return `${id} had ${Math.round(bytes / 2 ** 20)} MiB`
  }
  return undefined
}
