import { type Clock, DecodeError, isMutant, type Log, type Schema } from '../base/index.ts'
import { decodeFrame, type Frame } from './frames.ts'

/** What a connection needs of a socket; `ws` in Node and `WebSocket` in browsers both fit. */
export interface Transport {
  send(data: string | Uint8Array): void
  /** Bytes handed to `send` that have not left the process yet. */
  readonly bufferedBytes: number
  /** Resolves when a good part of what was buffered has left, or the socket has closed. */
  drained(): Promise<void>
  close(code: number, reason: string): void
  /** Ends the socket at once, without a closing handshake. */
  terminate(): void
  start(events: TransportEvents): void
}

export interface TransportEvents {
  onText(text: string): void
  onBinary(bytes: Uint8Array): void
  onClose(code: number, reason: string): void
}

/** Close codes that we send beside the standard ones. */
export const CLOSE = {
  normal: 1000,
  goingAway: 1001,
  /** The peer sent what is not a message of the protocol; the reason says which and why. */
  protocolError: 1002,
  tooLarge: 1009,
  versionRefused: 4001,
  notWelcome: 4002,
  /** The peer did not answer pings. */
  silent: 4003,
} as const

/** How long a peer may take over the closing handshake before its socket is cut. */
export const CLOSE_TIMEOUT_MS = 2_000
/** A close frame holds 123 bytes of reason; a cut character may grow by two. */
const CLOSE_REASON_BYTES_MAX = 120

/**
 * As many pings in a row that nothing came after mean a dead peer; the last one is given half an interval. 500 ms × 4:
 * after 1.75 s to 2.25 s, so that what delays timers is left room within 2.5 s.
 */
export const PING_INTERVAL_MS: number = isMutant('impatient-pings') ? 25 : 500
export const PING_MISSES_MAX = 4

/** What a message that can wait waits for company. */
export const SOON_MS = 5

export interface ConnectionOptions<In> {
  readonly schema: Schema<In>
  readonly clock: Clock
  readonly log: Log
  readonly onMessage: (message: In) => void
  /** Data frames; where it is absent a frame is a protocol error. */
  readonly onFrame?: (frame: Frame, message: Uint8Array) => void
  readonly onClose: (code: number, reason: string) => void
  /** Sends pings and closes the connection when the peer stays silent. */
  readonly ping?: { readonly intervalMs: number; readonly missesMax: number } | undefined
}

/**
 * One socket that speaks JSON messages of two unions and binary frames. It owns decoding, pings and closing; what the
 * messages mean is its user's. Pings are answered here, by the loop that does the work, so that a hung loop is a dead
 * member. A message that does not decode closes this connection with a reason, and harms no other.
 */
export class Connection<In, Out extends { readonly kind: string }> {
  readonly #transport: Transport
  readonly #options: ConnectionOptions<In>
  #closed = false
  /** We have asked for the end: nothing of what still comes is looked at, and nothing more is sent. */
  #closing = false
  /** Why we closed, which the peer need not repeat. */
  #closedFor: { readonly code: number; readonly reason: string } | undefined
  #stopCloseTimer: (() => void) | undefined
  readonly #waiting: Out[] = []
  #stopSoon: (() => void) | undefined
  #misses = 0
  #stopPings: (() => void) | undefined

  constructor(transport: Transport, options: ConnectionOptions<In>) {
    this.#transport = transport
    this.#options = options
    transport.start({
      onText: (text) => this.#onText(text),
      onBinary: (bytes) => this.#onBinary(bytes),
      onClose: (code, reason) => this.#onClose(code, reason),
    })
    if (options.ping !== undefined) this.#schedulePing(options.ping)
  }

  /** True once the end has come or has been asked for. */
  get closed(): boolean {
    return this.#closed || this.#closing
  }

  get bufferedBytes(): number {
    return this.#transport.bufferedBytes
  }

  /** Sends a message; on a closed connection it does nothing, as the close has been or will be told by `onClose`. */
  send(message: Out): void {
    this.#sendWaiting()
    if (!this.closed) this.#transport.send(JSON.stringify(message))
  }

