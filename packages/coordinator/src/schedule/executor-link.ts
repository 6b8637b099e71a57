import type { Clock, Deferred, Log } from '@nyala/client/base'
import { assert, deferred, isMutant } from '@nyala/client/base'
import { type Column, fromErrorBody, PROTOCOL_VERSION, SqlError } from '@nyala/client/protocol'
import {
  CLOSE,
  Connection,
  type Dial,
  type Frame,
  PING_INTERVAL_MS,
  PING_MISSES_MAX,
  type Transport,
} from '@nyala/client/wire'
import {
  type FromExecutor,
  fromExecutor,
  type HeldResult,
  type Listing,
  type TaskSpec,
  type ToExecutor,
} from '@nyala/executor/protocol'
import { DataLink } from './data-link.ts'

export type Hello = Extract<FromExecutor, { kind: 'hello' }>
export type Load = Extract<FromExecutor, { kind: 'load' }>
export type TaskFinished = Extract<FromExecutor, { kind: 'taskFinished' }>
export type TaskProgress = Extract<FromExecutor, { kind: 'taskProgress' }>

/** What a running task tells its owner. Exactly one of `finished` and `failed` comes, last; after `stop` none. */
export interface TaskEvents {
  columns(columns: readonly Column[]): void
  /** A result frame; `message` is the whole frame, which the receiver may send on after changing its call. */
  frame(frame: Frame, message: Uint8Array): void
  progress(progress: TaskProgress): void
  /** All frames of the task have been given to `frame`. */
  finished(result: TaskFinished): void
  /** `unreadable`: the executor of whose segments one was found to be gone or damaged. */
  failed(error: SqlError, unreadable?: string): void
}

export interface RunningTask {
  readonly executor: string
  /** Lets the executor send that many more bytes of result. */
  grant(bytes: number): void
  /** Asks the executor to stop; the task still ends in `failed`, at the latest when the executor is lost. */
  cancel(): void
  /** The client has the frames of its result below this number. */
  acknowledge(frames: number): void
  /** Stops it and hears no more of it. */
  abandon(): void
  /** Hears no more of it, and leaves it to whoever asks for it. */
  leave(): void
}

/** A task as messages name it. */
export type TaskReference = Pick<TaskSpec, 'queryId' | 'task' | 'attempt'>

interface Task extends RunningTask {
  readonly ref: TaskReference
  readonly epoch: number
  readonly events: TaskEvents
  framesDelivered: number
  finished: TaskFinished | undefined
  streaming: { grant(bytes: number): void; stop(): void } | undefined
  /** Bytes that the executor may send in all, and those that came. */
  granted: number
  deliveredBytes: number
  /** Times that its result was asked for since a frame of it came. */
  fetches: number
}

/** A socket for results that is lost under a living control socket is opened anew, first at once, then after twice as long. */
const FETCHES_MAX = 5
const REFETCH_MS = 25

interface Options {
  readonly clock: Clock
  readonly log: Log
  readonly cluster: string
  readonly coordinator: string
  /** How its data port is dialled, where that is not by a real socket. */
  readonly dial?: Dial | undefined
  onReady(link: ExecutorLink): void
  onLoad(link: ExecutorLink): void
  /** A task was given to it from here. */
  onTaskStarted(link: ExecutorLink): void
  /** A task that was given to it from here counts no more. */
  onTaskEnded(link: ExecutorLink): void
  /** It could not pull segments from another executor. */
  onUnreached(link: ExecutorLink, producer: string): void
  onClose(link: ExecutorLink, end: { readonly code: number; readonly reason: string }): void
}

/**
 * The control socket of one executor, as its coordinator sees it.
 *
 *   dialled ──hello──► ready ──close or silence──► closed       (never ready again: the executor dials anew)
 *
 * Small results come on this socket, larger ones are pulled from the executor's data port; the owner of a task sees
 * the same events either way.
 */
export class ExecutorLink {
  readonly #connection: Connection<FromExecutor, ToExecutor>
  readonly #options: Options
  readonly #tasks = new Map<number, Task>()
  readonly #inspections = new Map<number, Deferred<Listing>>()
  /** Who waits to hear what there is of a query. */
  readonly #takings = new Map<string, Deferred<readonly HeldResult[]>>()
  #data: DataLink | undefined
  #hello: Hello | undefined
  #load: Load | undefined
  #next = 1

