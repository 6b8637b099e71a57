import { revokeAllLeases } from '../local/etcd-calls.ts'
import { CANCEL_DRILLS } from './cancel-drills.ts'
import { CLIENT_DRILLS } from './client-drills.ts'
import { ETCD_DRILLS } from './etcd-drills.ts'
import { ETCD_MEMBER_DRILLS } from './etcd-member-drills.ts'
import { FOREIGN_DRILLS } from './foreign-drills.ts'
import { HERD_DRILLS } from './herd-drills.ts'
import { LINK_DRILLS } from './link-drills.ts'
import { LITTER_DRILLS } from './litter-drills.ts'
import type { Call } from './load.ts'
import { MOMENT_DRILLS } from './moment-drills.ts'
import { NEWCOMER_DRILLS } from './newcomer-drills.ts'
import { OWNERSHIP_DRILLS } from './ownership-drills.ts'
import { POISON_DRILLS } from './poison-drills.ts'
import { READER_DRILLS } from './reader-drills.ts'
import type { Drill, Round } from './round.ts'
import { SHORTAGE_DRILLS } from './shortage-drills.ts'
import { SLOW_DRILLS } from './slow-drills.ts'
import { SOAK_DRILLS } from './soak-drills.ts'
import {
  busyExecutor,
  follower,
  inMidstElsewhere,
  isToldOfQuorum,
  missed,
  MOVED_MS,
  noticed,
  restarted,
  seesCoordinatorGo,
  seesExecutorGo,
  stallEtcdLeader,
  streaming,
  withoutQuorum,
} from './strikes.ts'
import { statusAt } from './target.ts'
import { WAREHOUSE_DRILLS } from './warehouse-drills.ts'
import { WRITE_DRILLS } from './write-drills.ts'

