import { assert } from '../base/assert.ts'
import { systemClock } from '../base/clock.ts'
import { deferred, type Deferred } from '../base/deferred.ts'
import { silentLog } from '../base/log.ts'
import { newQueryId } from '../protocol/ids.ts'
import {
  type Column,
  type Down,
  type Endpoint,
  type ErrorBody,
  type FinishedMessage,
  type SessionContext,
  toErrorBody,
  type Up,
  up,
} from '../protocol/messages.ts'
import { PROTOCOL_VERSION } from '../protocol/version.ts'
import { CLOSE, Connection, type Transport } from '../wire/connection.ts'
import { crc32 } from '../wire/crc32-node.ts'
import { chainCrc } from '../wire/crc32.ts'
import { encodeFrame, FRAME_HEADER_BYTES } from '../wire/frames.ts'
import { type Listener, listen } from '../wire/listen.ts'
import { countRows } from '../sdk/arrow/message.ts'

export type StatementMessage = Extract<Up, { kind: 'statement' }>
export type RequestMessage = Extract<
  Up,
  { kind: 'status' | 'profile' | 'complete' | 'cancelQuery' }
>

export interface FakeOptions {
  readonly id?: string
  readonly port?: number
  /** Plays the statement; what it throws becomes `failed`. */
  readonly onStatement?: (call: FakeCall) => void | Promise<void>
  /** The body of the reply; what it throws becomes `failed`. */
  readonly onRequest?: (request: RequestMessage) => unknown
  readonly protocol?: number
  readonly coordinators?: readonly Endpoint[]
  /** Answers nothing at all, not even pings: a hung process. */
  readonly silent?: boolean
}

type Peer = Connection<Up, Down>

/**
 * A coordinator for tests: it speaks the real protocol over a real socket on the loopback interface, and does with each
 * statement what the test tells it to.
 */
export class FakeCoordinator implements AsyncDisposable {
  readonly id: string
  readonly address: string
  /** Everything that clients sent, in order. */
  readonly received: Up[] = []
  readonly #options: FakeOptions
  readonly #listener: Listener
  readonly #peers: Set<Peer>
  #hung = false

  private constructor(options: FakeOptions, listener: Listener, peers: Set<Peer>) {
    this.#options = options
    this.#listener = listener
    this.#peers = peers
    this.id = options.id ?? 'c1'
    this.address = listener.address
  }

  static async start(options: FakeOptions = {}): Promise<FakeCoordinator> {
    const peers = new Set<Peer>()
    let fake: FakeCoordinator | undefined
    const listener = await listen({
      host: '127.0.0.1',
      port: options.port ?? 0,
      paths: {
        '/client': (transport) => {
          if (fake !== undefined) fake.#onClient(transport)
        },
      },
      health: () => ({ id: options.id ?? 'c1' }),
    })
    fake = new FakeCoordinator(options, listener, peers)
    return fake
  }

  get url(): string {
    return `nyala://${this.address}`
  }

  get clients(): number {
    return this.#peers.size
  }

  receivedOf<K extends Up['kind']>(kind: K): Extract<Up, { kind: K }>[] {
    return this.received.filter(
      (message): message is Extract<Up, { kind: K }> => message.kind === kind,
    )
  }

