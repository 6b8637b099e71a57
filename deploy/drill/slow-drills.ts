import { childrenOf, sendSignals } from './kernels.ts'
import type { Drill, Round } from './round.ts'
import { busyExecutor, clientsGoOn, MOVED_MS, seesExecutorGo } from './strikes.ts'
import type { LogLine } from './target.ts'

/** Of each half second: nine tenths asleep, and awake often enough to answer pings. */
const ASLEEP_MS = 450
const AWAKE_MS = 50
/** A kernel that is silent is ended after 6 s, and what it ran goes on elsewhere. */
const HUNG_STALL_MS = 10_000

/** Drills of what answers, and does not get on. */
export const SLOW_DRILLS: readonly Drill[] = [
  {
    name: 'executor-slow',
    summary:
      'an executor and its kernels get a tenth of their time: others are quicker with its tasks',
    load: ['small', 'divided', 'slow', 'slow'],
    bounds: { stallMs: 3_000 },
    run: slowDown,
    notices: seesSlow,
    mutant: { name: 'no-speculation', fails: ['stall'] },
  },
  {
    name: 'storage-stall',
    summary: 'the kernels of an executor hang in the midst of results, and the executor answers',
    load: ['small', 'small', 'scan', 'scan'],
    bounds: { stallMs: HUNG_STALL_MS },
    holdStreams: true,
    run: hangKernels,
    notices: ({ event, member }, victim) => event === 'kernelKilled' && member === victim,
    mutant: { name: 'no-kernel-watch', fails: ['stall'] },
  },
]

function seesSlow({ event, fields }: LogLine, victim: string): boolean {
  return event === 'executorSlow' && fields['executor'] === victim
}

/** Until every client works again, a second attempt has been through before the first, and calls have come after that. */
async function slowDown(round: Round): Promise<void> {
  const { clock } = round.options
  const victim = await busyExecutor(round)
  round.began(victim)
  const isOver = new AbortController()
  const slowness = (async () => {
    while (!isOver.signal.aborted) {
      const pid = (await round.process(victim))?.pid
      const pids = pid === undefined ? [] : [pid, ...childrenOf(pid)]
      sendSignals(pids, 'SIGSTOP')
      await clock.sleep(ASLEEP_MS)
      sendSignals(pids, 'SIGCONT')
      await clock.sleep(AWAKE_MS)
    }
  })()
  try {
    await round.loadRecovered()
    await round.until('stall', round.bound(MOVED_MS), () =>
      round.logged().some((line) => seesSlow(line, victim))
        ? undefined
        : `nobody was quicker than ${victim}`,
    )
    await clientsGoOn(round)
  } finally {
    isOver.abort()
    await slowness
  }
}

async function hangKernels(round: Round): Promise<void> {
  const victim = await busyExecutor(round)
  const pid = (await round.process(victim))?.pid ?? 0
  const kernels = childrenOf(pid)
  round.began(victim)
  sendSignals(kernels, 'SIGSTOP')
  try {
    round.load.gate.open()
    await round.loadRecovered()
    // What hangs is not the executor, which is to be heard all the time.
    await round.until('errors', 0, () =>
      round.logged().some((line) => seesExecutorGo(line, victim))
        ? `${victim} was given up, and not its kernels`
        : undefined,
    )
  } finally {
    sendSignals(kernels, 'SIGCONT')
  }
}
