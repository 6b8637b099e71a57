import { seesExecutorGo, statusAt } from '@nyala/deploy/drill'
import type { LoadKind } from '@nyala/deploy/drill'
import type { Campaign } from './injections.ts'
import { LeaderObserver } from './leader-observer.ts'

/** What is measured of each injection of a fault, and what it should be. */
export interface Measure {
  readonly what: string
  /** The part `p` of the samples is to be at most so long. */
  readonly goal: { readonly p: number; readonly ms: number }
}

/** Milliseconds by the name of the measure; undefined where the fault struck nobody, and is to be tried again. */
export type Sample = Readonly<Record<string, number>> | undefined

export interface Fault {
  readonly fault: string
  readonly load: readonly LoadKind[]
  readonly executors: number
  readonly etcd: 1 | 3
  readonly measures: Readonly<Record<string, Measure>>
  /** Gets ready for a campaign; what it returns breaks one member of a cluster that is green, and looks. */
  begin(campaign: Campaign): Promise<Injector>
}

export interface Injector {
  inject(): Promise<Sample>
  /** What did not hold, beyond what the clients saw. */
  close(): Promise<readonly string[]>
}

const p99 = (ms: number): Measure['goal'] => ({ p: 0.99, ms })
const worst = (ms: number): Measure['goal'] => ({ p: 1, ms })
/** A stream that is begun and not yet all on its way. */
const STREAM_MIDST = [0.1, 0.6] as const
const QUERY_MIDST = [0.1, 0.9] as const
const COMMIT_MIDST = [0, 1] as const
const LEADER_MS = 60_000
/** For what did not come to pass. */
const NEVER_MS = 60_000

const alone = (inject: () => Promise<Sample>): Promise<Injector> =>
  Promise.resolve({ inject, close: () => Promise.resolve([]) })

/** In the order of the README. */
export const FAULTS: Readonly<Record<string, Fault>> = {
  'executor-kill': {
    fault: 'executor SIGKILL in a query',
    load: ['slow', 'divided'],
    executors: 3,
    etcd: 3,
    measures: {
      noticed: { what: 'noticed', goal: p99(250) },
      added: { what: 'added time of the query, beyond the work that was lost', goal: p99(500) },
      stall: { what: 'longest wait of a client', goal: p99(3_000) },
    },
    begin: (on) =>
      alone(async () => {
        const victim = await busyExecutor(on)
        if (victim === undefined) return undefined
        on.strike(victim, 'SIGKILL')
        await on.recovered()
        const noticed = on.noticedMs((line) => seesExecutorGo(line, victim))
        const added = Math.max(0, on.struckCalls('slow').beyondLostMs)
        return { noticed: noticed ?? NEVER_MS, added, stall: on.stallMs(['slow', 'divided']) }
      }),
  },
  'executor-stop': {
    fault: 'executor SIGSTOP in a query',
    load: ['slow', 'divided'],
    executors: 3,
    etcd: 3,
    measures: { stall: { what: 'longest wait of a client', goal: p99(3_000) } },
    begin: (on) =>
      alone(async () => {
        const victim = await busyExecutor(on)
        if (victim === undefined) return undefined
        on.strike(victim, 'SIGSTOP')
        await on.recovered()
        on.cluster.kill(victim, 'SIGCONT')
        return { stall: on.stallMs(['slow', 'divided']) }
      }),
  },
  'coordinator-kill': owner('SIGKILL', 'coordinator SIGKILL while streaming', 1_000),
  'coordinator-stop': owner('SIGSTOP', 'coordinator SIGSTOP while streaming', 4_000),
  'leader-kill': leader('SIGKILL', 'leader SIGKILL', 1_000),
  'leader-stop': leader('SIGSTOP', 'leader SIGSTOP', 5_000),
  'leader-term': leader('SIGTERM', 'leader SIGTERM', 500),
  'leader-kill-under-commits': {
    fault: 'leader SIGKILL under commits',
    load: ['append', 'append', 'fill', 'transfer'],
    executors: 2,
    etcd: 3,
    measures: { commits: { what: 'longest wait of a client that commits', goal: p99(3_000) } },
    begin: (on) =>
      alone(async () => {
        const victim = await leaderOf(on)
        if (victim === undefined) return undefined
        await on.midst('append', COMMIT_MIDST)
        on.strike(victim, 'SIGKILL')
        await on.recovered()
        return { commits: on.stallMs(['append', 'fill', 'transfer']) }
      }),
  },
  'etcd-leader-kill': {
    fault: 'etcd leader SIGKILL',
    load: ['slow', 'write', 'write'],
    executors: 2,
    etcd: 3,
    measures: {
      reads: { what: 'added time of a query that runs', goal: p99(500) },
      writes: { what: 'longest wait of a client that writes', goal: p99(3_000) },
    },
    begin: (on) =>
      alone(async () => {
        const victim = await etcdLeader(on)
        if (victim === undefined) return undefined
        await on.midst('slow', QUERY_MIDST)
        on.strike(victim, 'SIGKILL')
        await on.recovered()
        const { addedMs } = on.struckCalls('slow')
        return { reads: addedMs, writes: on.stallMs(['write']) }
      }),
  },
  'rolling-restart': {
    fault: 'restart of one after another, under load',
    load: ['small', 'divided', 'stream', 'write'],
    executors: 3,
    etcd: 3,
    measures: { stall: { what: 'longest wait of a client', goal: p99(6_000) } },
    begin: (on) => {
      const order = (['executor', 'coordinator', 'etcd'] as const).flatMap((role) => on.ids(role))
      let next = 0
      return alone(async () => {
        on.began()
        on.restart(order[next++ % order.length] ?? '', 0)
        await on.green()
        await on.recovered()
        return { stall: on.stallMs(['small', 'divided', 'stream', 'write']) }
      })
    },
  },
}

