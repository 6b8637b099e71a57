import type { Failpoint } from '@nyala/client/base'
import { strikeAtAll, struckAt } from './moment-drills.ts'
import type { Drill, Round } from './round.ts'
import { etcdLeader, gone, seesCoordinatorGo } from './strikes.ts'

/** Moments of a write at which its coordinator can die: before the commit nothing was done, after it everything. */
const COMMIT_MOMENTS: readonly Failpoint[] = [
  'write.beginning',
  'write.begun',
  'write.deciding',
  'write.decided',
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
    run: async (round) => {
      const victim = await struckAt(round, 'write.decided', { isFirst: true, what: 'stop' })
      await round.loadRecovered()
      await round.signal(victim, 'SIGCONT')
    },
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
    summary: 'SIGKILL of the leader of etcd while clients write',
    load: WRITERS,
    bounds: { stallMs: 6_000 },
    run: async (round) => round.strike(await etcdLeader(round), 'SIGKILL'),
    mutant: { name: 'no-commit-retry', fails: ['errors'] },
  },
]

/** The write of a transaction: its coordinator is paused with the files on disk and the commit not yet sent. */
async function stopAtDecision(round: Round): Promise<void> {
  const victim = await struckAt(round, 'transaction.committing', { isFirst: true, what: 'stop' })
  try {
    await round.loadRecovered()
    await gone(round, victim)
  } finally {
    await round.signal(victim, 'SIGCONT')
  }
}
