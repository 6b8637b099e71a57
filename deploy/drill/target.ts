import { connect } from '@nyala/client'
import type { ClusterStatus } from '@nyala/client/protocol'
import { SqlError } from '@nyala/client/protocol'
import { readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import type { LocalCluster, RunningProcess } from '../local/cluster.ts'
import { pathsOf } from '../local/layout.ts'
import { LauncherError } from '../local/launcher-error.ts'
import { isAlive, sendSignal } from '../local/process-identity.ts'
import { readState } from '../local/state-file.ts'

/** A cluster that is to be struck: one of the drill's own, or one that `nyala up` supervises. */
export interface Target {
  readonly url: string
  readonly dir: string
  readonly etcdEndpoints: readonly string[]
  /** Name in etcd. */
  readonly cluster: string
  /** Processes that run now. */
  processes(): Promise<readonly RunningProcess[]>
  /** Sends a signal to the process of a member; nothing where none runs. */
  signal(id: string, signal: NodeJS.Signals): Promise<void>
}

export const ownTarget = (cluster: LocalCluster): Target => ({
  url: cluster.url,
  dir: cluster.dir,
  etcdEndpoints: cluster.etcdEndpoints,
  cluster: 'local',
  processes: () => Promise.resolve(cluster.processes),
  signal: (id, signal) => {
    const found = cluster.processes.find((one) => one.id === id)
    if (found !== undefined) sendSignal(found.pid, signal)
    return Promise.resolve()
  },
})

/** The cluster that runs in a directory. Fails with a {@link LauncherError} where none does. */
export async function runningTarget(dir: string): Promise<Target> {
  const state = await readState(dir)
  if (state?.state !== 'ready') {
    throw new LauncherError(`no cluster runs in "${dir}"`, { hint: 'start one with nyala up' })
  }
  const processes = async (): Promise<readonly RunningProcess[]> => {
    const records = (await readState(dir))?.processes ?? []
    const alive = await Promise.all(records.map((one) => isAlive(one)))
    return records.filter((_, i) => alive[i])
  }
  return {
    url: state.url,
    dir,
    etcdEndpoints: state.etcd,
    cluster: state.cluster,
    processes,
    signal: async (id, signal) => {
      const found = (await processes()).find((one) => one.id === id)
      if (found !== undefined) sendSignal(found.pid, signal)
    },
  }
}

/** A coordinator that has not answered by then says nothing; one that waits for others itself does so for a second. */
const STATUS_TIMEOUT_MS = 5_000

/** What one coordinator says of the cluster; undefined where it does not answer. */
export async function statusAt(address: string): Promise<ClusterStatus | undefined> {
  const signal = AbortSignal.timeout(STATUS_TIMEOUT_MS)
  try {
    const url = `nyala://${address}`
    await using db = await connect({ url, signal, discover: false, retry: { attempts: 1 } })
    return await db.status(signal)
  } catch (error) {
    if (error instanceof SqlError || signal.aborted) return undefined
    throw error
  }
}

/** What is missing for the cluster to be whole, in words; undefined where nothing is. */
export async function missingFrom(
  target: Target,
  all: readonly string[],
): Promise<string | undefined> {
  const processes = await target.processes()
  const dead = all.find((id) => !processes.some((one) => one.id === id))
  if (dead !== undefined) return `no process of ${dead} runs`
  const coordinators = processes.filter((one) => one.role === 'coordinator')
  const said = await Promise.all(coordinators.map((one) => statusAt(one.address)))
  const leaders = new Set<string | null>()
  for (const [i, status] of said.entries()) {
    const { id } = coordinators[i] as RunningProcess
    if (status === undefined) return `${id} does not answer`
    const unhealthy = status.etcd.find((member) => !member.healthy)
    if (unhealthy !== undefined) return `etcd at ${unhealthy.address} is not healthy`
    const alarms = status.etcd.flatMap((member) => member.alarms ?? [])
    if (alarms.length > 0) return `etcd raises the alarm ${alarms.join(', ')}`
    for (const { id: member, pid, role } of processes) {
      if (role === 'etcd') continue
      const known = status.members.find((one) => one.id === member)
      const isIt = known?.pid === pid && known.state === 'alive'
      if (!isIt) return `${id} does not see ${member} of pid ${pid}, but ${known?.state ?? 'none'}`
    }
    leaders.add(status.leader)
  }
  const [leader] = leaders
  if (leaders.size !== 1 || leader === null) return `leaders are ${[...leaders].join(', ')}`
  return undefined
}

export interface LogLine {
  readonly member: string
  /** Milliseconds since 1970-01-01 UTC. */
  readonly timeMs: number
  readonly event: string
  readonly fields: Readonly<Record<string, unknown>>
}

/** What the members have logged since it was made. */
export class LogTail {
  readonly #from = new Map<string, number>()
  readonly #dir: string

  constructor(target: Target, members: readonly string[]) {
    this.#dir = pathsOf(target.dir).logs
    for (const id of members) {
      this.#from.set(id, statSync(this.#path(id), { throwIfNoEntry: false })?.size ?? 0)
    }
  }

  lines(): readonly LogLine[] {
    return [...this.#from].flatMap(([member, from]) =>
      readFileSync(this.#path(member))
        .subarray(from)
        .toString('utf8')
        .split('\n')
        .flatMap((line) => parsed(member, line)),
    )
  }

  #path(member: string): string {
    return join(this.#dir, `${member}.log`)
  }
}

function parsed(member: string, line: string): readonly LogLine[] {
  if (!line.startsWith('{')) return []
  try {
    const fields = JSON.parse(line) as Readonly<Record<string, unknown>>
    const { time, event } = fields
    if (typeof time !== 'string' || typeof event !== 'string') return []
    return [{ member, timeMs: Date.parse(time), event, fields }]
  } catch {
    // The last line may be half written.
    return []
  }
}
