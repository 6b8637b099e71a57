import WebSocket from 'ws'
import { SqlError } from '../protocol/errors.ts'
import type { Transport } from './connection.ts'
import { MESSAGE_BYTES_MAX } from './limits.ts'
import { nodeTransport } from './node-transport.ts'

/** How long a dial may take before the address counts as unreachable. */
export const DIAL_TIMEOUT_MS = 2_000

/** True of what can be dialled: a host and a port from 1 to 65535, as in `10.0.0.1:7700` and `[::1]:7700`. */
export function isAddress(text: string): boolean {
  const port = Number(/^[^\s/?#@]+:(\d{1,5})$/.exec(text)?.[1])
  return port > 0 && URL.canParse(`ws://${text}`)
}

/** Opens a socket: {@link dial}, or that of a simulation. */
export type Dial = (
  address: string,
  path: string,
  options?: { readonly signal?: AbortSignal | undefined; readonly timeoutMs?: number },
) => Promise<Transport>

/** Opens a WebSocket to `ws://address/path`. Rejects with `connection_failure` naming the address. */
export function dial(
  address: string,
  path: string,
  options: { readonly signal?: AbortSignal | undefined; readonly timeoutMs?: number } = {},
): Promise<Transport> {
  const { signal, timeoutMs = DIAL_TIMEOUT_MS } = options
  return new Promise((resolve, reject) => {
    if (signal?.aborted === true) return reject(signal.reason as Error)
    const refused = (why: string, cause: unknown): SqlError =>
      new SqlError('connection_failure', `cannot connect to ${address}: ${why}`, { cause })
    const socket = openSocket(`ws://${address}${path}`, timeoutMs)
    if (!(socket instanceof WebSocket)) return reject(refused('it is not an address', socket.error))
    const settle = (): void => {
      signal?.removeEventListener('abort', onAbort)
      socket.off('open', onOpen)
    }
    const onOpen = (): void => {
      settle()
      socket.off('error', onError)
      resolve(nodeTransport(socket))
    }
    // Stays in place after a failure: a socket that is given up may report more than one error.
    const onError = (error: Error): void => {
      settle()
      reject(refused(error.message, error))
    }
    const onAbort = (): void => {
      settle()
      socket.terminate()
      reject(signal?.reason as Error)
    }
    signal?.addEventListener('abort', onAbort, { once: true })
    socket.on('error', onError)
    socket.on('open', onOpen)
  })
}

function openSocket(url: string, timeoutMs: number): WebSocket | { readonly error: unknown } {
  try {
    return new WebSocket(url, {
      perMessageDeflate: false,
      maxPayload: MESSAGE_BYTES_MAX,
      skipUTF8Validation: true,
      handshakeTimeout: timeoutMs,
    })
  } catch (error) {
    return { error }
  }
}
