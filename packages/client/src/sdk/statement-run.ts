import { deferred, type Deferred } from '../base/deferred.ts'
import { SqlError } from '../protocol/errors.ts'
import {
  type Column,
  type Down,
  type FinishedMessage,
  fromErrorBody,
  type SessionContext,
} from '../protocol/messages.ts'
import { INITIAL_CREDIT_BYTES } from '../wire/limits.ts'
import {
  abortError,
  ASK_AGAIN,
  asSqlError,
  stillUnknown,
  SUPERSEDED,
  typedError,
  undone,
  unknownOutcome,
} from './errors.ts'
import { FrameBuffer, type HeldFrame } from './frame-buffer.ts'
import type { CallMessage, Link } from './link.ts'
import type { Move, RunContext, RunEvents, Statement } from './statement.ts'
import { changesTables, isOnce } from './statement-kind.ts'

/** A statement is sent at most this often; a cluster that loses it each time has another trouble. */
export const STATEMENT_ATTEMPTS_MAX = 5
/** Times that a result is asked for without a frame of it coming; with the pauses of `backoff` longer than a takeover. */
export const RESUMES_MAX = 12
/** An unknown outcome is asked for again within so long: a coordinator gives etcd 4.5 s, and a client is told within 5 s. */
export const ASK_OUTCOME_MS = 500

/** A call at one coordinator. A result that moves goes on in the same buffer. */
interface Attempt {
  readonly link: Link
  readonly call: number
  readonly buffer: FrameBuffer
  readonly serving: Serving
  /** Nothing more comes for the call. */
  readonly over: Deferred<void>
  accepted: boolean
  /** With its connection lost, the result goes on elsewhere from where it is. */
  resumable: boolean
}

/** What the calls of one buffer share. */
interface Serving {
  attempt: Attempt | undefined
}

type FailedMessage = Extract<Down, { kind: 'failed' }>

/**
 * One statement from its sending to its end, over as many attempts as it takes.
 *
 *   waiting for a link ──► sent ──► accepted ──► columns, frames ──► finished
 *          ▲                │           │               │              failed
 *          └────────────────┴───────────┴───────────────┘
 *            connection lost, nothing handed out yet, and the statement may be sent again
 *
 *                                               frames ──connection lost──► looking elsewhere ──attach──► frames
 *                                                        the result is resumable
 *
 * Otherwise a loss is told as it is: of a read, how many rows were handed out; of a write that
 * may not be sent again, or was too often, that its outcome is unknown.
 */
export class StatementRun {
  readonly #statement: Statement
  readonly #context: RunContext
  readonly #events: RunEvents
  readonly #columns = deferred<readonly Column[]>()
  readonly #finished = deferred<FinishedMessage>()
  readonly #stop = new AbortController()
  /** Where the statement was begun: an error made by a socket's event would tell the user nothing of that. */
  readonly #origin = new Error('origin')
  #attempt: Attempt | undefined
  /** Wakes a reader that waits for the next attempt. */
  #nextAttempt = deferred<Attempt>()
  #attempts = 0
  /** Times that the result was asked for since a frame of it came. */
  #resumes = 0
  #rowsDelivered = 0
  #isCancelled = false
  /** It was sent before, and nobody has said since what became of that. */
  #mayBeDone = false
  /** Since when coordinators that live have been asked, by the clock: anew once one was lost. */
  #askedMs: number | undefined
  #ended = false
  #columnsKnown: readonly Column[] | undefined
  #sessionBefore: SessionContext | undefined
  /** The revision that the result is of; sent again, the statement reads no older one. */
  #revision = 0
  #queryId: string | undefined
  #coordinator: string | undefined

  constructor(statement: Statement, context: RunContext, events: RunEvents) {
    this.#statement = statement
    this.#queryId = statement.attachTo
    this.#context = context
    this.#events = events
    for (const promise of [
      this.#columns.promise,
      this.#finished.promise,
      this.#nextAttempt.promise,
    ]) {
      // Whoever does not ask for one of these must not be told of an unhandled rejection.
      promise.catch(() => undefined)
    }
  }

  get queryId(): string | undefined {
    return this.#queryId
  }

  /** The coordinator that serves, or has last served, this statement. */
  get coordinator(): string | undefined {
    return this.#coordinator
  }

  get columns(): Promise<readonly Column[]> {
    return this.#columns.promise
  }

  /** Resolves when everything has come and agrees with what was said, read or not. */
  get finished(): Promise<FinishedMessage> {
    return this.#finished.promise
  }

