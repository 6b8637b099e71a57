import { type Clock, Prng, silentLog, type Log } from '@nyala/client/base'
import { PROTOCOL_VERSION, type SqlError } from '@nyala/client/protocol'
import type { Transport } from '@nyala/client/wire'
import { Executors } from '@nyala/coordinator/schedule'
import {
  CoordinatorLinks,
  DataPortConnection,
  SegmentPuller,
  SegmentStore,
  TaskManager,
} from '@nyala/executor/testing'
import type { MemoryFiles } from './memory-files.ts'
import { SimKernel } from './sim-kernel.ts'
import { SimProcess } from './sim-process.ts'
import type { SimHost, SimSockets } from './sim-sockets.ts'

const CLUSTER = 'sim'
const THREADS = 2
const MEMORY_BYTES = 1_000_000

/** What members of a simulation share. */
export interface SimWorld {
  readonly clock: Clock
  readonly prng: Prng
  readonly sockets: SimSockets
  readonly coordinators: readonly string[]
  readonly isUnordered: boolean
  /** A task is given to a life of an executor. */
  onStart(executor: string, task: StartedAttempt): void
  tell(line: string): void
}

/** An attempt of a task. */
export interface StartedAttempt {
  readonly queryId: string
  readonly task: number
  readonly attempt: number
}

class WatchedTasks extends TaskManager {
  onStart: (task: StartedAttempt) => void = () => undefined

  override startTask(...[owner, command]: Parameters<TaskManager['startTask']>): void {
    this.onStart(command.spec)
    super.startTask(owner, command)
  }
}

/** One life of an executor. */
export interface SimExecutor extends SimHost {
  readonly incarnation: number
  readonly files: MemoryFiles
  readonly tasks: TaskManager
  readonly links: CoordinatorLinks
  /** Its next tasks fail with these. */
  readonly failures: SqlError[]
}

/** One life of a coordinator. */
export interface SimCoordinator extends SimHost {
  readonly executors: Executors
  readonly log: Log
}

/** A process whose log goes into the story of the seed. */
const logOf = (id: string, world: SimWorld): Log => {
  const say = (event: string, fields?: Readonly<Record<string, unknown>>): void =>
    world.tell(`${id}: ${event} ${JSON.stringify(fields ?? {}, shortErrors)}`)
  return { ...silentLog, info: say, warn: say, error: say }
}

const shortErrors = (_key: string, value: unknown): unknown =>
  value instanceof Error ? value.message : value

export async function startExecutor(
  world: SimWorld,
  id: string,
  how: { readonly incarnation: number; readonly slowness: number; readonly disk: MemoryFiles },
): Promise<SimExecutor> {
  const { sockets, coordinators, prng } = world
  const { incarnation, slowness, disk: files } = how
  const process = new SimProcess(world.clock)
  const { clock } = process
  const host: SimHost = { id, process }
  const log = logOf(id, world)
  const address = `${id}.${incarnation}:data`
  const failures: SqlError[] = []
  // Each is a machine of its own, so that segments are pulled.
  const place = { executor: id, address, host: id }
  const store = await SegmentStore.open('/x', place, Number.POSITIVE_INFINITY, files)
  const dial = sockets.dialFrom(host)
  const puller = new SegmentPuller({ store, clock, log, cluster: CLUSTER, dial, files })
  const kernel = { clock, prng: new Prng(prng.below(2 ** 31)), files, slowness }
  let links: CoordinatorLinks | undefined = undefined as CoordinatorLinks | undefined
  const tasks = new WatchedTasks({
    ...{ store, puller, clock, log },
    kernels: new SimKernel({
      ...kernel,
      isUnordered: world.isUnordered,
      nextFailure: () => failures.shift(),
    }),
    describeWritten: () => Promise.reject(new Error('tables are not simulated')),
    onLoadChange: () => links?.loadChanged(),
  })
  tasks.onStart = (task) => world.onStart(`${id}.${incarnation}`, task)
  sockets.listen(address, host, (transport: Transport) => {
    const port = { tasks, store, cluster: CLUSTER, executor: id, clock, log, files }
    new DataPortConnection(transport, port)
  })
  links = new CoordinatorLinks({
    directory: {
      coordinators: () => coordinators.map((one) => ({ id: one, address: one })),
      onChange: () => () => undefined,
    },
    ...{ cluster: CLUSTER, clock, log, tasks, dial, prng: new Prng(prng.below(2 ** 31)) },
    hello: () => helloOf(id, incarnation, address),
    load: (owner) => ({ kind: 'load', ...tasks.load(owner), kernels: 1, draining: false }),
    inspect: () => Promise.reject(new Error('nothing is listed')),
  })
  return { ...host, incarnation, files, tasks, links, failures }
}

type Hello = ReturnType<ConstructorParameters<typeof CoordinatorLinks>[0]['hello']>

const helloOf = (executor: string, incarnation: number, dataAddress: string): Hello => ({
  kind: 'hello',
  protocol: PROTOCOL_VERSION,
  cluster: CLUSTER,
  ...{ executor, incarnation, dataAddress, host: executor },
  pid: incarnation,
  threads: THREADS,
  memoryLimitBytes: MEMORY_BYTES,
  kernel: 'simulated',
  roots: [],
})

export function startCoordinator(world: SimWorld, id: string): SimCoordinator {
  const process = new SimProcess(world.clock)
  const host: SimHost = { id, process }
  const log = logOf(id, world)
  const executors = new Executors({
    clock: process.clock,
    log,
    cluster: CLUSTER,
    coordinator: id,
    dial: world.sockets.dialFrom(host),
  })
  world.sockets.listen(id, host, (transport) => executors.accept(transport))
  return { ...host, executors, log }
}