/** Every drill, in the order in which they are run. Bounds are those of an idle machine and default timers. */
export const DRILLS: readonly Drill[] = [
  {
    name: 'executor-kill',
    summary: 'SIGKILL of an executor while it runs tasks',
    load: ['small', 'divided', 'slow', 'slow'],
    bounds: { stallMs: 3_000, detectedMs: 250 },
    run: async (round) => round.strike(await busyExecutor(round), 'SIGKILL'),
    notices: seesExecutorGo,
    mutant: { name: 'no-retry-elsewhere', fails: ['errors'] },
  },
  {
    name: 'executor-kill-streaming',
    summary: 'SIGKILL of an executor in the midst of results that come from it',
    load: ['write', 'scan', 'scan', 'scan'],
    bounds: { stallMs: 3_000, detectedMs: 250 },
    holdStreams: true,
    run: async (round) => round.strike(await busyExecutor(round), 'SIGKILL'),
    notices: seesExecutorGo,
    mutant: { name: 'no-rerun-after-rows', fails: ['errors'] },
  },
  {
    name: 'executors-kill',
    summary: 'SIGKILL of all executors at once while they run tasks: queries wait for new ones',
    load: ['small', 'divided', 'slow', 'slow'],
    bounds: { stallMs: 8_000, detectedMs: 250 },
    run: async (round) => {
      const first = await busyExecutor(round)
      const others = (await round.ids('executor')).filter((id) => id !== first)
      await round.strike(first, 'SIGKILL')
      for (const id of others) await round.signal(id, 'SIGKILL')
    },
    notices: seesExecutorGo,
    mutant: { name: 'no-retry-elsewhere', fails: ['errors'] },
  },
  {
    name: 'owner-and-executor-kill',
    summary:
      'SIGKILL of the coordinator that streams results and of an executor that they come from',
    load: ['scan', 'scan', 'scan'],
    bounds: { stallMs: 8_000, detectedMs: 250 },
    holdStreams: true,
    begin: follower,
    run: async (round) => {
      const executor = await busyExecutor(round)
      await round.strike(await streaming(round), 'SIGKILL')
      await round.signal(executor, 'SIGKILL')
    },
    notices: seesCoordinatorGo,
    mutant: { name: 'no-rerun-after-rows', fails: ['errors'] },
  },
  {
    name: 'executor-stop',
    summary: 'SIGSTOP of an executor while it runs tasks; woken once all clients work again',
    load: ['small', 'divided', 'slow', 'slow'],
    bounds: { stallMs: 3_500, detectedMs: 2_500 },
    run: async (round) => {
      const victim = await busyExecutor(round)
      await round.strike(victim, 'SIGSTOP')
      // Its tasks may be begun again elsewhere before that.
      await noticed(round, victim)
      await round.loadRecovered()
      await round.signal(victim, 'SIGCONT')
    },
    notices: seesExecutorGo,
    mutant: { name: 'no-pings', fails: ['stall', 'detected'] },
  },
  {
    name: 'coordinator-kill',
    summary: 'SIGKILL of a coordinator in the midst of the results that it streams',
    load: ['small', 'divided', 'stream', 'stream'],
    bounds: { stallMs: 1_000, detectedMs: 250 },
    holdStreams: true,
    keepsWork: true,
    begin: follower,
    run: async (round) => round.strike(await streaming(round), 'SIGKILL'),
    notices: seesCoordinatorGo,
    mutant: { name: 'no-orphan-grace', fails: ['errors', 'kept'] },
  },
  {
    name: 'coordinator-stop',
    summary: 'SIGSTOP of a coordinator in the midst of results; woken while they go on elsewhere',
    load: ['small', 'divided', 'stream', 'stream'],
    bounds: { stallMs: 4_000, detectedMs: 2_500 },
    holdStreams: true,
    keepsWork: true,
    begin: follower,
    run: async (round) => stopAndWake(round, await streaming(round)),
    notices: seesCoordinatorGo,
    mutant: { name: 'no-kept-frames', fails: ['errors', 'kept'] },
  },
  {
    name: 'leader-kill',
    summary: 'SIGKILL of the leader in the midst of the results that it streams',
    load: ['small', 'divided', 'stream'],
    bounds: { stallMs: 1_000, detectedMs: 250, leaderMs: 1_000 },
    holdStreams: true,
    begin: (round) => round.leader(),
    run: async (round) => round.strike(await round.leader(), 'SIGKILL'),
    notices: seesCoordinatorGo,
    mutant: { name: 'no-campaign', fails: ['leader'] },
  },
  {
    name: 'leader-stop',
    summary: 'SIGSTOP of the leader; woken, it must know that its term is over',
    load: ['small', 'divided', 'stream'],
    bounds: { stallMs: 4_000, detectedMs: 2_500, leaderMs: 5_000 },
    holdStreams: true,
    begin: (round) => round.leader(),
    run: async (round) => {
      const victim = await round.leader()
      await stopAndWake(round, victim)
      await round.until('leader', round.bound(STEP_DOWN_MS), () =>
        round.logged().some((line) => line.member === victim && line.event === 'deposed')
          ? undefined
          : `${victim} was woken and takes itself for the leader`,
      )
    },
    notices: seesCoordinatorGo,
    mutant: { name: 'no-step-down', fails: ['leader'] },
  },
  {
    name: 'etcd-leader-kill',
    summary: 'SIGKILL of the leader of etcd while commits wait for it, of views and of rows',
    load: ['small', 'divided', 'stream', 'write', 'write', 'append', 'append'],
    bounds: { stallMs: 3_000 },
    run: async (round) => round.strike(await stallEtcdLeader(round), 'SIGKILL'),
    mutant: { name: 'no-commit-retry', fails: ['errors'] },
  },
  {
    name: 'etcd-leader-stop',
    summary:
      'SIGSTOP of the leader of etcd for longer than any lease; woken, it knows old news only',
    load: ['small', 'divided', 'stream', 'write', 'write', 'append', 'append'],
    bounds: { stallMs: 5_000 },
    run: stopEtcdLeader,
    mutant: { name: 'no-commit-retry', fails: ['errors'] },
  },
  {
    name: 'executor-drain',
    summary: 'SIGTERM of an executor that runs tasks and holds results: all of them end well',
    load: ['small', 'divided', 'slow', 'stream', 'stream'],
    bounds: { stallMs: 3_000 },
    holdStreams: true,
    keepsWork: true,
    run: async (round) => round.strike(await busyExecutor(round), 'SIGTERM'),
    mutant: { name: 'no-drain', fails: ['errors', 'kept'] },
  },
  {
    name: 'coordinator-drain',
    summary: 'SIGTERM of a coordinator that runs queries and streams results: all of them end well',
    load: ['small', 'divided', 'slow', 'stream', 'stream'],
    bounds: { stallMs: 3_000 },
    holdStreams: true,
    begin: follower,
    run: drainCoordinator,
    mutant: { name: 'no-drain', fails: ['errors'] },
  },
  {
    name: 'rolling-restart',
    summary: 'every member is stopped in order and started again, one after another',
    load: ['small', 'divided', 'stream', 'write'],
    bounds: { stallMs: 6_000 },
    run: rollingRestart,
    mutant: { name: 'no-drain', fails: ['errors'] },
  },
  {
    name: 'all-leases-revoked',
    summary: 'every lease in etcd is revoked at once: nobody is registered, nobody leads',
    load: ['small', 'divided', 'stream', 'write'],
    bounds: { stallMs: 3_000, leaderMs: 5_000 },
    run: async (round) => {
      round.began('')
      await revokeAllLeases(round.options.target.etcdEndpoints)
    },
    mutant: { name: 'no-reregistration', fails: ['whole'] },
  },
  {
    name: 'etcd-quorum-lost',
    summary: 'two of three members of etcd hang until writes have failed, then wake',
    load: ['small', 'divided', 'write'],
    bounds: { stallMs: 5_500 },
    run: loseQuorum,
    allows: isToldOfQuorum,
    mutant: { name: 'patient-metastore', fails: ['errors', 'stall'] },
  },
  ...MOMENT_DRILLS,
  ...LINK_DRILLS,
  ...OWNERSHIP_DRILLS,
  ...SHORTAGE_DRILLS,
  ...SLOW_DRILLS,
  ...READER_DRILLS,
  ...POISON_DRILLS,
  ...WRITE_DRILLS,
  ...LITTER_DRILLS,
  ...WAREHOUSE_DRILLS,
  ...FOREIGN_DRILLS,
  ...CLIENT_DRILLS,
  ...CANCEL_DRILLS,
  ...ETCD_DRILLS,
  ...ETCD_MEMBER_DRILLS,
  ...HERD_DRILLS,
  ...NEWCOMER_DRILLS,
  ...SOAK_DRILLS,
]

