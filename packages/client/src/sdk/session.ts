import { SqlError } from '../protocol/errors.ts'
import { isQueryId, newStatementId, statementIdOf } from '../protocol/ids.ts'
import type {
  Column,
  ProgressMessage,
  QueryStatistics,
  SessionContext,
} from '../protocol/messages.ts'
import { type Converters, convertersOf, type TypeOptions } from './arrow/converters.ts'
import { type ColumnBatch, type Row, rowMaker } from './batch-decoder.ts'
import type { Coordinators } from './coordinators.ts'
import type { EventHub } from './events.ts'
import { type InsertOptions, insertRows, type InsertSource } from './insert.ts'
import { LatestValue } from './latest-value.ts'
import { encodeParameters, type ParameterValue } from './parameters.ts'
import type { Platform } from './platform.ts'
import { type Progress, QueryStream } from './query-stream.ts'
import { SessionState } from './session-state.ts'
import {
  compileTemplate,
  SqlFragment,
  sqlId,
  sqlJoin,
  sqlRaw,
  type TemplateValue,
} from './sql-template.ts'
import { type StandardSchema, validated } from './standard-schema.ts'
import { statementKind } from './statement-kind.ts'
import type { Move, Statement } from './statement.ts'
import { StatementRun } from './statement-run.ts'

/** A buffered result beyond this many rows should have been streamed. */
export const QUERY_ROWS_MAX = 10_000_000

export interface StreamOptions {
  /** Ends the statement; an `AbortSignal.timeout` ends it with a `StatementTimeoutError`. */
  readonly signal?: AbortSignal | undefined
  readonly onProgress?: ((progress: Progress) => void) | undefined
  /** Called when another coordinator takes over. */
  readonly onMoved?: ((move: Move) => void) | undefined
  /** How values are represented in this result; instead of the options of `connect`. */
  readonly types?: TypeOptions | undefined
  /**
   * The id that a write is done once under, however often and wherever it is sent (8 to 64 letters, digits, `_` and `-`);
   * default: a new one. Sent again under the id of a {@link CommitUnknownError} the same text is answered with what became
   * of it, for 15 minutes.
   */
  readonly statementId?: string | undefined
}

export interface QueryOptions<R> extends StreamOptions {
  /** Checks and types every row: any Standard Schema (zod, valibot, arktype). */
  readonly schema?: StandardSchema<R> | undefined
}

export interface QueryResult<R = Row> {
  readonly rows: R[]
  readonly columns: readonly Column[]
  readonly stats: QueryStatistics
  readonly queryId: string
  readonly coordinator: string | undefined
  readonly command: string
  readonly notices: readonly string[]
  readonly rowCount: number
}

export interface ExecuteResult {
  readonly rowCount: number
  readonly command: string
  readonly notices: readonly string[]
  readonly stats: QueryStatistics
  readonly queryId: string
}

export interface Completion {
  /** UTF-16 offset at which the completed word starts. */
  readonly start: number
  readonly items: readonly { readonly text: string; readonly kind: string }[]
}

/** What sessions share: connections, clock and defaults. */
export interface SessionContextOptions {
  readonly coordinators: Coordinators
  readonly platform: Platform
  readonly events: EventHub
  readonly types: TypeOptions
}

/** What a session starts as. */
export interface InitialSession extends SessionContext {
  /** Called once, when the session is closed. */
  readonly onClose?: (() => void) | undefined
}

/** A template that runs when it is awaited, and is a fragment when it stands in another template. */
export class PendingQuery<R = Row> extends SqlFragment implements PromiseLike<QueryResult<R>> {
  readonly #session: Session
  #result: Promise<QueryResult<R>> | undefined

  constructor(session: Session, strings: readonly string[], values: readonly TemplateValue[]) {
    super(strings, values)
    this.#session = session
  }

  // oxlint-disable-next-line unicorn/no-thenable -- awaiting the template is how it is run.
  then<A = QueryResult<R>, B = never>(
    onResult?: ((result: QueryResult<R>) => A | PromiseLike<A>) | null,
    onError?: ((error: unknown) => B | PromiseLike<B>) | null,
  ): Promise<A | B> {
    this.#result ??= this.query()
    return this.#result.then(onResult, onError)
  }

  query(options?: QueryOptions<R>): Promise<QueryResult<R>> {
    const { sql, params } = compileTemplate(this)
    return this.#session.query<R>(sql, params, options)
  }

  stream(options?: StreamOptions): QueryStream<R> {
    const { sql, params } = compileTemplate(this)
    return this.#session.stream<R>(sql, params, options)
  }

  execute(options?: StreamOptions): Promise<ExecuteResult> {
    const { sql, params } = compileTemplate(this)
    return this.#session.execute(sql, params, options)
  }
}

