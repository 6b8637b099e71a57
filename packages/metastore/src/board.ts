import { type Clock, DecodeError, type Log, type Schema } from '@nyala/client/base'
import { type Keys, type MemberRole, parseBoardKey } from './keys.ts'
import type { CommitRequest, Compare, KeyValue, Kv } from './kv.ts'
import { PrefixView } from './prefix-view.ts'
import {
  decodeRecord,
  encodeRecord,
  type FailureRecord,
  failureRecord,
  type LaunchRecord,
  launchRecord,
  type QuarantineRecord,
  quarantineRecord,
  type RosterRecord,
  rosterRecord,
  type SuspicionRecord,
  suspicionRecord,
} from './records.ts'
import { repeatCommit } from './retry.ts'

/** A life that ended badly is remembered for this long. */
export const FAILURE_MEMORY_SECONDS = 60
/** For so long a statement is refused by all coordinators under which kernels died. */
export const QUARANTINE_SECONDS = 60
/** Of more statements at once those that come later are not posted: what lies here is bounded, and trying costs two kernels. */
export const QUARANTINED_MAX = 100
/** So many of them put an executor on probation, until the oldest is forgotten. */
export const PROBATION_FAILURES = 3

/** A record as it was read; a write that replaces it compares the revision. */
export interface Posted<T> {
  readonly record: T
  readonly modRevision: number
}

export interface BoardOptions {
  readonly kv: Kv
  readonly keys: Keys
  readonly clock: Clock
  readonly log: Log
}

/**
 * What coordinators tell each other about members: suspicions, failures, the executors that ought to run, and the
 * replacements that the leader asks for; and the statements that kill kernels. All of them see the same, a watch's delay
 * apart.
 *
 * All of it is advice. Whoever acts on it does so by a guarded write, so that what is stale costs time and no more.
 * A record that turns up late, from a write that seemed lost, is taken back by whoever it claims to be from, or by the
 * leader's janitor: both compare what is posted with what they hold to be true, again and again.
 */
export class Board {
  readonly #options: BoardOptions
  readonly #view: PrefixView
  readonly #listeners = new Set<() => void>()
  /** What was decoded once; a key that is written again is another item. */
  readonly #decoded = new WeakMap<KeyValue, readonly Posted<unknown>[]>()
  #suspicions: readonly Posted<SuspicionRecord>[] = []
  #failures: readonly FailureRecord[] = []
  #roster: readonly Posted<RosterRecord>[] = []
  #launches: readonly Posted<LaunchRecord>[] = []
  #coordinatorEntries: readonly RosterRecord[] = []
  /** By the key. */
  #quarantined: ReadonlyMap<string, QuarantineRecord> = new Map()

  constructor(options: BoardOptions) {
    this.#options = options
    this.#view = new PrefixView({ ...options, prefix: options.keys.board })
    this.#view.onChange(() => this.#refresh())
  }

  /** Resolves when the board has been read for the first time. */
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

  suspicions(): readonly Posted<SuspicionRecord>[] {
    return this.#suspicions
  }

  roster(): readonly Posted<RosterRecord>[] {
    return this.#roster
  }

  /** Coordinators that ought to run, each as it was when it registered last. */
  coordinatorEntries(): readonly RosterRecord[] {
    return this.#coordinatorEntries
  }

  launches(): readonly Posted<LaunchRecord>[] {
    return this.#launches
  }

  /** How many lives of the member ended badly within {@link FAILURE_MEMORY_SECONDS}. */
  failuresOf(role: MemberRole, id: string): number {
    return this.#failures.filter((failure) => failure.role === role && failure.id === id).length
  }

  /** An executor that fails again and again is to be used only where no other is left; all coordinators say the same. */
  isOnProbation(executor: string): boolean {
    return this.failuresOf('executor', executor) >= PROBATION_FAILURES
  }