/** Breaks the coordinator that a large result comes from. */
function owner(signal: 'SIGKILL' | 'SIGSTOP', fault: string, goalMs: number): Fault {
  const load: readonly LoadKind[] = ['stream', 'small']
  return {
    ...{ fault, load, executors: 2, etcd: 3 },
    measures: { stall: { what: 'longest wait of a client', goal: p99(goalMs) } },
    begin: (on) =>
      alone(async () => {
        const reader = await on.midst('stream', STREAM_MIDST)
        const victim = reader.coordinator
        const moves = reader.moves
        if (victim === undefined || !on.ids('coordinator').includes(victim)) return undefined
        on.strike(victim, signal)
        await on.recovered()
        if (signal === 'SIGSTOP') on.cluster.kill(victim, 'SIGCONT')
        // One whose rows were all on their way has not been struck.
        return reader.moves === moves ? undefined : { stall: on.stallMs(load) }
      }),
  }
}

/** Breaks who leads; who led must not take its place back. */
function leader(signal: 'SIGKILL' | 'SIGSTOP' | 'SIGTERM', fault: string, goalMs: number): Fault {
  return {
    ...{ fault, load: ['small', 'small'], executors: 1, etcd: 3 },
    measures: { leader: { what: 'new leader', goal: worst(goalMs) } },
    begin: async (on) => {
      const observer = await LeaderObserver.open(on.cluster.etcdEndpoints, on.clock)
      let takenBack = 0
      let expected: number | undefined
      return {
        inject: async () => {
          const before = observer.leader
          if (before === undefined) return undefined
          if (expected !== undefined && before.epoch !== expected) takenBack++
          const elected = observer.next(before.epoch, {
            signal: AbortSignal.any([AbortSignal.timeout(LEADER_MS), on.signal]),
          })
          const beganMs = on.clock.now()
          if (signal === 'SIGTERM') {
            on.began()
            on.restart(before.id, 0)
          } else on.strike(before.id, signal)
          await elected
          const tookMs = on.clock.now() - beganMs
          expected = observer.leader?.epoch
          await on.recovered()
          if (signal === 'SIGSTOP') on.cluster.kill(before.id, 'SIGCONT')
          return { leader: tookMs }
        },
        close: async () => {
          await observer.close()
          return takenBack === 0 ? [] : [`${takenBack} times the lead changed once more`]
        },
      }
    },
  }
}

/** An executor that runs a task, at some moment of a query of a second. */
async function busyExecutor(on: Campaign): Promise<string | undefined> {
  await on.midst('slow', QUERY_MIDST)
  const executors = on.prng.shuffle(on.cluster.processes.filter(({ role }) => role === 'executor'))
  for (const { id, address } of executors) if (await runsTasks(address)) return id
  return undefined
}

async function runsTasks(address: string): Promise<boolean> {
  const response = await fetch(`http://${address}/health`)
  const { tasksRunning } = (await response.json()) as { readonly tasksRunning?: unknown }
  return typeof tasksRunning === 'number' && tasksRunning > 0
}

async function leaderOf(on: Campaign): Promise<string | undefined> {
  const [coordinator] = on.cluster.processes.filter(({ role }) => role === 'coordinator')
  const status = await statusAt(coordinator?.address ?? '')
  return status?.leader ?? undefined
}

async function etcdLeader(on: Campaign): Promise<string | undefined> {
  const [coordinator] = on.cluster.processes.filter(({ role }) => role === 'coordinator')
  const status = await statusAt(coordinator?.address ?? '')
  const found = status?.etcd.find((one) => one.leader)
  return found === undefined ? undefined : on.idAt(found.address)
}