/** The tagged template of a session and its helpers. */
export interface SqlTag {
  <R = Row>(strings: TemplateStringsArray, ...values: readonly TemplateValue[]): PendingQuery<R>
  id(...parts: readonly string[]): TemplateValue
  raw(text: string): TemplateValue
  join(items: readonly TemplateValue[], separator?: string): TemplateValue
}

/** A statement to be run many times with other parameters. It holds nothing on a coordinator, so it survives failover. */
export class PreparedStatement<R = Row> {
  readonly sql: string
  readonly #session: Session

  constructor(session: Session, sql: string) {
    this.#session = session
    this.sql = sql
  }

  query(
    params: readonly ParameterValue[] = [],
    options?: QueryOptions<R>,
  ): Promise<QueryResult<R>> {
    return this.#session.query<R>(this.sql, params, options)
  }

  stream(params: readonly ParameterValue[] = [], options?: StreamOptions): QueryStream<R> {
    return this.#session.stream<R>(this.sql, params, options)
  }

  execute(params: readonly ParameterValue[] = [], options?: StreamOptions): Promise<ExecuteResult> {
    return this.#session.execute(this.sql, params, options)
  }
}

/**
 * A conversation with its own database and settings. The session lives here and travels with each statement, so any
 * coordinator can serve it and nothing of it is lost with one.
 */
export class Session implements AsyncDisposable {
  readonly sql: SqlTag
  protected readonly context: SessionContextOptions
  readonly #state: SessionState
  readonly #converters: Converters
  /** What a close has to end. A listener of one signal for each would be too many for it. */
  readonly #running = new Set<StatementRun>()
  #closed: SqlError | undefined
  readonly #onClose: (() => void) | undefined

  constructor(context: SessionContextOptions, { onClose, ...initial }: InitialSession) {
    this.context = context
    this.#state = new SessionState(initial)
    this.#onClose = onClose
    this.#converters = convertersOf(context.types)
    const tag = <R = Row>(
      strings: TemplateStringsArray,
      ...values: readonly TemplateValue[]
    ): PendingQuery<R> => new PendingQuery<R>(this, strings, values)
    this.sql = Object.assign(tag, { id: sqlId, raw: sqlRaw, join: sqlJoin })
  }

  /** The database that unqualified names are looked up in. */
  get database(): string {
    return this.#state.context.database
  }

  get settings(): Readonly<Record<string, string>> {
    return this.#state.context.settings
  }

  /** The newest catalog revision that the session has seen; no later statement reads an older one. */
  get revision(): number {
    return this.#state.context.revision
  }

  /** Whether the session is in a transaction, and whether one of its statements has failed, so that it can only be ended. */
  get transactionState(): 'none' | 'open' | 'failed' {
    const { transaction } = this.#state.context
    if (transaction === undefined) return 'none'
    return transaction.failed ? 'failed' : 'open'
  }

  /** Runs a statement and gathers its rows. For results larger than memory use {@link stream}. */
  async query<R = Row>(
    sql: string,
    params: readonly ParameterValue[] = [],
    options: QueryOptions<R> = {},
  ): Promise<QueryResult<R>> {
    const stream = this.stream(sql, params, options)
    const rows: Row[] = []
    let make: ((batch: ColumnBatch, row: number) => Row) | undefined
    for await (const batch of stream.columnBatches()) {
      make ??= rowMaker(await stream.columns)
      if (rows.length + batch.length > QUERY_ROWS_MAX) throw tooManyRows()
      for (let row = 0; row < batch.length; row++) rows.push(make(batch, row))
    }
    const [outcome, columns] = await Promise.all([stream.finished, stream.columns])
    const { schema } = options
    const checked = schema === undefined ? (rows as R[]) : await validated(schema, rows)
    return { rows: checked, columns, coordinator: stream.coordinator, ...outcome }
  }

  /** Runs a statement for its effect; rows of a result are read over, not decoded. */
  async execute(
    sql: string,
    params: readonly ParameterValue[] = [],
    options: StreamOptions = {},
  ): Promise<ExecuteResult> {
    return this.stream(sql, params, options).drain()
  }

  /**
   * Adds rows to a table in one commit: an array or an (async) iterable of objects or of arrays of them, or Arrow tables
   * and record batches. They leave in parts, so memory is bounded however many there are, and what a failure leaves of
   * them is nobody's. The commit is done exactly once, also where its coordinator dies. Fails with the row and the column
   * of a value that is none of the column's type.
   */
  async insert(
    table: string | readonly string[],
    source: InsertSource,
    options: InsertOptions = {},
  ): Promise<ExecuteResult> {
    const { coordinators, platform } = this.context
    return insertRows(
      { table, source, options },
      { coordinators, platform },
      {
        columns: async (sql) => (await this.query(sql, [], { signal: options.signal })).columns,
        execute: (id, sql) => {
          const statement = { id, sql, parameters: [], kind: statementKind(sql), progress: false }
          return this.#open(statement, { signal: options.signal }).drain()
        },
      },
    )
  }

