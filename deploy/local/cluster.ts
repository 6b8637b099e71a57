import { statSync } from 'node:fs'
import { mkdir, writeFile } from 'node:fs/promises'
import { resolve } from 'node:path'
import { type Clock, type Log, silentLog, systemClock } from '@nyala/client/base'
import type { LaunchAnswer } from '@nyala/coordinator/failover'
import { clusterUrl, engineMembers, installedPrograms, type Programs } from './engine-member.ts'
import { etcdHealthy, etcdMembers, etcdUrls } from './etcd-member.ts'
import { configurationError, LauncherError } from './launcher-error.ts'
import { type Layout, pathsOf, settleLayout } from './layout.ts'
import { hasLostData, saysUnreadable } from './lost-etcd-member.ts'
import { membersJoined } from './membership.ts'
import { MemberProcess, type MemberRole, type MemberSpec } from './member-process.ts'
import { LOOPBACK, PortClaims } from './ports.ts'
import { isAlive, processBirth } from './process-identity.ts'
import { hearReplacements } from './replacements.ts'
import { withStartLock } from './start-lock.ts'
import {
  type ClusterState,
  createState,
  type ProcessRecord,
  readState,
  removeState,
  survivors,
  writeState,
} from './state-file.ts'

export interface LocalClusterOptions {
  /** Name of the cluster in etcd. */
  readonly cluster?: string
  readonly coordinators: number
  readonly executors: number
  /** Members of etcd: 1 or 3. */
  readonly etcd: number
  /** Directory of all that the cluster keeps; made where it is missing. */
  readonly dir: string
  /** Directories that tables may lie in, besides the cluster's own. */
  readonly roots: readonly string[]
  /** Threads of each executor. */
  readonly threads: number
  /** Bytes of memory that the tasks of each executor may use. */
  readonly memoryBytes: number
  /** First port of the cluster's range; 0 takes free ones. */
  readonly portBase: number
  /** False lets etcd answer before its writes are on disk: for tests. */
  readonly fsync: boolean
  /** Bytes that etcd may keep before it refuses writes; default its own, 2 GiB. */
  readonly etcdQuotaBytes?: number | undefined
  /** Starts a member again whenever its process ends. */
  readonly restart: boolean
  readonly etcdProgram: string
  readonly programs?: Programs
  readonly variables: Readonly<Record<string, string | undefined>>
  /** Puts something between a member and those who dial it: the address that they are told instead. */
  readonly advertise?: Advertise | undefined
  /** Executors take each other to be on other machines. */
  readonly apart?: boolean | undefined
  readonly clock?: Clock
  readonly log?: Log
  readonly signal?: AbortSignal | undefined
}

export type Advertise = (member: {
  readonly id: string
  readonly role: MemberRole
  readonly address: string
}) => Promise<string>

export interface RunningProcess {
  readonly id: string
  readonly role: MemberRole
  readonly pid: number
  readonly address: string
}

/**
 * A cluster of real processes on this machine: etcd, coordinators, executors. It holds them from `open` to `stop`;
 * `cluster.json` in its directory tells others what runs.
 *
 *   claim the directory → etcd members one after another → etcd healthy → coordinators and executors → ready
 *
 * A failure on the way stops whatever was started.
 */
export class LocalCluster implements AsyncDisposable {
  readonly url: string
  readonly etcdEndpoints: readonly string[]
  readonly dir: string
  readonly #layout: Layout
  readonly #ports: PortClaims
  readonly #members: readonly MemberProcess[]
  readonly #options: LocalClusterOptions
  readonly #clock: Clock
  #state: ClusterState
  /** Writes of the state file, one after another. */
  #writes: Promise<void> = Promise.resolve()
  #stopped: Promise<void> | undefined
  /** Set while executors are started anew at the leader's request. */
  #stopReplacements: (() => Promise<void>) | undefined

  private constructor({ layout, state, advertised, ports }: Claimed, options: LocalClusterOptions) {
    this.#ports = ports
    this.dir = options.dir
    this.url = state.url
    this.etcdEndpoints = state.etcd
    this.#layout = layout
    this.#state = state
    this.#options = options
    this.#clock = options.clock ?? systemClock
    const log = options.log ?? silentLog
    const onProcess = (): Promise<void> => this.#saveState({})
    this.#members = memberSpecs(layout, advertised, { ...options, clock: this.#clock, log }).map(
      (spec) => new MemberProcess(spec, { clock: this.#clock, log, onProcess }),
    )
  }

  /** Starts a cluster and resolves when all of its members serve. Fails with a {@link LauncherError}. */
  static async open(given: LocalClusterOptions): Promise<LocalCluster> {
    const options = { ...given, dir: resolve(given.dir) }
    const cluster = new LocalCluster(
      await withStartLock(options.dir, () => claim(options)),
      options,
    )
    try {
      await cluster.#start()
    } catch (error) {
      await cluster.stop()
      throw error
    }
    return cluster
  }

  /** What runs now. */
  get processes(): readonly RunningProcess[] {
    return this.#members.flatMap(({ spec, identity }) =>
      identity === undefined
        ? []
        : [{ id: spec.id, role: spec.role, pid: identity.pid, address: spec.address }],
    )
  }