  constructor(transport: Transport, options: Options) {
    this.#options = options
    this.#connection = new Connection(transport, {
      schema: fromExecutor,
      clock: options.clock,
      log: options.log,
      ping: isMutant('no-pings')
        ? undefined
        : { intervalMs: PING_INTERVAL_MS, missesMax: PING_MISSES_MAX },
      onMessage: (message) => this.#onMessage(message),
      onFrame: (frame, message) => this.#onFrame(frame, message),
      onClose: (code, reason) => this.#onClose(code, reason),
    })
  }

  get hello(): Hello {
    if (this.#hello === undefined) throw new Error('executor has not said hello')
    return this.#hello
  }

  get id(): string {
    return this.hello.executor
  }

  get load(): Load | undefined {
    return this.#load
  }

  /** Tasks that this coordinator runs there. */
  get tasksRunning(): number {
    return this.#tasks.size
  }

  /** The link must not be closed; whoever holds it was told by `onClose`. */
  startTask(spec: TaskSpec, epoch: number, events: TaskEvents): RunningTask {
    const ref = { queryId: spec.queryId, task: spec.task, attempt: spec.attempt }
    const fromFrame = spec.after?.frames ?? 0
    const { call, task } = this.#newTask(ref, epoch, { events, fromFrame })
    this.#connection.send({ kind: 'startTask', epoch, call, spec })
    return task
  }

  /** Goes on with a task that another coordinator began, from a frame on. The link must not be closed. */
  resumeTask(
    ref: TaskReference,
    epoch: number,
    how: { readonly fromFrame: number; readonly events: TaskEvents },
  ): RunningTask {
    const { call, task } = this.#newTask(ref, epoch, how)
    this.#connection.send({ kind: 'resumeTask', epoch, call, ...ref })
    return task
  }

  /** Owns a query from now on, and learns what results of it are here. Fails with `executor_lost`. */
  takeQuery(queryId: string, epoch: number): Promise<readonly HeldResult[]> {
    const key = `${queryId}/${epoch}`
    const answer = this.#takings.get(key) ?? deferred<readonly HeldResult[]>()
    this.#takings.set(key, answer)
    this.#connection.send({ kind: 'takeQuery', epoch, queryId })
    return answer.promise
  }

  /** There is a record of the query: it is to wait for another owner, should this one vanish. */
  keepQuery(queryId: string, epoch: number): void {
    this.#connection.send({ kind: 'keepQuery', epoch, queryId })
  }

  #newTask(
    ref: TaskReference,
    epoch: number,
    { events, fromFrame }: { readonly events: TaskEvents; readonly fromFrame: number },
  ): { readonly call: number; readonly task: Task } {
    assert(!this.#connection.closed, 'tasks are given to open links')
    const call = this.#next++
    const task: Task = {
      executor: this.id,
      ref,
      epoch,
      events,
      framesDelivered: fromFrame,
      finished: undefined,
      streaming: undefined,
      granted: 0,
      deliveredBytes: 0,
      fetches: 0,
      grant: (bytes) => {
        task.granted += bytes
        task.streaming?.grant(bytes)
      },
      cancel: () => this.#connection.send({ kind: 'cancelTask', epoch, ...ref }),
      abandon: () => {
        if (!this.#end(call)) return
        task.streaming?.stop()
        task.cancel()
      },
      acknowledge: (frames) =>
        this.#connection.send({ kind: 'acknowledge', epoch, ...ref, frames }),
      leave: () => {
        if (this.#end(call)) task.streaming?.stop()
      },
    }
    this.#tasks.set(call, task)
    this.#options.onTaskStarted(this)
    return { call, task }
  }

  releaseQuery(queryId: string, epoch: number): void {
    this.#connection.sendSoon({ kind: 'releaseQuery', epoch, queryId })
  }

  async inspect(
    what: 'location' | 'files' | 'paths',
    paths: readonly string[],
    options: { readonly signal?: AbortSignal | undefined } = {},
  ): Promise<Listing> {
    options.signal?.throwIfAborted()
    const request = this.#next++
    const answer = deferred<Listing>()
    this.#inspections.set(request, answer)
    const onAbort = (): void => {
      this.#inspections.delete(request)
      answer.reject(options.signal?.reason)
    }
    options.signal?.addEventListener('abort', onAbort, { once: true })
    this.#connection.send({ kind: 'inspect', request, what, paths })
    try {
      return await answer.promise
    } finally {
      options.signal?.removeEventListener('abort', onAbort)
    }
  }

  close(reason: string): void {
    this.#connection.close(CLOSE.goingAway, reason)
  }

  #onMessage(message: FromExecutor): void {
    if (message.kind === 'hello') return this.#onHello(message)
    if (this.#hello === undefined) {
      return this.#connection.close(CLOSE.protocolError, 'the first message must be hello')
    }
    switch (message.kind) {
      case 'load':
        this.#load = message
        return this.#options.onLoad(this)
      case 'taskColumns':
        return this.#find(message)?.[1].events.columns(message.columns)
      case 'taskProgress':
        return this.#find(message)?.[1].events.progress(message)
      case 'taskStreaming':
        return this.#onStreaming(message)
      case 'taskFinished':
        return this.#onFinished(message)
      case 'taskFailed': {
        if (message.unreached !== undefined) this.#options.onUnreached(this, message.unreached)
        const found = this.#find(message)
        if (found === undefined) return
        return this.#fail(...found, fromErrorBody(message.error), message.unreadable)
      }
      case 'queryTaken':
        this.#takings.get(`${message.queryId}/${message.epoch}`)?.resolve(message.tasks)
        this.#takings.delete(`${message.queryId}/${message.epoch}`)
        return
      case 'inspected':
        this.#inspections.get(message.request)?.resolve(message.listing)
        this.#inspections.delete(message.request)
        return
      case 'refused':
        this.#inspections.get(message.request)?.reject(fromErrorBody(message.error))
        this.#inspections.delete(message.request)
        return
    }
  }

  #onHello(hello: Hello): void {
    // It has come before.
    if (this.#hello?.incarnation === hello.incarnation) return
    const { cluster, coordinator, dial } = this.#options
    if (hello.protocol !== PROTOCOL_VERSION) {
      return this.#connection.close(
        CLOSE.versionRefused,
        `protocol ${hello.protocol} is not spoken here, ${PROTOCOL_VERSION} is`,
      )
    }
    if (hello.cluster !== cluster) {
      return this.#connection.close(
        CLOSE.notWelcome,
        `this is cluster ${cluster}, not ${hello.cluster}`,
      )
    }
    this.#hello = hello
    this.#data = new DataLink(hello.dataAddress, hello.executor, {
      clock: this.#options.clock,
      log: this.#options.log,
      cluster,
      member: coordinator,
      dial,
    })
    this.#connection.send({ kind: 'welcome', protocol: PROTOCOL_VERSION, cluster, coordinator })
    this.#options.onReady(this)
  }

  /** The task counts no more. False where it had ended already. */
  #end(call: number): boolean {
    const ended = this.#tasks.delete(call)
    if (ended) this.#options.onTaskEnded(this)
    return ended
  }

  /** The task a message is about; none when it has ended here or the message is about another attempt. */
  #find(ref: {
    readonly queryId: string
    readonly task: number
    readonly attempt: number
  }): readonly [number, Task] | undefined {
    for (const entry of this.#tasks) {
      const own = entry[1].ref
      if (own.queryId === ref.queryId && own.task === ref.task && own.attempt === ref.attempt) {
        return entry
      }
    }
    return undefined
  }

  #onFrame(frame: Frame, message: Uint8Array): void {
    const task = this.#tasks.get(frame.call)
    if (task !== undefined) this.#deliver(frame.call, task, { frame, message })
  }

  /** A frame that was given on before is dropped; one of another task must never be taken for one of this. */
  #deliver(
    call: number,
    task: Task,
    { frame, message }: { readonly frame: Frame; readonly message: Uint8Array },
  ): void {
    const { ref, framesDelivered } = task
    const isOwn = frame.task === ref.task && frame.attempt === ref.attempt
    if (!isOwn || frame.sequence > framesDelivered) {
      const came = `frame ${frame.sequence} of task ${frame.task} attempt ${frame.attempt}`
      const due = `frame ${framesDelivered} of task ${ref.task} attempt ${ref.attempt}`
      const what = `executor ${this.id} sent ${came} where ${due} was due`
      const isMissing = isOwn && !isMutant('no-refetch')
      if (!isMissing) return this.#fail(call, task, new SqlError('protocol_violation', what))
      return this.#onGap(call, task, new SqlError('executor_lost', what))
    }
    if (frame.sequence < framesDelivered) return
    task.framesDelivered++
    task.deliveredBytes += message.byteLength
    task.fetches = 0
    task.events.frame(frame, message)
    // Of a small result the end may have come before; of one that streams `ended` says so.
    if (task.streaming === undefined) this.#settle(call, task)
  }

  #onStreaming(ref: {
    readonly queryId: string
    readonly task: number
    readonly attempt: number
  }): void {
    const found = this.#find(ref)
    if (found === undefined || found[1].streaming !== undefined) return
    this.#fetch(found[0], found[1])
  }

  /** Pulls the result from the frame on that is due. */
  #fetch(call: number, task: Task): void {
    const { ref } = task
    task.fetches++
    task.streaming = this.#data?.fetchResult(
      {
        epoch: task.epoch,
        queryId: ref.queryId,
        task: ref.task,
        attempt: ref.attempt,
        fromFrame: task.framesDelivered,
        // More may have come than was asked for.
        creditBytes: Math.max(0, task.granted - task.deliveredBytes),
      },
      {
        frame: (frame, message) => this.#deliver(call, task, { frame, message }),
        ended: (frames) => {
          this.#settle(call, task)
          if (task.framesDelivered >= frames) return
          const what = `the result of executor ${this.id} ended before frame ${task.framesDelivered}`
          this.#onStreamLost(call, task, new SqlError('executor_lost', what))
        },
        failed: (error) => this.#fail(call, task, error),
        lost: (error) => this.#onStreamLost(call, task, error),
      },
    )
  }

  /** What is missing may be on its way or lost; the executor has it still, and sends it again from there on. */
  #onGap(call: number, task: Task, error: SqlError): void {
    if (task.streaming === undefined) return this.#fail(call, task, error)
    task.streaming.stop()
    this.#onStreamLost(call, task, error)
  }

  /** The executor keeps what the client has not acknowledged; while it answers otherwise, the rest can be had. */
  #onStreamLost(call: number, task: Task, error: SqlError): void {
    if (this.#tasks.get(call) !== task) return
    if (task.fetches >= FETCHES_MAX) return this.#fail(call, task, error)
    this.#options.log.info('resultRefetched', { executor: this.id, ...task.ref, error })
    this.#options.clock.after(REFETCH_MS * 2 ** task.fetches, () => {
      if (this.#tasks.get(call) === task && !this.#connection.closed) this.#fetch(call, task)
    })
  }

  #onFinished(message: TaskFinished): void {
    const found = this.#find(message)
    if (found === undefined) return
    found[1].finished = message
    this.#settle(found[0], found[1])
  }

  /** A streamed task has ended when both its last frame and its `taskFinished` are here, in whichever order. */
  #settle(call: number, task: Task): void {
    if (task.finished === undefined || task.framesDelivered < task.finished.frames) return
    if (!this.#end(call)) return
    task.streaming?.stop()
    task.events.finished(task.finished)
  }

  #fail(call: number, task: Task, error: SqlError, unreadable?: string): void {
    if (!this.#end(call)) return
    task.streaming?.stop()
    task.events.failed(error, unreadable)
  }

  #onClose(code: number, reason: string): void {
    const name = this.#hello?.executor ?? 'an executor that did not say hello'
    this.#options.log.info('executorLinkClosed', { executor: name, code, reason })
    const error = new SqlError(
      'executor_lost',
      `connection to executor ${name} was lost (${code} ${reason})`,
    )
    // First of all nobody may be given this link any more: what fails here is placed anew at once.
    if (this.#hello !== undefined) this.#options.onClose(this, { code, reason })
    for (const [call, task] of [...this.#tasks]) this.#fail(call, task, error)
    for (const answer of this.#inspections.values()) answer.reject(error)
    for (const answer of this.#takings.values()) answer.reject(error)
    this.#inspections.clear()
    this.#takings.clear()
    this.#data?.close()
  }
}
