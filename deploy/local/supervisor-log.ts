import { open } from 'node:fs/promises'
import { join } from 'node:path'
import { type Clock, lineLog, type Log } from '@nyala/client/base'
import { pathsOf } from './layout.ts'

export interface SupervisorLog extends AsyncDisposable {
  readonly log: Log
}

/** The supervisor's own log, `logs/supervisor.log` in the cluster's directory. */
export async function openSupervisorLog(dir: string, clock: Clock): Promise<SupervisorLog> {
  const file = await open(join(pathsOf(dir).logs, 'supervisor.log'), 'a')
  const stream = file.createWriteStream()
  const log = lineLog((line) => void stream.write(line), clock.wall, { level: 'info' })
  return {
    log,
    [Symbol.asyncDispose]: () =>
      new Promise((resolve, reject) => {
        stream.once('error', reject)
        stream.end(resolve)
      }),
  }
}
