import { execFile } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { promisify } from 'node:util'

/**
 * A process that can be told from a later one with the same number: `birth` differs for every process that a machine
 * ever ran, across restarts of the machine too.
 */
export interface ProcessIdentity {
  readonly pid: number
  readonly birth: string
}

const run = promisify(execFile)

/** Position of `starttime` in /proc/<pid>/stat, counted after the command name, which may hold blanks and brackets. */
const START_TIME_FIELD = 19
const STATE_FIELD = 0

/** Undefined when no such process runs (a zombie does not run). */
export async function processBirth(pid: number): Promise<string | undefined> {
  return process.platform === 'linux' ? linuxBirth(pid) : portableBirth(pid)
}

/** True while exactly this process runs. */
export async function isAlive(identity: ProcessIdentity): Promise<boolean> {
  return (await processBirth(identity.pid)) === identity.birth
}

/** Sends a signal unless the process is gone; false when it is. */
export function sendSignal(pid: number, signal: NodeJS.Signals): boolean {
  try {
    return process.kill(pid, signal)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ESRCH') return false
    throw error
  }
}

async function linuxBirth(pid: number): Promise<string | undefined> {
  const stat = await readIfPresent(`/proc/${pid}/stat`)
  if (stat === undefined) return undefined
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  const state = fields[STATE_FIELD]
  const startTime = fields[START_TIME_FIELD]
  if (state === 'Z' || state === 'X' || startTime === undefined) return undefined
  const boot = await readIfPresent('/proc/sys/kernel/random/boot_id')
  return `${boot?.trim() ?? 'boot'}/${startTime}`
}

async function readIfPresent(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8')
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code
    if (code === 'ENOENT' || code === 'ESRCH') return undefined
    throw error
  }
}

async function portableBirth(pid: number): Promise<string | undefined> {
  try {
    const { stdout } = await run('ps', ['-o', 'lstart=', '-p', String(pid)])
    return stdout.trim() === '' ? undefined : stdout.trim()
  } catch (error) {
    // ps exits with 1 where it finds no such process.
    if ((error as { code?: unknown }).code === 1) return undefined
    throw error
  }
}
