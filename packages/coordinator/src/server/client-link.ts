import { failpoint, unreachable } from '@nyala/client/base'
import {
  type Down,
  type Endpoint,
  fromErrorBody,
  newQueryId,
  PROTOCOL_VERSION,
  SqlError,
  toErrorBody,
  type Up,
  up,
} from '@nyala/client/protocol'
import {
  CLOSE,
  Connection,
  PING_INTERVAL_MS,
  PING_MISSES_MAX,
  type Transport,
} from '@nyala/client/wire'
import { SessionSettings } from '../bind/settings.ts'
import { settleReceipt } from '../schedule/receipt.ts'
import { ResultRelay } from '../schedule/result-relay.ts'
import { type AttachedCall, type AttachMessage, runAttached } from './attached-query.ts'
import { Transaction } from '../txn/transaction.ts'
import { failedMessage, finishedMessage, untilAborted } from './call-end.ts'
import { CallServing } from './call-serving.ts'
import { CallTracker } from './call-tracker.ts'
import { completionsOf } from './completions.ts'
import { cancelQuery, clusterStatus, queryProfile } from './cluster-questions.ts'
import type { QueryEnd, RunningQuery } from './query-registry.ts'
import { StatementRead } from './read-consistency.ts'
import { pushOwnFrames } from './own-frames.ts'
import { localFrames } from './rows-to-arrow.ts'
import type { Services } from './services.ts'
import { watchLimits } from './time-limits.ts'
import type { StatementContext, StatementOutcome, TransactionSlot } from './statement-context.ts'
import type { Statements } from './statements.ts'
import { IncomingParts } from './uploads.ts'

/** How often a client that wants progress is told of it. */
const PROGRESS_INTERVAL_MS = 100
/** Statements that one connection may have under way. */
export const CALLS_MAX = 256

type StatementMessage = Extract<Up, { kind: 'statement' }>

interface Call {
  readonly queryId: string
  readonly controller: AbortController
  readonly relay: ResultRelay
  readonly serving: CallServing
  /** Of a statement. */
  readonly transaction?: TransactionSlot
  /** Gives back the files that the catalog named which the statement reads. */
  release?: () => void
}

/** What a call runs: resolves with its end, and tells the profile as soon as there is one. */
interface Work {
  readonly sql: string
  work(track: CallTracker, profiled: (profile: unknown) => void): Promise<Down>
}

export interface ClientLinkOptions {
  readonly services: Services
  readonly statements: Statements
  coordinators(): readonly Endpoint[]
  isDraining(): boolean
  onClose(link: ClientLink): void
}

let connections = 0

/**
 * One client's socket. Its statements run beside each other; each ends in exactly one `finished` or `failed`. When the
 * socket closes, what it ran is canceled, but for results that are kept for the client to come back.
 */
export class ClientLink {
  readonly #options: ClientLinkOptions
  readonly #connection: Connection<Up, Down>
  readonly #calls = new Map<number, Call>()
  /** Tells this connection from the others where statements wait in turn. */
  readonly #sender = `client ${connections++}`
  readonly #parts: IncomingParts
  /** What the client says that it is. */
  #application = ''
  #greeted = false