  /**
   * Posts a suspicion, unless the life it is about is over. True when it is posted.
   * Fails with `metastore_unavailable` or `commit_outcome_unknown`.
   */
  async suspect(record: SuspicionRecord): Promise<boolean> {
    const { keys } = this.#options
    const key = keys.suspicion(record, record.by)
    const known = this.#suspicions.find((one) => keys.suspicion(one.record, one.record.by) === key)
    const { result } = await repeatCommit(this.#options, {
      compares: [
        {
          kind: 'createRevision',
          key: keys.member(record.role, record.id),
          equals: record.incarnation,
        },
        unchanged(key, known),
      ],
      success: [{ kind: 'put', key, value: encodeRecord(suspicionRecord, record) }],
    })
    return result.succeeded
  }

  /** Takes a suspicion back. Fails as {@link suspect}. */
  async withdraw(posted: Posted<SuspicionRecord>): Promise<void> {
    const key = this.#options.keys.suspicion(posted.record, posted.record.by)
    await repeatCommit(this.#options, {
      compares: [unchanged(key, posted)],
      success: [{ kind: 'delete', key }],
    })
  }

  /** Remembers a failure for {@link FAILURE_MEMORY_SECONDS}; of a life only the first one counts. Fails as {@link suspect}. */
  async recordFailure(record: FailureRecord): Promise<void> {
    const { kv, keys } = this.#options
    const key = keys.failure(record)
    const { lease } = await kv.grantLease(FAILURE_MEMORY_SECONDS)
    const value = encodeRecord(failureRecord, record)
    await repeatCommit(this.#options, {
      compares: [{ kind: 'absent', key }],
      success: [{ kind: 'put', key, value, lease }],
    })
  }

  get quarantinedCount(): number {
    return this.#quarantined.size
  }

  /** Who found that kernels die under the statement of this hash, and when; undefined where nobody did, or long ago. */
  quarantined(hash: string): QuarantineRecord | undefined {
    return this.#quarantined.get(this.#options.keys.quarantine(hash))
  }

  /** Has all coordinators refuse a statement for {@link QUARANTINE_SECONDS}, from the first time on. Fails as {@link suspect}. */
  async quarantine(hash: string, record: QuarantineRecord): Promise<void> {
    if (this.#quarantined.size >= QUARANTINED_MAX) return
    const { kv, keys } = this.#options
    const key = keys.quarantine(hash)
    const { lease } = await kv.grantLease(QUARANTINE_SECONDS)
    const value = encodeRecord(quarantineRecord, record)
    await repeatCommit(this.#options, {
      compares: [{ kind: 'absent', key }],
      success: [{ kind: 'put', key, value, lease }],
    })
  }

  #refresh(): void {
    const { keys } = this.#options
    const suspicions: Posted<SuspicionRecord>[] = []
    const failures: FailureRecord[] = []
    const roster: Posted<RosterRecord>[] = []
    const launches: Posted<LaunchRecord>[] = []
    const coordinatorEntries: RosterRecord[] = []
    const quarantined = new Map<string, QuarantineRecord>()
    for (const item of this.#view.items()) {
      switch (parseBoardKey(keys, item.key)) {
        case 'suspicion':
          suspicions.push(...this.#decode(suspicionRecord, item))
          break
        case 'failure':
          failures.push(...this.#decode(failureRecord, item).map(({ record }) => record))
          break
        case 'roster':
          roster.push(...this.#decode(rosterRecord, item))
          break
        case 'coordinatorEntry':
          coordinatorEntries.push(...this.#decode(rosterRecord, item).map(({ record }) => record))
          break
        case 'launch':
          launches.push(...this.#decode(launchRecord, item))
          break
        case 'quarantine':
          for (const { record } of this.#decode(quarantineRecord, item)) {
            quarantined.set(item.key, record)
          }
          break
        case undefined:
          break
      }
    }
    this.#coordinatorEntries = coordinatorEntries
    this.#quarantined = quarantined
    this.#suspicions = suspicions
    this.#failures = failures
    this.#roster = roster
    this.#launches = launches
    for (const listener of [...this.#listeners]) listener()
  }

  /** What another version wrote is left alone. */
  #decode<T>(schema: Schema<T>, item: KeyValue): readonly Posted<T>[] {
    // A key's folder tells its schema, so that what was decoded is of that type.
    const known = this.#decoded.get(item) as readonly Posted<T>[] | undefined
    if (known !== undefined) return known
    const posted = this.#decodeAnew(schema, item)
    this.#decoded.set(item, posted)
    return posted
  }

  #decodeAnew<T>(schema: Schema<T>, item: KeyValue): readonly Posted<T>[] {
    try {
      const record = decodeRecord(schema, item.value, item.key)
      return [{ record, modRevision: item.modRevision }]
    } catch (error) {
      if (!(error instanceof DecodeError)) throw error
      this.#options.log.warn('board record not understood', { key: item.key, error })
      return []
    }
  }
}

/** Holds while nobody has written the key since it was read, or since it was seen to be absent. */
export const unchanged = (key: string, posted: Posted<unknown> | undefined): Compare =>
  posted === undefined
    ? { kind: 'absent', key }
    : { kind: 'modRevision', key, equals: posted.modRevision }

/** What a leader writes to the board and to the membership; each is to be sent under its epoch. */
export const leaderWrites = {
  /** Removes the record of a life; a later life of the same id is not touched. */
  removeMember(
    keys: Keys,
    life: {
      readonly role: MemberRole
      readonly id: RosterRecord['id']
      readonly incarnation: number
    },
  ): CommitRequest {
    const key = keys.member(life.role, life.id)
    return {
      compares: [{ kind: 'createRevision', key, equals: life.incarnation }],
      success: [{ kind: 'delete', key }],
    }
  },

  enlist(keys: Keys, record: RosterRecord, known: Posted<RosterRecord> | undefined): CommitRequest {
    const key = keys.rosterEntry(record.id)
    const value = encodeRecord(rosterRecord, record)
    return { compares: [unchanged(key, known)], success: [{ kind: 'put', key, value }] }
  },

  strike(keys: Keys, known: Posted<RosterRecord>): CommitRequest {
    const key = keys.rosterEntry(known.record.id)
    return { compares: [unchanged(key, known)], success: [{ kind: 'delete', key }] }
  },

  askForLaunch(
    keys: Keys,
    record: LaunchRecord,
    known: Posted<LaunchRecord> | undefined,
  ): CommitRequest {
    const key = keys.launch(record.id)
    const value = encodeRecord(launchRecord, record)
    return { compares: [unchanged(key, known)], success: [{ kind: 'put', key, value }] }
  },

  closeLaunch(keys: Keys, known: Posted<LaunchRecord>): CommitRequest {
    const key = keys.launch(known.record.id)
    return { compares: [unchanged(key, known)], success: [{ kind: 'delete', key }] }
  },

  removeSuspicion(keys: Keys, known: Posted<SuspicionRecord>): CommitRequest {
    const key = keys.suspicion(known.record, known.record.by)
    return { compares: [unchanged(key, known)], success: [{ kind: 'delete', key }] }
  },
}

/**
 * A launcher's answer to a request: it took it, or refuses it. False when the request is no longer the one that was
 * read. Fails with `metastore_unavailable` or `commit_outcome_unknown`.
 */
export async function answerLaunch(
  options: { readonly kv: Kv; readonly keys: Keys; readonly clock: Clock },
  asked: Posted<LaunchRecord>,
  answer: { readonly state: 'taken' } | { readonly state: 'refused'; readonly detail: string },
): Promise<boolean> {
  const key = options.keys.launch(asked.record.id)
  const { result } = await repeatCommit(options, {
    compares: [unchanged(key, asked)],
    success: [
      { kind: 'put', key, value: encodeRecord(launchRecord, { ...asked.record, ...answer }) },
    ],
  })
  return result.succeeded
}
