import { type Clock, deferred, type Deferred, silentLog } from '@nyala/client/base'
import { fromErrorBody, PROTOCOL_VERSION, type SqlError } from '@nyala/client/protocol'
import {
  Connection,
  dial,
  type Frame,
  listen,
  type Listener,
  type Transport,
} from '@nyala/client/wire'
import {
  type FromDataPort,
  fromDataPort,
  type FromExecutor,
  fromExecutor,
  type Listing,
  type TaskSpec,
  type ToDataPort,
  type ToExecutor,
} from '../protocol/index.ts'

type Hello = Extract<FromExecutor, { kind: 'hello' }>
type Finished = Extract<FromExecutor, { kind: 'taskFinished' }>

/** What a task told its owner. */
export interface TaskOutcome {
  readonly messages: readonly FromExecutor[]
  /** Frames that came on the control socket. */
  readonly inline: readonly Uint8Array[]
  readonly finished: Finished | undefined
  readonly error: SqlError | undefined
  readonly unreadable: string | undefined
}

interface Watched {
  readonly messages: FromExecutor[]
  readonly inline: Uint8Array[]
  readonly call: number
  readonly ended: Deferred<TaskOutcome>
}

/** A coordinator of tests: takes executors in, hands them messages as written, and keeps what they say. */
export class FakeCoordinator {
  readonly id: string
  readonly #clock: Clock
  readonly #cluster: string
  readonly #tasks = new Map<string, Watched>()
  readonly #inspections = new Map<number, Deferred<Listing>>()
  readonly #waiters: (() => void)[] = []
  readonly messages: FromExecutor[] = []
  #listener: Listener | undefined
  #connection: Connection<FromExecutor, ToExecutor> | undefined
  #hello: Hello | undefined
  #next = 1

  private constructor(id: string, cluster: string, clock: Clock) {
    this.id = id
    this.#cluster = cluster
    this.#clock = clock
  }

  static async start(options: {
    readonly id?: string
    readonly cluster: string
    readonly clock: Clock
  }): Promise<FakeCoordinator> {
    const coordinator = new FakeCoordinator(options.id ?? 'c1', options.cluster, options.clock)
    coordinator.#listener = await listen({
      host: '127.0.0.1',
      port: 0,
      paths: { '/executor': (transport) => coordinator.#accept(transport) },
      health: () => ({}),
    })
    return coordinator
  }

  get address(): string {
    return this.#listener?.address ?? ''
  }

  /** The executor that is connected; waits for one. */
  async hello(): Promise<Hello> {
    await this.until(() => this.#hello !== undefined && this.#connection?.closed === false)
    return this.#hello as Hello
  }

  send(message: ToExecutor): void {
    this.#connection?.send(message)
  }

  /** Starts a task and resolves when it has ended. */
  async run(spec: TaskSpec, epoch = 1): Promise<TaskOutcome> {
    await this.hello()
    const watched: Watched = { messages: [], inline: [], call: this.#next++, ended: deferred() }
    this.#tasks.set(keyOf(spec), watched)
    this.send({ kind: 'startTask', epoch, call: watched.call, spec })
    return await watched.ended.promise
  }

  /** Runs a task and returns the frames of its result, by whichever way they come. */
  async fetch(
    spec: TaskSpec,
    epoch = 1,
  ): Promise<{ readonly outcome: TaskOutcome; readonly frames: readonly Uint8Array[] }> {
    const outcome = await this.run(spec, epoch)
    if (outcome.error !== undefined) throw outcome.error
    if (!outcome.messages.some((message) => message.kind === 'taskStreaming')) {
      return { outcome, frames: outcome.inline }
    }
    const address = this.#hello?.dataAddress ?? ''
    const consumer = await FakeConsumer.connect({
      address,
      cluster: this.#cluster,
      clock: this.#clock,
    })
    const { queryId, task, attempt } = spec
    const creditBytes = Number.MAX_SAFE_INTEGER
    consumer.connection.send({
      kind: 'fetchResult',
      call: 0,
      epoch,
      queryId,
      task,
      attempt,
      fromFrame: 0,
      creditBytes,
    })
    const end = await consumer.end(0)
    consumer.close()
    if (end.kind === 'failed') throw fromErrorBody(end.error)
    return { outcome, frames: consumer.frames.map(({ bytes }) => bytes) }
  }

  /** Resolves when a task has said something of this kind. */
  async heard(ref: Ref, kind: FromExecutor['kind']): Promise<void> {
    await this.until(
      () => this.#tasks.get(keyOf(ref))?.messages.some((m) => m.kind === kind) === true,
    )
  }

  async inspect(what: 'location' | 'files' | 'paths', paths: readonly string[]): Promise<Listing> {
    await this.hello()
    const request = this.#next++
    const answer = deferred<Listing>()
    this.#inspections.set(request, answer)
    this.send({ kind: 'inspect', request, what, paths })
    return await answer.promise
  }

  async until(condition: () => boolean): Promise<void> {
    while (!condition()) await new Promise<void>((resolve) => this.#waiters.push(resolve))
  }

  /** Cuts the socket of the executor, as a crash would. */
  drop(): void {
    this.#hello = undefined
    this.#connection?.terminate()
  }

  async stop(): Promise<void> {
    this.#connection?.terminate()
    await this.#listener?.close()
  }

  #accept(transport: Transport): void {
    const connection = new Connection<FromExecutor, ToExecutor>(transport, {
      schema: fromExecutor,
      clock: this.#clock,
      log: silentLog,
      onMessage: (message) => this.#onMessage(connection, message),
      onFrame: (frame, bytes) => this.#onFrame(frame, bytes),
      onClose: () => undefined,
    })
  }

  #onMessage(connection: Connection<FromExecutor, ToExecutor>, message: FromExecutor): void {
    this.messages.push(message)
    if (message.kind === 'hello') {
      this.#connection = connection
      this.#hello = message
      const { id: coordinator } = this
      connection.send({
        kind: 'welcome',
        protocol: PROTOCOL_VERSION,
        cluster: this.#cluster,
        coordinator,
      })
    } else if (message.kind === 'inspected') {
      this.#inspections.get(message.request)?.resolve(message.listing)
    } else if (message.kind === 'refused') {
      this.#inspections.get(message.request)?.reject(fromErrorBody(message.error))
    } else if (message.kind !== 'load' && message.kind !== 'queryTaken') {
      this.#onTaskMessage(message)
    }
    for (const wake of this.#waiters.splice(0)) wake()
  }

  #onTaskMessage(message: Extract<FromExecutor, Ref>): void {
    const watched = this.#tasks.get(keyOf(message))
    if (watched === undefined) return
    watched.messages.push(message)
    if (message.kind !== 'taskFinished' && message.kind !== 'taskFailed') return
    watched.ended.resolve({
      messages: watched.messages,
      inline: watched.inline,
      finished: message.kind === 'taskFinished' ? message : undefined,
      error: message.kind === 'taskFailed' ? fromErrorBody(message.error) : undefined,
      unreadable: message.kind === 'taskFailed' ? message.unreadable : undefined,
    })
  }

  #onFrame(frame: Frame, bytes: Uint8Array): void {
    for (const watched of this.#tasks.values()) {
      if (watched.call === frame.call) watched.inline.push(Uint8Array.from(bytes))
    }
  }
}

