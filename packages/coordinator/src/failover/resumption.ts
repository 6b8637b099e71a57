import type { Clock, Deferred, Log } from '@nyala/client/base'
import { deferred, failpoint, isMutant } from '@nyala/client/base'
import { SqlError } from '@nyala/client/protocol'
import type {
  ClaimReason,
  LoggedQuery,
  NewQuery,
  Owner,
  Patience,
  QueryLog,
} from '@nyala/metastore'
import type { Executors } from '../schedule/executors.ts'
import type { ClientAnswer } from './ownership.ts'
import type { QueryOwner, QueryRunner } from './query-owner.ts'
import type { ResultPlan, ResultPlans } from './result-plan.ts'

/** How long a result waits here for a client that has gone, or that has not come yet. */
export const CLIENT_GRACE_MS = 20_000
/** How long a claim may take; longer than etcd needs for an election. */
const CLAIM_TIMEOUT_MS = 8_000

/** What relays the rows of a query to a client. */
export interface Serving {
  /** Stops, leaves the tasks as they are, and fails the client's call with this. */
  leave(reason: SqlError): void
}

export interface ResumptionOptions {
  readonly owner: QueryOwner
  readonly queryLog: Pick<QueryLog, 'query' | 'requestCancel'>
  readonly plans: ResultPlans
  readonly executors: Executors
  readonly clock: Clock
  readonly log: Log
  /** Whether the owner of a record is among `livingOwners`. */
  readonly isLiving: (owner: Owner) => boolean
}

/** A query that this coordinator owns. */
interface Owned {
  serving: Serving | undefined
  /** Ends the wait for a client. */
  stopWaiting: (() => void) | undefined
}

/**
 * The results that outlive their coordinator, as one coordinator sees them.
 *
 * ```
 *   record ──► served ──client has all──► over
 *                │  ▲                      ▲
 *   client gone, │  │ attach (here)        │ nobody came in time
 *                ▼  │                      │
 *   adopt ────► waiting ───────────────────┘           from anywhere: abandon (another coordinator owns it now)
 * ```
 */
export class Resumption implements QueryRunner {
  readonly #options: ResumptionOptions
  readonly #owned = new Map<string, Owned>()
  /** Clients that wait for a query to become this coordinator's; the last to ask has it. */
  readonly #asked = new Map<string, Deferred<void>>()

  constructor(
    options: Omit<ResumptionOptions, 'owner'>,
    openOwner: (self: QueryRunner) => QueryOwner,
  ) {
    this.#options = { ...options, owner: openOwner(this) }
    this.#options.owner.start()
  }

  get owner(): QueryOwner {
    return this.#options.owner
  }

  /** True while the client could ask elsewhere for what is served to it here. */
  isServed(id: string, serving: Serving): boolean {
    return this.#owned.get(id)?.serving === serving
  }

  /** The text of a query that has a record, as far as this coordinator knows. */
  sqlOf(id: string): string {
    return this.#options.queryLog.query(id)?.record.sql ?? ''
  }