  /** Sends a signal to a member's process. Whether it comes back is up to the option `restart`. */
  kill(id: string, signal: NodeJS.Signals = 'SIGKILL'): void {
    this.#member(id).kill(signal)
  }

  /** Resolves when no process of the member runs. */
  async exited(id: string): Promise<void> {
    await this.#member(id).exited()
  }

  /** Stops a member in order where it runs, then starts it at the same address; resolves when it serves. */
  async restart(id: string): Promise<void> {
    const member = this.#member(id)
    await member.stop()
    await member.start({ signal: this.#options.signal })
    if (this.#options.restart) member.supervise()
  }

  /** Resolves when every coordinator knows a leader and is connected with every executor of the cluster. */
  async joined(): Promise<void> {
    await membersJoined(this.#layout, this.#clock, { signal: this.#options.signal })
  }

  /** Stops all members in order and gives the directory free. The data stays. */
  stop(): Promise<void> {
    this.#stopped ??= this.#stop()
    return this.#stopped
  }

  /** Kills whatever still runs: for those who cannot wait for `stop`, which then resolves soon. */
  killNow(): void {
    for (const member of this.#members) member.killNow()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop()
  }

  async #start(): Promise<void> {
    const signal = this.#options.signal
    await this.#startEtcd()
    const engine = this.#members.filter((member) => member.spec.role !== 'etcd')
    await Promise.all(engine.map((member) => member.start({ signal })))
    // Programs that stand in for the engine do not know of one another.
    if (this.#options.programs === undefined) await this.joined()
    if (this.#options.restart) this.#supervise()
    await this.#saveState({ state: 'ready' })
  }

  /** One after another; a member without its data needs the others to join. */
  async #startEtcd(): Promise<void> {
    const { signal } = this.#options
    const late: MemberProcess[] = []
    for (const member of this.#members.filter(({ spec }) => spec.role === 'etcd')) {
      const { id, logPath } = member.spec
      const from = statSync(logPath, { throwIfNoEntry: false })?.size ?? 0
      if (hasLostData(this.dir, id)) late.push(member)
      else {
        await member.start({ signal }).catch((error: unknown) => {
          if (!saysUnreadable(logPath, from)) throw error
          late.push(member)
        })
      }
    }
    for (const member of late) await member.start({ signal })
    await this.#etcdHealthy()
    await writeFile(pathsOf(this.dir).etcdServed, '')
  }

  #supervise(): void {
    for (const member of this.#members) member.supervise()
    if (this.#options.programs !== undefined) return
    this.#stopReplacements = hearReplacements({
      etcdEndpoints: this.etcdEndpoints,
      cluster: this.#layout.cluster,
      clock: this.#clock,
      log: this.#options.log ?? silentLog,
      launcher: { replace: ({ id, pid }) => Promise.resolve(this.#replace(id, pid)) },
    })
  }

  #replace(id: string, pid: number): LaunchAnswer {
    const member = this.#members.find(({ spec }) => spec.role === 'executor' && spec.id === id)
    if (member === undefined)
      return { state: 'refused', detail: `"${this.dir}" has no such executor` }
    member.replace(pid)
    return { state: 'taken' }
  }

  async #etcdHealthy(): Promise<void> {
    const timeout = new AbortController()
    const cancel = this.#clock.after(ETCD_HEALTHY_TIMEOUT_MS, () =>
      timeout.abort(new LauncherError(`etcd has no leader after ${ETCD_HEALTHY_TIMEOUT_MS} ms`)),
    )
    const signals = [timeout.signal, this.#options.signal].filter((one) => one !== undefined)
    try {
      await etcdHealthy(this.#layout, this.#clock, { signal: AbortSignal.any(signals) })
    } finally {
      cancel()
    }
  }

  async #stop(): Promise<void> {
    const log = this.#options.log ?? silentLog
    await this.#stopReplacements?.()
    // Nothing that fails on the way, as on a full disk, keeps a member from being stopped.
    await this.#saveState({ state: 'stopping' }).catch((error: unknown) =>
      log.warn('stateNotWritten', { error }),
    )
    const isEtcd = (member: MemberProcess): boolean => member.spec.role === 'etcd'
    // What the engine still writes on its way out needs etcd.
    const stopped = [
      ...(await stopAll(this.#members.filter((one) => !isEtcd(one)))),
      ...(await stopAll(this.#members.filter(isEtcd))),
    ]
    this.#ports.release()
    const failed = stopped.find((one) => one.status === 'rejected')
    // What could not be stopped stays in the state file, for `nyala down`.
    if (failed !== undefined) throw failed.reason
    await this.#writes.catch(() => undefined)
    await removeState(this.dir, this.#state.supervisor)
  }

  #saveState(change: Partial<ClusterState>): Promise<void> {
    this.#state = { ...this.#state, ...change, processes: this.#records() }
    const state = this.#state
    // A write that failed does not keep the next one from being tried.
    this.#writes = this.#writes.catch(() => undefined).then(() => writeState(this.dir, state))
    return this.#writes
  }

  #records(): readonly ProcessRecord[] {
    return this.#members.flatMap(({ spec, identity }) =>
      identity === undefined
        ? []
        : [{ id: spec.id, role: spec.role, address: spec.address, ...identity }],
    )
  }

  #member(id: string): MemberProcess {
    const member = this.#members.find((one) => one.spec.id === id)
    if (member !== undefined) return member
    const ids = this.#members.map((one) => one.spec.id).join(', ')
    throw new LauncherError(`no member "${id}" in the cluster`, { hint: `its members: ${ids}` })
  }
}

const stopAll = (members: readonly MemberProcess[]): Promise<PromiseSettledResult<void>[]> =>
  Promise.allSettled(members.map((one) => one.stop()))

interface Claimed {
  readonly layout: Layout
  readonly ports: PortClaims
  readonly state: ClusterState
  /** What others are told of members, by id, where it is not where they listen. */
  readonly advertised: ReadonlyMap<string, string>
}

async function advertisedAddresses(
  layout: Layout,
  { advertise }: LocalClusterOptions,
): Promise<ReadonlyMap<string, string>> {
  if (advertise === undefined) return new Map()
  const places = [
    ...layout.etcd.map((place) => ({ ...place, role: 'etcd' as const })),
    ...layout.coordinators.map((place) => ({ ...place, role: 'coordinator' as const })),
    ...layout.executors.map((place) => ({ ...place, role: 'executor' as const })),
  ]
  const addresses = places.map(async ({ id, role, port }): Promise<[string, string]> => [
    id,
    await advertise({ id, role, address: `${LOOPBACK}:${port}` }),
  ])
  return new Map(await Promise.all(addresses))
}

/** Makes the directory this process's: from then on its state file says so. */
async function claim(options: LocalClusterOptions): Promise<Claimed> {
  await requireUnused(options.dir)
  const ports = new PortClaims()
  try {
    const layout = await settleLayout({ ...options, cluster: options.cluster ?? 'local', ports })
    await ports.require([
      ...layout.coordinators,
      ...layout.executors,
      ...layout.etcd.flatMap((one) => [one, { id: one.id, port: one.peerPort }]),
    ])
    const { logs, etcd, data } = pathsOf(options.dir)
    for (const path of [logs, etcd, data]) await mkdir(path, { recursive: true })
    const advertised = await advertisedAddresses(layout, options)
    const state = await firstState(layout, advertised, options)
    await createState(options.dir, state)
    return { layout, state, advertised, ports }
  } catch (error) {
    ports.release()
    throw error
  }
}

/** With everything on one machine an election takes half a second; this is for a machine that is very busy. */
const ETCD_HEALTHY_TIMEOUT_MS = 20_000

function memberSpecs(
  layout: Layout,
  advertised: ReadonlyMap<string, string>,
  options: LocalClusterOptions & { readonly clock: Clock; readonly log: Log },
): readonly MemberSpec[] {
  const { dir, variables } = options
  const programs = options.programs ?? installedPrograms()
  // The cluster's own directory is always a root: managed tables lie in it.
  const roots = [...new Set([...options.roots.map((root) => resolve(root)), dir])]
  return [
    ...etcdMembers({ ...options, layout, program: options.etcdProgram }),
    ...engineMembers({ ...options, dir, layout, roots, programs, variables, advertised }),
  ]
}

async function firstState(
  layout: Layout,
  advertised: ReadonlyMap<string, string>,
  options: LocalClusterOptions,
): Promise<ClusterState> {
  const birth = await processBirth(process.pid)
  if (birth === undefined) throw new LauncherError('cannot tell this process from others')
  return {
    format: 1,
    cluster: layout.cluster,
    url: clusterUrl(layout, advertised),
    state: 'starting',
    etcd: etcdUrls(layout),
    roots: [...options.roots.map((root) => resolve(root)), options.dir],
    startedAt: (options.clock ?? systemClock).wall(),
    supervisor: { pid: process.pid, birth },
    processes: [],
  }
}

/** Fails where a cluster runs in the directory; what a crashed one left in the state file is removed. */
async function requireUnused(dir: string): Promise<void> {
  const state = await readState(dir)
  if (state === undefined) return
  if (await isAlive(state.supervisor)) {
    throw configurationError(
      `a cluster already runs in "${dir}": ${state.url}`,
      `connect to it, stop it with "nyala down --dir ${dir}", or choose another --dir`,
    )
  }
  const left = await survivors(state)
  if (left.length > 0) {
    const ids = left.map((one) => `${one.id} (pid ${one.pid})`).join(', ')
    throw new LauncherError(
      `the supervisor of the cluster in "${dir}" is gone, but its processes still run: ${ids}`,
      { hint: `end them with "nyala down --dir ${dir}"` },
    )
  }
  await removeState(dir, state.supervisor)
}
