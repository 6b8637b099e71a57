import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { connect as connectSocket } from 'node:net'
import { join } from 'node:path'
import { silentLog, systemClock } from '@nyala/client/base'
import { checkWarehouse } from '@nyala/coordinator/warehouse'
import { connectKv, Keys, type Kv, WriteLog } from '@nyala/metastore'
import type { RunningProcess } from '../local/cluster.ts'
import { pathsOf } from '../local/layout.ts'
import { statusAt, type Target } from './target.ts'

/** What queries that have ended have left in a cluster that lives: tasks, keys, segments. */
export async function leftInCluster(target: Target): Promise<string | undefined> {
  const processes = await target.processes()
  for (const { id, role, address } of processes) {
    if (role !== 'coordinator') continue
    const status = await statusAt(address)
    if (status === undefined) return `${id} does not answer`
    const [query] = status.queries
    if (query !== undefined) return `query ${query.id} is ${query.state} at ${query.coordinator}`
    const busy = status.members.find((one) => (one.load['tasksRunning'] ?? 0) > 0)
    if (busy !== undefined) return `${id} says that ${busy.id} runs a task`
  }
  const [segment] = filesBelow(join(pathsOf(target.dir).data, 'exchange'))
  if (segment !== undefined) return `the segment ${segment} is still there`
  return leftInEtcd(target, (keys) => [keys.queries, keys.txns])
}

/**
 * What executors still do for queries or keep of them, and records of queries: what has to be gone at once with a query
 * that is cancelled, where no other one runs.
 */
export async function leftOfQueries(target: Target): Promise<string | undefined> {
  for (const { id, role, address } of await target.processes()) {
    if (role !== 'executor') continue
    const load = await executorLoad(address)
    const busy = ['tasksRunning', 'queuedBytes', 'exchangeBytes'].find((name) => load[name] !== 0)
    if (busy !== undefined) return `${id} has ${busy} ${String(load[busy])}`
  }
  return leftInEtcd(target, (keys) => [keys.queries])
}

async function executorLoad(address: string): Promise<Readonly<Record<string, unknown>>> {
  try {
    const response = await fetch(`http://${address}/health`)
    return (await response.json()) as Readonly<Record<string, unknown>>
  } catch {
    return {}
  }
}

/** Ids of writes that are pending, of one coordinator or all. */
export const pendingWrites = (target: Target, owner?: string): Promise<readonly string[]> =>
  askEtcd(target, async (kv, keys) => {
    const writes = await new WriteLog({ kv, keys, clock: systemClock }).transactions()
    return writes.flatMap(({ record }) =>
      record.kind === 'pending' && (owner ?? record.owner) === record.owner ? [record.id] : [],
    )
  })

const leftInEtcd = (
  target: Target,
  prefixes: (keys: Keys) => readonly string[],
): Promise<string | undefined> =>
  askEtcd(target, async (kv, keys) => {
    for (const prefix of prefixes(keys)) {
      const [item] = (await kv.range(prefix)).items
      if (item !== undefined) return `the key ${item.key} is still there`
    }
    return undefined
  }).catch(notSaid)

/** The first file of a managed table that is missing, changed, or named by nothing. */
export const leftInWarehouse = (target: Target): Promise<string | undefined> =>
  askEtcd(target, async (kv, keys) => {
    const [problem] = await checkWarehouse({ kv, keys, clock: systemClock, log: silentLog })
    return problem
  }).catch(notSaid)

const notSaid = (error: unknown): string =>
  `etcd does not say what is left: ${(error as Error).message}`

async function askEtcd<T>(target: Target, ask: (kv: Kv, keys: Keys) => Promise<T>): Promise<T> {
  const kv = await connectKv({
    endpoints: target.etcdEndpoints,
    clock: systemClock,
    log: silentLog,
  })
  try {
    return await ask(kv, new Keys(target.cluster))
  } finally {
    await kv.close()
  }
}

function filesBelow(directory: string): readonly string[] {
  if (!existsSync(directory)) return []
  return readdirSync(directory, { withFileTypes: true, recursive: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
}

/** What a cluster that was stopped has left on this machine: processes and ports. */
export async function leftOnMachine(
  dir: string,
  members: readonly RunningProcess[],
): Promise<string | undefined> {
  const [alive] = processesNaming(dir)
  if (alive !== undefined) return `process ${alive} still runs`
  for (const { id, address } of members) {
    if (await answers(address)) return `the port of ${id}, ${address}, is still open`
  }
  return undefined
}

/** Processes on whose command line the directory stands, where the system tells; not this one. */
function processesNaming(dir: string): readonly number[] {
  if (!existsSync('/proc/self/cmdline')) return []
  return readdirSync('/proc')
    .filter((entry) => /^\d+$/.test(entry))
    .map(Number)
    .filter((pid) => pid !== process.pid && commandLine(pid).includes(dir))
}

function commandLine(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8')
  } catch {
    // It has ended meanwhile.
    return ''
  }
}

function answers(address: string): Promise<boolean> {
  const [host = '', port = ''] = address.split(':')
  return new Promise((resolve) => {
    const socket = connectSocket({ host, port: Number(port) })
    const end = (open: boolean): void => {
      socket.destroy()
      resolve(open)
    }
    socket.once('connect', () => end(true))
    socket.once('error', () => end(false))
  })
}
