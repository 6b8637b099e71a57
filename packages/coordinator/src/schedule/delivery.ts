import { type Clock, isMutant, type Log } from '@nyala/client/base'
import type { ResultRelay } from './result-relay.ts'

/** A result of less than this that ends within {@link HELD_MS} of its first rows is sent in one go, without a record. */
const HELD_BYTES_MAX = 256 * 1024
const HELD_MS = 100
/**
 * A result that waits longer for its record goes out without: it is worth more than that it can be resumed. An election in
 * etcd is over by then; with the second that a read waits for etcd it is within 3 s.
 */
const RECORD_TIMEOUT_MS = 1_500

export interface DeliveryOptions {
  readonly relay: ResultRelay
  readonly clock: Clock
  readonly log: Log
  /** Writes the record by which another coordinator can go on with the result. */
  record(): Promise<void>
}

/**
 * When the rows of a query may leave. A small result leaves when all of it is here: should this process die before, the
 * client sends the statement again. Of any other a record is written first, so that from its first row on it can be gone
 * on with elsewhere.
 *
 * ```
 *   waiting ──all is here──► sent in one go
 *      └──large, or late──► recording ──written──► open, resumable
 *                               └──failed, or late──► open
 * ```
 */
export class Delivery {
  readonly #options: DeliveryOptions
  #recording: Promise<void> | undefined
  #stopTimer: (() => void) | undefined

  constructor(options: DeliveryOptions) {
    this.#options = options
    const { relay, clock } = options
    relay.onHeld((bytes) => {
      if (isMutant('no-hold')) {
        relay.open(false)
        return this.#begin()
      }
      if (bytes >= HELD_BYTES_MAX) return this.#begin()
      this.#stopTimer ??= clock.after(HELD_MS, () => this.#begin())
    })
  }

  /** All of the result is here: resolves when nothing is on its way that decides how it leaves. */
  async settled(): Promise<void> {
    this.#stopTimer?.()
    await this.#recording
  }

  /** The query has ended; nothing is begun any more. */
  stop(): void {
    this.#stopTimer?.()
    this.#recording ??= Promise.resolve()
  }

  #begin(): void {
    this.#recording ??= this.#record()
  }

  async #record(): Promise<void> {
    const { relay, clock, log, record } = this.#options
    const stopTimer = clock.after(RECORD_TIMEOUT_MS, () => relay.open(false))
    try {
      await record()
      relay.open(true)
    } catch (error) {
      log.warn('resultNotResumable', { error })
      relay.open(false)
    } finally {
      stopTimer()
    }
  }
}
