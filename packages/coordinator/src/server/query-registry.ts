import type { QueryState, QueryStatus, SqlError } from '@nyala/client/protocol'

/** Finished queries whose profile is kept. */
const PROFILES_MAX = 100
/** Finished queries that are shown, and how much of their texts. */
const RECENT_MAX = 50
const RECENT_SQL_CHARACTERS = 1_000

/** A statement that is being run, as others may see and stop it. */
export interface RunningQuery {
  readonly id: string
  /** Who sent it. */
  readonly session: string
  readonly sql: string
  readonly database: string
  /** Milliseconds since 1970-01-01 UTC. */
  readonly startedAt: number
  state: QueryState
  status(): Pick<
    QueryStatus,
    'elapsedMs' | 'rows' | 'memoryBytes' | 'tasksDone' | 'tasksTotal' | 'waitsFor'
  >
  cancel(): void
}

/** How a query ended. */
export interface QueryEnd {
  readonly profile: unknown
  readonly error?: SqlError | undefined
  /** Of one that ended well. */
  readonly rows?: number | undefined
  readonly peakMemoryBytes?: number | undefined
}

/** The queries of this coordinator: those that run, by id, and what is known of the last that did. */
export class QueryRegistry {
  readonly #coordinator: string
  readonly #running = new Map<string, RunningQuery>()
  readonly #profiles = new Map<string, unknown>()
  /** The newest last. */
  readonly #recent: QueryStatus[] = []

  constructor(coordinator: string) {
    this.#coordinator = coordinator
  }

  get size(): number {
    return this.#running.size
  }

  add(query: RunningQuery): void {
    this.#running.set(query.id, query)
  }

  /** A query has ended. */
  remove(query: RunningQuery, { profile, error, rows, peakMemoryBytes }: QueryEnd): void {
    const { id } = query
    const status = this.#statusOf(query)
    const isCanceled = error?.error === 'query_canceled'
    this.#recent.push({
      ...status,
      sql: query.sql.slice(0, RECENT_SQL_CHARACTERS),
      rows: rows ?? status.rows,
      memoryBytes: peakMemoryBytes ?? status.memoryBytes,
      ...(isCanceled ? { state: 'canceled' as const } : {}),
      ...(error === undefined ? {} : { error: `${error.error}: ${error.message}` }),
    })
    if (this.#recent.length > RECENT_MAX) this.#recent.shift()
    // Whoever goes on with a query under its id is another one.
    if (this.#running.get(id) === query) this.#running.delete(id)
    if (profile === undefined) return
    this.#profiles.set(id, profile)
    const oldest = this.#profiles.keys().next()
    if (this.#profiles.size > PROFILES_MAX && oldest.done !== true)
      this.#profiles.delete(oldest.value)
  }

  /** False where no such query runs here. */
  cancel(id: string): boolean {
    const query = this.#running.get(id)
    query?.cancel()
    return query !== undefined
  }

  cancelAll(): void {
    for (const query of [...this.#running.values()]) query.cancel()
  }

  profile(id: string): unknown {
    return this.#profiles.get(id)
  }

  statuses(): readonly QueryStatus[] {
    return [...this.#running.values()].map((query) => this.#statusOf(query))
  }

  /** The last that ended. */
  recent(): readonly QueryStatus[] {
    return this.#recent
  }

  #statusOf(query: RunningQuery): QueryStatus {
    return {
      id: query.id,
      coordinator: this.#coordinator,
      state: query.state,
      database: query.database,
      sql: query.sql,
      startedAt: query.startedAt,
      session: query.session,
      ...query.status(),
    }
  }
}
