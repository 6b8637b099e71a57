import { type Clock, isMutant, type Log } from '@nyala/client/base'
import { fromErrorBody, PROTOCOL_VERSION, SqlError } from '@nyala/client/protocol'
import {
  CLOSE,
  Connection,
  dial as dialSocket,
  type Dial,
  type Frame,
  PING_INTERVAL_MS,
  PING_MISSES_MAX,
} from '@nyala/client/wire'
import { type FromDataPort, fromDataPort, type ToDataPort } from '@nyala/executor/protocol'

/** Credit is passed on in pieces of this size; must be well below the window of a task, or the stream would stop. */
const GRANT_BYTES_MIN = 512 * 1024

/** An address that does not answer by then is tried anew. */
const DIAL_TIMEOUT_MS = 2_000

/** What a stream of the data port tells its consumer; exactly one of `ended`, `failed` and `lost`, last. */
export interface StreamEvents {
  frame(frame: Frame, message: Uint8Array): void
  /** `frames`: those of the whole result. */
  ended(frames: number): void
  failed(error: SqlError): void
  /** The socket is gone. The result may still be there, to be fetched again from where this stream was. */
  lost(error: SqlError): void
}

export interface DataStream {
  grant(bytes: number): void
  /** Stops listening and tells the producer; harmless after the end. */
  stop(): void
}

interface FetchResult {
  readonly epoch: number
  readonly queryId: string
  readonly task: number
  readonly attempt: number
  readonly fromFrame: number
  readonly creditBytes: number
}

interface Options {
  readonly clock: Clock
  readonly log: Log
  readonly cluster: string
  readonly member: string
  readonly dial?: Dial | undefined
}

/**
 * A socket to an executor's data port, dialled at first use: whoever consumes connects, as servers send several times
 * faster than clients, which must mask. All streams of one coordinator share it, each with a window of its own.
 */
export class DataLink {
  readonly #address: string
  readonly #executor: string
  readonly #options: Options
  readonly #streams = new Map<number, StreamEvents>()
  #connection: Connection<FromDataPort, ToDataPort> | undefined
  #opening: Promise<Connection<FromDataPort, ToDataPort>> | undefined
  #next = 1
  #closed = false

  constructor(address: string, executor: string, options: Options) {
    this.#address = address
    this.#executor = executor
    this.#options = options
  }

  fetchResult(request: FetchResult, events: StreamEvents): DataStream {
    const call = this.#next++
    this.#streams.set(call, events)
    this.#send({ kind: 'fetchResult', call, ...request })
    let granted = 0
    return {
      grant: (bytes) => {
        granted += bytes
        // A message for each frame would cost as much as a small frame.
        if (granted < GRANT_BYTES_MIN || !this.#streams.has(call)) return
        this.#send({ kind: 'credit', call, bytes: granted })
        granted = 0
      },
      stop: () => {
        if (this.#streams.delete(call)) this.#send({ kind: 'stop', call })
      },
    }
  }

  close(): void {
    this.#closed = true
    this.#connection?.close(CLOSE.normal, 'executor left')
    this.#failAll(`connection to executor ${this.#executor} was closed`)
  }

  /** Messages go out in the order of the calls, also those made while the socket is being opened. */
  #send(message: ToDataPort): void {
    if (this.#connection !== undefined) return this.#connection.send(message)
    this.#opening ??= this.#open()
    this.#opening.then(
      (connection) => connection.send(message),
      (error: unknown) => this.#failAll(error instanceof Error ? error.message : String(error)),
    )
  }

  async #open(): Promise<Connection<FromDataPort, ToDataPort>> {
    try {
      const { dial = dialSocket } = this.#options
      const transport = await dial(this.#address, '/data', { timeoutMs: DIAL_TIMEOUT_MS })
      const connection = new Connection<FromDataPort, ToDataPort>(transport, {
        schema: fromDataPort,
        clock: this.#options.clock,
        log: this.#options.log,
        // A link between the same two that only this way is cut would be waited on for ever.
        ping: isMutant('no-pings')
          ? undefined
          : { intervalMs: PING_INTERVAL_MS, missesMax: PING_MISSES_MAX },
        onMessage: (message) => this.#onMessage(message),
        onFrame: (frame, message) => this.#streams.get(frame.call)?.frame(frame, message),
        onClose: (code, reason) => {
          this.#connection = undefined
          this.#opening = undefined
          this.#failAll(
            `data connection to executor ${this.#executor} was lost (${code} ${reason})`,
          )
        },
      })
      const { cluster, member } = this.#options
      connection.send({ kind: 'hello', protocol: PROTOCOL_VERSION, cluster, member })
      if (this.#closed) connection.close()
      this.#connection = connection
      return connection
    } catch (error) {
      this.#opening = undefined
      throw error
    }
  }

  #onMessage(message: FromDataPort): void {
    switch (message.kind) {
      case 'welcome':
        return
      case 'ended': {
        const events = this.#streams.get(message.call)
        this.#streams.delete(message.call)
        return events?.ended(message.frames)
      }
      case 'failed': {
        const events = this.#streams.get(message.call)
        this.#streams.delete(message.call)
        return events?.failed(fromErrorBody(message.error))
      }
    }
  }

  #failAll(reason: string): void {
    const streams = [...this.#streams.values()]
    this.#streams.clear()
    for (const events of streams) events.lost(new SqlError('executor_lost', reason))
  }
}
