import { type Clock, DecodeError, type Log } from '@nyala/client/base'
import { type MemberId, randomHex, SqlError } from '@nyala/client/protocol'
import type { Keys } from './keys.ts'
import type { CommitResult, KeyValue, Kv } from './kv.ts'
import { PrefixView } from './prefix-view.ts'
import { decodeRecord, encodeRecord, type QueryRecord, queryRecord } from './records.ts'
import { repeatCommit, repeatRead, sameDoneTwice } from './retry.ts'
import type { Asking } from './write-log.ts'

export interface QueryLogOptions {
  readonly kv: Kv
  readonly keys: Keys
  readonly clock: Clock
  readonly log: Log
}

/**
 * A process of a coordinator, as an owner of queries. Not its incarnation: a process whose lease was lost and that has
 * registered again still runs what it ran.
 */
export interface Owner {
  readonly id: MemberId
  /** As in its member record. */
  readonly startedAt: number
}

/** A query's record as it was read or written. */
export interface LoggedQuery {
  readonly record: QueryRecord
  readonly modRevision: number
}

export type NewQuery = Omit<
  QueryRecord,
  'owner' | 'ownerStartedAt' | 'ownerEpoch' | 'claimedFor' | 'writeId'
>

/** `client`: one waits for it. `orphan`: nobody does; the leader takes it so that it does not linger. */
export type ClaimReason = NonNullable<QueryRecord['claimedFor']>

/** What an owner may change. */
export type QueryChange = Partial<Pick<QueryRecord, 'plan' | 'state' | 'place'>>

export type OwnerWrite =
  | { readonly kind: 'written'; readonly query: LoggedQuery }
  /** Another owns it now, or nobody needs it any more (`undefined`): whatever was done for it must stop. */
  | { readonly kind: 'lost'; readonly query: LoggedQuery | undefined }

export type Claim =
  | { readonly kind: 'claimed'; readonly query: LoggedQuery }
  /** Another claim came first (`query` says whose), or the query is over (`undefined`). */
  | { readonly kind: 'refused'; readonly query: LoggedQuery | undefined }

/**
 * The records of queries that outlive their coordinator.
 *
 * ```
 *   create (epoch 1) ──► owned ──advance*──► owned ──finish──► gone
 *                          ▲                   │
 *                          └──── claim ◄──────┘   by another coordinator, or a later process of the same one
 * ```
 *
 * Every write replaces the one record that it was decided on, by its mod revision, so it is applied once at most; it
 * bears an id, by which its writer knows it again when the reply was lost. Of two that claim one query, one wins; the
 * former owner's next write is refused and tells it so. Executors do the rest: they refuse commands under a lower owner
 * epoch than the highest they have seen.
 *
 * A create that was given up may be applied later, and then leaves a record that no owner knows. `ownedBy` shows it to
 * the coordinator that it names, which ends it by `finish`.
 */
export class QueryLog {
  readonly #options: QueryLogOptions
  readonly #view: PrefixView
  readonly #listeners = new Set<() => void>()
  readonly #decoded = new WeakMap<KeyValue, LoggedQuery | undefined>()

  constructor(options: QueryLogOptions) {
    this.#options = options
    this.#view = new PrefixView({ ...options, prefix: options.keys.queries })
    this.#view.onChange(() => {
      for (const listener of [...this.#listeners]) listener()
    })
  }

  /** Resolves when the records have been read for the first time. */
  async start(options: { readonly signal?: AbortSignal | undefined } = {}): Promise<void> {
    await this.#view.start(options)
  }

  async stop(): Promise<void> {
    await this.#view.stop()
  }

  /** Called after each change. The returned function ends it. */
  onChange(listener: () => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  /** All queries, as far as this coordinator's view goes: to find what may need care, never to decide whose it is. */
  queries(): readonly LoggedQuery[] {
    return [...this.#view.items()].flatMap((item) => {
      const query = this.#decode(item)
      return query === undefined ? [] : [query]
    })
  }

