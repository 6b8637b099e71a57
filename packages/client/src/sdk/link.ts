import { deferred, type Deferred } from '../base/deferred.ts'
import { silentLog } from '../base/log.ts'
import { SqlError } from '../protocol/errors.ts'
import { down, type Down, type Endpoint, fromErrorBody, type Up } from '../protocol/messages.ts'
import { PROTOCOL_VERSION } from '../protocol/version.ts'
import { CLOSE, Connection, PING_INTERVAL_MS, PING_MISSES_MAX } from '../wire/connection.ts'
import type { Frame } from '../wire/frames.ts'
import { typedError } from './errors.ts'
import type { Platform } from './platform.ts'

/** How long a coordinator may take to answer `hello`; one that hangs must not hold a client. */
export const WELCOME_TIMEOUT_MS = 2_000
/** How long a coordinator may take to answer status, profile, completion and the like. */
export const REPLY_TIMEOUT_MS = 15_000
/** Where clients dial on a coordinator's port. */
export const CLIENT_PATH = '/client'

export type Welcome = Extract<Down, { kind: 'welcome' }>
/** Messages that belong to one call. */
export type CallMessage = Extract<Down, { readonly call: number }>

/** What one call does with what comes for it. After `finished`, `failed` or `reply` nothing comes. */
export interface CallHandler {
  onMessage(message: CallMessage): void
  onFrame(frame: Frame, message: Uint8Array): void
  /** The connection is gone; nothing more will come. */
  onLost(error: SqlError): void
}

export interface LinkEvents {
  onMembers(coordinators: readonly Endpoint[]): void
  onDraining(link: Link): void
  onClosed(link: Link, reason: string): void
}

type WithoutCall<T> = T extends { readonly call: number } ? Omit<T, 'call'> : never
export type Request = WithoutCall<
  Extract<
    Up,
    { kind: 'cancelQuery' | 'status' | 'profile' | 'complete' | 'upload' | 'uploadEnded' }
  >
>

/** One welcomed connection to one coordinator, shared by all calls to it. */
export class Link {
  readonly address: string
  readonly welcome: Welcome
  readonly #connection: Connection<Down, Up>
  readonly #platform: Platform
  readonly #calls: Map<number, CallHandler>
  #nextCall = 1
  #draining = false

  private constructor(address: string, welcome: Welcome, parts: LinkParts) {
    this.address = address
    this.welcome = welcome
    this.#connection = parts.connection
    this.#platform = parts.platform
    this.#calls = parts.calls
  }

  /**
   * Dials and waits to be welcomed. Rejects with `connection_failure`, with `connection_exception` where we are refused, or
   * with the reason of the signal, by which the connection is cut if it is not a link yet.
   */
  static async open(
    address: string,
    platform: Platform,
    options: {
      readonly application: string | undefined
      readonly events: LinkEvents
      readonly signal?: AbortSignal | undefined
    },
  ): Promise<Link> {
    const { signal } = options
    const transport = await platform.dial(address, CLIENT_PATH, { signal })
    const calls = new Map<number, CallHandler>()
    const opening = deferred<Link>()
    let link: Link | undefined
    const connection: Connection<Down, Up> = new Connection<Down, Up>(transport, {
      schema: down,
      clock: platform.clock,
      log: silentLog,
      ping: { intervalMs: PING_INTERVAL_MS, missesMax: PING_MISSES_MAX },
      onMessage(message) {
        if (link !== undefined) return link.#onMessage(message, options.events)
        link = welcomed(message, address, { connection, platform, calls }, opening)
      },
      onFrame(frame, message) {
        calls.get(frame.call)?.onFrame(frame, message)
      },
      onClose(code, reason) {
        const error = closedError(address, code, reason)
        opening.reject(error)
        // First: those whose calls are lost look for another coordinator at once, and are not to come back to this one.
        if (link !== undefined) options.events.onClosed(link, error.message)
        for (const handler of [...calls.values()]) handler.onLost(error)
        calls.clear()
      },
    })
    const onAbort = (): void => {
      opening.reject(signal?.reason)
      if (link === undefined) connection.terminate()
    }
    if (signal?.aborted === true) onAbort()
    signal?.addEventListener('abort', onAbort, { once: true })
    connection.send(hello(platform.client, options.application))
    const stopTimer = platform.clock.after(WELCOME_TIMEOUT_MS, () => {
      opening.reject(
        new SqlError('connection_failure', `${address} did not answer in ${WELCOME_TIMEOUT_MS} ms`),
      )
      if (link === undefined) connection.terminate()
    })
    return opening.promise.finally(() => {
      stopTimer()
      signal?.removeEventListener('abort', onAbort)
    })
  }

  /** Makes the private constructor reachable for the opening handshake only. */
  static welcomed(address: string, welcome: Welcome, parts: LinkParts): Link {
    return new Link(address, welcome, parts)
  }

  get coordinator(): string {
    return this.welcome.coordinator
  }