  /** Sends the statement as soon as `after`, the session statements before it, has settled. */
  start(signal: AbortSignal | undefined, after: Promise<void> | undefined): void {
    if (signal?.aborted === true) return this.#end(abortError(signal))
    if (signal !== undefined) this.#cancelOn(signal)
    const begin = (): Promise<void> =>
      this.#statement.attachTo === undefined
        ? this.#send(undefined)
        : this.#resume(this.#newBuffer(), undefined)
    if (after === undefined) void begin()
    else void after.then(begin)
  }

  #cancelOn(signal: AbortSignal): void {
    const onAbort = (): void => this.cancel(abortError(signal))
    signal.addEventListener('abort', onAbort, { once: true })
    const forget = (): void => signal.removeEventListener('abort', onAbort)
    this.#finished.promise.then(forget, forget)
  }

  /** Ends the statement here at once with `error` and tells the coordinator to stop it. Nothing when it has ended. */
  cancel(error: SqlError = new SqlError('query_canceled', 'the statement was cancelled')): void {
    if (this.#ended) return
    this.#isCancelled = true
    const attempt = this.#attempt
    attempt?.link.send({ kind: 'cancel', call: attempt.call })
    if (attempt?.resumable === true && !attempt.link.usable) this.#cancelElsewhere()
    else if (attempt !== undefined) this.#awaitCancelled(attempt)
    this.#end(error)
  }

  /** A coordinator that hangs does not hear of the cancel: then somebody else is told. */
  #awaitCancelled({ link, over }: Attempt): void {
    this.#context.coordinators.unlessHeard(over.promise, () => {
      this.#context.coordinators.avoid(link)
      this.#cancelElsewhere()
    })
  }

  /** Whoever has the query now is told, as far as anybody can be reached. */
  #cancelElsewhere(): void {
    if (this.#queryId !== undefined) this.#context.coordinators.cancelQuery(this.#queryId)
  }

  /** The next frame to read, from whichever attempt serves; undefined after the last. */
  async take(): Promise<HeldFrame | undefined> {
    for (;;) {
      const attempt = this.#attempt ?? (await this.#nextAttempt.promise)
      try {
        return await attempt.buffer.take()
      } catch (error) {
        // An attempt that was given up leaves its place to the next one.
        if (error !== SUPERSEDED) throw error
      }
    }
  }

  /** The reader has handed out all rows of a frame. */
  release(frame: HeldFrame): void {
    this.#rowsDelivered += frame.rows
    this.#attempt?.buffer.release(frame)
  }

  async #send(
    movedFrom: { readonly coordinator: string; readonly reason: string } | undefined,
  ): Promise<void> {
    try {
      const { signal } = this.#stop
      // The first repetition goes out at once; one that was lost again waits, as there is more amiss than one coordinator.
      if (this.#attempts > 1) await this.#context.coordinators.backoff(this.#attempts - 1)
      if (this.#ended) return
      const { transaction } = (this.#sessionBefore ??= this.#events.session())
      const { coordinators } = this.#context
      const link = await coordinators.acquireFor(transaction?.coordinator, { signal })
      if (this.#ended) return
      this.#coordinator = link.coordinator
      if (movedFrom !== undefined) this.#tellMoved(link, movedFrom)
      this.#begin(link)
    } catch (error) {
      this.#end(asSqlError(error))
    }
  }

  #tellMoved(
    link: Link,
    from: { readonly coordinator: string; readonly reason: string },
    resumed = false,
  ): void {
    const move: Move = {
      from: from.coordinator,
      to: link.coordinator,
      reason: from.reason,
      resumed,
      rows: this.#rowsDelivered,
    }
    this.#context.events.emit({
      kind: 'statementMoved',
      statementId: this.#statement.id,
      ...move,
    })
    this.#events.onMoved?.(move)
  }

  #begin(link: Link): void {
    const { id, sql, parameters, progress } = this.#statement
    const session = (this.#sessionBefore ??= this.#events.session())
    const { buffer, serving } = this.#newBuffer()
    const { call } = this.#call(link, buffer, serving)
    this.#attempts++
    this.#askedMs ??= this.#context.platform.clock.now()
    link.send({
      kind: 'statement',
      call,
      statementId: id,
      sql,
      parameters,
      session: { ...session, revision: Math.max(session.revision, this.#revision) },
      creditBytes: INITIAL_CREDIT_BYTES,
      progress,
    })
  }

  #newBuffer(): { readonly buffer: FrameBuffer; readonly serving: Serving } {
    const serving: Serving = { attempt: undefined }
    const buffer = new FrameBuffer({
      crc32: this.#context.platform.crc32,
      windowBytes: INITIAL_CREDIT_BYTES,
      grant: (bytes, acknowledged) => {
        const { attempt } = serving
        attempt?.link.send({ kind: 'credit', call: attempt.call, bytes, acknowledged })
      },
    })
    return { buffer, serving }
  }

  /** A call whose frames go into the buffer. Nothing has been sent for it yet. */
  #call(link: Link, buffer: FrameBuffer, serving: Serving): Attempt {
    const over = deferred<void>()
    const call = link.begin({
      onMessage: (message) => {
        if (message.kind === 'finished' || message.kind === 'failed') over.resolve()
        this.#onMessage(attempt, message)
      },
      onFrame: (frame) => {
        if (this.#attempt !== attempt || this.#ended) return
        this.#resumes = 0
        const broken = attempt.buffer.push(frame)
        if (broken !== undefined) this.#onBroken(attempt, broken)
      },
      onLost: (error) => {
        over.resolve()
        this.#onLost(attempt, error)
      },
    })
    const attempt: Attempt = {
      link,
      call,
      buffer,
      serving,
      over,
      accepted: false,
      resumable: false,
    }
    serving.attempt = attempt
    this.#attempt = attempt
    this.#nextAttempt.resolve(attempt)
    return attempt
  }

  /** Asks for the rest of the result at another coordinator. */
  async #resume(
    { buffer, serving }: { readonly buffer: FrameBuffer; readonly serving: Serving },
    from: { readonly coordinator: string; readonly reason: string } | undefined,
  ): Promise<void> {
    const { coordinators } = this.#context
    const queryId = this.#queryId
    try {
      if (queryId === undefined) throw new Error('a result that streams has a query')
      const { signal } = this.#stop
      if (this.#resumes > 0) await coordinators.backoff(this.#resumes)
      this.#resumes++
      if (this.#ended) return
      const link = await coordinators.acquire({ signal })
      if (this.#ended) return
      this.#coordinator = link.coordinator
      if (from !== undefined) this.#tellMoved(link, from, true)
      const session = (this.#sessionBefore ??= this.#events.session())
      const attempt = this.#call(link, buffer, serving)
      attempt.resumable = true
      const { progress } = this.#statement
      const { call } = attempt
      link.send({ kind: 'attach', call, queryId, ...buffer.moved(), session, progress })
    } catch (error) {
      this.#end(asSqlError(error))
    }
  }

  #onMessage(attempt: Attempt, message: CallMessage): void {
    if (this.#attempt !== attempt || this.#ended) return
    switch (message.kind) {
      case 'accepted':
        attempt.accepted = true
        this.#queryId = message.queryId
        this.#coordinator = message.coordinator
        return
      case 'columns':
        this.#revision = Math.max(this.#revision, message.revision)
        return this.#onColumns(attempt, message.columns)
      case 'streaming':
        attempt.resumable = message.resumable
        return attempt.buffer.open()
      case 'taskEnded': {
        const broken = attempt.buffer.endTask(message.end)
        if (broken !== undefined) this.#onBroken(attempt, broken)
        return
      }
      case 'progress':
        return this.#events.onProgress(message)
      case 'finished':
        return this.#onFinished(attempt, message)
      case 'failed':
        return this.#onFailed(attempt, message)
      case 'reply':
        return this.#onBroken(attempt, 'a reply came for a statement')
    }
  }

  #onColumns(attempt: Attempt, columns: readonly Column[]): void {
    const known = this.#columnsKnown
    if (known !== undefined && JSON.stringify(known) !== JSON.stringify(columns)) {
      const error = new SqlError(
        'schema_mismatch',
        'the columns of the result changed between two attempts',
        {
          hint: 'run the statement again',
        },
      )
      attempt.link.send({ kind: 'cancel', call: attempt.call })
      return this.#end(error)
    }
    this.#columnsKnown = columns
    this.#columns.resolve(columns)
  }

  #onFinished(attempt: Attempt, message: FinishedMessage): void {
    this.#queryId = message.queryId
    const broken = attempt.buffer.finish(message)
    if (broken !== undefined) return this.#onBroken(attempt, broken)
    if (attempt.resumable) attempt.link.send({ kind: 'received', call: attempt.call })
    this.#ended = true
    this.#columns.resolve(this.#columnsKnown ?? [])
    this.#tellSession(message.session)
    this.#finished.resolve(message)
  }

  #onFailed(attempt: Attempt, message: FailedMessage): void {
    const error = fromErrorBody(message.error)
    if (message.session !== undefined) this.#tellSession(message.session)
    const isHandedOver = error.error === 'cannot_connect_now'
    if (attempt.resumable && (isHandedOver || !attempt.accepted)) {
      return this.#onAttachFailed(attempt, error)
    }
    // A read of which nothing was handed out may go elsewhere; before it was accepted even a write.
    const isUnread = this.#statement.kind !== 'write' && !attempt.buffer.started
    if (isHandedOver && (isUnread || !attempt.accepted) && this.#mayRepeat()) {
      if (attempt.accepted) this.#context.coordinators.avoid(attempt.link)
      return this.#repeat(attempt, error.message)
    }
    const isUnknown = error.error === 'commit_outcome_unknown'
    if (!isUnknown || !changesTables(this.#statement.kind)) return this.#end(error)
    if (this.#isUndone) return this.#end(undone(error))
    // What is done once under its id tells how it ended when it is asked again.
    if (isOnce(this.#statement.kind) && this.#mayRepeat() && this.#mayAskAgain()) {
      this.#mayBeDone = true
      return this.#repeat(attempt, error.message)
    }
    this.#end(error)
  }

  #tellSession(after: SessionContext): void {
    if (this.#sessionBefore !== undefined) this.#events.onSession(this.#sessionBefore, after)
  }

  /** The data cannot be trusted; the connection that brought it is given up, and it is as if it had been lost. */
  #onBroken(attempt: Attempt, reason: string): void {
    const error = new SqlError(
      'connection_failure',
      `result of ${this.#queryId ?? 'the statement'} from ${attempt.link.address} is broken: ${reason}`,
    )
    this.#onLost(attempt, error)
    attempt.link.terminate()
  }

  #onLost(attempt: Attempt, error: SqlError): void {
    if (this.#attempt !== attempt) return
    // Its coordinator may not have heard of it: a result waits for this client, or tasks for their coordinator.
    if (this.#isCancelled) return this.#cancelElsewhere()
    if (this.#ended) return
    if (attempt.resumable && this.#resumes < RESUMES_MAX) {
      const { coordinator } = attempt.link
      return void this.#resume(attempt, { coordinator, reason: error.message })
    }
    this.#askedMs = undefined
    const { kind } = this.#statement
    const isUndone = this.#isUndone
    if ((kind !== 'write' || isUndone) && !attempt.buffer.started && this.#mayRepeat()) {
      this.#mayBeDone ||= isOnce(kind) && !isUndone
      return this.#repeat(attempt, error.message)
    }
    this.#end(changesTables(kind) && !isUndone ? unknownOutcome(error) : error)
  }

  /** The result cannot be had at this coordinator: perhaps elsewhere or later, perhaps from its beginning. */
  #onAttachFailed(attempt: Attempt, error: SqlError): void {
    if (ASK_AGAIN.has(error.error) && this.#resumes < RESUMES_MAX) {
      if (error.error === 'cannot_connect_now') this.#context.coordinators.avoid(attempt.link)
      const { coordinator } = attempt.link
      const from = attempt.accepted ? { coordinator, reason: error.message } : undefined
      return void this.#resume(attempt, from)
    }
    const mayRepeat = this.#statement.attachTo === undefined && this.#mayRepeat()
    if (mayRepeat && error.retryable && !attempt.buffer.started) {
      return this.#repeat(attempt, error.message)
    }
    this.#end(error)
  }

  /** What a statement of a transaction did is undone without its COMMIT. */
  get #isUndone(): boolean {
    return this.#sessionBefore?.transaction !== undefined && this.#statement.kind !== 'commit'
  }

  #mayRepeat(): boolean {
    return this.#attempts < STATEMENT_ATTEMPTS_MAX
  }

  #mayAskAgain(): boolean {
    return this.#context.platform.clock.now() - (this.#askedMs ?? 0) < ASK_OUTCOME_MS
  }

  #repeat(attempt: Attempt, reason: string): void {
    this.#attempt = undefined
    this.#nextAttempt = deferred<Attempt>()
    this.#nextAttempt.promise.catch(() => undefined)
    attempt.buffer.fail(SUPERSEDED)
    void this.#send({ coordinator: attempt.link.coordinator, reason })
  }

  #end(error: SqlError): void {
    if (this.#ended) return
    this.#ended = true
    const told = this.#described(this.#mayBeDone ? stillUnknown(error) : error)
    this.#stop.abort(told)
    this.#columns.reject(told)
    this.#finished.reject(told)
    this.#nextAttempt.reject(told)
    this.#attempt?.buffer.fail(told)
  }

  /** The error as the user gets it: with where it happened, and the stack of the call that began the statement. */
  #described(error: SqlError): SqlError {
    const told = typedError(error, {
      ...{ queryId: this.#queryId, coordinator: this.#coordinator },
      rowsDelivered: this.#rowsDelivered,
      statementId: isOnce(this.#statement.kind) ? this.#statement.id : undefined,
    })
    const [, ...frames] = (this.#origin.stack ?? '').split('\n')
    told.stack = [`${told.name}: ${told.message}`, ...frames].join('\n')
    return told
  }
}
