import { type Clock, type Deferred, deferred, isMutant, type Log } from '@nyala/client/base'
import {
  fromErrorBody,
  PROTOCOL_VERSION,
  SqlError,
  type SqlErrorOptions,
} from '@nyala/client/protocol'
import {
  CLOSE,
  Connection,
  dial as dialSocket,
  type Dial,
  type Frame,
  PING_INTERVAL_MS,
  PING_MISSES_MAX,
} from '@nyala/client/wire'
import { type FromDataPort, fromDataPort, type ToDataPort } from '../protocol/index.ts'

/** Of a dial; a day where drills show that a link that is cut must be noticed. */
const PATIENCE = isMutant('patient-pulls') ? { timeoutMs: 86_400_000 } : {}

export interface DataClientOptions {
  /** Data port of the producer. */
  readonly address: string
  /** Id of the producer, for errors. */
  readonly producer: string
  /** Id of this member. */
  readonly member: string
  readonly cluster: string
  readonly clock: Clock
  readonly log: Log
  readonly dial?: Dial | undefined
}

interface Fetch {
  readonly onFrame: (frame: Frame) => Promise<void>
  readonly done: Deferred<void>
  /** Frames are taken one after the other. */
  tail: Promise<void>
  frames: number
}

/** Another executor could not be pulled from; others may be able to. */
export class PullError extends SqlError {
  readonly producer: string

  constructor(producer: string, message: string) {
    super('executor_lost', message)
    this.producer = producer
  }
}

/** A producer answers, but what it wrote is gone or damaged. */
export class UnreadableError extends SqlError {
  readonly producer: string

  constructor(producer: string, message: string, options: SqlErrorOptions = {}) {
    super('executor_lost', message, options)
    this.producer = producer
  }
}

/** Frames of a segment did not come in their order, or not all of them: asked for again they may. */
export class GapError extends SqlError {
  constructor(producer: string) {
    super('executor_lost', `frames of a segment of executor "${producer}" are missing`)
  }
}

const isOwnFault = (error: unknown): boolean =>
  error instanceof Error &&
  (('code' in error && (error.code === 'EMFILE' || error.code === 'ENFILE')) ||
    isOwnFault(error.cause))

/** The consumer's end of another executor's data port; dialled at the first fetch, of no use after it closed. */
export class DataClient {
  readonly #options: DataClientOptions
  readonly #fetches = new Map<number, Fetch>()
  #opening: Promise<Connection<FromDataPort, ToDataPort>> | undefined
  #call = 0
  #closed = false

  constructor(options: DataClientOptions) {
    this.#options = options
  }

  get closed(): boolean {
    return this.#closed
  }

