import type { Failpoint } from '@nyala/client/base'
import { pendingWrites } from './leftovers.ts'
import { strikeAtAll, struckAt } from './moment-drills.ts'
import type { Drill, Round } from './round.ts'
import { isTableWrite } from './load.ts'
import { clientsGoOn, gone, MOVED_MS, seesCoordinatorGo, stallEtcdLeader } from './strikes.ts'

/** Moments of a write at which its coordinator can die: before the commit nothing was done, after it everything. */
const COMMIT_MOMENTS: readonly Failpoint[] = [
  'write.beginning',
  'write.begun',
  'write.deciding',
  'write.decided',
  // Those before may strike a transaction; of an INSERT it is seen whether it was done twice.
  'group.decided',
]
const GROUP_MOMENTS: readonly Failpoint[] = ['group.taken', 'group.staging']
const TRANSACTION_MOMENTS: readonly Failpoint[] = ['transaction.staged', 'transaction.committing']
/** Of an executor that writes files of a table, with its kernel. */
const STAGE_MOMENTS: readonly Failpoint[] = [
  'stage.writing',
  'stage.syncing',
  'stage.renaming',
  'stage.named',
]
const VOTE_MOMENTS: readonly Failpoint[] = ['prepare.received', 'prepare.voting', 'prepare.voted']

export const WRITERS = ['append', 'append', 'transfer', 'transfer', 'small'] as const

/** Drills under clients that write to managed tables, single rows and transactions over two tables. */
export const WRITE_DRILLS: readonly Drill[] = [
  {
    name: 'coordinator-kill-at-commits',
    summary: `SIGKILL of a coordinator at ${COMMIT_MOMENTS.join(', ')}`,
    load: WRITERS,
    bounds: { stallMs: 6_000 },
    failpoints: true,
    run: (round) => strikeAtAll(round, COMMIT_MOMENTS),
    mutant: { name: 'no-outcome-check', fails: ['exact'] },
  },
  {
    name: 'coordinator-kill-at-groups',
    summary: `SIGKILL of a coordinator at ${[...GROUP_MOMENTS, ...TRANSACTION_MOMENTS].join(', ')}`,
    load: ['append', 'append', 'pair', 'small'],
    bounds: { stallMs: 6_000 },
    failpoints: true,
    run: (round) => strikeAtAll(round, [...GROUP_MOMENTS, ...TRANSACTION_MOMENTS]),
    mutant: { name: 'no-sweeps', fails: ['tidy'] },
  },
  {
    name: 'executor-kill-at-stages',
    summary: `SIGKILL of an executor at ${STAGE_MOMENTS.join(', ')}`,
    load: ['fill', 'fill', 'transfer', 'small'],
    bounds: { stallMs: 3_000 },
    failpoints: true,
    run: (round) => strikeAtAll(round, STAGE_MOMENTS),
    mutant: { name: 'no-staged-removal', fails: ['tidy'] },
  },
  {
    name: 'executor-kill-at-votes',
    summary: `SIGKILL of an executor at ${VOTE_MOMENTS.join(', ')}`,
    load: ['fill', 'fill', 'transfer', 'small'],
    bounds: { stallMs: 3_000 },
    failpoints: true,
    run: (round) => strikeAtAll(round, VOTE_MOMENTS),
    mutant: { name: 'no-retry-elsewhere', fails: ['errors'] },
  },
  {
    name: 'coordinator-stop-at-decision',
    summary:
      'SIGSTOP of a coordinator that is about to decide; woken when its write is aborted, it must decide nothing',
    load: ['pair', 'pair', 'append', 'small'],
    bounds: { stallMs: 6_000 },
    failpoints: true,
    run: stopAtDecision,
    mutant: { name: 'no-record-check', fails: ['exact'] },
  },
  {
    name: 'coordinator-stop-at-decided',
    summary:
      'SIGSTOP of a coordinator that has decided and told nobody: asked again elsewhere, the same is said',
    load: ['append', 'append', 'fill', 'small'],
    bounds: { stallMs: 6_000 },
    failpoints: true,
    run: stopAtDecided,
    mutant: { name: 'no-outcome-check', fails: ['exact'] },
  },
  {
    name: 'leader-kill-under-writes',
    summary: 'SIGKILL of the leader while clients write through it and others',
    load: WRITERS,
    bounds: { stallMs: 6_000, detectedMs: 250, leaderMs: 1_000 },
    begin: (round) => round.leader(),
    run: async (round) => round.strike(await round.leader(), 'SIGKILL'),
    notices: seesCoordinatorGo,
    mutant: { name: 'no-campaign', fails: ['leader', 'tidy'] },
  },
  {
    name: 'etcd-leader-kill-under-writes',
    summary: 'SIGKILL of the leader of etcd while commits of clients wait for it',
    load: WRITERS,
    bounds: { stallMs: 6_000 },
    run: async (round) => round.strike(await stallEtcdLeader(round), 'SIGKILL'),
    mutant: { name: 'no-commit-retry', fails: ['errors'] },
  },
]

/** The leader looks after the writes of others every so often, and misses an owner for a while. */
const ABORTED_MS = 15_000

/** The write of a transaction: its coordinator is paused with the files on disk and the commit not yet sent. */
async function stopAtDecision(round: Round): Promise<void> {
  const victim = await struckAt(round, 'transaction.committing', { isFirst: true, what: 'stop' })
  try {
    const { target } = round.options
    const pending = await pendingWrites(target, victim)
    await round.until('struck', 0, () =>
      pending.length > 0 ? undefined : `no write of ${victim} is under way`,
    )
    await clientsGoOn(round)
    await gone(round, victim)
    await round.until('tidy', round.bound(ABORTED_MS), async () => {
      const still = (await pendingWrites(target, victim)).find((id) => pending.includes(id))
      return still && `the write ${still} of ${victim}, which hangs, is still pending`
    })
  } finally {
    await round.signal(victim, 'SIGCONT')
  }
}

/**
 * Whoever waits for the coordinator that hangs sends its statement again to another one, and is told; one of them is the
 * one whose write is decided. Woken sooner, it would tell them itself, and nothing would be asked twice.
 */
async function stopAtDecided(round: Round): Promise<void> {
  const victim = await struckAt(round, 'write.decided', { isFirst: true, what: 'stop' })
  try {
    const waiting = round.load.clients
      .filter((one) => isTableWrite(one.kind) && one.coordinator === victim)
      .filter(({ busySinceMs }) => busySinceMs !== undefined)
      .map((client) => ({ client, moves: client.moves, calls: client.calls.length }))
    await round.until('struck', 0, () =>
      waiting.length > 0 ? undefined : `nobody writes through ${victim}`,
    )
    await round.until('stall', round.bound(MOVED_MS), () => {
      const still = waiting.find(
        ({ client, moves, calls }) => client.moves === moves || client.calls.length === calls,
      )
      return still && `${still.client.name} was told nothing by another coordinator`
    })
  } finally {
    await round.signal(victim, 'SIGCONT')
  }
}
