import { rmSync } from 'node:fs'
import { mkdtemp } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type DuckDBConnection, DuckDBInstance } from '@duckdb/node-api'
import { connect, type Database } from '@nyala/client'
import type { Clock } from '@nyala/client/base'
import { type LocalCluster, type Sample, startLocalCluster } from '@nyala/deploy'

/** What the measurements share: sample data, a cluster of one coordinator and one executor, and DuckDB by itself. */
export interface World extends AsyncDisposable {
  readonly clock: Clock
  readonly threads: number
  readonly sample: Sample
  readonly cluster: LocalCluster
  readonly db: Database
  /** DuckDB in this process with as many threads as the executor has, over the same files. */
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
}

export async function openWorld(options: WorldOptions): Promise<World> {
  const { sample, threads } = options
  const dir = await mkdtemp(join(tmpdir(), 'nyala-bench-'))
  const cluster = await startLocalCluster({
    ...options,
    dir,
    coordinators: 1,
    executors: 1,
    roots: [sample.dir],
  })
  try {
    const db = await connect({ url: cluster.url, application: 'bench' })
    for (const statement of sample.statements) await db.execute(statement)
    const kernel = await openKernel(sample.dir, threads)
    return {
      ...options,
      cluster,
      db,
      kernel,
      async [Symbol.asyncDispose]() {
        await db.close()
        await cluster.stop()
        rmSync(dir, { recursive: true, force: true })
      },
    }
  } catch (error) {
    await cluster.stop()
    rmSync(dir, { recursive: true, force: true })
    throw error
  }
}

async function openKernel(sampleDir: string, threads: number): Promise<DuckDBConnection> {
  const instance = await DuckDBInstance.create(':memory:', { threads: String(threads) })
  const connection = await instance.connect()
  for (const table of TPCH) {
    const files = join(sampleDir, table, '*.parquet').replaceAll(`'`, `''`)
    await connection.run(`CREATE VIEW ${table} AS FROM read_parquet('${files}')`)
  }
  return connection
}

/** Process ids of a member and, of an executor, its kernels. */
export function pidOf(cluster: LocalCluster, id: string): number {
  const found = cluster.processes.find((one) => one.id === id)
  if (found === undefined) throw new Error(`"${id}" does not run`)
  return found.pid
}
