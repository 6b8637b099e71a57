import type { QueryState, QueryStatus } from '@nyala/client/protocol'

/** Finished queries whose profile is kept. */
const PROFILES_MAX = 100

/** A statement that is being run, as others may see and stop it. */
export interface RunningQuery {
  readonly id: string
  readonly sql: string
  readonly database: string
  /** Milliseconds since 1970-01-01 UTC. */
  readonly startedAt: number
  state: QueryState
  status(): Pick<QueryStatus, 'elapsedMs' | 'rows' | 'tasksDone' | 'tasksTotal' | 'waitsFor'>
  cancel(): void
}

/** The queries of this coordinator: those that run, by id, and the profiles of the last that did. */
export class QueryRegistry {
  readonly #coordinator: string
  readonly #running = new Map<string, RunningQuery>()
  readonly #profiles = new Map<string, unknown>()

  constructor(coordinator: string) {
    this.#coordinator = coordinator
  }

  get size(): number {
    return this.#running.size
  }

  add(query: RunningQuery): void {
    this.#running.set(query.id, query)
  }

  remove(query: RunningQuery, profile: unknown): void {
    const { id } = query
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
    return [...this.#running.values()].map((query) => ({
      id: query.id,
      coordinator: this.#coordinator,
      state: query.state,
      database: query.database,
      sql: query.sql,
      startedAt: query.startedAt,
      ...query.status(),
    }))
  }
}
