import type { Prng } from '@nyala/client/base'
import { cutBetween, type LinkFault } from './links.ts'
import type { Drill, Round } from './round.ts'
import { busyExecutor, clientsGoOn } from './strikes.ts'

const ROLES = ['executor', 'coordinator', 'etcd'] as const
/** What can be done to a member: it dies, hangs, is asked to stop, or nobody reaches it. */
const WAYS = ['kill', 'hang', 'stop', 'cut'] as const

/** One member of a role is struck. */
export interface SoakStrike {
  readonly role: (typeof ROLES)[number]
  readonly way: (typeof WAYS)[number]
  /** For how long it hangs or is cut off, milliseconds: from less than anybody notices to longer than a lease. */
  readonly forMs: number
}
const FOR_MS = { least: 200, most: 8_000 } as const
/** What an executor was doing is lost for certain only so: of one that hangs, others do it before anybody misses it. */
const LOSS: SoakStrike = { role: 'executor', way: 'kill', forMs: 0 }

/** The drill that goes on for as long as it is told to: no strike is known before. */
export const SOAK_DRILLS: readonly Drill[] = [
  {
    name: 'soak',
    summary:
      'members of each role, by chance two at once, die, hang, are stopped or cut off; --times 100 takes about an hour',
    load: ['small', 'divided', 'slow', 'slow', 'scan', 'write', 'append', 'transfer'],
    bounds: { stallMs: 10_000 },
    links: true,
    run: soak,
    mutant: { name: 'no-retry-elsewhere', fails: ['errors'] },
  },
]

/**
 * What is struck, in groups of what is struck at once: each role once, two at most in a group, so that etcd has a quorum
 * and one of the others is there at every moment; and an executor that dies at its work, before or after all that.
 */
export function drawStrikes(prng: Prng): readonly (readonly SoakStrike[])[] {
  const strikes = prng.shuffle(ROLES).map((role): SoakStrike => ({
    role,
    way: prng.pick(WAYS),
    forMs: FOR_MS.least + prng.below(FOR_MS.most - FOR_MS.least),
  }))
  const together = prng.pick(['none', 'the first two', 'the last two'])
  const cut = together === 'the first two' ? 2 : 1
  const groups =
    together === 'none' ? strikes.map((one) => [one]) : [strikes.slice(0, cut), strikes.slice(cut)]
  return prng.pick([true, false]) ? [[LOSS], ...groups] : [...groups, [LOSS]]
}

async function soak(round: Round): Promise<void> {
  const cuts = new Set<readonly LinkFault[]>()
  for (const [i, group] of drawStrikes(round.options.prng).entries()) {
    const victims = await Promise.all(group.map(({ role }) => victimOf(round, role)))
    // Delays of clients count from the first strike to the last recovery.
    if (i === 0) round.began(victims.join(' and '))
    await Promise.all(group.map((one, at) => strikeOne(round, one, victims[at] ?? '', cuts)))
    await clientsGoOn(round)
    await round.whole()
  }
}

async function victimOf(round: Round, role: SoakStrike['role']): Promise<string> {
  return role === 'executor' ? busyExecutor(round) : round.options.prng.pick(await round.ids(role))
}

/** Resolves once whatever the cluster cannot heal itself has been healed. */
async function strikeOne(
  round: Round,
  { way, forMs }: SoakStrike,
  victim: string,
  cuts: Set<readonly LinkFault[]>,
): Promise<void> {
  const { clock, signal } = round.options
  if (way === 'kill') return round.signal(victim, 'SIGKILL')
  if (way === 'stop') return round.signal(victim, 'SIGTERM')
  if (way === 'hang') {
    await round.signal(victim, 'SIGSTOP')
    try {
      await clock.sleep(forMs, { signal })
    } finally {
      await round.signal(victim, 'SIGCONT')
    }
    return
  }
  const cut = cutBetween('any', victim)
  const setCuts = (): Promise<void> => round.links.set([...cuts].flat())
  cuts.add(cut)
  await setCuts()
  try {
    await clock.sleep(forMs, { signal })
  } finally {
    cuts.delete(cut)
    await setCuts()
  }
}
