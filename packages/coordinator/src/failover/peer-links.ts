import type { Clock, Log } from '@nyala/client/base'
import { type MemberId, PROTOCOL_VERSION } from '@nyala/client/protocol'
import {
  CLOSE,
  Connection,
  dial,
  PING_INTERVAL_MS,
  PING_MISSES_MAX,
  type Transport,
} from '@nyala/client/wire'
import type { OwnerProcess } from './ownership.ts'
import {
  type FromDialler,
  fromDialler,
  type FromListener,
  fromListener,
  type PeerLoad,
  type PeerNews,
  type PeerTurn,
} from './peer-protocol.ts'

/** Pause before a peer is dialled again; doubled after each failure. */
const REDIAL_MIN_MS = 50
const REDIAL_MAX_MS = 1_000
const DIAL_TIMEOUT_MS = 1_000
/** A socket on which nobody has greeted by then is closed. */
const GREETING_TIMEOUT_MS = 2_000

export interface Peer {
  readonly id: string
  readonly address: string
}

export type LinkEvent =
  | { readonly kind: 'linkOpened'; readonly id: string }
  | {
      readonly kind: 'linkClosed'
      readonly id: string
      readonly code: number
      readonly reason: string
    }

export interface PeerLinksOptions {
  readonly clock: Clock
  readonly log: Log
  readonly cluster: string
  readonly self: { readonly id: MemberId; readonly startedAt: number }
  readonly onEvent: (event: LinkEvent) => void
  /** What of this coordinator is told to the others. */
  readonly load?: () => PeerLoad
  readonly onLoad?: (id: string, load: PeerLoad) => void
  /** What commits of this coordinator ask of the others. */
  readonly turns?: () => readonly PeerTurn[]
  readonly onTurn?: (id: string, turn: PeerTurn) => void
}

interface Closable {
  close(code: number, reason: string): void
}

type Greeting = Exclude<FromDialler | FromListener, PeerNews>

interface PeerSocket extends Closable {
  send(news: PeerNews): void
}

/**
 * One socket between each two coordinators, so that each sees at once when another dies, and within 2.5 s when it
 * hangs: both ends send pings, which the loop that does the work answers. The one with the larger id dials, and dials
 * again for as long as the other is registered.
 */
export class PeerLinks {
  readonly #options: PeerLinksOptions
  /** By id of the peer; of two sockets to one peer the later one counts. */
  readonly #open = new Map<string, PeerSocket>()
  /** The processes at the other ends of those. */
  readonly #processes = new Map<string, OwnerProcess>()
  readonly #dialled = new Map<string, { readonly address: string; readonly stop: () => void }>()
  /** Sockets that nobody has greeted on yet. */
  readonly #strangers = new Set<Closable>()
  #closed = false

  constructor(options: PeerLinksOptions) {
    this.#options = options
  }

  /** Tells all others the load of this coordinator, which has changed. */
  tellLoad(): void {
    const load = this.#options.load?.()
    if (load !== undefined) this.tell(load)
  }

