import { assert, unreachable } from '@nyala/client/base'
import {
  type Down,
  type Endpoint,
  newQueryId,
  PROTOCOL_VERSION,
  type QueryState,
  type SessionContext,
  SqlError,
  toErrorBody,
  type Up,
  up,
} from '@nyala/client/protocol'
import {
  CLOSE,
  Connection,
  decodeFrame,
  PING_INTERVAL_MS,
  PING_MISSES_MAX,
  type Transport,
} from '@nyala/client/wire'
import type { ColumnRecord, RelationRecord } from '@nyala/metastore'
import { SessionSettings } from '../bind/settings.ts'
import { ResultRelay } from '../schedule/result-relay.ts'
import { cancelQuery, clusterStatus, queryProfile } from './cluster-questions.ts'
import type { QueryProgress } from './query-statement.ts'
import { localFrames } from './rows-to-arrow.ts'
import type { Services } from './services.ts'
import type { StatementContext, StatementOutcome } from './statement-context.ts'
import type { Statements } from './statements.ts'

/** How often a client that wants progress is told of it. */
const PROGRESS_INTERVAL_MS = 100
/** Statements that one connection may have under way. */
export const CALLS_MAX = 256
/** How long a statement waits for this coordinator to see what its session has seen. */
const CATCH_UP_TIMEOUT_MS = 5_000

type StatementMessage = Extract<Up, { kind: 'statement' }>

interface Call {
  readonly controller: AbortController
  readonly relay: ResultRelay
}

export interface ClientLinkOptions {
  readonly services: Services
  readonly statements: Statements
  coordinators(): readonly Endpoint[]
  isDraining(): boolean
  onClose(link: ClientLink): void
}

/**
 * One client's socket. Its statements run beside each other; each ends in exactly one `finished` or `failed`. When the
 * socket closes, what it ran is canceled.
 */
export class ClientLink {
  readonly #options: ClientLinkOptions
  readonly #connection: Connection<Up, Down>
  readonly #calls = new Map<number, Call>()
  #greeted = false

  constructor(transport: Transport, options: ClientLinkOptions) {
    this.#options = options
    this.#connection = new Connection(transport, {
      schema: up,
      clock: options.services.clock,
      log: options.services.log,
      ping: { intervalMs: PING_INTERVAL_MS, missesMax: PING_MISSES_MAX * 4 },
      onMessage: (message) => this.#onMessage(message),
      onClose: () => {
        const gone = new SqlError('query_canceled', 'the client has gone')
        for (const call of this.#calls.values()) call.controller.abort(gone)
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
        return this.#calls.get(message.call)?.relay.grant(message.bytes)
      case 'cancel':
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
      case 'complete':
        return this.#reply(message.call, () => this.#complete(message))
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
    if (this.#calls.has(message.call)) {
      return this.#connection.close(CLOSE.protocolError, `call ${message.call} is in use`)
    }
    const relay = new ResultRelay({
      call: message.call,
      creditBytes: message.creditBytes,
      send: (frame) => this.#connection.sendFrame(frame),
    })
    const call: Call = { controller: new AbortController(), relay }
    this.#calls.set(message.call, call)
    void this.#run(message, call)
      .catch((error: unknown) => this.#options.services.log.error('statementBroke', { error }))
      .finally(() => this.#calls.delete(message.call))
  }

  async #run(message: StatementMessage, call: Call): Promise<void> {
    const { services, statements } = this.#options
    const { clock, queries } = services
    const started = clock.now()
    const queryId = newQueryId(clock.wall())
    const { signal } = call.controller
    const track = new Tracker(started)
    queries.add({
      id: queryId,
      sql: message.sql,
      database: message.session.database,
      startedAt: clock.wall(),
      get state() {
        return track.state
      },
      set state(state) {
        track.state = state
      },
      status: () => track.status(clock.now()),
      cancel: () => call.controller.abort(new SqlError('query_canceled', 'the query was canceled')),
    })
    const stop = this.#watch(message, { track, started, signal })
    let profile: unknown
    try {
      this.#admit()
      this.#connection.sendSoon({
        kind: 'accepted',
        call: message.call,
        queryId,
        coordinator: services.id,
      })
      const context = await this.#context(message, queryId, { call, track })
      const outcome = await untilAborted(statements.run(context), signal)
      profile = outcome.profile
      const rows = await untilAborted(this.#sendLocal(message, outcome, call.relay), signal)
      track.state = 'finished'
      this.#connection.send(
        finishedMessage({ message, outcome, context, rows, elapsedMs: clock.now() - started }),
      )
    } catch (error) {
      track.state = 'failed'
      call.relay.stop()
      const reason: unknown = signal.aborted ? signal.reason : error
      if (!(reason instanceof SqlError))
        services.log.error('statementFailed', { queryId, error: reason })
      const body = { ...toErrorBody(reason), queryId, coordinator: services.id }
      this.#connection.send({ kind: 'failed', call: message.call, error: body })
    } finally {
      stop()
      queries.remove(queryId, profile ?? track.profile?.())
      // Whatever of the statement still runs is to stop.
      if (!signal.aborted)
        call.controller.abort(new SqlError('query_canceled', 'the statement has ended'))
    }
  }

  #admit(): void {
    if (this.#options.isDraining()) {
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
    parts: { readonly call: Call; readonly track: Tracker },
  ): Promise<StatementContext> {
    const { services } = this.#options
    const { call, track } = parts
    const { signal } = call.controller
    return {
      queryId,
      sql: message.sql,
      parameters: message.parameters,
      session: message.session,
      settings: new SessionSettings(message.session.settings),
      catalog: await services.catalog.atLeast(message.session.revision, {
        signal,
        timeoutMs: CATCH_UP_TIMEOUT_MS,
      }),
      startedAt: services.clock.now(),
      relay: call.relay,
      signal,
      notices: [],
      onColumns: (columns) => {
        track.state = 'streaming'
        this.#connection.send({ kind: 'columns', call: message.call, columns })
      },
      onRunning: ({ progress, profile }) => {
        track.state = 'running'
        track.progress = progress
        track.profile = profile
      },
    }
  }

  /** Rows that the coordinator made itself go through the relay like any others. */
  async #sendLocal(
    message: StatementMessage,
    outcome: StatementOutcome,
    relay: ResultRelay,
  ): Promise<number> {
    const { local } = outcome
    if (local === undefined) return outcome.rows ?? 0
    this.#connection.send({
      kind: 'columns',
      call: message.call,
      columns: local.columns.map(({ name, type }) => ({ name, type })),
    })
    for (const bytes of await localFrames(local)) {
      const frame = decodeFrame(bytes)
      assert(typeof frame !== 'string', 'a frame made here decodes here')
      relay.push(frame, bytes, () => undefined)
    }
    await relay.empty()
    return local.rows.length
  }

  /** Progress messages at intervals, and the statement's time limit. The result stops both. */
  #watch(
    message: StatementMessage,
    what: { readonly track: Tracker; readonly started: number; readonly signal: AbortSignal },
  ): () => void {
    const { clock } = this.#options.services
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
    const seconds = Number(message.session.settings['query_timeout_s'] ?? 0)
    if (seconds > 0) {
      const expire = (): void =>
        this.#calls.get(message.call)?.controller.abort(
          new SqlError('statement_timeout', `the statement ran longer than ${seconds} s`, {
            hint: 'raise the setting query_timeout_s, or SET query_timeout_s = 0',
          }),
        )
      stops.push(clock.after(seconds * 1000, expire))
    }
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

  async #complete(message: Extract<Up, { kind: 'complete' }>): Promise<unknown> {
    const { catalog, mirror } = this.#options.services
    const { database } = message.session
    const text = message.sql.slice(0, message.offset)
    const snapshot = catalog.snapshot()
    // `sales.or`: what is before the point may be another database.
    const named = /(?:^|[^\w."])"?(\w+)"?\.\w*$/.exec(text)?.[1]
    const databases = new Set([database, ...(named === undefined ? [] : [named])])
    const relations = [...databases].flatMap((name) =>
      snapshot.relations(name).map(({ record }) => ({
        database: name,
        name: record.name,
        columns: relationColumns(record),
      })),
    )
    const items = await mirror.complete(text, database, relations)
    return {
      start: items[0]?.start ?? message.offset,
      items: items.map(({ text, kind }) => ({ text, kind })),
    }
  }
}