  /**
   * The oldest revision of the catalog that a query with a record reads, as of now and not of the view; undefined where
   * there is none, 0 where one cannot be read. Fails with `metastore_unavailable`.
   */
  async oldestRead({ patience }: Pick<Asking, 'patience'> = {}): Promise<number | undefined> {
    const { kv, keys, clock } = this.#options
    const { items } = await repeatRead({ kv, clock, patience }, (call) =>
      kv.range(keys.queries, patience === undefined ? {} : call),
    )
    const revisions = items.map((item) => this.#decode(item)?.record.snapshotRevision ?? 0)
    return revisions.length === 0 ? undefined : Math.min(...revisions)
  }

  query(id: string): LoggedQuery | undefined {
    const item = this.#view.get(this.#options.keys.query(id))
    return item === undefined ? undefined : this.#decode(item)
  }

  ownedBy(owner: Owner): readonly LoggedQuery[] {
    return this.queries().filter(({ record }) => isOwner(record, owner))
  }

  /** Queries whose owner is not among the living. */
  orphans(living: readonly Owner[]): readonly LoggedQuery[] {
    return this.queries().filter(({ record }) => !living.some((one) => isOwner(record, one)))
  }

  /**
   * Writes the record of a new query, before anything is done that another coordinator would have to know of.
   * Fails with `metastore_unavailable`, with `commit_outcome_unknown` (see the class comment), and with
   * `program_limit_exceeded` where the record is too large.
   */
  async create(query: NewQuery, owner: Owner): Promise<LoggedQuery> {
    const record: QueryRecord = {
      ...query,
      owner: owner.id,
      ownerStartedAt: owner.startedAt,
      ownerEpoch: 1,
      writeId: randomHex(8),
    }
    const answer = await this.#replace(record, undefined)
    if (answer.kind === 'written') return answer.query
    // Ours, with a request to cancel it on top.
    if (answer.query !== undefined && isOwner(answer.query.record, owner)) return answer.query
    throw new Error(`query id ${query.id} is in use`)
  }

  /** The owner's word on how far it is. Fails with `metastore_unavailable` or `commit_outcome_unknown`. */
  async advance(owned: LoggedQuery, change: QueryChange): Promise<OwnerWrite> {
    let current = owned
    for (;;) {
      const record = { ...current.record, ...change, writeId: randomHex(8) }
      const answer = await this.#replace(record, current)
      if (answer.kind === 'written') return answer
      if (!isSameTerm(owned, answer.query)) return { kind: 'lost', query: answer.query }
      // A cancellation that came from elsewhere stays, whatever the owner was about to say.
      current = answer.query
      if (current.record.state === 'cancelling') change = { ...change, state: 'cancelling' }
    }
  }

  /**
   * Asks the owner to cancel a query: it learns of it by its watch, or at its next write. Anyone may ask.
   * `undefined` when there is no such query. Fails with `metastore_unavailable`: asking twice is as asking once.
   */
  async requestCancel(
    id: string,
    asking: Pick<Asking, 'patience'> = {},
  ): Promise<LoggedQuery | undefined> {
    return sameDoneTwice(this.#requestCancel(id, asking))
  }

  async #requestCancel(
    id: string,
    asking: Pick<Asking, 'patience'>,
  ): Promise<LoggedQuery | undefined> {
    for (;;) {
      const current = await this.read(id, asking)
      if (current === undefined || current.record.state === 'cancelling') return current
      const record: QueryRecord = { ...current.record, state: 'cancelling', writeId: randomHex(8) }
      const answer = await this.#replace(record, current, asking)
      if (answer.kind === 'written' || answer.query === undefined) return answer.query
    }
  }

  /**
   * Takes a query over under a higher owner epoch: the revision of the record that the claim replaces. So no two owners
   * ever have the same one, not even where a record is made again by a create that comes late. `seen` is the record that the decision rests on; where it has
   * changed but its owner has not, the claim goes on. Fails as {@link advance}.
   */
  async claim(seen: LoggedQuery, owner: Owner, because: ClaimReason): Promise<Claim> {
    let current = seen
    for (;;) {
      const record: QueryRecord = {
        ...current.record,
        owner: owner.id,
        ownerStartedAt: owner.startedAt,
        ownerEpoch: current.modRevision,
        claimedFor: because,
        writeId: randomHex(8),
      }
      const answer = await this.#replace(record, current)
      if (answer.kind === 'written') return { kind: 'claimed', query: answer.query }
      // Won before, though the reply was lost; somebody has asked to cancel it since.
      const isOurs = answer.query !== undefined && isOwner(answer.query.record, owner)
      if (isOurs && answer.query.record.ownerEpoch === record.ownerEpoch) {
        return { kind: 'claimed', query: answer.query }
      }
      if (!isSameTerm(seen, answer.query)) return { kind: 'refused', query: answer.query }
      current = answer.query
    }
  }

  /** Ends a query: its record goes. Fails as {@link advance}. */
  async finish(owned: LoggedQuery): Promise<'finished' | { readonly lost: LoggedQuery }> {
    const key = this.#options.keys.query(owned.record.id)
    let current = owned
    for (;;) {
      const { result } = await repeatCommit(this.#options, {
        compares: [{ kind: 'modRevision', key, equals: current.modRevision }],
        success: [{ kind: 'delete', key }],
        failure: [{ kind: 'get', key }],
      })
      if (result.succeeded) return 'finished'
      const found = this.#found(result)
      // Gone: by this write, whose reply was lost, or by whoever ended it before.
      if (found === undefined) return 'finished'
      if (!isSameTerm(owned, found)) return { lost: found }
      current = found
    }
  }