  /**
   * Sends a message that nobody is waiting for: together with the next one, or by itself after {@link SOON_MS}. The
   * order stays. Saves a write, which for small statements is most of what they cost.
   */
  sendSoon(message: Out): void {
    if (this.closed) return
    this.#waiting.push(message)
    this.#stopSoon ??= this.#options.clock.after(SOON_MS, () => this.#sendWaiting(), {
      background: true,
    })
  }

  /** Sends an encoded data frame (`frames.ts`). The buffer must not change afterwards. */
  sendFrame(message: Uint8Array): void {
    this.#sendWaiting()
    if (!this.closed) this.#transport.send(message)
  }

  #sendWaiting(): void {
    if (this.#stopSoon === undefined) return
    this.#stopSoon()
    this.#stopSoon = undefined
    const waiting = this.#waiting.splice(0)
    if (this.closed) return
    for (const message of waiting) this.#transport.send(JSON.stringify(message))
  }

  /** Resolves when more may be sent without growing the buffer without bound. */
  drained(): Promise<void> {
    return this.#transport.drained()
  }

  /** Asks for the end. `onClose` tells when it has come, at the latest after {@link CLOSE_TIMEOUT_MS}. */
  close(code: number = CLOSE.normal, reason = ''): void {
    this.#sendWaiting()
    if (this.closed) return
    this.#closing = true
    this.#stopPings?.()
    if (reason !== '') this.#closedFor = { code, reason }
    const bytes = new TextEncoder().encode(reason).subarray(0, CLOSE_REASON_BYTES_MAX)
    this.#stopCloseTimer = this.#options.clock.after(
      CLOSE_TIMEOUT_MS,
      () => this.#transport.terminate(),
      { background: true },
    )
    this.#transport.close(code, new TextDecoder().decode(bytes))
  }

  /** Ends the connection at once, without a closing handshake. */
  terminate(): void {
    this.#closing = true
    this.#stopPings?.()
    this.#transport.terminate()
  }

  #onText(text: string): void {
    if (this.closed) return
    this.#misses = 0
    let value: unknown
    try {
      value = JSON.parse(text)
    } catch {
      return this.close(CLOSE.protocolError, 'message is not JSON')
    }
    if (isPing(value)) return this.#transport.send(`{"kind":"pong","nonce":${value.nonce}}`)
    if (isPong(value)) return
    let message: In
    try {
      message = this.#options.schema.decode(value, 'message')
    } catch (error) {
      if (!(error instanceof DecodeError)) throw error
      this.#options.log.warn('messageRefused', { reason: error.message })
      return this.close(CLOSE.protocolError, error.message)
    }
    this.#options.onMessage(message)
  }

  #onBinary(bytes: Uint8Array): void {
    if (this.closed) return
    this.#misses = 0
    if (this.#options.onFrame === undefined) {
      return this.close(CLOSE.protocolError, 'binary frames are not expected here')
    }
    const frame = decodeFrame(bytes)
    if (typeof frame === 'string') return this.close(CLOSE.protocolError, frame)
    this.#options.onFrame(frame, bytes)
  }

  #onClose(code: number, reason: string): void {
    if (this.#closed) return
    this.#closed = true
    this.#stopSoon?.()
    this.#stopPings?.()
    this.#stopCloseTimer?.()
    const told = this.#closedFor ?? { code, reason }
    this.#options.onClose(told.code, told.reason)
  }

  #schedulePing(ping: { readonly intervalMs: number; readonly missesMax: number }): void {
    let nonce = 0
    const tick = (): void => {
      if (this.closed) return
      if (this.#misses >= ping.missesMax) {
        const reason = `no answer for ${ping.intervalMs * (ping.missesMax - 0.5)} ms`
        // Told before the socket tells of its own end, and without waiting for it.
        this.#onClose(CLOSE.silent, reason)
        return this.terminate()
      }
      this.#misses++
      this.#transport.send(`{"kind":"ping","nonce":${++nonce}}`)
      const isLast = this.#misses === ping.missesMax
      const waitMs = isLast ? ping.intervalMs / 2 : ping.intervalMs
      this.#stopPings = this.#options.clock.after(waitMs, tick, { background: true })
    }
    this.#stopPings = this.#options.clock.after(ping.intervalMs, tick, { background: true })
  }
}

interface Nonce {
  readonly kind: string
  readonly nonce: number
}
const hasNonce = (v: unknown, kind: string): v is Nonce =>
  typeof v === 'object' &&
  v !== null &&
  (v as Partial<Nonce>).kind === kind &&
  Number.isSafeInteger((v as Partial<Nonce>).nonce)
const isPing = (v: unknown): v is Nonce => hasNonce(v, 'ping')
const isPong = (v: unknown): v is Nonce => hasNonce(v, 'pong')
