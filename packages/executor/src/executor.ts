import { mkdir, rm } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { type Clock, type Log, Prng } from '@nyala/client/base'
import { type MemberId, PROTOCOL_VERSION } from '@nyala/client/protocol'
import { listen, type Listener, type Transport } from '@nyala/client/wire'
import {
  clusterId,
  type Keys,
  type Kv,
  Membership,
  Registration,
  requireOwnDirectory,
} from '@nyala/metastore'
import { CoordinatorLinks } from './control/coordinator-links.ts'
import { DataPortConnection, type DataPortOptions } from './exchange/data-port.ts'
import { SegmentPuller } from './exchange/segment-puller.ts'
import { SegmentStore } from './exchange/segment-store.ts'
import { KernelSet } from './kernel/kernel-set.ts'
import type { FromExecutor, Listing, ToExecutor } from './protocol/index.ts'
import { Inspector, type WrittenFacts } from './storage/inspector.ts'
import { Roots } from './storage/roots.ts'
import { TaskManager } from './task/task-manager.ts'
import type { OwnerLink } from './task/owner-link.ts'

/** How long a draining executor waits for its queries to end. */
export const DRAIN_TIMEOUT_MS = 10_000

export interface ExecutorOptions {
  readonly id: MemberId
  readonly keys: Keys
  /** May still be on its way: the first kernel starts meanwhile. */
  readonly kv: Kv | Promise<Kv>
  readonly listen: { readonly host: string; readonly port: number }
  /** `host:port` that others dial, where it is not the one listened on. */
  readonly advertise?: string | undefined
  /** Identity of the machine: members with the same one can open each other's paths. */
  readonly host: string
  /** Directory for segments and spilled data; executors of a machine may share it. */
  readonly directory: string
  /** Directories that tables may lie in. */
  readonly roots: readonly string[]
  readonly threads: number
  readonly memoryLimitBytes: number
  readonly spillLimitBytes: number
  /** Bytes of segments that may be on disk, of all queries. */
  readonly exchangeLimitBytes: number
  readonly version: string
  readonly pid: number
  readonly clock: Clock
  readonly log: Log
  /** For jitter. */
  readonly seed: number
  /** Environment of kernels, beside what they need. */
  readonly kernelVariables?: Readonly<Record<string, string>>
  /** Another process took this id: this one must stop. */
  readonly onSuperseded: () => void
}

interface Parts {
  readonly roots: Roots
  readonly kernels: KernelSet
  readonly store: SegmentStore
  readonly puller: SegmentPuller
  readonly tasks: TaskManager
  readonly inspector: Inspector
  readonly listener: Listener
}

/**
 * An executor: kernels that run tasks, a data port that serves what they made, and links to the coordinators.
 *
 * ```
 *   start: kernel process ┐
 *          data port      ├─► registered in etcd ─► dials coordinators ─► (running)
 *   drain: says so, takes no new tasks, waits for its queries ─► stop
 *   stop:  leaves the membership, closes its sockets, kills its kernels, deletes its files
 * ```
 */
export class Executor {
  readonly #options: ExecutorOptions
  readonly #parts: Parts
  readonly #registration: Registration
  readonly #membership: Membership
  #links: CoordinatorLinks | undefined
  #draining = false
  #stopping: Promise<void> | undefined

