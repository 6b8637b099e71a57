import type { Socket } from 'node:net'
import {
  Channel,
  ChannelCredentials,
  type ChannelInterface,
  connectivityState,
  status,
} from '@grpc/grpc-js'
import type { Clock } from '@nyala/client/base'

/**
 * A connection on which nobody has answered a call for this long is given up for a new one; twice as long after each that
 * was given up in vain, up to the most: that is for machines so busy that a connection takes seconds to be made.
 */
const SILENT_MIN_MS = 1000
const SILENT_MAX_MS = 3000
/** How calls end that nobody has answered. */
const UNANSWERED: readonly status[] = [
  status.DEADLINE_EXCEEDED,
  status.UNAVAILABLE,
  status.CANCELLED,
]

export interface MemberChannelOptions {
  readonly address: string
  readonly credentials: ChannelCredentials
  readonly channelOptions: ConstructorParameters<typeof Channel>[2]
  readonly clock: Clock
}

type CallArguments = Parameters<ChannelInterface['createCall']>
type Call = ReturnType<ChannelInterface['createCall']>

/**
 * The one connection of a client with a member of etcd, for all services, as a channel that neither hangs nor is thrown
 * away.
 *
 * gRPC for Node waits without end for a connection to be made: for the answer to a SYN that was lost, or for the first frame
 * of a peer that accepts and is silent. After a cut of the network all members were found to be out of reach for another
 * 5 to 18 s. So a connection is replaced when calls are made and nobody answers any of them.
 *
 * The npm client on the other hand closes the channel after every call that fails, though only that one was slow; on a busy
 * machine all calls then wait for new connections, and fail for that. So what it closes stays open until {@link end}.
 */
export class MemberChannel implements ChannelInterface {
  readonly #options: MemberChannelOptions
  #connection: Connection
  /** When the first call was made that came after the last answer. */
  #silentSince: number | undefined
  #silentMaxMs = SILENT_MIN_MS

  constructor(options: MemberChannelOptions) {
    this.#options = options
    this.#connection = new Connection(options)
  }

  createCall(...call: CallArguments): Call {
    const now = this.#options.clock.now()
    this.#silentSince ??= now
    if (now - this.#silentSince > this.#silentMaxMs) {
      this.#silentMaxMs = Math.min(2 * this.#silentMaxMs, SILENT_MAX_MS)
      this.#silentSince = now
      const silent = this.#connection
      this.#connection = new Connection(this.#options)
      silent.end()
    }
    const connection = this.#connection
    return heard(connection.channel.createCall(...call), () => {
      // What comes late on one that was given up says nothing of this one.
      if (connection !== this.#connection) return
      this.#silentSince = undefined
      this.#silentMaxMs = SILENT_MIN_MS
    })
  }

  /** Does nothing: see {@link end}. */
  close(): void {}

  /** Closes it for good. Calls that were sent may still be answered. */
  end(): void {
    this.#connection.end()
  }

  getTarget(): string {
    return this.#connection.channel.getTarget()
  }

  /** Never makes it connect, which calls do: one that was closed would do so again and again. */
  getConnectivityState(): connectivityState {
    return this.#connection.channel.getConnectivityState(false)
  }

  watchConnectivityState(...watch: Parameters<ChannelInterface['watchConnectivityState']>): void {
    this.#connection.channel.watchConnectivityState(...watch)
  }

  getChannelzRef(): ReturnType<ChannelInterface['getChannelzRef']> {
    return this.#connection.channel.getChannelzRef()
  }
}

/** Calls `onAnswer` whenever the other side says something. */
function heard(call: Call, onAnswer: () => void): Call {
  const start = call.start.bind(call)
  call.start = (metadata, listener) =>
    start(metadata, {
      onReceiveMetadata(received) {
        onAnswer()
        listener.onReceiveMetadata(received)
      },
      onReceiveMessage(received) {
        onAnswer()
        listener.onReceiveMessage(received)
      },
      onReceiveStatus(received) {
        if (!UNANSWERED.includes(received.code)) onAnswer()
        listener.onReceiveStatus(received)
      },
    })
  return call
}

/** A channel of gRPC whose attempts to connect can be ended. */
class Connection {
  readonly channel: Channel
  readonly #credentials: SocketKeeper

  constructor({ address, credentials, channelOptions }: MemberChannelOptions) {
    this.#credentials = new SocketKeeper(credentials)
    this.channel = new Channel(address, this.#credentials, {
      ...channelOptions,
      // Else the next one takes up the attempt that hangs.
      'grpc.use_local_subchannel_pool': 1,
    })
  }

  /** Calls that wait for a connection fail; those that were sent go on as long as it lives. */
  end(): void {
    const isReady = this.channel.getConnectivityState(false) === connectivityState.READY
    this.channel.close()
    if (!isReady) this.#credentials.destroySockets()
  }
}

type SecureConnector = ReturnType<ChannelCredentials['_createSecureConnector']>

/** Knows the sockets of a channel, which gRPC forgets while it waits for the first frame. */
class SocketKeeper extends ChannelCredentials {
  readonly #inner: ChannelCredentials
  readonly #sockets = new Set<Socket>()

  constructor(inner: ChannelCredentials) {
    super()
    this.#inner = inner
  }

  destroySockets(): void {
    for (const socket of this.#sockets) socket.destroy()
  }

  override _isSecure(): boolean {
    return this.#inner._isSecure()
  }

  override _equals(other: ChannelCredentials): boolean {
    return other === this
  }

  override _createSecureConnector(
    ...parameters: Parameters<ChannelCredentials['_createSecureConnector']>
  ): SecureConnector {
    const connector = this.#inner._createSecureConnector(...parameters)
    return {
      connect: (socket) => {
        this.#sockets.add(socket)
        socket.once('close', () => this.#sockets.delete(socket))
        return connector.connect(socket)
      },
      waitForReady: () => connector.waitForReady(),
      getCallCredentials: () => connector.getCallCredentials(),
      destroy: () => connector.destroy(),
    }
  }
}
