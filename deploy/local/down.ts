import { readdir, rm, rmdir } from 'node:fs/promises'
import { resolve } from 'node:path'
import { parseArgs } from 'node:util'
import type { Clock } from '@nyala/client/base'
import type { Environment } from './environment.ts'
import { ETCD_STOP_SIGNAL } from './etcd-member.ts'
import { configurationError } from './launcher-error.ts'
import { pathsOf, readLayout } from './layout.ts'
import { withStartLock } from './start-lock.ts'
import { isAlive, type ProcessIdentity, sendSignal } from './process-identity.ts'
import {
  type ClusterState,
  isSameProcess,
  readState,
  removeState,
  survivors,
} from './state-file.ts'
import { DEFAULT_DIRECTORY } from './up-options.ts'

export const DOWN_USAGE = `usage: nyala down [--dir DIR] [--purge]

Stops the cluster that "nyala up" started in DIR (default ./.nyala).

  --purge   also discard its data and logs`

/** A supervisor stops two kinds of members one after the other, each within ten seconds. */
const SUPERVISOR_TIMEOUT_MS = 30_000
const MEMBER_TIMEOUT_MS = 10_000
/** Between two looks at whether a process is gone. */
const POLL_MS = 25

/** `nyala down`: stops what runs in a directory, also what a supervisor that was killed left behind. */
export async function down(args: readonly string[], environment: Environment): Promise<number> {
  const values = readOptions(args)
  if (values.help === true) {
    environment.print(DOWN_USAGE)
    return 0
  }
  const dir = resolve(environment.directory, values.dir ?? DEFAULT_DIRECTORY)
  const stopped = await stopCluster(dir, environment.clock)
  environment.print(
    stopped === undefined
      ? `no cluster runs in "${dir}"`
      : `stopped the cluster in "${dir}": ${stopped} processes`,
  )
  if (values.purge === true) {
    const purged = await purge(dir)
    environment.print(
      purged ? `discarded the data in "${dir}"` : `"${dir}" holds no cluster's data`,
    )
  }
  return 0
}

/** What ending processes asks of the machine. */
export interface ProcessTable {
  /** True while exactly this process runs. */
  readonly isAlive: (process: ProcessIdentity) => Promise<boolean>
  /** Sends a signal unless the process is gone; false when it is. */
  readonly sendSignal: (pid: number, signal: NodeJS.Signals) => boolean
}

interface Machine extends ProcessTable {
  readonly clock: Clock
}

/** Stops all processes of the cluster in a directory; their number, or undefined where none runs. */
export async function stopCluster(
  dir: string,
  clock: Clock,
  processes: ProcessTable = { isAlive, sendSignal },
): Promise<number | undefined> {
  const machine = { clock, ...processes }
  const before = await readState(dir)
  if (before === undefined) return undefined
  const running = await survivors(before, machine.isAlive)
  const supervised = await machine.isAlive(before.supervisor)
  if (supervised) await end([before.supervisor], machine, SUPERVISOR_TIMEOUT_MS)
  const left = await survivors(await stateLeft(dir, before), machine.isAlive)
  await end(
    left.filter((one) => one.role !== 'etcd'),
    machine,
    MEMBER_TIMEOUT_MS,
  )
  for (const one of left.filter(({ role }) => role === 'etcd')) {
    // Since the last look it may have ended, and its number may be another's.
    if (await machine.isAlive(one)) machine.sendSignal(one.pid, ETCD_STOP_SIGNAL)
  }
  await waitUntilGone(left, machine, MEMBER_TIMEOUT_MS)
  await removeState(dir, before.supervisor)
  const count = running.length + (supervised ? 1 : 0)
  return count === 0 ? undefined : count
}

/** The supervisor removes its state when it stopped in order; what is in it now it could not stop. */
async function stateLeft(dir: string, before: ClusterState): Promise<ClusterState> {
  const now = await readState(dir)
  // A cluster that somebody started here meanwhile is not the one that was to be stopped.
  const isSame = now !== undefined && isSameProcess(now.supervisor, before.supervisor)
  return isSame ? now : { ...before, processes: [] }
}

/** Removes what a cluster keeps in its directory, and the directory when nothing else is in it. */
async function purge(dir: string): Promise<boolean> {
  // Only a directory that a cluster was made in is touched.
  if ((await readLayout(dir)) === undefined) return false
  const { etcd, data, logs, layout } = pathsOf(dir)
  await withStartLock(dir, async () => {
    const state = await readState(dir)
    if (state !== undefined) {
      throw configurationError(`a cluster runs in "${dir}": ${state.url}`, 'stop it first')
    }
    // The layout goes last: what is left after a failure can still be purged.
    for (const path of [etcd, data, logs, layout]) await rm(path, { recursive: true, force: true })
  })
  if ((await readdir(dir)).length === 0) await rmdir(dir)
  return true
}

/** Ends processes: asks, waits, kills. */
async function end(
  processes: readonly ProcessIdentity[],
  machine: Machine,
  timeoutMs: number,
): Promise<void> {
  const { sendSignal } = machine
  for (const { pid } of processes) {
    sendSignal(pid, 'SIGTERM')
    // A paused process takes no signal but this one.
    sendSignal(pid, 'SIGCONT')
  }
  const left = await waitUntilGone(processes, machine, timeoutMs)
  // Each leads a process group of its own, which its children belong to.
  for (const { pid } of left) if (!sendSignal(-pid, 'SIGKILL')) sendSignal(pid, 'SIGKILL')
  await waitUntilGone(left, machine, timeoutMs)
}

/** Those that are still there at the end. */
async function waitUntilGone(
  processes: readonly ProcessIdentity[],
  { clock, isAlive }: Machine,
  timeoutMs: number,
): Promise<readonly ProcessIdentity[]> {
  const deadline = clock.now() + timeoutMs
  for (;;) {
    const alive = await Promise.all(processes.map(isAlive))
    const left = processes.filter((_, i) => alive[i] === true)
    if (left.length === 0 || clock.now() >= deadline) return left
    await clock.sleep(POLL_MS)
  }
}

function readOptions(args: readonly string[]) {
  try {
    const options = {
      dir: { type: 'string' },
      purge: { type: 'boolean' },
      help: { type: 'boolean', short: 'h' },
    } as const
    return parseArgs({ args: [...args], options, strict: true, allowPositionals: false }).values
  } catch (error) {
    throw configurationError((error as Error).message, DOWN_USAGE)
  }
}
