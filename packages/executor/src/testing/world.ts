import { mkdir, mkdtemp, realpath, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Log, silentLog, systemClock as clock } from '@nyala/client/base'
import { isMemberId, type MemberId, PROTOCOL_VERSION } from '@nyala/client/protocol'
import { decodeFrame, type Frame, unpackBatch } from '@nyala/client/wire'
import { Keys, type Kv, Registration } from '@nyala/metastore'
import { MemoryEtcd } from '@nyala/metastore/memory'
import { type Table, tableFromIPC } from 'apache-arrow'
import { Executor, type ExecutorOptions } from '../executor.ts'
import type { TaskSpec } from '../protocol/index.ts'
import { FakeCoordinator } from './fake-coordinator.ts'

const CLUSTER = 'test'

/** A cluster of one process: a metastore in memory, a fake coordinator and real executors with real kernels. */
export class World implements AsyncDisposable {
  readonly directory: string
  readonly kv: Kv
  readonly keys: Keys = new Keys(CLUSTER)
  readonly cluster: string = CLUSTER
  readonly coordinator: FakeCoordinator
  readonly executors: Executor[] = []
  readonly #registration: Registration

  private constructor(parts: {
    readonly directory: string
    readonly kv: Kv
    readonly coordinator: FakeCoordinator
    readonly registration: Registration
  }) {
    this.directory = parts.directory
    this.kv = parts.kv
    this.coordinator = parts.coordinator
    this.#registration = parts.registration
  }

  static async start(): Promise<World> {
    const directory = await temporaryDirectory()
    const kv = new MemoryEtcd(clock).connect()
    const coordinator = await FakeCoordinator.start({ cluster: CLUSTER, clock })
    const registration = new Registration({
      kv,
      keys: new Keys(CLUSTER),
      clock,
      log: silentLog,
      record: {
        id: memberId('c1'),
        role: 'coordinator',
        address: coordinator.address,
        host: 'here',
        pid: 1,
        version: 'test',
        protocol: PROTOCOL_VERSION,
        startedAt: clock.wall(),
        state: 'active',
        threads: 1,
        memoryBytes: 0,
      },
    })
    await registration.start()
    await mkdir(join(directory, 'data'))
    return new World({ directory, kv, coordinator, registration })
  }

  /** The directory that tables may lie in. */
  get root(): string {
    return join(this.directory, 'data')
  }

  async startExecutor(
    options: Partial<ExecutorOptions> & { readonly log?: Log } = {},
  ): Promise<Executor> {
    const executor = await Executor.start({
      id: memberId('e1'),
      keys: this.keys,
      kv: this.kv,
      listen: { host: '127.0.0.1', port: 0 },
      host: 'here',
      directory: join(this.directory, 'work'),
      roots: [this.root],
      threads: 2,
      memoryLimitBytes: 1024 ** 3,
      spillLimitBytes: 1024 ** 3,
      exchangeLimitBytes: 1024 ** 3,
      version: 'test',
      pid: process.pid,
      clock,
      log: silentLog,
      seed: 1,
      onSuperseded: () => undefined,
      ...options,
    })
    this.executors.push(executor)
    return executor
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const executor of this.executors) await executor.stop()
    await this.#registration.stop()
    await this.coordinator.stop()
    await this.kv.close()
    await rm(this.directory, { recursive: true, force: true })
  }
}

/** A new directory, its path free of links. */
export async function temporaryDirectory(): Promise<string> {
  return await realpath(await mkdtemp(join(tmpdir(), 'nyala-executor-')))
}

export function memberId(text: string): MemberId {
  if (!isMemberId(text)) throw new Error(`${text} is not a member id`)
  return text
}

/** A task that returns rows, unless told otherwise. */
export function resultTask(sql: string, options: Partial<TaskSpec> = {}): TaskSpec {
  return {
    queryId: 'q1',
    task: 0,
    attempt: 0,
    sql: [{ kind: 'text', text: sql }],
    files: [],
    output: { kind: 'result' },
    inputs: [],
    memoryLimitBytes: 0,
    threads: 0,
    profile: false,
    kernelSettings: {},
    ...options,
  }
}

/** The table that frames carry, header and all. */
export const tableOf = (frames: readonly Uint8Array[]): Table =>
  tableFromIPC(Buffer.concat(frames.map((bytes) => arrowOf(decoded(bytes)))))

export const payloads = (frames: readonly { readonly frame: Frame }[]): Table =>
  tableFromIPC(Buffer.concat(frames.map(({ frame }) => arrowOf(frame))))

const arrowOf = ({ kind, payload }: Frame): Uint8Array =>
  kind === 'packed' ? unpackBatch(payload) : payload

function decoded(bytes: Uint8Array): Frame {
  const frame = decodeFrame(bytes)
  if (typeof frame === 'string') throw new Error(frame)
  return frame
}
