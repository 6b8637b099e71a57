import { rmSync } from 'node:fs'
import { mkdtemp } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type DuckDBConnection, DuckDBInstance } from '@duckdb/node-api'
import { connect, type Database } from '@nyala/client'
import type { Clock } from '@nyala/client/base'
import { type LocalCluster, type Sample, startLocalCluster } from '@nyala/deploy'
import { familyOf } from './processes.ts'

/** What measurements share: sample data, a cluster with one coordinator, and DuckDB by itself. */
export interface World extends AsyncDisposable {
  readonly clock: Clock
  /** Threads of each executor. */
  readonly threads: number
  readonly sample: Sample
  readonly cluster: LocalCluster
  readonly db: Database
  /** DuckDB in this process with as many threads as each executor has, over the same files. */
  readonly kernel: DuckDBConnection
  readonly print: (line: string) => void
  readonly variables: Readonly<Record<string, string | undefined>>
}

export const TPCH = [
  'lineitem',
  'orders',
  'customer',
  'part',
  'partsupp',
  'supplier',
  'nation',
  'region',
]

export interface WorldOptions {
  readonly clock: Clock
  readonly threads: number
  readonly sample: Sample
  readonly print: (line: string) => void
  readonly variables: Readonly<Record<string, string | undefined>>
  /** Default 1. */
  readonly executors?: number
  /** For the tasks of each executor; default a share of the machine's memory. */
  readonly memoryBytes?: number
}

export async function openWorld(options: WorldOptions): Promise<World> {
  const { sample, threads, executors = 1, memoryBytes } = options
  const dir = await mkdtemp(join(tmpdir(), 'nyala-bench-'))
  const remove = (): void => rmSync(dir, { recursive: true, force: true })
  const cluster = await startLocalCluster({
    variables: options.variables,
    threads,
    dir,
    coordinators: 1,
    executors,
    roots: [sample.dir],
    ...(memoryBytes === undefined ? {} : { memoryBytes }),
  }).catch((error: unknown) => {
    remove()
    throw error
  })
  try {
    await cluster.joined()
    const db = await connect({ url: cluster.url, application: 'bench' })
    for (const statement of sample.statements) await db.execute(statement)
    const kernel = await openKernel(sample.dir, threads)
    return {
      ...options,
      cluster,
      db,
      kernel,
      async [Symbol.asyncDispose]() {
        kernel.closeSync()
        await db.close()
        await cluster.stop()
        remove()
      },
    }
  } catch (error) {
    await cluster.stop()
    remove()
    throw error
  }
}

/** DuckDB in this process over the sample's files. */
export async function openKernel(sampleDir: string, threads: number): Promise<DuckDBConnection> {
  const instance = await DuckDBInstance.create(':memory:', { threads: String(threads) })
  const connection = await instance.connect()
  for (const table of TPCH) {
    const files = join(sampleDir, table, '*.parquet').replaceAll(`'`, `''`)
    await connection.run(`CREATE VIEW ${table} AS FROM read_parquet('${files}')`)
  }
  return connection
}

/** COMPUTE STATS of every table of TPC-H. */
export async function computeStatistics({ db, clock, print }: World): Promise<void> {
  const started = clock.now()
  for (const table of TPCH) await db.execute(`COMPUTE STATS ${table}`)
  print(`  COMPUTE STATS of ${TPCH.length} tables: ${Math.round(clock.now() - started)} ms`)
}

/** Process id of a member. */
export function pidOf(cluster: LocalCluster, id: string): number {
  const found = cluster.processes.find((one) => one.id === id)
  if (found === undefined) throw new Error(`"${id}" does not run`)
  return found.pid
}

/** The coordinator, the executors and their kernels: all that works on queries, but for the client. */
export const enginePids = ({ cluster }: World): readonly number[] =>
  cluster.processes.flatMap(({ role, pid }) => {
    if (role === 'etcd') return []
    return role === 'executor' ? familyOf(pid) : [pid]
  })