/** A leader looks at the clock every 0.4 s and at its key when it hears of it. */
const STEP_DOWN_MS = 3_000

/** All clients work again before it wakes, and after. A lease is 3 s, and a watch is given up after 3 s of silence. */
async function stopEtcdLeader(round: Round): Promise<void> {
  const { clock } = round.options
  const victim = await stallEtcdLeader(round)
  round.began(victim)
  try {
    await round.loadRecovered()
    const endMs = clock.now() + OLD_NEWS_MS
    await round.until('struck', OLD_NEWS_MS + POLLED_MS, () =>
      clock.now() > endMs ? undefined : 'what it knows is not old yet',
    )
  } finally {
    await round.signal(victim, 'SIGCONT')
  }
}
const OLD_NEWS_MS = 7_000
const POLLED_MS = 1_000

/** A write that etcd does not answer is given up after 4.5 s, and each client has to come to one. */
const WRITE_GIVEN_UP_MS = 7_000

/** Its streams stay in their midst until it has left the membership, so that it has to wait for them. */
async function drainCoordinator(round: Round): Promise<void> {
  const victim = await streaming(round)
  const pid = (await round.process(victim))?.pid
  const others = (await round.processes('coordinator')).filter(({ id }) => id !== victim)
  await round.strike(victim, 'SIGTERM')
  await round.until('whole', round.bound(MOVED_MS), async () => {
    for (const { address } of others) {
      const status = await statusAt(address)
      if (status?.members.every((one) => one.pid !== pid) === true) return undefined
    }
    return `${victim} was asked to stop and is still a member`
  })
}

/** Stops it until the streams have gone on elsewhere, and wakes it while they are still in their midst. */
async function stopAndWake(round: Round, victim: string): Promise<void> {
  await round.strike(victim, 'SIGSTOP')
  await inMidstElsewhere(round)
  // Clients may be faster: whom nobody has missed by then nobody would miss any more.
  await missed(round, victim)
  await round.signal(victim, 'SIGCONT')
  const address = (await round.process(victim))?.address ?? ''
  await round.until('whole', round.bound(MOVED_MS), async () =>
    (await statusAt(address)) === undefined ? `${victim} was woken and does not answer` : undefined,
  )
  round.load.gate.open()
}

async function rollingRestart(round: Round): Promise<void> {
  const members = [
    ...(await round.ids('executor')),
    ...(await round.ids('coordinator')),
    ...(await round.ids('etcd')),
  ]
  for (const id of members) {
    const before = (await round.process(id))?.pid
    if (id === members[0]) await round.strike(id, 'SIGTERM')
    else await round.signal(id, 'SIGTERM')
    await restarted(round, id, { before, timeoutMs: RESTART_MS })
    await round.whole()
  }
}
/** A drain takes 10 s at most. */
const RESTART_MS = 30_000

async function loseQuorum(round: Round): Promise<void> {
  const writers = round.load.clients.filter(({ kind }) => kind === 'write')
  const hasFailed = ({ error }: Call): boolean => error !== undefined
  await withoutQuorum(round, () =>
    round.until('errors', round.bound(WRITE_GIVEN_UP_MS), () =>
      writers.every(({ calls }) => calls.some(hasFailed))
        ? undefined
        : 'a write was neither done nor refused',
    ),
  )
}