const relationColumns = (record: RelationRecord): readonly ColumnRecord[] =>
  record.kind === 'view' ? record.columns : [...record.columns, ...record.partitionColumns]

/** State and numbers of one statement. */
class Tracker {
  state: QueryState = 'planning'
  progress: (() => QueryProgress) | undefined
  profile: (() => unknown) | undefined
  readonly #started: number

  constructor(started: number) {
    this.#started = started
  }

  status(now: number): { elapsedMs: number; rows: number; tasksDone: number; tasksTotal: number } {
    const progress = this.progress?.()
    return {
      elapsedMs: now - this.#started,
      rows: progress?.rows ?? 0,
      tasksDone: progress?.tasksDone ?? 0,
      tasksTotal: progress?.tasksTotal ?? 0,
    }
  }

  message(call: number, now: number): Extract<Down, { kind: 'progress' }> | undefined {
    const progress = this.progress?.()
    if (progress === undefined) return undefined
    const { tasksDone, tasksRunning, tasksTotal, executors, rowsRead, bytesRead, bytesTotal } =
      progress
    const fraction = bytesTotal > 0 ? bytesRead / bytesTotal : tasksDone / Math.max(1, tasksTotal)
    return {
      kind: 'progress',
      call,
      state: this.state,
      tasksDone,
      tasksRunning,
      tasksTotal,
      executors,
      rowsRead,
      bytesRead,
      bytesTotal,
      fraction: Math.min(1, fraction),
      elapsedMs: now - this.#started,
    }
  }
}

/** The promise's outcome, or the signal's reason as soon as it is aborted: a canceled client does not wait. */
function untilAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const onAbort = (): void => reject(signal.reason as Error)
    if (signal.aborted) onAbort()
    signal.addEventListener('abort', onAbort, { once: true })
    promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', onAbort))
  })
}

function finishedMessage(end: {
  readonly message: StatementMessage
  readonly outcome: StatementOutcome
  readonly context: StatementContext
  readonly rows: number
  readonly elapsedMs: number
}): Down {
  const { message, outcome, context, rows, elapsedMs } = end
  const { relay } = context
  const session: SessionContext = {
    database: outcome.database ?? message.session.database,
    settings: outcome.settings ?? message.session.settings,
    revision: Math.max(message.session.revision, context.catalog.revision, outcome.revision ?? 0),
  }
  return {
    kind: 'finished',
    call: message.call,
    queryId: context.queryId,
    command: outcome.command,
    rows,
    frames: relay.frames,
    crc: relay.crc,
    session,
    notices: context.notices,
    statistics: {
      elapsedMs,
      planMs: 0,
      queuedMs: 0,
      tasks: 0,
      executors: 0,
      cpuMs: 0,
      peakMemoryBytes: 0,
      spillBytes: 0,
      ...outcome.statistics,
      rows,
      bytes: relay.bytes,
    },
  }
}
