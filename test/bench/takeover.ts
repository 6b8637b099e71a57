import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { silentLog, systemClock as clock } from '@nyala/client/base'
import { type LocalCluster, startLocalCluster } from '@nyala/deploy'
import { connectKv, type EtcdKv, Keys, Membership, PrefixView } from '@nyala/metastore'
import type { FaultRow } from './failover.ts'

/** SIGKILL, SIGSTOP until another leads, SIGTERM. */
export type LeaderFault = 'kill' | 'pause' | 'planned'

const NAMES: Readonly<Record<LeaderFault, string>> = {
  kill: 'leader SIGKILL',
  pause: 'leader SIGSTOP',
  planned: 'leader SIGTERM',
}
const GOALS_MS: Readonly<Record<LeaderFault, number>> = { kill: 1_000, pause: 5_000, planned: 500 }
/** What is measured next begins when the cluster has been whole for so long. */
const QUIET_MS = 1_500
const LIMIT_MS = 30_000

interface Row {
  readonly fault: LeaderFault
  readonly samplesMs: readonly number[]
  /** Rounds in which the former leader took its place back within {@link QUIET_MS} of its return. */
  readonly takenBack: number
}

/** The cluster as seen from etcd, by watches of its own. */
class Observer {
  readonly #view: PrefixView
  readonly #key: string
  readonly membership: Membership

  private constructor(kv: EtcdKv, keys: Keys) {
    const on = { kv, keys, clock, log: silentLog }
    this.#key = keys.leader
    this.#view = new PrefixView({ ...on, prefix: keys.leader })
    this.membership = new Membership(on)
  }

  static async open(kv: EtcdKv, keys: Keys): Promise<Observer> {
    const observer = new Observer(kv, keys)
    await Promise.all([observer.#view.start(), observer.membership.start()])
    return observer
  }

  get leader(): { readonly id: string; readonly epoch: number } | undefined {
    const item = this.#view.get(this.#key)
    if (item === undefined) return undefined
    const { record } = JSON.parse(item.value) as { readonly record: { readonly id: string } }
    return { id: record.id, epoch: item.createRevision }
  }

  /** Resolves with the time at which a leader of a later epoch was seen. */
  async nextLeader(epoch: number): Promise<number> {
    await this.#until((leader) => leader !== undefined && leader.epoch > epoch)
    return clock.now()
  }

  async #until(condition: (leader: Observer['leader']) => boolean): Promise<void> {
    const limit = new AbortController()
    const cancel = clock.after(LIMIT_MS, () => limit.abort(new Error('no leader in time')))
    try {
      await this.#view.waitFor(() => condition(this.leader), limit)
    } finally {
      cancel()
    }
  }

  /** Resolves when all `members` have been registered, and one has led, for {@link QUIET_MS}. */
  async quiet(members: number): Promise<void> {
    let since = clock.now()
    let before = ''
    const end = since + LIMIT_MS
    while (clock.now() - since < QUIET_MS) {
      if (clock.now() > end) throw new Error('the cluster is not whole again')
      await clock.sleep(20)
      const listed = this.membership.members().map(({ id, incarnation }) => `${id}:${incarnation}`)
      const now = `${this.leader?.epoch} ${listed.join(' ')}`
      if (now !== before || this.leader === undefined || listed.length !== members) {
        since = clock.now()
        before = now
      }
    }
  }

  async close(): Promise<void> {
    await Promise.all([this.#view.stop(), this.membership.stop()])
  }
}

async function measure(
  cluster: LocalCluster,
  observer: Observer,
  fault: LeaderFault,
  rounds: number,
): Promise<Row> {
  const samplesMs: number[] = []
  let takenBack = 0
  const members = observer.membership.members().length
  for (let round = 0; round < rounds; round++) {
    await observer.quiet(members)
    const before = observer.leader
    if (before === undefined) throw new Error('nobody leads')
    const elected = observer.nextLeader(before.epoch)
    const began = clock.now()
    const ended = breakLeader(cluster, before.id, fault)
    samplesMs.push((await elected) - began)
    const after = observer.leader
    if (fault === 'pause') cluster.kill(before.id, 'SIGCONT')
    await ended
    if (fault !== 'pause') await cluster.restart(before.id)
    await observer.quiet(members)
    if (observer.leader?.epoch !== after?.epoch) takenBack++
  }
  return { fault, samplesMs, takenBack }
}

/** Resolves when the process has ended, where it is to end. */
async function breakLeader(cluster: LocalCluster, id: string, fault: LeaderFault): Promise<void> {
  switch (fault) {
    case 'kill':
      cluster.kill(id, 'SIGKILL')
      return await cluster.exited(id)
    case 'pause':
      return cluster.kill(id, 'SIGSTOP')
    case 'planned':
      cluster.kill(id, 'SIGTERM')
      return await cluster.exited(id)
  }
}

/**
 * Ends the leading coordinator of a cluster of three real processes, again and again, and measures how long the cluster
 * has no other leader: from the signal to the revision of etcd at which the next one holds the leader key.
 */
export async function measureTakeovers(
  faults: readonly LeaderFault[],
  rounds: number,
): Promise<readonly FaultRow[]> {
  const dir = mkdtempSync(join(tmpdir(), 'nyala-takeover-'))
  const cluster = await startLocalCluster({
    dir,
    coordinators: 3,
    executors: 1,
    threads: 1,
    variables: process.env,
  })
  try {
    const kv = await connectKv({ endpoints: cluster.etcdEndpoints, clock, log: silentLog })
    const observer = await Observer.open(kv, new Keys('local'))
    const rows: FaultRow[] = []
    for (const fault of faults) {
      const { samplesMs, takenBack } = await measure(cluster, observer, fault, rounds)
      rows.push({
        fault: NAMES[fault],
        what: 'new leader',
        samplesMs,
        goal: { p: 1, ms: GOALS_MS[fault] },
        bad: takenBack === 0 ? [] : [`${takenBack} times the former leader took its place back`],
      })
    }
    await observer.close()
    await kv.close()
    return rows
  } finally {
    await cluster.stop()
    rmSync(dir, { recursive: true, force: true })
  }
}
