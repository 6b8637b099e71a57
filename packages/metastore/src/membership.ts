import { type Clock, DecodeError, type Log } from '@nyala/client/base'
import { SqlError } from '@nyala/client/protocol'
import { type Keys, type MemberRole, parseMemberKey } from './keys.ts'
import type { KeyValue, Kv, LeaseId } from './kv.ts'
import { PrefixView } from './prefix-view.ts'
import { decodeRecord, type MemberRecord, memberRecord } from './records.ts'

/** A registered process. Another `incarnation` is another life of the member: what the earlier one held is gone. */
export interface Member extends MemberRecord {
  /** Create revision of its key. */
  readonly incarnation: number
  readonly lease: LeaseId | undefined
}

export interface MembershipOptions {
  readonly kv: Kv
  readonly keys: Keys
  readonly clock: Clock
  readonly log: Log
}

/**
 * The live view of who is registered. A member that vanishes from it is *suspect*, not dead: an etcd leader that
 * wakes from a pause may revoke every live lease. Confirm by a ping before failing what it runs.
 */
export class Membership {
  readonly #keys: Keys
  readonly #clock: Clock
  readonly #log: Log
  readonly #view: PrefixView
  #members: readonly Member[] = []
  readonly #listeners = new Set<(members: readonly Member[]) => void>()
  /** What was decoded once; a key that is written again is another item. */
  readonly #decoded = new WeakMap<KeyValue, readonly Member[]>()

  constructor(options: MembershipOptions) {
    this.#keys = options.keys
    this.#clock = options.clock
    this.#log = options.log
    this.#view = new PrefixView({ ...options, prefix: options.keys.members })
    this.#view.onChange(() => this.#refresh())
  }

  /** Resolves when the members are known. */
  async start(options: { readonly signal?: AbortSignal | undefined } = {}): Promise<void> {
    await this.#view.start(options)
  }

  async stop(): Promise<void> {
    await this.#view.stop()
  }

  /** All members, coordinators first, then by id. */
  members(): readonly Member[] {
    return this.#members
  }

  coordinators(): readonly Member[] {
    return this.#ofRole('coordinator')
  }

  executors(): readonly Member[] {
    return this.#ofRole('executor')
  }

  member(role: MemberRole, id: string): Member | undefined {
    return this.#members.find((member) => member.role === role && member.id === id)
  }

  /** Revision of the store that `members()` reflects. */
  get revision(): number {
    return this.#view.revision
  }

  /** Called with all members after each change. The returned function ends it. */
  onChange(listener: (members: readonly Member[]) => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  /**
   * Resolves with the members once `condition` holds of them.
   * Fails with `metastore_unavailable` after `timeoutMs`, naming `what` was waited for.
   */
  async waitFor(
    what: string,
    condition: (members: readonly Member[]) => boolean,
    options: { readonly timeoutMs: number; readonly signal?: AbortSignal | undefined },
  ): Promise<readonly Member[]> {
    const timedOut = new AbortController()
    const cancelTimer = this.#clock.after(options.timeoutMs, () =>
      timedOut.abort(this.#timeout(what, options.timeoutMs)),
    )
    const signals = [timedOut.signal, ...(options.signal === undefined ? [] : [options.signal])]
    try {
      await this.#view.waitFor(() => condition(this.#members), { signal: AbortSignal.any(signals) })
      return this.#members
    } finally {
      cancelTimer()
    }
  }

  #ofRole(role: MemberRole): readonly Member[] {
    return this.#members.filter((member) => member.role === role)
  }

  #refresh(): void {
    const members = [...this.#view.items()].flatMap((item) => {
      const known = this.#decoded.get(item) ?? this.#decode(item)
      this.#decoded.set(item, known)
      return known
    })
    members.sort((a, b) =>
      a.role === b.role ? compareText(a.id, b.id) : compareText(a.role, b.role),
    )
    this.#members = members
    for (const listener of [...this.#listeners]) listener(members)
  }

  /** A record of another version is logged and left out: its process cannot be talked to either. */
  #decode(item: KeyValue): readonly Member[] {
    const place = parseMemberKey(this.#keys, item.key)
    try {
      const record = decodeRecord(memberRecord, item.value, item.key)
      if (record.id !== place?.id || record.role !== place.role) {
        throw new DecodeError(`${item.key}: record of ${record.role} "${record.id}"`)
      }
      return [{ ...record, incarnation: item.createRevision, lease: item.lease }]
    } catch (error) {
      if (!(error instanceof DecodeError)) throw error
      this.#log.warn('member record not understood', { key: item.key, error })
      return []
    }
  }

  #timeout(what: string, timeoutMs: number): SqlError {
    const present = this.#members.map((member) => `${member.role} "${member.id}"`)
    return new SqlError(
      'metastore_unavailable',
      `waited ${timeoutMs} ms for ${what}; registered: ${present.join(', ') || 'nobody'}`,
      { cause: this.#view.lastError },
    )
  }
}

const compareText = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0)
