import type { Clock, Log } from '@nyala/client/base'
import { failpoint, isMutant, unreachable } from '@nyala/client/base'
import { SqlError } from '@nyala/client/protocol'
import type {
  ClaimReason,
  LoggedQuery,
  NewQuery,
  Owner,
  QueryChange,
  QueryLog,
} from '@nyala/metastore'
import {
  type ClientAnswer,
  newOwnership,
  ownedQuery,
  type OwnerProcess,
  type Ownership,
  type OwnershipEffect,
  type OwnershipEvent,
  stepOwnership,
} from './ownership.ts'

/** How often what time alone brings about is looked at. */
const TICK_MS = 500

/** What runs the queries. Nothing here may throw or wait: it is told, and acts by itself. */
export interface QueryRunner {
  /** Go on with a query that another coordinator began, from the record's place, under its owner epoch. */
  adopt(query: LoggedQuery, because: ClaimReason): void
  /** The query is another coordinator's now (`undefined`: over). Stop without telling executors to release it. */
  abandon(id: string, query: LoggedQuery | undefined): void
  /** Somebody has asked for it at another coordinator. */
  cancel(id: string): void
  tellClient(id: string, answer: ClientAnswer): void
  /** The record of a query that ended here is gone, and with it every claim to it. */
  finished(query: LoggedQuery): void
}

export interface QueryOwnerOptions {
  readonly queryLog: QueryLog
  readonly clock: Clock
  readonly log: Log
  readonly self: Owner
  readonly runner: QueryRunner
  /** As `livingOwners` says. */
  readonly living: () => readonly OwnerProcess[]
  readonly isLeader: () => boolean
}

/** Carries out what `ownership.ts` decides: the only file that awaits the query log. */
export class QueryOwner {
  readonly #options: QueryOwnerOptions
  #state: Ownership
  #stopTimer: (() => void) | undefined
  #stopListening: (() => void) | undefined
  #stopped = false

  constructor(options: QueryOwnerOptions) {
    this.#options = options
    this.#state = newOwnership(options.self)
  }

  /** The query log must have been started; it stays its owner's to stop. */
  start(): void {
    this.#stopListening = this.#options.queryLog.onChange(() => this.look())
    this.#tick()
  }

  stop(): void {
    this.#stopped = true
    this.#stopTimer?.()
    this.#stopListening?.()
  }

  /** The record under which this coordinator may act for a query. */
  owned(id: string): LoggedQuery | undefined {
    return ownedQuery(this.#state, id)
  }

  /** Writes the record of a query that begins here; before that nothing may be done for it. Fails as `QueryLog.create`. */
  async begin(query: NewQuery): Promise<LoggedQuery> {
    this.#step({ kind: 'started', id: query.id })
    try {
      const created = await this.#options.queryLog.create(query, this.#options.self)
      this.#step({ kind: 'created', query: created })
      return created
    } catch (error) {
      this.#step({ kind: 'createFailed', id: query.id })
      throw error
    }
  }

  /**
   * Records how far a query is. False when it is no longer this coordinator's, of which the runner has been told.
   * Fails with `metastore_unavailable` or `commit_outcome_unknown`. One call at a time for each query.
   */
  async advance(id: string, change: QueryChange): Promise<boolean> {
    const query = this.owned(id)
    if (query === undefined) return false
    const answer = await this.#options.queryLog.advance(query, change)
    if (answer.kind === 'written') this.#step({ kind: 'advanced', query: answer.query })
    else this.#step({ kind: 'writeLost', id, query: answer.query })
    return answer.kind === 'written'
  }

  /** The query has ended here, well or not: its record goes. */
  end(id: string): void {
    this.#step({ kind: 'ended', id })
  }

  /** A client asks for its query; `force` when it cannot reach the owner. The runner is told the answer. */
  async ask(id: string, force: boolean): Promise<void> {
    // The store is asked, not the view, which may not show a young query yet.
    const query = await this.#options.queryLog.read(id)
    const isOwnerLiving =
      query !== undefined &&
      this.#options
        .living()
        .some(
          (one) => one.id === query.record.owner && one.startedAt === query.record.ownerStartedAt,
        )
    const forced = force && !isMutant('no-claim-from-the-living')
    this.#step({ kind: 'clientAsked', id, query, isOwnerLiving, force: forced })
  }

  /** To be called when the living coordinators, or the leader, have changed. */
  look(): void {
    const { queryLog, living, isLeader } = this.#options
    this.#step({
      kind: 'looked',
      queries: queryLog.queries(),
      living: living(),
      isLeader: isLeader(),
    })
  }

  #tick(): void {
    if (this.#stopped) return
    this.look()
    this.#stopTimer = this.#options.clock.after(TICK_MS, () => this.#tick(), { background: true })
  }

  #step(event: OwnershipEvent): void {
    if (this.#stopped) return
    const [next, effects] = stepOwnership(this.#state, event, this.#options.clock.now())
    this.#state = next
    for (const effect of effects) this.#carryOut(effect)
  }

  #carryOut(effect: OwnershipEffect): void {
    const { runner } = this.#options
    switch (effect.kind) {
      case 'claim':
        return void this.#claim(effect.seen, effect.because)
      case 'finish':
        return void this.#finish(effect.query)
      case 'adopt':
        return runner.adopt(effect.query, effect.because)
      case 'abandon':
        return runner.abandon(effect.id, effect.query)
      case 'cancel':
        return runner.cancel(effect.id)
      case 'tellClient':
        return runner.tellClient(effect.id, effect.answer)
      default:
        return unreachable(effect)
    }
  }

  async #claim(seen: LoggedQuery, because: ClaimReason): Promise<void> {
    const { queryLog, self } = this.#options
    const { id } = seen.record
    failpoint('query.claiming')
    try {
      const claim = await queryLog.claim(seen, self, because)
      if (claim.kind === 'claimed') failpoint('query.claimed')
      this.#step({ kind: 'claimAnswered', id, claim })
    } catch (error) {
      this.#onFailure({ kind: 'claimFailed', id }, error)
    }
  }

  async #finish(query: LoggedQuery): Promise<void> {
    try {
      const outcome = await this.#options.queryLog.finish(query)
      if (outcome === 'finished') this.#options.runner.finished(query)
      this.#step({ kind: 'finished', query })
    } catch (error) {
      this.#onFailure({ kind: 'finishFailed', query }, error)
    }
  }

  #onFailure(event: OwnershipEvent, error: unknown): void {
    if (!(error instanceof SqlError)) throw error
    if (!this.#stopped) this.#options.log.warn('queryRecordDelayed', { what: event.kind, error })
    this.#step(event)
  }
}
