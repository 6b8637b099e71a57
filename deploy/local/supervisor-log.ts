import { appendFileSync } from 'node:fs'
import { open } from 'node:fs/promises'
import { join } from 'node:path'
import { type Clock, lineLog, type Log } from '@nyala/client/base'
import { pathsOf } from './layout.ts'

export interface SupervisorLog extends AsyncDisposable {
  readonly log: Log
}

/**
 * The supervisor's own log, `logs/supervisor.log` in the cluster's directory. What cannot be written is lost, and the
 * supervisor goes on: a full disk is no reason to take a cluster down.
 */
export async function openSupervisorLog(dir: string, clock: Clock): Promise<SupervisorLog> {
  const file = await open(join(pathsOf(dir).logs, 'supervisor.log'), 'a')
  const write = forgivingWriter((text) => appendFileSync(file.fd, text))
  return {
    log: lineLog(write, clock.wall, { level: 'info' }),
    // Some file systems tell only now that there was no room; there is nobody left to tell it to.
    [Symbol.asyncDispose]: () => file.close().catch(() => undefined),
  }
}

/** Writes lines, and forgets those that fail; the next that can be written tells how many they were. */
export function forgivingWriter(write: (text: string) => void): (line: string) => void {
  let lost = 0
  return (line) => {
    try {
      // A line that failed may have left its first half behind.
      write(lost === 0 ? line : `\n${JSON.stringify({ event: 'linesLost', lost })}\n${line}`)
      lost = 0
    } catch {
      lost++
    }
  }
}