  constructor(transport: Transport, options: ClientLinkOptions) {
    this.#options = options
    this.#parts = new IncomingParts(options.services.uploads)
    this.#connection = new Connection(transport, {
      schema: up,
      clock: options.services.clock,
      log: options.services.log,
      ping: { intervalMs: PING_INTERVAL_MS, missesMax: PING_MISSES_MAX * 4 },
      onMessage: (message) => this.#onMessage(message),
      onFrame: (frame) => this.#parts.push(frame),
      onClose: () => {
        const gone = new SqlError('query_canceled', 'the client has gone')
        for (const { queryId, serving, controller } of this.#calls.values()) {
          serving.isClientGone = true
          const isKept = options.services.resumption.clientGone(queryId, serving)
          if (!isKept) controller.abort(gone)
        }
        options.services.transactions.clientGone(this.#sender)
        this.#parts.abandon()
        options.onClose(this)
      },
    })
  }

  sendMembers(coordinators: readonly Endpoint[]): void {
    if (this.#greeted) this.#connection.send({ kind: 'members', coordinators })
  }

  sendDraining(): void {
    if (this.#greeted) this.#connection.send({ kind: 'draining' })
  }

  close(reason: string): void {
    this.#connection.close(CLOSE.goingAway, reason)
  }

  #onMessage(message: Up): void {
    if (!this.#greeted && message.kind !== 'hello') {
      return this.#connection.close(CLOSE.protocolError, 'the first message must be hello')
    }
    switch (message.kind) {
      case 'hello':
        return this.#onHello(message)
      case 'statement':
        return this.#onStatement(message)
      case 'credit':
        return this.#calls.get(message.call)?.relay.grant(message.bytes, message.acknowledged)
      case 'attach':
        return this.#onAttach(message)
      case 'received':
        return this.#calls.get(message.call)?.serving.received.resolve()
      case 'cancel':
        failpoint('query.cancelling')
        return this.#calls
          .get(message.call)
          ?.controller.abort(
            new SqlError('query_canceled', 'the statement was canceled on request'),
          )
      case 'cancelQuery':
        return this.#reply(message.call, () => cancelQuery(this.#options.services, message))
      case 'status':
        return this.#reply(message.call, () => clusterStatus(this.#options.services, message))
      case 'profile':
        return this.#reply(message.call, () => queryProfile(this.#options.services, message))
      case 'upload':
        return this.#reply(message.call, () => this.#parts.take(message))
      case 'uploadEnded':
        return this.#reply(message.call, () => this.#options.services.uploads.end(message.upload))
      case 'complete':
        return this.#reply(message.call, () => completionsOf(message, this.#options.services))
      default:
        return unreachable(message)
    }
  }

  #onHello(message: Extract<Up, { kind: 'hello' }>): void {
    const { services } = this.#options
    if (message.protocol !== PROTOCOL_VERSION) {
      return this.#connection.close(
        CLOSE.versionRefused,
        `protocol ${message.protocol} is not spoken here, ${PROTOCOL_VERSION} is`,
      )
    }
    this.#greeted = true
    this.#application = message.application ?? message.client
    this.#connection.send({
      kind: 'welcome',
      protocol: PROTOCOL_VERSION,
      version: services.version,
      cluster: services.cluster,
      coordinator: services.id,
      coordinators: this.#options.coordinators(),
      revision: services.catalog.snapshot().revision,
    })
  }

  #onStatement(message: StatementMessage): void {
    const queryId = newQueryId(this.#options.services.clock.wall())
    const call = this.#newCall(message, queryId)
    if (call === undefined) return
    this.#drive(message, call, {
      sql: message.sql,
      work: (track, profiled) => this.#runStatement(message, call, { track, profiled }),
    })
  }

  #onAttach(message: AttachMessage): void {
    const call = this.#newCall(message, message.queryId)
    if (call === undefined) return
    this.#drive(message, call, {
      sql: this.#options.services.resumption.sqlOf(message.queryId),
      work: (track) => this.#runAttached(message, call, track),
    })
  }

  #newCall(message: StatementMessage | AttachMessage, queryId: string): Call | undefined {
    if (this.#calls.has(message.call)) {
      this.#connection.close(CLOSE.protocolError, `call ${message.call} is in use`)
      return undefined
    }
    const relay = new ResultRelay({
      call: message.call,
      creditBytes: message.creditBytes,
      send: (frame) => this.#connection.sendFrame(frame),
      say: (aside) => this.#connection.send({ ...aside, call: message.call }),
      ...(message.kind === 'attach' ? { place: message.place, ended: message.ended } : {}),
    })
    const controller = new AbortController()
    const serving = new CallServing(controller)
    const transaction = this.#transactionOf(message)
    const call: Call = {
      ...{ queryId, controller, relay, serving },
      ...(transaction === undefined ? {} : { transaction }),
    }
    this.#calls.set(message.call, call)
    return call
  }

  #transactionOf(message: StatementMessage | AttachMessage): TransactionSlot | undefined {
    if (message.kind === 'attach') return undefined
    const { transaction } = message.session
    if (transaction === undefined) return { current: undefined }
    return { current: this.#options.services.transactions.find(transaction, this.#sender) }
  }

  #drive(message: StatementMessage | AttachMessage, call: Call, what: Work): void {
    void this.#run(message, call, what)
      .then(() => this.#settle(call))
      .catch((error: unknown) => this.#options.services.log.error('statementBroke', { error }))
      .finally(() => {
        call.release?.()
        if (this.#calls.get(message.call) === call) this.#calls.delete(message.call)
      })
  }

  async #run(
    message: StatementMessage | AttachMessage,
    call: Call,
    { sql, work }: Work,
  ): Promise<void> {
    const { services } = this.#options
    const { clock, queries } = services
    const started = clock.now()
    const { queryId, controller } = call
    const { signal } = controller
    const track = new CallTracker(started)
    const query: RunningQuery = {
      id: queryId,
      session: `${this.#application} · ${this.#sender}`,
      sql,
      database: message.session.database,
      startedAt: clock.wall(),
      get state() {
        return track.state
      },
      set state(state) {
        track.state = state
      },
      status: () => track.status(clock.now()),
      cancel: () => controller.abort(new SqlError('query_canceled', 'the query was canceled')),
    }
    queries.add(query)
    const leave = services.transactions.enter(message.session.transaction?.id ?? '')
    const stop = this.#watch(message, { track, started, relay: call.relay })
    let profile: unknown
    let end: Omit<QueryEnd, 'profile'> = {}
    try {
      this.#admit(message)
      const finished = await work(track, (known) => (profile = known))
      track.state = 'finished'
      this.#connection.send(finished)
      if (finished.kind === 'finished')
        end = { rows: finished.rows, peakMemoryBytes: finished.statistics.peakMemoryBytes }
    } catch (error) {
      track.state = 'failed'
      call.relay.stop()
      const isUnknown = error instanceof SqlError && error.error === 'commit_outcome_unknown'
      const reason: unknown = signal.aborted && !isUnknown ? signal.reason : error
      if (message.kind === 'attach')
        services.log.info('attachFailed', { query: queryId, error: reason })
      if (!(reason instanceof SqlError))
        services.log.error('statementFailed', { queryId, error: reason })
      const body = { ...toErrorBody(reason), queryId, coordinator: services.id }
      end = { error: fromErrorBody(body) }
      call.transaction?.current?.statementFailed(body.message)
      this.#connection.send(failedMessage(message, call, body))
      const isElsewhere = reason instanceof SqlError && reason.error === 'cannot_connect_now'
      if (isElsewhere) services.resumption.left(queryId, call.serving)
      else services.resumption.ended(queryId, call.serving)
    } finally {
      stop()
      leave()
      queries.remove(query, { ...end, profile: profile ?? track.profile?.() })
    }
  }

  /** Waits until the client has what was sent, where it could still ask for it; then whatever runs is to stop. */
  async #settle({ queryId, controller, serving }: Call): Promise<void> {
    const { resumption, clock } = this.#options.services
    await settleReceipt({
      ...{ clock, received: serving.received, signal: controller.signal },
      isServed: () => resumption.isServed(queryId, serving),
      end: () => resumption.ended(queryId, serving),
    })
    const ended = new SqlError('query_canceled', 'the statement has ended')
    if (!controller.signal.aborted) controller.abort(ended)
  }

  async #runStatement(
    message: StatementMessage,
    call: Call,
    parts: { readonly track: CallTracker; readonly profiled: (profile: unknown) => void },
  ): Promise<Down> {
    const { services, statements } = this.#options
    const { queryId, relay, controller } = call
    const { signal } = controller
    const started = services.clock.now()
    this.#connection.sendSoon({
      kind: 'accepted',
      call: message.call,
      queryId,
      coordinator: services.id,
    })
    const context = await this.#context(message, queryId, { call, track: parts.track })
    const outcome = await untilAborted(statements.run(context), signal, context.commit)
    parts.profiled(outcome.profile)
    const sent = this.#sendLocal(message, outcome, context)
    const rows = await untilAborted(sent, signal, context.commit)
    const elapsedMs = services.clock.now() - started
    return finishedMessage({ message, queryId, outcome, context, relay, rows, elapsedMs })
  }

  async #runAttached(message: AttachMessage, call: Call, track: CallTracker): Promise<Down> {
    const { services } = this.#options
    const { queryId, relay, serving, controller } = call
    const { signal } = controller
    const started = services.clock.now()
    const attached = {
      relay,
      serving,
      signal,
      send: (said: Down) => this.#connection.send(said),
      onRunning: ({ progress, profile }: Parameters<AttachedCall['onRunning']>[0]) => {
        track.state = 'streaming'
        track.progress = progress
        track.profile = profile
      },
    }
    const rows = await untilAborted(runAttached(message, attached, services), signal)
    const outcome = { command: 'SELECT' }
    const elapsedMs = services.clock.now() - started
    return finishedMessage({ message, queryId, outcome, relay, rows, elapsedMs })
  }

  #admit(message: StatementMessage | AttachMessage): void {
    // A transaction can only go on here.
    if (this.#options.isDraining() && message.session.transaction === undefined) {
      throw new SqlError('cannot_connect_now', 'this coordinator is shutting down', {
        hint: 'send the statement to another coordinator',
      })
    }
    if (this.#calls.size > CALLS_MAX) {
      throw new SqlError(
        'too_many_queries',
        `this connection has ${CALLS_MAX} statements under way`,
        {
          hint: 'wait for some of them to end, or open another connection',
        },
      )
    }
  }

  async #context(
    message: StatementMessage,
    queryId: string,
    parts: { readonly call: Call; readonly track: CallTracker },
  ): Promise<StatementContext> {
    const { services } = this.#options
    const { call, track } = parts
    const { signal } = call.controller
    const { transaction = { current: undefined } } = call
    const own = transaction.current instanceof Transaction ? transaction.current.catalog : undefined
    const settings = new SessionSettings(message.session.settings, services.defaultSettings)
    const notices: string[] = []
    const { revision } = message.session
    const patience = services.writes.writeLog.patience()
    const asked = { revision, settings, signal, patience, notices }
    const read = new StatementRead(services, asked, own)
    call.release = () => read.release()
    await read.open()
    return {
      queryId,
      ...{ statementId: message.statementId, commit: { begun: false }, transaction },
      ...{ sender: this.#sender, sql: message.sql, parameters: message.parameters },
      session: message.session,
      settings,
      get catalog() {
        return read.catalog
      },
      askNewest: () => read.ask(),
      newest: () => read.newest(),
      startedAt: services.clock.now(),
      relay: call.relay,
      serving: call.serving,
      ...{ signal, patience, notices },
      onColumns: (columns) => {
        track.state = 'streaming'
        const { revision } = read.catalog
        this.#connection.send({ kind: 'columns', call: message.call, columns, revision })
      },
      onQueued: (why) => {
        track.state = 'queued'
        track.waitsFor = why
      },
      onRunning: ({ progress, profile }) => {
        track.state = 'running'
        track.waitsFor = undefined
        track.progress = progress
        track.profile = profile
      },
    }
  }

  /** Rows that the coordinator made itself go through the relay like any others. */
  async #sendLocal(
    message: StatementMessage,
    outcome: StatementOutcome,
    { relay, catalog }: StatementContext,
  ): Promise<number> {
    const { local } = outcome
    if (local === undefined) return outcome.rows ?? 0
    this.#connection.send({
      kind: 'columns',
      call: message.call,
      columns: local.columns.map(({ name, type }) => ({ name, type })),
      revision: catalog.revision,
    })
    pushOwnFrames(relay, await localFrames(local), local.rows.length)
    await relay.empty()
    return local.rows.length
  }

  /** Progress messages at intervals, and the statement's time limit. The result stops both. */
  #watch(
    message: StatementMessage | AttachMessage,
    what: { readonly track: CallTracker; readonly started: number; readonly relay: ResultRelay },
  ): () => void {
    const { clock, defaultSettings } = this.#options.services
    const stops: (() => void)[] = []
    if (message.progress) {
      let stopTick: () => void = () => undefined
      const tick = (): void => {
        const progress = what.track.message(message.call, clock.now())
        if (progress !== undefined) this.#connection.send(progress)
        stopTick = clock.after(PROGRESS_INTERVAL_MS, tick)
      }
      stopTick = clock.after(PROGRESS_INTERVAL_MS, tick)
      stops.push(() => stopTick())
    }
    const settings = { ...defaultSettings, ...message.session.settings }
    const end = (error: SqlError): void => this.#calls.get(message.call)?.controller.abort(error)
    stops.push(watchLimits(settings, { relay: what.relay, clock }, end))
    return () => {
      for (const stop of stops) stop()
    }
  }

  #reply(call: number, answer: () => unknown): void {
    void (async () => {
      try {
        this.#connection.send({ kind: 'reply', call, body: await answer() })
      } catch (error) {
        this.#connection.send({ kind: 'failed', call, error: toErrorBody(error) })
      }
    })()
  }
}