  /** Starts a statement at once; its result is sent as fast as it is read. */
  stream<R = Row>(
    sql: string,
    params: readonly ParameterValue[] = [],
    options: StreamOptions = {},
  ): QueryStream<R> {
    return this.#open<R>(
      {
        id: statementIdOf(options.statementId),
        sql,
        parameters: encodeParameters(params),
        kind: statementKind(sql),
        progress: true,
      },
      options,
    )
  }

  /**
   * Goes on with the result of a query that streams, begun by whatever client at whatever coordinator; whoever read it
   * before is told that it is read here now (`task_superseded`). The result begins anew, also where a reader
   * was given some of it: tasks whose rows are gone run again. Fails with `undefined_object` where the query has ended, or
   * where its result was small enough to be sent in one go.
   */
  attach<R = Row>(queryId: string, options: StreamOptions = {}): QueryStream<R> {
    if (!isQueryId(queryId)) {
      throw new SqlError('invalid_parameter_value', `"${queryId}" is not the id of a query`, {
        hint: 'it is the `id` of a stream, and looks like q0123456789abcdef01234567',
      })
    }
    return this.#open<R>(
      {
        id: newStatementId(),
        attachTo: queryId,
        sql: '',
        parameters: [],
        kind: 'read',
        progress: true,
      },
      options,
    )
  }

  /** No later statement of this session reads the catalog older than that. */
  protected sawRevision(revision: number): void {
    const { context } = this.#state
    this.#state.merge(context, { ...context, revision })
  }

  prepare<R = Row>(sql: string): Promise<PreparedStatement<R>> {
    return Promise.resolve(new PreparedStatement<R>(this, sql))
  }

  /** Completions of the text before `offset` (UTF-16 units) in a statement, from the coordinator's catalog. */
  async complete(sql: string, offset: number, signal?: AbortSignal): Promise<Completion> {
    const link = await this.context.coordinators.acquire({ signal })
    const session = this.#state.context
    const body = await link.request({ kind: 'complete', sql, offset, session }, signal)
    return body as Completion
  }

  /** Profile of a query of this cluster, running or lately finished. */
  async profile(queryId: string, signal?: AbortSignal): Promise<unknown> {
    const link = await this.context.coordinators.acquire({ signal })
    return link.request({ kind: 'profile', queryId }, signal)
  }

  /** Cancels what runs in this session; later statements are refused. */
  close(): Promise<void> {
    if (this.#closed !== undefined) return Promise.resolve()
    this.#onClose?.()
    const error = new SqlError('connection_exception', 'the session is closed')
    this.#closed = error
    for (const run of this.#running) run.cancel(error)
    return Promise.resolve()
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  #open<R>(statement: Statement, options: StreamOptions): QueryStream<R> {
    const progress = new LatestValue<Progress>()
    const run = this.#start(statement, options, (message) => {
      const value = withRates(message)
      progress.set(value)
      options.onProgress?.(value)
    })
    const end = (): void => progress.end()
    run.finished.then(end, end)
    return new QueryStream<R>(run, progress, {
      converters: options.types === undefined ? this.#converters : convertersOf(options.types),
      clock: this.context.platform.clock,
      profile: (queryId) => this.profile(queryId),
      loadParquet: () => this.context.platform.loadParquet(),
    })
  }

  #start(
    statement: Statement,
    options: StreamOptions,
    onProgress: (message: ProgressMessage) => void,
  ): StatementRun {
    const state = this.#state
    const run: StatementRun = new StatementRun(statement, this.context, {
      session: () => state.context,
      onProgress,
      onMoved: (move) => options.onMoved?.(move),
      onSession: (before, after) => state.merge(before, after),
    })
    this.#running.add(run)
    const forget = (): void => void this.#running.delete(run)
    run.finished.then(forget, forget)
    if (this.#closed !== undefined) run.cancel(this.#closed)
    else run.start(options.signal, state.barrier)
    state.started(statement.kind, run.finished)
    return run
  }
}

function withRates(message: ProgressMessage): Progress {
  const { kind, call, ...progress } = message
  void kind
  void call
  const seconds = Math.max(progress.elapsedMs, 1) / 1000
  return {
    ...progress,
    rowsPerSecond: progress.rowsRead / seconds,
    bytesPerSecond: progress.bytesRead / seconds,
  }
}

const tooManyRows = (): SqlError =>
  new SqlError('program_limit_exceeded', `the result has more than ${QUERY_ROWS_MAX} rows`, {
    hint: 'read it with stream()',
  })