  /** Queries that wait here for their clients. */
  get waiting(): number {
    return [...this.#owned.values()].filter(({ serving }) => serving === undefined).length
  }

  /** Writes what others need to go on with a query that begins here. Fails as `QueryOwner.begin`, or with `io_error`. */
  async record(query: Omit<NewQuery, 'plan'>, plan: ResultPlan, serving: Serving): Promise<void> {
    const { owner, plans } = this.#options
    failpoint('query.recording')
    const pointer = await plans.write(query.id, plan)
    failpoint('query.planWritten')
    const begun = await owner.begin({ ...query, plan: pointer }).catch(async (error: unknown) => {
      await plans.remove(pointer).catch(() => undefined)
      throw error
    })
    failpoint('query.recorded')
    this.#owned.set(query.id, { serving, stopWaiting: undefined })
    // Somebody has asked for its end before the answer to the record came; no change of the record will tell of that.
    if (begun.record.state === 'cancelling') this.cancel(query.id)
  }

  /**
   * Takes a query over for a client that asks for the rest of its result. Whoever is served here is told that it is
   * not any more. Fails with `undefined_object` where there is no such query, with `cannot_connect_now` where another
   * coordinator was faster, and as the metastore fails.
   */
  async attach(id: string, serving: Serving): Promise<LoggedQuery> {
    const { owner, clock } = this.#options
    this.#asked.get(id)?.reject(superseded(id))
    const asked = deferred<void>()
    this.#asked.set(id, asked)
    const stopTimer = clock.after(CLAIM_TIMEOUT_MS, () => asked.reject(claimTooSlow(id)))
    asked.promise.catch(() => undefined)
    try {
      await Promise.race([owner.ask(id, true).then(() => asked.promise), asked.promise])
    } finally {
      stopTimer()
      if (this.#asked.get(id) === asked) this.#asked.delete(id)
    }
    const query = owner.owned(id)
    if (query === undefined) throw elsewhere(id, 'another coordinator')
    const known = this.#owned.get(id)
    known?.stopWaiting?.()
    known?.serving?.leave(superseded(id))
    this.#owned.set(id, { serving, stopWaiting: undefined })
    if (query.record.state === 'cancelling') {
      this.#giveUp(id)
      throw new SqlError('query_canceled', 'the query was canceled', { queryId: id })
    }
    return query
  }

  async plan(query: LoggedQuery): Promise<ResultPlan> {
    const { plan } = query.record
    if (plan === null) throw new SqlError('executor_lost', 'the query has no plan to go on with')
    return await this.#options.plans.read(plan)
  }

  /** The client has everything, or its query has failed: nobody will ask for it any more. */
  ended(id: string, serving: Serving): void {
    if (this.#owned.get(id)?.serving === serving) this.#giveUp(id)
  }

  /** It cannot go on here; its client has been told to go elsewhere, or comes back. */
  left(id: string, serving: Serving): void {
    const owned = this.#owned.get(id)
    if (owned?.serving !== serving) return
    owned.serving = undefined
    this.#wait(id, owned)
  }

  /** The client has gone; it may come back, here or elsewhere. False where the query is not kept for that. */
  clientGone(id: string, serving: Serving): boolean {
    const owned = this.#owned.get(id)
    if (owned?.serving !== serving) return false
    serving.leave(new SqlError('query_canceled', 'the client has gone', { queryId: id }))
    owned.serving = undefined
    this.#wait(id, owned)
    return true
  }

  /**
   * Ends a query that has a record: its owner is told by it, or where that is gone, or is not among those that have
   * `answered` just now, it is ended here. False where there is none. Fails as {@link attach}.
   */
  async cancelRecorded(
    id: string,
    answered: ReadonlySet<string>,
    patience?: Patience,
  ): Promise<boolean> {
    const asked = await this.#options.queryLog.requestCancel(id, { patience })
    failpoint('query.cancelling')
    if (asked === undefined) return false
    const { owner, ownerStartedAt: startedAt } = asked.record
    if (answered.has(owner) && this.#options.isLiving({ id: owner, startedAt })) return true
    const serving: Serving = { leave: () => undefined }
    try {
      await whileItLasts(patience, this.attach(id, serving))
    } catch (error) {
      // It has ended, or is with an owner that knows it is to end it.
      const known = ['undefined_object', 'query_canceled', 'cannot_connect_now']
      if (!(error instanceof SqlError) || !known.includes(error.error)) throw error
    }
    this.ended(id, serving)
    return true
  }

  adopt(query: LoggedQuery, because: ClaimReason): void {
    const { id } = query.record
    this.#options.log.info('queryTakenOver', { query: id, because, epoch: query.record.ownerEpoch })
    const owned: Owned = { serving: undefined, stopWaiting: undefined }
    this.#owned.set(id, owned)
    const asked = this.#asked.get(id)
    // Its client has cancelled it, and then its owner died: nobody will come.
    if (query.record.state === 'cancelling' && asked === undefined) return this.#giveUp(id)
    this.#wait(id, owned)
    asked?.resolve()
  }

  abandon(id: string, query: LoggedQuery | undefined): void {
    const owned = this.#owned.get(id)
    this.#owned.delete(id)
    owned?.stopWaiting?.()
    // Taken for dead by a leader that was wrong: no other client has come, so this one may have it back.
    const isMistaken = query?.record.claimedFor === 'orphan'
    owned?.serving?.leave(isMistaken ? elsewhere(id, query.record.owner) : superseded(id))
  }

  cancel(id: string): void {
    const owned = this.#owned.get(id)
    if (owned === undefined) return
    owned.serving?.leave(new SqlError('query_canceled', 'the query was canceled', { queryId: id }))
    this.#giveUp(id)
  }

  /** Not before the record is gone may its plan go: another coordinator might be about to go on with it. */
  finished({ record: { id, plan } }: LoggedQuery): void {
    if (plan === null) return
    this.#options.plans.remove(plan).catch((error: unknown) => {
      // The leader finds it.
      this.#options.log.warn('planNotRemoved', { query: id, error })
    })
  }

  tellClient(id: string, answer: ClientAnswer): void {
    const asked = this.#asked.get(id)
    switch (answer.kind) {
      case 'claiming':
        return
      case 'here':
        return asked?.resolve()
      case 'elsewhere':
        return asked?.reject(elsewhere(id, answer.owner))
      case 'unknown':
        return asked?.reject(unknownQuery(id))
    }
  }

  /** This coordinator is to end: clients go on with their results elsewhere. */
  handOver(): void {
    for (const [id, owned] of this.#owned) {
      const { serving } = owned
      owned.serving = undefined
      serving?.leave(
        new SqlError('cannot_connect_now', 'this coordinator is shutting down', { queryId: id }),
      )
    }
  }

  stop(): void {
    this.#options.owner.stop()
    for (const { stopWaiting } of this.#owned.values()) stopWaiting?.()
  }

  #wait(id: string, owned: Owned): void {
    owned.stopWaiting?.()
    if (isMutant('no-idle-end')) return
    owned.stopWaiting = this.#options.clock.after(CLIENT_GRACE_MS, () => {
      this.#options.log.info('queryNotAskedFor', { query: id, graceMs: CLIENT_GRACE_MS })
      this.#giveUp(id)
    })
  }

