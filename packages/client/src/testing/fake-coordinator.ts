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
  type TaskEnd,
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
import { rowsOf } from '../wire/arrow-envelope.ts'

export type StatementMessage = Extract<Up, { kind: 'statement' }>
export type AttachMessage = Extract<Up, { kind: 'attach' }>
export type RequestMessage = Extract<
  Up,
  { kind: 'status' | 'profile' | 'complete' | 'cancelQuery' }
>

export interface FakeOptions {
  readonly id?: string
  readonly port?: number
  /** Plays the statement; what it throws becomes `failed`. */
  readonly onStatement?: (call: FakeCall) => void | Promise<void>
  /** Plays the rest of a query that another coordinator began; what it throws becomes `failed`. */
  readonly onAttach?: (call: FakeCall, place: AttachMessage) => void | Promise<void>
  /** The results of its statements are said to be resumable. */
  readonly resumable?: boolean
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
        void this.#play(call, this.#options.onStatement)
        return
      }
      case 'attach': {
        const call = new FakeCall(this, peer, message)
        calls.set(message.call, call)
        void this.#play(call, async () => this.#options.onAttach?.(call, message))
        return
      }
      case 'credit':
        return calls.get(message.call)?.onCredit(message.bytes)
      case 'received':
        return
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

  /** Whether a client that has lost this coordinator is to ask another one for the rest of a result. */
  get resumable(): boolean {
    return this.#options.resumable ?? false
  }

  async #play(call: FakeCall, script: FakeOptions['onStatement']): Promise<void> {
    try {
      if (script === undefined) await call.answer({ command: 'SELECT' })
      else await script(call)
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
  readonly request: StatementMessage | AttachMessage
  readonly coordinator: FakeCoordinator
  readonly queryId: string
  readonly #peer: Peer
  #creditBytes: number
  #sentBytes = 0
  readonly #tasks = new Map<
    number,
    { attempt: number; frames: number; rows: number; crc: number }
  >()
  #streaming = false
  #ended = false
  #moved: Deferred<void> = deferred()
  canceled = false

  constructor(coordinator: FakeCoordinator, peer: Peer, request: StatementMessage | AttachMessage) {
    this.coordinator = coordinator
    this.request = request
    this.queryId = request.kind === 'attach' ? request.queryId : newQueryId(systemClock.wall())
    this.#peer = peer
    this.#creditBytes = request.creditBytes
  }

  get statement(): StatementMessage {
    assert(this.request.kind === 'statement', 'the call is a statement')
    return this.request
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
    const { call } = this.request
    const coordinator = this.coordinator.id
    this.#peer.send({ kind: 'accepted', call, queryId: this.queryId, coordinator })
  }

  columns(columns: readonly Column[]): void {
    this.#peer.send({ kind: 'columns', call: this.request.call, columns, revision: 1 })
  }

  /** Said by itself before the first frame. */
  streaming(resumable: boolean): void {
    this.#streaming = true
    this.#peer.send({ kind: 'streaming', call: this.request.call, resumable })
  }

  /** Frames are sent without a word that they may be handed out. */
  streamingUnsaid(): void {
    this.#streaming = true
  }

  progress(tasksDone: number, tasksTotal: number): void {
    this.#peer.send({
      kind: 'progress',
      call: this.request.call,
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

  /** The next frame of a task is this one; those before it were sent by another coordinator. */
  startTask(task: number, before: { frames: number; rows: number; crc: number }): void {
    this.#tasks.set(task, { attempt: 0, ...before })
  }

  /** Sends one frame as soon as there is credit. False when the call was cancelled or cut meanwhile. */
  async frame(
    payload: Uint8Array,
    change: Partial<{ sequence: number; crc: number; task: number; attempt: number }> = {},
  ): Promise<boolean> {
    if (!this.#streaming) this.streaming(this.coordinator.resumable)
    while (this.#creditBytes <= 0 && !this.#ended && !this.canceled) await this.#moved.promise
    if (this.#ended || this.canceled) return false
    const crc = crc32(payload)
    const number = change.task ?? 0
    const task = this.#tasks.get(number) ?? { attempt: 0, frames: 0, rows: 0, crc: 0 }
    this.#tasks.set(number, task)
    const frame = {
      kind: 'arrow',
      last: false,
      call: this.request.call,
      task: number,
      attempt: task.attempt,
      sequence: task.frames,
      crc,
      payload,
    } as const
    const bytes = FRAME_HEADER_BYTES + payload.byteLength
    this.#creditBytes -= bytes
    this.#sentBytes += bytes
    if (task.frames > 0) task.crc = chainCrc(crc32, task.crc, crc)
    task.frames++
    task.rows += rowsOf({ kind: 'arrow', payload })
    this.#peer.sendFrame(encodeFrame({ ...frame, ...change }))
    return true
  }

  /** How the tasks whose frames were sent end. */
  get ends(): readonly TaskEnd[] {
    return [...this.#tasks].map(([task, sent]) => ({ task, ...sent }))
  }

  taskEnded(end: TaskEnd): void {
    this.#peer.send({ kind: 'taskEnded', call: this.request.call, end })
  }

  finish(change: Partial<FinishedMessage> = {}): void {
    this.#ended = true
    const rows = this.ends.reduce((sum, end) => sum + end.rows, 0)
    this.#peer.send({
      kind: 'finished',
      call: this.request.call,
      queryId: this.queryId,
      command: 'SELECT',
      rows,
      tasks: this.ends,
      session: this.request.session,
      notices: [],
      statistics: {
        elapsedMs: 12.5,
        planMs: 1,
        queuedMs: 0,
        tasks: 1,
        executors: 1,
        rows,
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
    this.#peer.send({ kind: 'failed', call: this.request.call, error })
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
