import { readdirSync, readFileSync } from 'node:fs'

/** Processes whose parent it is: of an executor, its kernels. None where it has ended. */
export function childrenOf(pid: number): readonly number[] {
  try {
    return readdirSync(`/proc/${pid}/task`).flatMap((task) =>
      readFileSync(`/proc/${pid}/task/${task}/children`, 'utf8')
        .trim()
        .split(' ')
        .filter(Boolean)
        .map(Number),
    )
  } catch (error) {
    if (isGone(error)) return []
    throw error
  }
}

/** Signals processes of a drill's cluster; some may have ended meanwhile. */
export function sendSignals(pids: readonly number[], signal: NodeJS.Signals): void {
  for (const pid of pids) {
    try {
      process.kill(pid, signal)
    } catch (error) {
      if (!isGone(error)) throw error
    }
  }
}

/** Memory of a process; 0 where it has ended. */
export const residentBytes = (pid: number): number => memoryOf(pid, /^VmRSS:\s+(\d+) kB/m)

/** The most that it has had; 0 where it has ended. */
export const peakBytes = (pid: number): number => memoryOf(pid, /^VmHWM:\s+(\d+) kB/m)

function memoryOf(pid: number, line: RegExp): number {
  try {
    const found = line.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))
    return Number(found?.[1] ?? 0) * 1024
  } catch (error) {
    if (isGone(error)) return 0
    throw error
  }
}

const isGone = (error: unknown): boolean =>
  ['ENOENT', 'ESRCH'].includes((error as NodeJS.ErrnoException).code ?? '')
