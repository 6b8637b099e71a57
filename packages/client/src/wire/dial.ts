import WebSocket from 'ws'
import { SqlError } from '../protocol/errors.ts'
import type { Transport } from './connection.ts'
import { MESSAGE_BYTES_MAX } from './limits.ts'
import { nodeTransport } from './node-transport.ts'

/** How long a dial may take before the address counts as unreachable. */
export const DIAL_TIMEOUT_MS = 2_000

/** Opens a WebSocket to `ws://address/path`. Rejects with `connection_failure` naming the address. */
export function dial(
  address: string,
  path: string,
  options: { readonly signal?: AbortSignal | undefined; readonly timeoutMs?: number } = {},
): Promise<Transport> {
  return new Promise((resolve, reject) => {
    const socket = new WebSocket(`ws://${address}${path}`, {
      perMessageDeflate: false,
      maxPayload: MESSAGE_BYTES_MAX,
      skipUTF8Validation: true,
      handshakeTimeout: options.timeoutMs ?? DIAL_TIMEOUT_MS,
    })
    const onAbort = (): void => {
      socket.terminate()
      reject(options.signal?.reason as Error)
    }
    options.signal?.addEventListener('abort', onAbort, { once: true })
    socket.once('open', () => {
      options.signal?.removeEventListener('abort', onAbort)
      socket.off('error', onError)
      resolve(nodeTransport(socket))
    })
    const onError = (error: Error): void => {
      options.signal?.removeEventListener('abort', onAbort)
      reject(
        new SqlError('connection_failure', `cannot connect to ${address}: ${error.message}`, {
          cause: error,
        }),
      )
    }
    socket.once('error', onError)
  })
}
