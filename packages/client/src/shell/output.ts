import { once } from 'node:events'
import type { Writable } from 'node:stream'
import { SqlError } from '../protocol/errors.ts'

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
export function streamOutput(stream: Writable): Output {
  let gathered = ''
  const failed: { error?: Error } = {}
  const onError = (error: NodeJS.ErrnoException): void => {
    failed.error ??= failureOf(error)
  }
  const throwFailure = (): void => {
    if (failed.error !== undefined) throw failed.error
  }
  const send = async (data: string | Uint8Array): Promise<void> => {
    throwFailure()
    if (!stream.write(data)) await drainedOrClosed(stream)
    throwFailure()
  }
  const flush = async (): Promise<void> => {
    const text = gathered
    gathered = ''
    if (text !== '') await send(text)
  }
  stream.on('error', onError)
  return {
    async write(data) {
      if (typeof data !== 'string') {
        await flush()
        return send(data)
      }
      gathered += data
      if (gathered.length >= GATHER_CHARACTERS) await flush()
    },
    async end() {
      await flush()
      // Writes are told of in order: when an empty one has been taken, so has all before it.
      const error = await new Promise<Error | null | undefined>((resolve) => {
        stream.write('', resolve)
      })
      if (error) onError(error)
      throwFailure()
    },
  }
}

const failureOf = (error: NodeJS.ErrnoException): Error =>
  error.code === 'EPIPE' || error.code === 'ERR_STREAM_DESTROYED'
    ? new OutputClosed('output was closed')
    : new SqlError('io_error', `cannot write results: ${error.message}`, { cause: error })

/** Whichever comes first: a closed stream never drains. An error is kept by whoever listens for errors. */
async function drainedOrClosed(stream: Writable): Promise<void> {
  const ended = new AbortController()
  const { signal } = ended
  await Promise.race([once(stream, 'drain', { signal }), once(stream, 'close', { signal })]).catch(
    () => undefined,
  )
  ended.abort()
}
