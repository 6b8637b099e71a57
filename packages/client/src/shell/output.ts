import { once } from 'node:events'
import type { Writable } from 'node:stream'

/** Where results go. `write` resolves when more may be written, so that a slow reader slows the query down. */
export interface Output {
  write(data: string | Uint8Array): Promise<void>
  /** Resolves when all has been handed over. */
  end(): Promise<void>
}

/** The reader of our output went away, as `head` does; there is nobody left to tell. */
export class OutputClosed extends Error {
  override readonly name = 'OutputClosed'
}

/** Small pieces are gathered up to this before they are written. */
const GATHER_CHARACTERS = 64 * 1024

/** An output over a Node stream. The stream itself is not ended: it may be the process's own. */
export function streamOutput(stream: Writable): Output & { readonly flush: () => Promise<void> } {
  let gathered = ''
  const failed: { error?: Error } = {}
  stream.on('error', (error: NodeJS.ErrnoException) => {
    failed.error = error.code === 'EPIPE' ? new OutputClosed('output was closed') : error
  })
  const throwFailure = (): void => {
    if (failed.error !== undefined) throw failed.error
  }
  const send = async (data: string | Uint8Array): Promise<void> => {
    throwFailure()
    if (!stream.write(data)) await drainedOrClosed(stream)
    throwFailure()
  }
  const flush = async (): Promise<void> => {
    if (gathered === '') return
    const text = gathered
    gathered = ''
    await send(text)
  }
  return {
    async write(data) {
      if (typeof data === 'string') {
        gathered += data
        if (gathered.length >= GATHER_CHARACTERS) await flush()
        return
      }
      await flush()
      await send(data)
    },
    flush,
    async end() {
      await flush()
      throwFailure()
    },
  }
}

/** Whichever comes first: a closed stream never drains. An error is kept by whoever listens for errors. */
async function drainedOrClosed(stream: Writable): Promise<void> {
  const ended = new AbortController()
  const { signal } = ended
  await Promise.race([once(stream, 'drain', { signal }), once(stream, 'close', { signal })]).catch(
    () => undefined,
  )
  ended.abort()
}
