import { SqlError } from '../protocol/errors.ts'
import { isQueryId } from '../protocol/ids.ts'
import { type ClusterStatus, clusterStatus } from '../protocol/messages.ts'
import { Coordinators, FIRST_CONNECT_ROUNDS } from './coordinators.ts'
import { type ClientEvent, EventHub } from './events.ts'
import { type ConnectOptions, type ResolvedOptions, resolveOptions } from './options.ts'
import type { Platform } from './platform.ts'
import { Session } from './session.ts'

export interface SessionOptions {
  readonly database?: string | undefined
  readonly set?: Readonly<Record<string, string | number | boolean>> | undefined
  /** The `revision` of a session whose changes this one must see, perhaps of another process; default none. */
  readonly revision?: number | undefined
}

/** After a lost conflict a transaction waits for a random part of this, doubled for each one, up to the maximum. */
const CONFLICT_SPREAD_MS = 25
const CONFLICT_SPREAD_MAX_MS = 400

export interface TransactionOptions extends SessionOptions {
  /** Times that it is run again at the most. */
  readonly retries?: number | undefined
  readonly signal?: AbortSignal | undefined
}

const isRepeatable = (error: unknown): boolean =>
  error instanceof SqlError && error.code === '40001'

/**
 * A handle on a cluster: its default session, and what concerns the cluster as a whole. Statements run at the same time
 * on one socket, each with its own credit, so there is no pool; a coordinator that is lost is replaced by another.
 */
export class Database extends Session {
  readonly #options: ResolvedOptions
  /** Those that `close` has to close. */
  readonly #sessions = new Set<Session>()

  constructor(options: ResolvedOptions, platform: Platform, events: EventHub) {
    const coordinators = new Coordinators(options, platform, events)
    super(
      { coordinators, platform, events, types: options.types },
      { database: options.database, settings: options.settings, revision: 0 },
    )
    this.#options = options
  }

  /** Id of the coordinator that new statements go to; undefined between two connections. */
  get coordinator(): string | undefined {
    return this.context.coordinators.current?.coordinator
  }

  /** Name of the cluster and version of the coordinator that answered last. */
  get server(): { readonly cluster: string; readonly version: string } | undefined {
    const welcome = this.context.coordinators.current?.welcome
    return welcome === undefined
      ? undefined
      : { cluster: welcome.cluster, version: welcome.version }
  }

  /** Addresses of all coordinators that are known. */
  get addresses(): readonly string[] {
    return this.context.coordinators.addresses()
  }

  /** Rejects with a `ConnectionError` when no coordinator answers. */
  async open(signal: AbortSignal | undefined): Promise<this> {
    const rounds = Math.min(FIRST_CONNECT_ROUNDS, this.#options.retry.attempts)
    await this.context.coordinators.acquire({ signal, rounds })
    return this
  }

  /** A session of its own, with its own database and settings, over the same connection. */
  session(options: SessionOptions = {}): Promise<Session> {
    const set = Object.entries(options.set ?? {}).map(([name, value]) => [name, String(value)])
    const session: Session = new Session(this.context, {
      database: options.database ?? this.#options.database,
      settings: { ...this.#options.settings, ...Object.fromEntries(set) },
      revision: Math.max(this.revision, options.revision ?? 0),
      onClose: () => this.#sessions.delete(session),
    })
    this.#sessions.add(session)
    return Promise.resolve(session)
  }

  /**
   * Runs statements of `work` in one transaction: all of them are seen at once when it resolves, none where it rejects.
   * Where the cluster says that the same may succeed when run again (40001: another transaction was first, or the
   * coordinator was lost), `work` is called again, in a new transaction, at most `retries` times (default 0); so it must
   * have no other effects. Rejects with a `CommitUnknownError` (40003) where nobody could say how the COMMIT ended.
   */
  async transaction<T>(
    work: (transaction: Session) => Promise<T>,
    options: TransactionOptions = {},
  ): Promise<T> {
    const { retries = 0, signal, ...how } = options
    for (let attempt = 0; ; attempt++) {
      try {
        return await this.#once(work, how, signal)
      } catch (error) {
        if (!isRepeatable(error) || attempt >= retries || signal?.aborted === true) throw error
        await this.#beforeNext(error, attempt + 1)
      }
    }
  }

  /**
   * Whoever has won the conflict begins again at once, so one that has lost often must not wait ever longer: it would lose
   * for as long as the others go on.
   */
  #beforeNext(error: unknown, attempt: number): Promise<void> {
    const { coordinators } = this.context
    const isConflict = error instanceof SqlError && error.error === 'serialization_failure'
    if (!isConflict) return coordinators.backoff(attempt)
    return coordinators.spread(Math.min(CONFLICT_SPREAD_MAX_MS, CONFLICT_SPREAD_MS * 2 ** attempt))
  }

  async #once<T>(
    work: (transaction: Session) => Promise<T>,
    how: SessionOptions,
    signal: AbortSignal | undefined,
  ): Promise<T> {
    const { database, settings } = this
    const session = await this.session({ database, set: settings, ...how })
    try {
      await session.execute('BEGIN', [], { signal })
      const result = await work(session)
      const { command } = await session.execute('COMMIT', [], { signal })
      if (command === 'COMMIT') return result
      throw new SqlError('in_failed_sql_transaction', 'a statement of the transaction had failed', {
        hint: 'nothing was written; let errors of its statements pass, or use a transaction for each part',
      })
    } catch (error) {
      // Where the connection is gone so is the transaction.
      if (session.transactionState !== 'none') {
        await session.execute('ROLLBACK').catch(() => undefined)
      }
      throw error
    } finally {
      this.sawRevision(session.revision)
      await session.close()
    }
  }

  /** Members, leader, queries and transactions of the cluster, as the coordinator sees them. */
  async status(signal?: AbortSignal): Promise<ClusterStatus> {
    const link = await this.context.coordinators.acquire({ signal })
    return clusterStatus.decode(await link.request({ kind: 'status' }, signal), 'status')
  }

  /** Cancels any query of the cluster by its id. */
  async cancelQuery(queryId: string, signal?: AbortSignal): Promise<void> {
    if (!isQueryId(queryId)) {
      throw new SqlError('invalid_parameter_value', `"${queryId}" is not the id of a query`, {
        hint: 'ids are shown by status() and look like q0123456789abcdef01234567',
      })
    }
    const link = await this.context.coordinators.acquire({ signal })
    await link.request({ kind: 'cancelQuery', queryId }, signal)
  }

  /** What happens to the connections from now on. */
  events(): AsyncGenerator<ClientEvent> {
    return this.context.events.events()
  }

  /** Calls `listener` on each event; the returned function ends that. */
  onEvent(listener: (event: ClientEvent) => void): () => void {
    return this.context.events.listen(listener)
  }

  /** Cancels what runs and closes the connections. */
  override async close(): Promise<void> {
    for (const session of [...this.#sessions]) await session.close()
    await super.close()
    await this.context.coordinators.heard()
    this.context.coordinators.close()
    this.context.events.end()
  }
}

/** `connect` over a platform; what users call is made of it in `index.ts` and `index.browser.ts`. */
export const connectOn =
  (platform: Platform) =>
  async (target: string | ConnectOptions = {}): Promise<Database> => {
    const options: ConnectOptions = typeof target === 'string' ? { url: target } : target
    const events = new EventHub()
    if (options.onEvent !== undefined) events.listen(options.onEvent)
    const resolved = resolveOptions(options, (name) => platform.environment(name))
    const database = new Database(resolved, platform, events)
    try {
      return await database.open(options.signal)
    } catch (error) {
      await database.close()
      throw error
    }
  }
