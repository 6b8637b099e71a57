import { systemClock } from '../base/clock.ts'
import { SqlError } from '../protocol/errors.ts'
import type { Transport, TransportEvents } from './connection.ts'

/** How long a dial may take before the address counts as unreachable. */
export const DIAL_TIMEOUT_MS = 2_000
/** A browser does not say when its buffer has drained; it is looked at this often. */
const DRAIN_POLL_MS = 20
/** What may stay buffered when {@link Transport.drained} resolves. */
const DRAINED_BYTES = 1024 * 1024

/** Opens a WebSocket to `ws://address/path` with the platform's own WebSocket; `wss` where the page itself is secure. */
export function dial(
  address: string,
  path: string,
  options: { readonly signal?: AbortSignal | undefined; readonly timeoutMs?: number } = {},
): Promise<Transport> {
  return new Promise((resolve, reject) => {
    const { signal, timeoutMs = DIAL_TIMEOUT_MS } = options
    if (signal?.aborted === true) return reject(signal.reason as Error)
    const socket = new WebSocket(`${scheme()}://${address}${path}`)
    socket.binaryType = 'arraybuffer'
    // An error says nothing; the close that follows it says all there is.
    socket.onerror = () => undefined
    const settle = (): void => {
      stopTimer()
      signal?.removeEventListener('abort', onAbort)
      socket.onopen = null
      socket.onclose = null
    }
    const fail = (error: unknown): void => {
      settle()
      socket.close()
      reject(error as Error)
    }
    const refused = (why: string): SqlError =>
      new SqlError('connection_failure', `cannot connect to ${address}: ${why}`)
    const onAbort = (): void => fail(signal?.reason)
    const stopTimer = systemClock.after(timeoutMs, () =>
      fail(refused(`no answer in ${timeoutMs} ms`)),
    )
    signal?.addEventListener('abort', onAbort, { once: true })
    socket.onclose = () => fail(refused('refused'))
    socket.onopen = () => {
      settle()
      resolve(browserTransport(socket))
    }
  })
}

const scheme = (): string =>
  (globalThis as { readonly location?: { readonly protocol: string } }).location?.protocol ===
  'https:'
    ? 'wss'
    : 'ws'

/** A page may only close with 1000 or codes of its own from 3000 on. */
const closeCode = (code: number): number =>
  code === 1000 || code >= 3000 ? code : 3000 + (code % 1000)

/** A transport over an open browser WebSocket. Messages that come before `start` are kept for it. */
export function browserTransport(socket: WebSocket): Transport {
  let events: TransportEvents | undefined
  const early: (() => void)[] = []
  const deliver = (action: () => void): void => {
    if (events === undefined) early.push(action)
    else action()
  }
  socket.onmessage = ({ data }: { readonly data: unknown }) =>
    deliver(() => {
      if (typeof data === 'string') events?.onText(data)
      else events?.onBinary(new Uint8Array(data as ArrayBuffer))
    })
  socket.onclose = ({ code, reason }) => deliver(() => events?.onClose(code, reason))
  return {
    send(data) {
      if (socket.readyState === socket.OPEN) socket.send(data as string | Uint8Array<ArrayBuffer>)
    },
    get bufferedBytes() {
      return socket.bufferedAmount
    },
    async drained() {
      while (socket.readyState === socket.OPEN && socket.bufferedAmount > DRAINED_BYTES) {
        await systemClock.sleep(DRAIN_POLL_MS)
      }
    },
    close(code, reason) {
      socket.close(closeCode(code), reason)
    },
    terminate() {
      // Browsers cannot cut a socket; the closing handshake goes on without us.
      socket.onmessage = null
      socket.close()
      deliver(() => events?.onClose(1006, 'terminated'))
    },
    start(given) {
      events = given
      for (const action of early.splice(0)) action()
    },
  }
}