  /**
   * Fetches a segment; `onFrame` gets its frames in order, and more only come once it has resolved.
   * Fails with `executor_lost` when the producer cannot be reached or goes away.
   */
  async fetchSegment(
    request: { readonly queryId: string; readonly path: string; readonly creditBytes: number },
    onFrame: (frame: Frame) => Promise<void>,
    options: { readonly signal: AbortSignal },
  ): Promise<void> {
    options.signal.throwIfAborted()
    const connection = await unlessAborted(this.#open(), options.signal)
    // It is not told again of what came during the dial.
    if (this.#closed) throw this.#lost('its socket is closed')
    const call = this.#call++
    const fetch: Fetch = { onFrame, done: deferred(), tail: Promise.resolve(), frames: 0 }
    this.#fetches.set(call, fetch)
    const onAbort = (): void => this.#fail(call, options.signal.reason)
    options.signal.addEventListener('abort', onAbort, { once: true })
    connection.send({ kind: 'fetchSegment', call, ...request })
    try {
      await fetch.done.promise
    } finally {
      options.signal.removeEventListener('abort', onAbort)
      if (this.#fetches.delete(call)) connection.send({ kind: 'stop', call })
    }
  }

  close(): void {
    this.#closed = true
    void this.#opening?.then(
      (connection) => connection.close(),
      () => undefined,
    )
    this.#failAll('this executor stops')
  }

  async #open(): Promise<Connection<FromDataPort, ToDataPort>> {
    this.#opening ??= this.#dial()
    try {
      return await this.#opening
    } catch (cause) {
      this.#closed = true
      const error = this.#lost(cause instanceof Error ? cause.message : String(cause))
      // Without a descriptor nobody is reached from here: that says nothing of this producer.
      throw isOwnFault(cause) ? new SqlError('executor_lost', error.message, { cause }) : error
    }
  }

  async #dial(): Promise<Connection<FromDataPort, ToDataPort>> {
    const { address, clock, log, cluster, member, dial = dialSocket } = this.#options
    const connection = new Connection<FromDataPort, ToDataPort>(
      await dial(address, '/data', PATIENCE),
      {
        schema: fromDataPort,
        clock,
        log,
        ping: isMutant('patient-pulls')
          ? undefined
          : { intervalMs: PING_INTERVAL_MS, missesMax: PING_MISSES_MAX },
        onMessage: (message) => this.#onMessage(message),
        onFrame: (frame) => this.#onFrame(connection, frame),
        onClose: (code, reason) => {
          this.#closed = true
          this.#failAll(`its socket closed (${code} ${reason})`)
        },
      },
    )
    connection.send({ kind: 'hello', protocol: PROTOCOL_VERSION, cluster, member })
    if (this.#closed) connection.close(CLOSE.normal)
    return connection
  }

  #onMessage(message: FromDataPort): void {
    switch (message.kind) {
      case 'welcome':
        return
      case 'ended':
        return this.#onEnded(message.call, message.frames)
      case 'failed':
        return this.#fail(message.call, this.#refused(fromErrorBody(message.error)))
    }
  }

  #onFrame(connection: Connection<FromDataPort, ToDataPort>, frame: Frame): void {
    const { call, sequence } = frame
    const fetch = this.#fetches.get(call)
    // One that has come before is of no use; where one is missing all of them are asked for anew.
    if (fetch === undefined || sequence < fetch.frames) return
    if (sequence > fetch.frames++) return this.#fail(call, new GapError(this.#options.producer))
    fetch.tail = fetch.tail
      .then(() => fetch.onFrame(frame))
      .then(() => connection.send({ kind: 'credit', call, bytes: frame.payload.byteLength }))
    fetch.tail.catch((error: unknown) => this.#fail(call, error))
  }

  #onEnded(call: number, frames: number): void {
    const fetch = this.#fetches.get(call)
    if (fetch === undefined) return
    if (frames !== fetch.frames) {
      return this.#fail(call, new GapError(this.#options.producer))
    }
    fetch.tail.then(() => {
      this.#fetches.delete(call)
      fetch.done.resolve()
    }, fetch.done.reject)
  }

  #fail(call: number, error: unknown): void {
    this.#fetches.get(call)?.done.reject(error)
  }

  #failAll(reason: string): void {
    for (const call of this.#fetches.keys()) this.#fail(call, this.#lost(reason))
  }

  #refused(cause: SqlError): SqlError {
    if (cause.error !== 'executor_lost') return cause
    return new UnreadableError(this.#options.producer, cause.message, { cause })
  }

  #lost(reason: string): SqlError {
    const { producer, address } = this.#options
    return new PullError(
      producer,
      `cannot pull from executor "${producer}" at ${address}: ${reason}`,
    )
  }
}

/** What others wait for, too: whoever gives up stops waiting for it, and it goes on. */
export async function unlessAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  const aborted = deferred<never>()
  const onAbort = (): void => aborted.reject(signal.reason)
  signal.addEventListener('abort', onAbort, { once: true })
  try {
    return await Promise.race([work, aborted.promise])
  } finally {
    signal.removeEventListener('abort', onAbort)
  }
}
