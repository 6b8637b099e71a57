import { execFileSync } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'

/** Reads processes from /proc, so the measurements that need it run on Linux only. */
const CLOCK_TICKS_PER_SECOND = Number(execFileSync('getconf', ['CLK_TCK'], { encoding: 'utf8' }))
/** Positions in /proc/<pid>/stat, counted after the command name. */
const PARENT = 1
const USER_TICKS = 11
const SYSTEM_TICKS = 12

/** A process and all below it. */
export function familyOf(pid: number): readonly number[] {
  const parents = readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map((name) => ({ pid: Number(name), parent: Number(statOf(Number(name))?.[PARENT] ?? 0) }))
  const family = [pid]
  for (const member of family) {
    for (const one of parents) if (one.parent === member) family.push(one.pid)
  }
  return family
}

/** User and system time of processes so far, in seconds; of one that is gone, none. */
export function cpuSeconds(pids: readonly number[]): number {
  const ticks = pids.map((pid) => {
    const stat = statOf(pid)
    return stat === undefined ? 0 : Number(stat[USER_TICKS]) + Number(stat[SYSTEM_TICKS])
  })
  return sum(ticks) / CLOCK_TICKS_PER_SECOND
}

/** Resident memory of processes together, in bytes; pages that they share count for each. */
export const residentBytes = (pids: readonly number[]): number =>
  sum(pids.map((pid) => field(`/proc/${pid}/status`, 'VmRSS')))

/** Resident memory of processes together, in bytes; a page that n processes share counts 1/n for each. */
export const proportionalBytes = (pids: readonly number[]): number =>
  sum(pids.map((pid) => field(`/proc/${pid}/smaps_rollup`, 'Pss')))

function field(path: string, name: string): number {
  const text = readIfPresent(path)
  const [, kibibytes] = new RegExp(`^${name}:\\s+(\\d+) kB$`, 'm').exec(text ?? '') ?? []
  return Number(kibibytes ?? 0) * 1024
}

function statOf(pid: number): readonly string[] | undefined {
  const text = readIfPresent(`/proc/${pid}/stat`)
  return text?.slice(text.lastIndexOf(')') + 2).split(' ')
}

function readIfPresent(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    // Processes come and go while they are listed.
    return undefined
  }
}

const sum = (values: readonly number[]): number => values.reduce((total, value) => total + value, 0)
