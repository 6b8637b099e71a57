import type { Clock, Log } from '@nyala/client/base'
import type { Keys } from './keys.ts'
import type { Kv } from './kv.ts'
import { encodeRecord, type MemberRecord, type RosterRecord, rosterRecord } from './records.ts'
import { repeatCommit } from './retry.ts'

/** A coordinator that has gone without a word is missed for so long, and then forgotten. */
export const ENTRY_SECONDS = 24 * 60 * 60
/** One that lives says so this often while its entry lasts. */
const REFRESHES = 24
/** After a write that failed. */
const RETRY_MS = 10_000

export interface CoordinatorEntryOptions {
  readonly kv: Kv
  readonly keys: Keys
  readonly clock: Clock
  readonly log: Log
  readonly record: Pick<MemberRecord, 'id' | 'host' | 'address' | 'pid'>
  /** Default {@link ENTRY_SECONDS}. */
  readonly seconds?: number
}

/**
 * A coordinator's entry among those that ought to run: whoever is there and not registered is missing, as one that hangs
 * is once its lease is over. A coordinator writes its own, each time it has registered, and takes it back when it is
 * stopped in order; under its own lease it goes where the coordinator never comes back.
 *
 * Each write compares the member's key, so that one that comes late brings nothing back and takes nothing from a later life.
 */
export class CoordinatorEntry {
  readonly #options: CoordinatorEntryOptions
  #incarnation: number | undefined
  #stopTimer: (() => void) | undefined
  #isWithdrawn = false

  constructor(options: CoordinatorEntryOptions) {
    this.#options = options
  }

  /** To be called when the coordinator has registered. */
  onRegistered(incarnation: number): void {
    this.#incarnation = incarnation
    void this.#post()
  }

  /** To be called when the coordinator is not registered any more, and is to end. Where etcd does not answer it stays. */
  async withdraw(): Promise<void> {
    this.#isWithdrawn = true
    this.#stopTimer?.()
    const { keys, record, log } = this.#options
    try {
      await repeatCommit(this.#options, {
        compares: [{ kind: 'absent', key: keys.member('coordinator', record.id) }],
        success: [{ kind: 'delete', key: keys.coordinatorEntry(record.id) }],
      })
    } catch (error) {
      log.warn('coordinatorEntryLeft', { error })
    }
  }

  async #post(): Promise<void> {
    const { kv, keys, log, record, seconds = ENTRY_SECONDS } = this.#options
    const incarnation = this.#incarnation ?? 0
    this.#stopTimer?.()
    let nextMs = (seconds * 1_000) / REFRESHES
    try {
      const { lease } = await kv.grantLease(seconds)
      const { id, host, address, pid } = record
      const entry: RosterRecord = { id, incarnation, host, address, pid }
      await repeatCommit(this.#options, {
        compares: [
          { kind: 'createRevision', key: keys.member('coordinator', id), equals: incarnation },
        ],
        success: [
          {
            kind: 'put',
            key: keys.coordinatorEntry(id),
            value: encodeRecord(rosterRecord, entry),
            lease,
          },
        ],
      })
    } catch (error) {
      nextMs = RETRY_MS
      if (!this.#isWithdrawn) log.warn('coordinatorEntryDelayed', { error })
    }
    if (this.#isWithdrawn) return
    this.#stopTimer?.()
    const again = (): void => void this.#post()
    this.#stopTimer = this.#options.clock.after(nextMs, again, { background: true })
  }
}
