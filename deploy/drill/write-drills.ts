import type { Failpoint } from '@nyala/client/base'
import { strikeAt } from './moment-drills.ts'
import type { Drill } from './round.ts'
import { etcdLeader, seesCoordinatorGo } from './strikes.ts'

/** Moments of a write at which its coordinator can die: before the commit nothing was done, after it everything. */
const WRITE_MOMENTS: readonly Failpoint[] = ['write.begun', 'write.deciding', 'write.decided']

const LOAD = ['append', 'append', 'transfer', 'transfer', 'small'] as const

/** Drills under clients that write to managed tables, single rows and transactions over two tables. */
export const WRITE_DRILLS: readonly Drill[] = [
  {
    name: 'coordinator-kill-at-commits',
    summary: `SIGKILL of a coordinator at ${WRITE_MOMENTS.join(', ')}`,
    load: LOAD,
    bounds: { stallMs: 6_000 },
    failpoints: true,
    run: async (round) => {
      for (const [i, name] of WRITE_MOMENTS.entries()) {
        if (i > 0) await round.whole()
        await strikeAt(round, name, i === 0)
      }
    },
    mutant: { name: 'no-outcome-check', fails: ['exact'] },
  },
  {
    name: 'leader-kill-under-writes',
    summary: 'SIGKILL of the leader while clients write through it and others',
    load: LOAD,
    bounds: { stallMs: 6_000, detectedMs: 250, leaderMs: 1_000 },
    begin: (round) => round.leader(),
    run: async (round) => round.strike(await round.leader(), 'SIGKILL'),
    notices: seesCoordinatorGo,
    mutant: { name: 'no-campaign', fails: ['leader', 'tidy'] },
  },
  {
    name: 'etcd-leader-kill-under-writes',
    summary: 'SIGKILL of the leader of etcd while clients write',
    load: LOAD,
    bounds: { stallMs: 6_000 },
    run: async (round) => round.strike(await etcdLeader(round), 'SIGKILL'),
    mutant: { name: 'no-commit-retry', fails: ['errors'] },
  },
]