  private constructor(options: ExecutorOptions, parts: Parts, kv: Kv) {
    this.#options = options
    this.#parts = parts
    const { keys, clock, log } = options
    this.#membership = new Membership({ kv, keys, clock, log })
    this.#registration = new Registration({
      kv,
      keys,
      clock,
      log,
      record: {
        id: options.id,
        role: 'executor',
        address: this.address,
        host: options.host,
        pid: options.pid,
        version: options.version,
        protocol: PROTOCOL_VERSION,
        startedAt: clock.wall(),
        state: 'active',
        threads: options.threads,
        memoryBytes: options.memoryLimitBytes,
      },
      onLost: (loss) => {
        if (loss.kind === 'superseded') options.onSuperseded()
      },
    })
  }

  /** Resolves when the executor is registered and its first kernel is ready. Leaves nothing behind when it fails. */
  static async start(
    options: ExecutorOptions,
    control: { readonly signal?: AbortSignal | undefined } = {},
  ): Promise<Executor> {
    const holder: Holder = { executor: undefined }
    // Should it fail before it is waited for, it is still waited for below.
    Promise.resolve(options.kv).catch(() => undefined)
    const parts = await openParts(options, holder)
    let executor: Executor
    try {
      executor = new Executor(options, parts, await options.kv)
    } catch (error) {
      await closeParts(options, parts)
      throw error
    }
    holder.executor = executor
    try {
      await Promise.all([parts.kernels.ready, executor.#membership.start(control)])
      await executor.#registration.start(control)
      control.signal?.throwIfAborted()
      executor.#link()
      return executor
    } catch (error) {
      await executor.stop()
      throw error
    }
  }

  get id(): string {
    return this.#options.id
  }

  /** The data port as others dial it. */
  get address(): string {
    return this.#options.advertise ?? this.#parts.listener.address
  }

  /** Coordinators that this executor is linked to. */
  get coordinatorsLinked(): number {
    return this.#links?.open ?? 0
  }

  /** Process ids of the kernels, the active one first. */
  get kernelPids(): readonly number[] {
    return this.#parts.kernels.pids
  }

  /** Takes no new tasks, waits for its queries to end, at most {@link DRAIN_TIMEOUT_MS}, and stops. */
  async drain(): Promise<void> {
    const { clock, log } = this.#options
    this.#draining = true
    log.info('draining')
    this.#links?.loadChanged()
    const idle = this.#parts.tasks.drain()
    const timeout = new AbortController()
    const waited = clock.sleep(DRAIN_TIMEOUT_MS, { signal: timeout.signal }).then(() => {
      log.warn('drainedWithQueries', { ...this.#parts.tasks.load(undefined) })
    })
    try {
      await Promise.race([Promise.all([idle, this.#announceDraining()]), waited])
    } finally {
      timeout.abort()
    }
    await this.stop()
  }

  /** Stops at once. Idempotent. */
  stop(): Promise<void> {
    this.#stopping ??= this.#stop()
    return this.#stopping
  }

  async #stop(): Promise<void> {
    this.#links?.stop('the executor stops')
    this.#parts.tasks.stop()
    await Promise.all([
      this.#registration.stop(),
      this.#membership.stop(),
      closeParts(this.#options, this.#parts),
    ])
  }

  async #announceDraining(): Promise<void> {
    try {
      await this.#registration.update((record) => ({ ...record, state: 'draining' }))
    } catch (error) {
      // The coordinators hear of it on their sockets all the same.
      this.#options.log.warn('drainingNotRegistered', { error })
    }
  }

  #link(): void {
    const { keys, clock, log, seed } = this.#options
    this.#links = new CoordinatorLinks({
      directory: this.#membership,
      cluster: keys.cluster,
      clock,
      log,
      prng: new Prng(seed),
      tasks: this.#parts.tasks,
      hello: () => this.#hello(),
      load: (owner) => this.#load(owner),
      inspect: (request) => this.#inspect(request),
    })
  }

  #hello(): Extract<FromExecutor, { kind: 'hello' }> {
    const { id, keys, host, pid, threads, memoryLimitBytes } = this.#options
    return {
      kind: 'hello',
      protocol: PROTOCOL_VERSION,
      cluster: keys.cluster,
      executor: id,
      // 0 while the registration is being renewed: any registered incarnation is newer.
      incarnation: this.#registration.incarnation ?? 0,
      dataAddress: this.address,
      host,
      pid,
      threads,
      memoryLimitBytes,
      kernel: this.#parts.kernels.version,
      roots: this.#parts.roots.paths,
    }
  }

  #load(owner: OwnerLink): Extract<FromExecutor, { kind: 'load' }> {
    const { tasks, kernels } = this.#parts
    return { kind: 'load', ...tasks.load(owner), kernels: kernels.count, draining: this.#draining }
  }

  /** What the load of the executor has become; called by its parts. */
  loadChanged(): void {
    this.#links?.loadChanged()
  }

  health(): Readonly<Record<string, unknown>> {
    const { tasks, kernels } = this.#parts
    return {
      id: this.id,
      role: 'executor',
      incarnation: this.#registration.incarnation ?? null,
      coordinators: this.coordinatorsLinked,
      kernels: kernels.count,
      kernelDeaths: kernels.deaths,
      draining: this.#draining,
      ...tasks.load(),
    }
  }

  async #inspect(request: Extract<ToExecutor, { kind: 'inspect' }>): Promise<Listing> {
    const { inspector } = this.#parts
    switch (request.what) {
      case 'location':
        return await inspector.location(request.paths)
      case 'files':
        return await inspector.files(request.paths)
      case 'paths':
        return await inspector.paths(request.paths)
    }
  }
}

const spillDirectory = ({ directory, id }: ExecutorOptions): string =>
  join(resolve(directory), 'spill', id)

/** The executor that parts are for, once there is one: they are made first. */
interface Holder {
  executor: Executor | undefined
}

/** Everything but the metastore. */
async function openParts(options: ExecutorOptions, holder: Holder): Promise<Parts> {
  const { clock, log, keys, id: executor } = options
  const roots = await Roots.open(options.roots)
  const spill = spillDirectory(options)
  await rm(spill, { recursive: true, force: true })
  await mkdir(spill, { recursive: true })
  const port = new LatePort()
  const listener = await listen({
    ...options.listen,
    paths: { '/data': (transport) => port.accept(transport) },
    health: () => holder.executor?.health() ?? { id: executor, role: 'executor', starting: true },
  })
  try {
    const address = options.advertise ?? listener.address
    const place = { executor, address, host: options.host }
    const store = await SegmentStore.open(
      join(resolve(options.directory), 'exchange'),
      place,
      options.exchangeLimitBytes,
    )
    const kernels = new KernelSet({
      settings: kernelSettings(options, roots, { spill, store }),
      variables: options.kernelVariables,
      clock,
      log,
    })
    const puller = new SegmentPuller({ store, clock, log, cluster: keys.cluster })
    const onLoadChange = (): void => holder.executor?.loadChanged()
    const inspector = new Inspector({ roots, describe: (path) => kernels.describe(path) })
    const describeWritten = (path: string): Promise<WrittenFacts> => inspector.written(path)
    const tasks = new TaskManager({
      ...{ kernels, store, puller, describeWritten, clock, log },
      requireOwn: ownership(options),
      onLoadChange,
    })
    port.open({ tasks, store, cluster: keys.cluster, executor, clock, log })
    return { roots, kernels, store, puller, tasks, inspector, listener }
  } catch (error) {
    await listener.close()
    throw error
  }
}

/** Looks whose a directory is; of the cluster's id, which never changes, the metastore is asked once. */
function ownership(options: ExecutorOptions): (directory: string) => Promise<void> {
  const { keys, clock } = options
  let known: string | undefined
  return async (directory) => {
    known ??= await clusterId({ kv: await options.kv, keys, clock })
    // Whoever asks for a task has made the record before.
    if (known !== undefined) await requireOwnDirectory(directory, { name: keys.cluster, id: known })
  }
}

async function closeParts(options: ExecutorOptions, parts: Parts): Promise<void> {
  const pulled = parts.puller.close()
  parts.kernels.stop()
  await parts.listener.close()
  await pulled
  await parts.store.close()
  await rm(spillDirectory(options), { recursive: true, force: true })
}

/** The data port before there is anything to serve: its address must be known first. */
class LatePort {
  #options: DataPortOptions | undefined

  open(options: DataPortOptions): void {
    this.#options = options
  }

  accept(transport: Transport): void {
    if (this.#options === undefined) return transport.terminate()
    new DataPortConnection(transport, this.#options)
  }
}

function kernelSettings(
  options: ExecutorOptions,
  roots: Roots,
  places: { readonly spill: string; readonly store: SegmentStore },
): ConstructorParameters<typeof KernelSet>[0]['settings'] {
  return {
    threads: options.threads,
    memoryLimitBytes: options.memoryLimitBytes,
    spillDirectory: places.spill,
    spillLimitBytes: options.spillLimitBytes,
    directories: [...roots.paths, places.store.root],
  }
}
