import { mkdtemp, realpath, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { connect } from '@nyala/client'
import { type Clock, Prng } from '@nyala/client/base'
import type { LocalCluster, RunningProcess } from '../local/cluster.ts'
import { LauncherError } from '../local/launcher-error.ts'
import { startLocalCluster } from '../local/start.ts'
import { type Facts, gatherFacts } from './facts.ts'
import { Ledger } from './ledger.ts'
import { leftOnMachine } from './leftovers.ts'
import { Links } from './links.ts'
import { isTableWrite } from './load.ts'
import { type Check, type Drill, Round, type RoundOptions, type RoundResult } from './round.ts'
import { ownTarget, runningTarget, type Target } from './target.ts'
import { mountWarehouse } from './warehouse-drills.ts'

export interface DrillOptions {
  /** The data that clients ask for; where a cluster runs already, below one of its roots. */
  readonly facts: Facts
  /** Strikes, one after another on one cluster. */
  readonly times: number
  /** The same seed strikes the same members at the same steps. */
  readonly seed: number
  /** Times by which every bound is multiplied, for a machine that is short of something. */
  readonly patience: number
  /** Runs the members without the guard that the drill is about. */
  readonly mutant: boolean
  /** Directory of a cluster that runs; default: one is started for the drill, and stopped after it. */
  readonly dir: string | undefined
  readonly variables: Readonly<Record<string, string | undefined>>
  readonly clock: Clock
  readonly signal: AbortSignal
  readonly onRound?: (round: RoundResult, number: number) => void
}

export interface DrillReport {
  readonly drill: Drill
  readonly seed: number
  readonly mutant: string | undefined
  readonly rounds: readonly RoundResult[]
  /** What does not hold, of any round. */
  readonly failures: readonly Check[]
  /** Why it was not run. */
  readonly skipped?: string
}

const MEMBERS = { coordinators: 3, executors: 3, etcd: 3 } as const
/** Whose tasks are to be many and short. */
const EXECUTOR_MEMORY_BYTES = 512 * 1024 * 1024
/** What comes after a minute elsewhere comes after six seconds, so that it can be waited for. */
const HASTE = 10
const FAILPOINT_FILE = 'failpoints'
const TABLES = ['orders', 'lineitem']

/**
 * Makes the data that drills need, for as long as `action` runs. For a cluster that runs already it is made in that one's
 * directory, which is a root of it.
 */
export async function withFacts<T>(
  options: Pick<DrillOptions, 'dir' | 'variables' | 'signal'>,
  action: (facts: Facts) => Promise<T>,
): Promise<T> {
  const { dir = tmpdir(), variables, signal } = options
  return inDirectory(join(dir, 'nyala-drill-data-'), async (made) =>
    action(await gatherFacts({ dir: made, variables, signal })),
  )
}

/** Runs one drill, if this machine allows it; a cluster of its own is in a directory that is gone afterwards. */
export function runDrill(drill: Drill, options: DrillOptions): Promise<DrillReport> {
  const skipped = drill.cannotRun?.()
  if (skipped !== undefined) {
    return Promise.resolve({ ...report(drill, [], options, []), skipped })
  }
  if (options.dir !== undefined) return onRunningCluster(drill, options.dir, options)
  return inDirectory(join(tmpdir(), 'nyala-drill-'), (dir) => onOwnCluster(drill, dir, options))
}

async function inDirectory<T>(prefix: string, action: (dir: string) => Promise<T>): Promise<T> {
  // What members say of a directory is its real path.
  const dir = await realpath(await mkdtemp(prefix))
  try {
    return await action(dir)
  } finally {
    await rm(dir, { recursive: true, force: true })
  }
}

async function onOwnCluster(
  drill: Drill,
  dir: string,
  options: DrillOptions,
): Promise<DrillReport> {
  const { variables, signal, mutant, facts } = options
  const failpointFile = drill.failpoints === true ? join(dir, FAILPOINT_FILE) : undefined
  const links = drill.links === true ? new Links() : undefined
  const { warehouseBytes } = drill
  const unmount =
    warehouseBytes === undefined ? undefined : await mountWarehouse(dir, warehouseBytes)
  const drillVariables = {
    ...variables,
    NYALA_DRILL: '1',
    NYALA_MUTANT: mutant ? drill.mutant.name : '',
    NYALA_FAILPOINTS: failpointFile ?? '',
    NYALA_HASTE: String(HASTE),
  }
  let cluster: LocalCluster | undefined
  let rounds: readonly RoundResult[]
  let members: readonly RunningProcess[]
  try {
    cluster = await startLocalCluster({
      ...MEMBERS,
      ...(drill.executors === undefined ? {} : { executors: drill.executors }),
      dir,
      ...(links === undefined ? {} : { advertise: (member) => links.open(member) }),
      apart: drill.apart === true,
      fsync: drill.etcd?.fsync === true,
      etcdQuotaBytes: drill.etcd?.quotaBytes,
      roots: [facts.sample.dir],
      threads: 1,
      memoryBytes: EXECUTOR_MEMORY_BYTES,
      restart: true,
      variables: drillVariables,
      signal,
    })
    const started = cluster
    members = started.processes
    links?.watch(() => started.processes)
    const target = ownTarget(cluster)
    const struck = { target, database: 'default', links, failpointFile, haste: HASTE }
    rounds = await strike(drill, struck, { ...options, variables: drillVariables })
  } finally {
    await links?.set([])
    if (cluster !== undefined) await stop(cluster, signal)
    await links?.close()
    await unmount?.()
  }
  const left = await leftOnMachine(dir, members)
  return report(drill, rounds, options, [{ claim: 'gone', failure: left }])
}

/** Members that hang are woken, those that do not stop are killed; interrupted, all are killed at once. */
async function stop(cluster: LocalCluster, signal: AbortSignal): Promise<void> {
  if (signal.aborted) cluster.killNow()
  await cluster.stop()
}

async function onRunningCluster(
  drill: Drill,
  clusterDir: string,
  options: DrillOptions,
): Promise<DrillReport> {
  const { links, failpoints, executors, warehouseBytes, etcd } = drill
  const isAsOthers = executors === undefined && warehouseBytes === undefined && etcd === undefined
  if (links === true || failpoints === true || !isAsOthers) {
    throw new LauncherError(`the drill "${drill.name}" needs a cluster that is made for it`, {
      hint: 'leave out --dir',
    })
  }
  const target = await runningTarget(clusterDir)
  const database = `drill_${process.pid}`
  await using db = await connect(target.url)
  await db.execute(`CREATE DATABASE ${database}`)
  try {
    const struck = { target, database, links: undefined, failpointFile: undefined, haste: 1 }
    const rounds = await strike(drill, struck, options)
    return report(drill, rounds, options, [])
  } finally {
    await db.execute(`DROP DATABASE ${database} CASCADE`)
  }
}

async function strike(
  drill: Drill,
  struck: Pick<RoundOptions, 'target' | 'database' | 'links' | 'failpointFile' | 'haste'>,
  options: DrillOptions,
): Promise<readonly RoundResult[]> {
  const { target } = struck
  const prng = new Prng(options.seed)
  const members = (await target.processes()).map(({ id }) => id)
  const ledger = new Ledger()
  await createTables(struck, options.facts, drill.load.some(isTableWrite) ? ledger : undefined)
  const rounds: RoundResult[] = []
  for (let number = 1; number <= options.times; number++) {
    const round = await new Round({ ...options, ...struck, drill, ledger, members, prng }).run()
    rounds.push(round)
    options.onRound?.(round, number)
    // What a failure leaves would be taken for the doing of the next strike.
    if (round.checks.some(({ failure }) => failure !== undefined)) break
  }
  return rounds
}

async function createTables(
  { target, database }: { readonly target: Target; readonly database: string },
  facts: Facts,
  ledger: Ledger | undefined,
): Promise<void> {
  await using db = await connect({ url: target.url, database })
  const wanted = facts.sample.statements.filter((sql) =>
    TABLES.some((table) => new RegExp(`TABLE (IF NOT EXISTS )?${table}\\b`).test(sql)),
  )
  for (const sql of wanted) await db.execute(sql)
  await ledger?.makeTables(db)
}

function report(
  drill: Drill,
  rounds: readonly RoundResult[],
  { seed, mutant }: DrillOptions,
  more: readonly Check[],
): DrillReport {
  const checks = [...rounds.flatMap((round) => round.checks), ...more]
  return {
    drill,
    seed,
    mutant: mutant ? drill.mutant.name : undefined,
    rounds,
    failures: checks.filter(({ failure }) => failure !== undefined),
  }
}

/** The drill has shown what it should: all holds, or on its mutant, that it fails where it must; or it could not be run. */
export function isAsItMust({ drill, mutant, rounds, failures, skipped }: DrillReport): boolean {
  if (skipped !== undefined) return true
  if (mutant === undefined) return failures.length === 0
  // What fails before anything is struck has nothing to do with the guard.
  const hasStruck = rounds.some(({ victim }) => victim !== undefined)
  // Nor what fails where the fault did not come to be as it is meant.
  if (!hasStruck || failures.some(({ claim }) => claim === 'struck')) return false
  return failures.some(({ claim }) => drill.mutant.fails.some((one) => one === claim))
}
