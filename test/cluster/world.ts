import { readdirSync, readFileSync, rmSync } from 'node:fs'
import { mkdir, mkdtemp } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DuckDBInstance } from '@duckdb/node-api'
import { connect, type Database, SqlError } from '@nyala/client'
import { systemClock } from '@nyala/client/base'
import { type LocalCluster, startLocalCluster } from '@nyala/deploy'

/** Rows of the table `events`, spread over four files. */
export const EVENT_ROWS = 400_000

export interface World extends AsyncDisposable {
  readonly cluster: LocalCluster
  readonly db: Database
  /** Below a root of the cluster, for a test's own files. */
  readonly data: string
  readonly dir: string
}

/** A cluster of real processes with one table, in a directory of its own that goes with it. */
export async function openWorld(options: {
  readonly coordinators: number
  readonly executors: number
  /** Members of etcd; 1 by default. */
  readonly etcd?: 1 | 3
  /** The environment of the members; this process's own unless told otherwise. */
  readonly variables?: NodeJS.ProcessEnv
}): Promise<World> {
  const dir = await mkdtemp(join(tmpdir(), 'nyala-test-'))
  let cluster: LocalCluster | undefined
  let db: Database | undefined
  // Whatever there is by then goes, and what fails on the way keeps nothing after it.
  const close = async (): Promise<void> => {
    try {
      await db?.close()
    } finally {
      try {
        await cluster?.stop()
      } finally {
        rmSync(dir, { recursive: true, force: true })
      }
    }
  }
  try {
    const data = join(dir, 'data')
    await mkdir(join(data, 'events'), { recursive: true })
    await writeEvents(join(data, 'events'))
    cluster = await startLocalCluster({
      ...options,
      dir: join(dir, 'cluster'),
      roots: [data],
      threads: 1,
      restart: true,
      variables: options.variables ?? process.env,
    })
    await cluster.joined()
    db = await connect(cluster.url)
    await db.execute(
      `CREATE EXTERNAL TABLE events (id BIGINT, city STRING, amount DECIMAL(12,2))
       STORED AS PARQUET LOCATION '${join(data, 'events')}'`,
    )
    return { cluster, db, data, dir, [Symbol.asyncDispose]: close }
  } catch (error) {
    await close()
    throw error
  }
}

async function writeEvents(directory: string): Promise<void> {
  const instance = await DuckDBInstance.create(':memory:', { threads: '1' })
  const connection = await instance.connect()
  const rows = EVENT_ROWS / 4
  try {
    for (let file = 0; file < 4; file++) {
      await connection.run(
        `COPY (SELECT i AS id, 'city ' || (i % 97) AS city, CAST((i % 1000) / 100.0 AS DECIMAL(12,2)) AS amount
               FROM range(${file * rows}, ${(file + 1) * rows}) t(i))
         TO '${join(directory, `part-${file}.parquet`)}' (FORMAT parquet, ROW_GROUP_SIZE 20480)`,
      )
    }
  } finally {
    connection.closeSync()
    instance.closeSync()
  }
}

/** Waits until `test` holds; the message says what did not come to pass in `timeoutMs`. */
export async function until(
  what: string,
  test: () => boolean | Promise<boolean>,
  timeoutMs = 60_000,
): Promise<void> {
  const end = systemClock.now() + timeoutMs
  while (!(await test())) {
    if (systemClock.now() > end) throw new Error(`not within ${timeoutMs} ms: ${what}`)
    await systemClock.sleep(20)
  }
}

/** Pid of the one member of that id. */
export function pidOf(cluster: LocalCluster, id: string): number {
  const found = cluster.processes.find((p) => p.id === id)
  if (found === undefined) throw new Error(`no process of ${id}`)
  return found.pid
}

/** Pids of a process's children, from /proc. */
export function childrenOf(pid: number): readonly number[] {
  const found: number[] = []
  for (const entry of readdirSync('/proc')) {
    if (!/^\d+$/.test(entry)) continue
    try {
      // After the name in parentheses, which may hold anything, come the state and the parent.
      const stat = readFileSync(`/proc/${entry}/stat`, 'utf8')
      const parent = Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1])
      if (parent === pid) found.push(Number(entry))
    } catch {
      // It has ended meanwhile.
    }
  }
  return found
}

export const isAlive = (pid: number): boolean => {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}

/** What a statement fails with; fails itself where it succeeds, or with anything that is not typed. */
export async function errorOf(promise: Promise<unknown>): Promise<SqlError> {
  try {
    await promise
  } catch (error) {
    if (error instanceof SqlError) return error
    throw error
  }
  throw new Error('the statement did not fail')
}