  tell(news: PeerNews): void {
    for (const socket of this.#open.values()) socket.send(news)
  }

  isOpen(id: string): boolean {
    return this.#open.has(id)
  }

  /** The processes whose sockets to here are open and answer, registered or not. */
  linked(): readonly OwnerProcess[] {
    return [...this.#processes.values()]
  }

  /** The coordinators that are registered. Open sockets to others are kept: their owners may only have lost a lease. */
  setPeers(peers: readonly Peer[]): void {
    if (this.#closed) return
    const wanted = new Map(
      peers.filter(({ id }) => id < this.#options.self.id).map((peer) => [peer.id, peer.address]),
    )
    for (const [id, { address, stop }] of this.#dialled) {
      if (wanted.get(id) === address) continue
      stop()
      this.#dialled.delete(id)
    }
    for (const [id, address] of wanted) {
      if (!this.#dialled.has(id)) this.#dialled.set(id, this.#keepDialling({ id, address }))
    }
  }

  /** Takes a socket that was dialled to `/peer`. */
  accept(transport: Transport): void {
    if (this.#closed) return transport.terminate()
    let peer: string | undefined
    const connection: Connection<FromDialler, FromListener> = new Connection(transport, {
      ...this.#connectionOptions(),
      schema: fromDialler,
      onMessage: (hello) => {
        if (hello.kind !== 'hello') return this.#onNews(peer, hello)
        if (peer !== undefined || !this.#isWelcome(hello, connection)) return
        connection.send({ kind: 'welcome', ...this.#greeting() })
        peer = hello.coordinator
        this.#onOpen({ id: peer, startedAt: hello.startedAt }, connection)
      },
      onClose: (code, reason) => this.#onClose(peer, connection, { code, reason }),
    })
    this.#awaitGreeting(connection)
  }

  close(reason: string): void {
    this.#closed = true
    for (const { stop } of this.#dialled.values()) stop()
    for (const connection of [...this.#open.values(), ...this.#strangers]) {
      connection.close(CLOSE.goingAway, reason)
    }
  }

  #keepDialling(peer: Peer): { readonly address: string; readonly stop: () => void } {
    const stopped = new AbortController()
    void this.#dialLoop(peer, stopped.signal)
    return { address: peer.address, stop: () => stopped.abort(new Error('not a peer any more')) }
  }

  async #dialLoop(peer: Peer, signal: AbortSignal): Promise<void> {
    const { clock, log } = this.#options
    let pauseMs = REDIAL_MIN_MS
    while (!signal.aborted) {
      try {
        const greeted = await this.#converse(peer, signal)
        pauseMs = greeted ? REDIAL_MIN_MS : Math.min(2 * pauseMs, REDIAL_MAX_MS)
      } catch (error) {
        log.debug('peerNotReached', { peer: peer.id, address: peer.address, error })
        pauseMs = Math.min(2 * pauseMs, REDIAL_MAX_MS)
      }
      await clock.sleep(pauseMs, { signal }).catch(() => undefined)
    }
  }

  /** One life of a socket that is dialled from here. False where the peer did not greet. */
  async #converse(peer: Peer, signal: AbortSignal): Promise<boolean> {
    const transport = await dial(peer.address, '/peer', { signal, timeoutMs: DIAL_TIMEOUT_MS })
    return await new Promise<boolean>((resolve) => {
      let greeted: string | undefined
      const connection: Connection<FromListener, FromDialler> = new Connection(transport, {
        ...this.#connectionOptions(),
        schema: fromListener,
        onMessage: (welcome) => {
          if (welcome.kind !== 'welcome') return this.#onNews(greeted, welcome)
          if (greeted !== undefined || !this.#isWelcome(welcome, connection)) return
          if (welcome.coordinator !== peer.id) {
            return connection.close(CLOSE.notWelcome, `this is not ${peer.id}`)
          }
          greeted = peer.id
          this.#onOpen({ id: welcome.coordinator, startedAt: welcome.startedAt }, connection)
        },
        onClose: (code, reason) => {
          this.#onClose(greeted, connection, { code, reason })
          resolve(greeted !== undefined)
        },
      })
      connection.send({ kind: 'hello', ...this.#greeting() })
      this.#awaitGreeting(connection)
    })
  }

  #connectionOptions(): {
    readonly clock: Clock
    readonly log: Log
    readonly ping: { readonly intervalMs: number; readonly missesMax: number }
  } {
    const { clock, log } = this.#options
    return { clock, log, ping: { intervalMs: PING_INTERVAL_MS, missesMax: PING_MISSES_MAX } }
  }

  #greeting(): Omit<Greeting, 'kind'> {
    const { cluster, self } = this.#options
    return {
      protocol: PROTOCOL_VERSION,
      cluster,
      coordinator: self.id,
      startedAt: self.startedAt,
    }
  }

  /** Coordinators of two clusters, or of versions that do not speak with each other, do not watch each other. */
  #isWelcome(greeting: Greeting, connection: Closable): boolean {
    const { cluster, self } = this.#options
    if (greeting.protocol !== PROTOCOL_VERSION) {
      connection.close(CLOSE.versionRefused, `protocol ${PROTOCOL_VERSION} is spoken here`)
    } else if (greeting.cluster !== cluster || greeting.coordinator === self.id) {
      connection.close(CLOSE.notWelcome, `this is coordinator ${self.id} of cluster ${cluster}`)
    } else {
      return true
    }
    return false
  }

  #awaitGreeting(connection: Closable): void {
    this.#strangers.add(connection)
    this.#options.clock.after(
      GREETING_TIMEOUT_MS,
      () => {
        if (this.#strangers.has(connection)) connection.close(CLOSE.silent, 'no greeting')
      },
      { background: true },
    )
  }

  #onNews(id: string | undefined, news: PeerNews): void {
    if (id === undefined) return
    if (news.kind === 'load') this.#options.onLoad?.(id, news)
    else this.#options.onTurn?.(id, news)
  }

  #onOpen(process: OwnerProcess, connection: PeerSocket): void {
    const { id } = process
    this.#strangers.delete(connection)
    const before = this.#open.get(id)
    this.#open.set(id, connection)
    this.#processes.set(id, process)
    const load = this.#options.load?.()
    if (load !== undefined) connection.send(load)
    for (const turn of this.#options.turns?.() ?? []) connection.send(turn)
    if (before !== undefined) return before.close(CLOSE.normal, 'replaced by a newer socket')
    this.#options.log.info('peerLinked', { peer: id })
    this.#options.onEvent({ kind: 'linkOpened', id })
  }

  #onClose(
    id: string | undefined,
    connection: Closable,
    end: { readonly code: number; readonly reason: string },
  ): void {
    this.#strangers.delete(connection)
    if (id === undefined || this.#open.get(id) !== connection) return
    this.#open.delete(id)
    this.#processes.delete(id)
    this.#options.log.info('peerLinkClosed', { peer: id, ...end })
    if (!this.#closed) this.#options.onEvent({ kind: 'linkClosed', id, ...end })
  }
}