  #giveUp(id: string): void {
    const { owner, executors } = this.#options
    const owned = this.#owned.get(id)
    this.#owned.delete(id)
    owned?.stopWaiting?.()
    const epoch = owner.owned(id)?.record.ownerEpoch
    if (epoch !== undefined) for (const link of executors.links()) link.releaseQuery(id, epoch)
    owner.end(id)
  }
}

const superseded = (id: string): SqlError =>
  new SqlError('task_superseded', `the result of query "${id}" is read by another client now`, {
    queryId: id,
    hint: 'a result is read by whoever has attached to it last',
  })

const elsewhere = (id: string, owner: string): SqlError =>
  new SqlError('cannot_connect_now', `query "${id}" was taken over by ${owner}`, { queryId: id })

const claimTooSlow = (id: string): SqlError =>
  new SqlError(
    'cannot_connect_now',
    `query "${id}" could not be taken over in ${CLAIM_TIMEOUT_MS / 1000} s`,
    { queryId: id, hint: 'ask again, here or elsewhere' },
  )

const unknownQuery = (id: string): SqlError =>
  new SqlError('undefined_object', `there is no result of query "${id}" to go on with`, {
    queryId: id,
    hint: 'it has ended, or it was small enough to be sent in one go; run the statement again',
  })

/** Waits for the metastore's part in a takeover as long as the statement waits for it at all. */
async function whileItLasts<T>(patience: Patience | undefined, work: Promise<T>): Promise<T> {
  if (patience === undefined) return work
  const over = deferred<never>()
  patience.asked()
  const stop = patience.watch(() =>
    over.reject(
      new SqlError('metastore_unavailable', 'the query is to end, and nobody could take it over', {
        hint: 'try again: its end is recorded, and whoever takes it over ends it',
      }),
    ),
  )
  try {
    return await Promise.race([work, over.promise])
  } finally {
    stop()
  }
}