  /** False once the connection is gone or the coordinator said that it is going away. */
  get usable(): boolean {
    return !this.#connection.closed && !this.#draining
  }

  /** True while what was begun on the connection can go on, though nothing new should be. */
  get open(): boolean {
    return !this.#connection.closed
  }

  get idle(): boolean {
    return this.#calls.size === 0
  }

  /** Registers a call and gives its number, under which its messages are to be sent. */
  begin(handler: CallHandler): number {
    const call = this.#nextCall++
    if (this.#connection.closed) {
      // Told later, as every loss is: the caller does not know its call yet.
      queueMicrotask(() => handler.onLost(closedError(this.address, CUT, '')))
      return call
    }
    this.#calls.set(call, handler)
    return call
  }

  send(message: Up): void {
    this.#connection.send(message)
  }

  /**
   * Sends a request that is answered by one `reply`, and resolves with the body of it. `frames` gives what is sent behind
   * it, for the number of its call.
   */
  request(
    request: Request,
    signal?: AbortSignal,
    frames: (call: number) => Iterable<Uint8Array> = () => [],
  ): Promise<unknown> {
    const answer = deferred<unknown>()
    const call = this.begin({
      onMessage(message) {
        if (message.kind === 'reply') answer.resolve(message.body)
        else if (message.kind === 'failed') answer.reject(typedError(fromErrorBody(message.error)))
        else answer.reject(new SqlError('protocol_violation', `${message.kind} is not a reply`))
      },
      onFrame() {
        answer.reject(new SqlError('protocol_violation', 'a data frame is not a reply'))
      },
      onLost: (error) => answer.reject(error),
    })
    this.#connection.send({ ...request, call } as Up)
    for (const frame of frames(call)) this.#connection.sendFrame(frame)
    const onAbort = (): void => answer.reject(signal?.reason)
    signal?.addEventListener('abort', onAbort, { once: true })
    const stopTimer = this.#platform.clock.after(REPLY_TIMEOUT_MS, () =>
      answer.reject(
        new SqlError(
          'connection_failure',
          `coordinator ${this.coordinator} did not answer "${request.kind}" in ${REPLY_TIMEOUT_MS} ms`,
        ),
      ),
    )
    return answer.promise.finally(() => {
      stopTimer()
      signal?.removeEventListener('abort', onAbort)
      this.#calls.delete(call)
    })
  }

  close(): void {
    this.#connection.close(CLOSE.normal, 'client closed')
  }

  /** Ends the connection at once: its data cannot be trusted, or nobody waits for a closing handshake. */
  terminate(): void {
    this.#connection.terminate()
  }

  #onMessage(message: Down, events: LinkEvents): void {
    switch (message.kind) {
      case 'welcome':
        return this.#connection.close(CLOSE.protocolError, 'welcome came twice')
      case 'members':
        return events.onMembers(message.coordinators)
      case 'draining':
        this.#draining = true
        return events.onDraining(this)
      case 'accepted':
      case 'columns':
      case 'streaming':
      case 'taskEnded':
      case 'progress':
        return this.#calls.get(message.call)?.onMessage(message)
      case 'finished':
      case 'failed':
      case 'reply': {
        const handler = this.#calls.get(message.call)
        this.#calls.delete(message.call)
        return handler?.onMessage(message)
      }
    }
  }
}

interface LinkParts {
  readonly connection: Connection<Down, Up>
  readonly platform: Platform
  readonly calls: Map<number, CallHandler>
}

function welcomed(
  message: Down,
  address: string,
  parts: LinkParts,
  opening: Deferred<Link>,
): Link | undefined {
  if (message.kind !== 'welcome') {
    parts.connection.close(CLOSE.protocolError, `${message.kind} came before welcome`)
    return undefined
  }
  if (message.protocol !== PROTOCOL_VERSION) {
    const theirs = message.protocol
    parts.connection.close(CLOSE.versionRefused, `protocol ${theirs} is not spoken here`)
    opening.reject(
      versionError(address, `it speaks protocol ${theirs}, this client ${PROTOCOL_VERSION}`),
    )
    return undefined
  }
  const link = Link.welcomed(address, message, parts)
  opening.resolve(link)
  return link
}

const hello = (client: string, application: string | undefined): Up => ({
  kind: 'hello',
  protocol: PROTOCOL_VERSION,
  client,
  ...(application === undefined ? {} : { application }),
})

const versionError = (address: string, why: string): SqlError =>
  new SqlError('connection_exception', `coordinator at ${address} refuses this client: ${why}`, {
    hint: 'use the client that came with the cluster',
  })

/** What a WebSocket says of a connection that ended without a closing handshake. */
const CUT = 1006

function closedError(address: string, code: number, reason: string): SqlError {
  if (code === CLOSE.versionRefused || code === CLOSE.notWelcome)
    return versionError(address, reason)
  const why = reason !== '' ? reason : code === CUT ? 'it was cut' : `code ${code}`
  return new SqlError('connection_failure', `connection to ${address} was lost: ${why}`)
}