  /** The record as the store has it now. Fails with `metastore_unavailable`. */
  async read(
    id: string,
    { patience }: Pick<Asking, 'patience'> = {},
  ): Promise<LoggedQuery | undefined> {
    const key = this.#options.keys.query(id)
    // Written by nobody: both branches read, so that the answer is as true as a commit's.
    const options = { ...this.#options, patience }
    const { result } = await repeatCommit(options, {
      compares: [{ kind: 'absent', key }],
      success: [],
      failure: [{ kind: 'get', key }],
    })
    return result.succeeded ? undefined : this.#found(result)
  }

  async #replace(
    record: QueryRecord,
    before: LoggedQuery | undefined,
    { patience }: Pick<Asking, 'patience'> = {},
  ): Promise<Replaced> {
    const key = this.#options.keys.query(record.id)
    const options = { ...this.#options, patience }
    const { result } = await repeatCommit(options, {
      compares: [
        before === undefined
          ? { kind: 'absent', key }
          : { kind: 'modRevision', key, equals: before.modRevision },
      ],
      success: [{ kind: 'put', key, value: encodeRecord(queryRecord, record) }],
      failure: [{ kind: 'get', key }],
    })
    if (result.succeeded)
      return { kind: 'written', query: { record, modRevision: result.revision } }
    const found = this.#found(result)
    if (found?.record.writeId === record.writeId) return { kind: 'written', query: found }
    return { kind: 'changed', query: found }
  }

  /** Fails with `internal_error` where another version wrote it. */
  #found(result: CommitResult): LoggedQuery | undefined {
    const response = result.responses[0]
    const item = response?.kind === 'get' ? response.item : undefined
    if (item === undefined) return undefined
    try {
      const record = decodeRecord(queryRecord, item.value, item.key)
      return { record, modRevision: item.modRevision }
    } catch (cause) {
      if (!(cause instanceof DecodeError)) throw cause
      throw new SqlError('internal_error', `a query record is not understood: ${cause.message}`, {
        hint: 'another version of the software wrote it: let that one finish the query',
        cause,
      })
    }
  }

  #decode(item: KeyValue): LoggedQuery | undefined {
    if (this.#decoded.has(item)) return this.#decoded.get(item)
    let query: LoggedQuery | undefined
    try {
      const record = decodeRecord(queryRecord, item.value, item.key)
      query = { record, modRevision: item.modRevision }
    } catch (error) {
      if (!(error instanceof DecodeError)) throw error
      this.#options.log.warn('query record not understood', { key: item.key, error })
    }
    this.#decoded.set(item, query)
    return query
  }
}

type Replaced =
  | { readonly kind: 'written'; readonly query: LoggedQuery }
  | { readonly kind: 'changed'; readonly query: LoggedQuery | undefined }

const isOwner = (record: QueryRecord, owner: Owner): boolean =>
  record.owner === owner.id && record.ownerStartedAt === owner.startedAt

/** Still the same owner under the same owner epoch. */
const isSameTerm = (before: LoggedQuery, now: LoggedQuery | undefined): now is LoggedQuery =>
  now !== undefined &&
  now.record.owner === before.record.owner &&
  now.record.ownerStartedAt === before.record.ownerStartedAt &&
  now.record.ownerEpoch === before.record.ownerEpoch
