import { get } from 'node:http'
import type { Clock } from '@nyala/client/base'
import { isAddress } from '@nyala/client/wire'
import type { ProbeOutcome } from './detection.ts'

/** A member that lives answers its health page in a few milliseconds; one that hangs is not waited for longer. */
export const PROBE_TIMEOUT_MS = 500
/** While a process ends, its port may still take connections and break them. */
const BROKEN_RETRY_MS = 20

export interface ProbeTarget {
  readonly address: string
  readonly id: string
  readonly pid: number
}

/**
 * Asks a member's health page whether its process lives. A connection alone proves nothing: the kernel takes it for a
 * process that hangs, and for one that is ending. Never rejects.
 */
export async function probe(target: ProbeTarget, clock: Clock): Promise<ProbeOutcome> {
  const end = clock.now() + PROBE_TIMEOUT_MS
  for (;;) {
    const outcome = await ask(target, Math.max(1, end - clock.now()))
    if (outcome !== 'broken') return outcome
    if (clock.now() + BROKEN_RETRY_MS > end) return 'silent'
    await clock.sleep(BROKEN_RETRY_MS)
  }
}

function ask(target: ProbeTarget, timeoutMs: number): Promise<ProbeOutcome | 'broken'> {
  // Whoever registered under what is no address may live: its links tell.
  if (!isAddress(target.address)) return Promise.resolve('silent')
  return new Promise((resolve) => {
    const request = get(
      `http://${target.address}/health`,
      { agent: false, signal: AbortSignal.timeout(Math.ceil(timeoutMs)) },
      (response) => {
        const chunks: Buffer[] = []
        response.on('data', (chunk: Buffer) => chunks.push(chunk))
        response.on('error', () => resolve('broken'))
        response.on('end', () => resolve(judge(Buffer.concat(chunks).toString(), target)))
      },
    )
    request.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'ECONNREFUSED') return resolve('refused')
      resolve(error.code === 'ECONNRESET' || error.code === 'EPIPE' ? 'broken' : 'silent')
    })
  })
}

/** Another process at that address: the one that was asked for is gone. */
function judge(body: string, target: ProbeTarget): ProbeOutcome {
  try {
    const { id, pid } = JSON.parse(body) as { readonly id?: unknown; readonly pid?: unknown }
    return id === target.id && (pid === undefined || pid === target.pid) ? 'answered' : 'refused'
  } catch {
    return 'refused'
  }
}
