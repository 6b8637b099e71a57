import type { Log } from '@nyala/client/base'
import { type Advertise, LocalCluster } from './cluster.ts'
import type { Programs } from './engine-member.ts'
import { requireEtcd } from './etcd-install.ts'
import { memoryPerExecutor, threadsPerExecutor } from './up-options.ts'

export interface StartOptions {
  /** Directory of all that the cluster keeps; made where it is missing. */
  readonly dir: string
  /** Environment of the processes, and where etcd is looked for (NYALA_ETCD, PATH). */
  readonly variables: Readonly<Record<string, string | undefined>>
  /** Default 3. */
  readonly coordinators?: number
  /** Default 3. */
  readonly executors?: number
  /** Members of etcd, 1 or 3; default 1. */
  readonly etcd?: number
  /** Directories that tables may lie in, besides `dir`; default none. */
  readonly roots?: readonly string[]
  /** Of each executor; default the cores divided by the executors. */
  readonly threads?: number
  /** For the tasks of each executor; default a share of the machine's memory. */
  readonly memoryBytes?: number
  /** First port; default 0, which takes free ones. */
  readonly portBase?: number
  /** Default false: etcd answers before its writes are on disk. */
  readonly fsync?: boolean
  /** Bytes that etcd may keep; default its own, 2 GiB. */
  readonly etcdQuotaBytes?: number | undefined
  /** Starts a member again whenever its process ends; default false, so that a test decides. */
  readonly restart?: boolean
  readonly cluster?: string
  /** As of {@link LocalClusterOptions}. */
  readonly advertise?: Advertise | undefined
  readonly apart?: boolean
  readonly programs?: Programs
  readonly log?: Log
  readonly signal?: AbortSignal | undefined
}

/** A cluster of real processes for tests, measurements and demonstrations, with defaults for a throw-away one. */
export async function startLocalCluster(options: StartOptions): Promise<LocalCluster> {
  const executors = options.executors ?? 3
  return LocalCluster.open({
    coordinators: 3,
    etcd: 1,
    roots: [],
    threads: threadsPerExecutor(executors),
    memoryBytes: memoryPerExecutor(executors),
    portBase: 0,
    fsync: false,
    restart: false,
    ...options,
    executors,
    etcdProgram: await requireEtcd(options.variables),
  })
}