interface Ref {
  readonly queryId: string
  readonly task: number
  readonly attempt: number
}

const keyOf = (ref: Ref): string => `${ref.queryId}/${ref.task}/${ref.attempt}`

/** A consumer of tests at the data port of an executor. */
export class FakeConsumer {
  readonly connection: Connection<FromDataPort, ToDataPort>
  readonly frames: { readonly frame: Frame; readonly bytes: Uint8Array }[] = []
  readonly messages: FromDataPort[] = []
  readonly #waiters: (() => void)[] = []
  #closed = false

  private constructor(transport: Transport, clock: Clock, onFrame: (frame: Frame) => void) {
    this.connection = new Connection<FromDataPort, ToDataPort>(transport, {
      schema: fromDataPort,
      clock,
      log: silentLog,
      onMessage: (message) => {
        this.messages.push(message)
        this.#wake()
      },
      onFrame: (frame, bytes) => {
        this.frames.push({ frame, bytes: Uint8Array.from(bytes) })
        onFrame(frame)
        this.#wake()
      },
      onClose: () => {
        this.#closed = true
        this.#wake()
      },
    })
  }

  static async connect(options: {
    readonly address: string
    readonly cluster: string
    readonly clock: Clock
    readonly onFrame?: (frame: Frame) => void
  }): Promise<FakeConsumer> {
    const transport = await dial(options.address, '/data')
    const consumer = new FakeConsumer(
      transport,
      options.clock,
      options.onFrame ?? (() => undefined),
    )
    const { cluster } = options
    consumer.connection.send({ kind: 'hello', protocol: PROTOCOL_VERSION, cluster, member: 'test' })
    return consumer
  }

  get closed(): boolean {
    return this.#closed
  }

  /** The last message of a call; waits for it. */
  async end(call: number): Promise<Extract<FromDataPort, { kind: 'ended' | 'failed' }>> {
    const find = (): Extract<FromDataPort, { kind: 'ended' | 'failed' }> | undefined =>
      this.messages.find(
        (m): m is Extract<FromDataPort, { kind: 'ended' | 'failed' }> =>
          m.kind !== 'welcome' && m.call === call,
      )
    await this.until(() => find() !== undefined || this.#closed)
    const found = find()
    if (found === undefined) throw new Error('the data port closed')
    return found
  }

  async until(condition: () => boolean): Promise<void> {
    while (!condition()) await new Promise<void>((resolve) => this.#waiters.push(resolve))
  }

  close(): void {
    this.connection.terminate()
  }

  #wake(): void {
    for (const wake of this.#waiters.splice(0)) wake()
  }
}