  broadcast(message: Down): void {
    for (const peer of this.#peers) peer.send(message)
  }

  /** Cuts every connection without a word, as the death of the process would. */
  cutClients(): void {
    for (const peer of this.#peers) peer.terminate()
  }

  /** From now on nothing that comes is looked at: neither messages nor pings are answered. */
  hang(): void {
    this.#hung = true
  }

  async close(): Promise<void> {
    this.cutClients()
    await this.#listener.close()
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  #onClient(transport: Transport): void {
    if (this.#options.silent === true) return
    const calls = new Map<number, FakeCall>()
    const peer: Peer = new Connection<Up, Down>(this.#deafWhenHung(transport), {
      schema: up,
      clock: systemClock,
      log: silentLog,
      onMessage: (message) => {
        this.received.push(message)
        this.#onMessage(peer, calls, message)
      },
      onClose: () => {
        this.#peers.delete(peer)
        for (const call of calls.values()) call.onClosed()
      },
    })
    this.#peers.add(peer)
  }

  #deafWhenHung(transport: Transport): Transport {
    return {
      send: (data) => transport.send(data),
      get bufferedBytes() {
        return transport.bufferedBytes
      },
      drained: () => transport.drained(),
      close: (code, reason) => transport.close(code, reason),
      terminate: () => transport.terminate(),
      start: (events) =>
        transport.start({
          onText: (text) => {
            if (!this.#hung) events.onText(text)
          },
          onBinary: (bytes) => {
            if (!this.#hung) events.onBinary(bytes)
          },
          onClose: (code, reason) => events.onClose(code, reason),
        }),
    }
  }

  #onMessage(peer: Peer, calls: Map<number, FakeCall>, message: Up): void {
    switch (message.kind) {
      case 'hello':
        return this.#welcome(peer, message.protocol)
      case 'statement': {
        const call = new FakeCall(this, peer, message)
        calls.set(message.call, call)
        void this.#play(call)
        return
      }
      case 'credit':
        return calls.get(message.call)?.onCredit(message.bytes)
      case 'cancel':
        return calls.get(message.call)?.onCancel()
      case 'status':
      case 'profile':
      case 'complete':
      case 'cancelQuery':
        return this.#reply(peer, message)
      default:
        return assert(false, `the fake does not play ${JSON.stringify(message)}`)
    }
  }

  #welcome(peer: Peer, protocol: number): void {
    const spoken = this.#options.protocol ?? PROTOCOL_VERSION
    if (protocol !== PROTOCOL_VERSION) {
      return peer.close(CLOSE.versionRefused, `protocol ${protocol} is not spoken here`)
    }
    peer.send({
      kind: 'welcome',
      protocol: spoken,
      version: '0.1.0',
      cluster: 'fake',
      coordinator: this.id,
      coordinators: this.#options.coordinators ?? [{ id: this.id, address: this.address }],
      revision: 1,
    })
  }

  async #play(call: FakeCall): Promise<void> {
    try {
      const { onStatement } = this.#options
      if (onStatement === undefined) await call.answer({ command: 'SELECT' })
      else await onStatement(call)
    } catch (error) {
      call.fail(toErrorBody(error))
    }
  }

  #reply(peer: Peer, request: RequestMessage): void {
    const { call } = request
    try {
      peer.send({ kind: 'reply', call, body: this.#options.onRequest?.(request) ?? null })
    } catch (error) {
      peer.send({ kind: 'failed', call, error: toErrorBody(error) })
    }
  }
}

export interface FakeAnswer {
  readonly columns?: readonly Column[]
  /** Encapsulated Arrow messages, the schema first. */
  readonly messages?: readonly Uint8Array[]
  readonly command?: string
  readonly session?: SessionContext
  readonly notices?: readonly string[]
  readonly rows?: number
}

/** One statement as the fake plays it: the test calls what the coordinator would do next. */
export class FakeCall {
  readonly statement: StatementMessage
  readonly coordinator: FakeCoordinator
  readonly queryId: string = newQueryId(systemClock.wall())
  readonly #peer: Peer
  #creditBytes: number
  #sentBytes = 0
  #frames = 0
  #rows = 0
  #crc = 0
  #ended = false
  #moved: Deferred<void> = deferred()
  canceled = false

  constructor(coordinator: FakeCoordinator, peer: Peer, statement: StatementMessage) {
    this.coordinator = coordinator
    this.statement = statement
    this.#peer = peer
    this.#creditBytes = statement.creditBytes
  }

  get sql(): string {
    return this.statement.sql
  }

  /** Bytes of data frames sent so far. */
  get sentBytes(): number {
    return this.#sentBytes
  }

