import type { Clock, Prng } from '@nyala/client/base'
import {
  type Fault,
  type Links,
  missingFrom,
  type RunningProcess,
  type Target,
} from '@nyala/deploy'

export const FAULTS = [
  'kill-coordinator',
  'kill-executor',
  'kill-etcd-member',
  'pause',
  'cut',
] as const
export type FaultName = (typeof FAULTS)[number]

const BETWEEN_MS = { least: 1_000, more: 4_000 }
/** A lease is gone after 3 s: some of these outlive theirs. */
const LASTS_MS = { least: 300, more: 5_000 }
/** Under load, and without it. */
const WHOLE_MS = { busy: 20_000, idle: 240_000 }
const POLL_MS = 100
const BLACKHOLE: Fault = { kind: 'blackhole', way: 'both' }

export interface FaultOptions {
  readonly faults: readonly FaultName[]
  readonly target: Target
  readonly members: readonly string[]
  readonly links: Links
  readonly prng: Prng
  readonly clock: Clock
  readonly tell: (line: string) => void
}

/** One fault after another, the next one when the cluster is whole again or has been given time; how many, when it is over. */
export async function breakThings(
  options: FaultOptions,
  isOver: () => boolean,
): Promise<Readonly<Record<string, number>>> {
  const { faults, prng, clock } = options
  const counts: Record<string, number> = {}
  while (faults.length > 0 && !isOver()) {
    await clock.sleep(BETWEEN_MS.least + prng.below(BETWEEN_MS.more))
    if (isOver()) break
    const name = prng.pick(faults)
    counts[name] = (counts[name] ?? 0) + 1
    await breakOnce(name, options)
    await untilWhole(options, isOver).catch(() => options.tell('goes on, not whole'))
  }
  return counts
}

/** Fails where the cluster does not become whole by itself; `isOver`: with less time while clients are at work. */
export async function untilWhole(
  options: Pick<FaultOptions, 'target' | 'members' | 'clock'>,
  isOver?: () => boolean,
): Promise<void> {
  const { target, members, clock } = options
  const limitMs = isOver === undefined ? WHOLE_MS.idle : WHOLE_MS.busy
  const endMs = clock.now() + limitMs
  for (;;) {
    const missing = await missingFrom(target, members)
    if (missing === undefined || isOver?.() === true) return
    if (clock.now() > endMs) throw new Error(`after ${limitMs} ms: ${missing}`)
    await clock.sleep(POLL_MS)
  }
}

async function breakOnce(name: FaultName, options: FaultOptions): Promise<void> {
  const { target, links, prng, clock, tell } = options
  const processes = await target.processes()
  const pick = (...roles: readonly RunningProcess['role'][]): string =>
    prng.pick(processes.filter(({ role }) => roles.includes(role))).id
  const lastsMs = LASTS_MS.least + prng.below(LASTS_MS.more)
  switch (name) {
    case 'kill-coordinator':
      return strike(pick('coordinator'))
    case 'kill-executor':
      return strike(pick('executor'))
    case 'kill-etcd-member':
      return strike(pick('etcd'))
    case 'pause': {
      const id = pick('coordinator', 'executor')
      tell(`SIGSTOP of ${id} for ${lastsMs} ms`)
      await target.signal(id, 'SIGSTOP')
      try {
        await clock.sleep(lastsMs)
      } finally {
        await target.signal(id, 'SIGCONT')
      }
      return
    }
    case 'cut': {
      const id = pick('coordinator', 'executor')
      tell(`${id} cut off for ${lastsMs} ms`)
      await links.set([
        { from: id, to: 'any', fault: BLACKHOLE },
        { from: 'any', to: id, fault: BLACKHOLE },
      ])
      try {
        await clock.sleep(lastsMs)
      } finally {
        await links.set([])
      }
    }
  }

  async function strike(id: string): Promise<void> {
    tell(`SIGKILL of ${id}`)
    await target.signal(id, 'SIGKILL')
  }
}