  get creditBytes(): number {
    return this.#creditBytes
  }

  accept(): void {
    const { call } = this.statement
    const coordinator = this.coordinator.id
    this.#peer.send({ kind: 'accepted', call, queryId: this.queryId, coordinator })
  }

  columns(columns: readonly Column[]): void {
    this.#peer.send({ kind: 'columns', call: this.statement.call, columns })
  }

  progress(tasksDone: number, tasksTotal: number): void {
    this.#peer.send({
      kind: 'progress',
      call: this.statement.call,
      state: 'running',
      tasksDone,
      tasksRunning: 1,
      tasksTotal,
      executors: 3,
      rowsRead: tasksDone * 1000,
      bytesRead: tasksDone * 1_000_000,
      bytesTotal: tasksTotal * 1_000_000,
      fraction: tasksDone / tasksTotal,
      elapsedMs: 1000,
    })
  }

  /** Sends one frame as soon as there is credit. False when the call was cancelled or cut meanwhile. */
  async frame(
    payload: Uint8Array,
    change: Partial<{ sequence: number; crc: number }> = {},
  ): Promise<boolean> {
    while (this.#creditBytes <= 0 && !this.#ended && !this.canceled) await this.#moved.promise
    if (this.#ended || this.canceled) return false
    const crc = crc32(payload)
    const frame = {
      kind: 'arrow',
      last: false,
      call: this.statement.call,
      sequence: this.#frames,
      crc,
      payload,
    } as const
    const bytes = FRAME_HEADER_BYTES + payload.byteLength
    this.#creditBytes -= bytes
    this.#sentBytes += bytes
    this.#frames++
    this.#rows += countRows(payload)
    this.#crc = chainCrc(crc32, this.#crc, crc)
    this.#peer.sendFrame(encodeFrame({ ...frame, ...change }))
    return true
  }

  finish(change: Partial<FinishedMessage> = {}): void {
    this.#ended = true
    this.#peer.send({
      kind: 'finished',
      call: this.statement.call,
      queryId: this.queryId,
      command: 'SELECT',
      rows: this.#rows,
      frames: this.#frames,
      crc: this.#crc,
      session: this.statement.session,
      notices: [],
      statistics: {
        elapsedMs: 12.5,
        planMs: 1,
        queuedMs: 0,
        tasks: 1,
        executors: 1,
        rows: this.#rows,
        bytes: this.#sentBytes,
        cpuMs: 3,
        peakMemoryBytes: 1024,
        spillBytes: 0,
      },
      ...change,
    })
  }

  fail(error: ErrorBody): void {
    if (this.#ended) return
    this.#ended = true
    this.#peer.send({ kind: 'failed', call: this.statement.call, error })
  }

  /** Plays the whole of a successful statement. */
  async answer(answer: FakeAnswer): Promise<void> {
    this.accept()
    if (answer.columns !== undefined) this.columns(answer.columns)
    for (const message of answer.messages ?? []) {
      if (!(await this.frame(message))) return this.#stopped()
    }
    this.finish({
      command: answer.command ?? 'SELECT',
      ...(answer.session === undefined ? {} : { session: answer.session }),
      ...(answer.notices === undefined ? {} : { notices: answer.notices }),
      ...(answer.rows === undefined ? {} : { rows: answer.rows }),
    })
  }

  #stopped(): void {
    this.fail({ error: 'query_canceled', message: 'the query was cancelled' })
  }

  /** Resolves when the client cancels the call or its connection ends. */
  async untilStopped(): Promise<void> {
    while (!this.canceled && !this.#ended) await this.#moved.promise
  }

  onCredit(bytes: number): void {
    this.#creditBytes += bytes
    this.#wake()
  }

  onCancel(): void {
    this.canceled = true
    this.#wake()
  }

  onClosed(): void {
    this.#ended = true
    this.#wake()
  }

  #wake(): void {
    const moved = this.#moved
    this.#moved = deferred()
    moved.resolve()
  }
}
