import { type Clock, isMutant } from '@nyala/client/base'

/**
 * How long a statement waits for a store that does not answer, all of its calls and turns together: its client is told
 * within 5 s. Longer than an election of etcd takes.
 */
export const PATIENCE_MS = 4_000

/**
 * How long whoever has committed waits to see that in its own view. It is told so in any case: a session's next statement
 * waits for the revision itself.
 */
export const SHOWN_MS = 500

/** When the store has last answered anybody of this process, by the clock's own scale. */
export interface Heard {
  lastMs: number
}

/**
 * When a wait for the store is over, milliseconds: `patienceMs` after it began, or after the store has last answered
 * anybody, as then it is not silent. Infinity where nobody waits. Pure.
 */
export function endOfWait(
  wait: { readonly silentSinceMs: number | undefined; readonly heardMs: number },
  patienceMs: number = PATIENCE_MS,
): number {
  const { silentSinceMs, heardMs } = wait
  return silentSinceMs === undefined ? Infinity : Math.max(silentSinceMs, heardMs) + patienceMs
}

/**
 * The patience of one statement with the store. It is not that of each call: what one has waited in vain, the next one has
 * not left. An answer to it, or to anybody that it waits behind, makes it whole again, so the work of executors between two
 * calls does not count, and neither does a long queue that gets on.
 *
 * ```
 *   (not waiting) ──asked──► silent since then ──endMs──► over: the client is told
 *         ▲                        │
 *         └────────answered────────┘
 * ```
 */
export class Patience {
  readonly #clock: Clock
  readonly #heard: Heard
  #silentSinceMs: number | undefined

  constructor(clock: Clock, heard: Heard = { lastMs: -Infinity }) {
    this.#clock = clock
    this.#heard = heard
  }

  /** The statement waits for the store, from now on unless it did so before. Returns {@link endMs}. */
  asked(): number {
    this.#silentSinceMs ??= this.#clock.now()
    return this.endMs
  }

  answered(): void {
    this.#heard.lastMs = this.#clock.now()
    this.#silentSinceMs = undefined
  }

  /** The statement waits for something else now. What it has waited in vain stays. */
  working(): void {
    const { lastMs } = this.#heard
    if (this.#silentSinceMs !== undefined && lastMs >= this.#silentSinceMs) {
      this.#silentSinceMs = undefined
    }
  }

  /** When the wait is over if nobody is answered until then, by the clock's own scale. */
  get endMs(): number {
    if (isMutant('patient-metastore')) return Infinity
    return endOfWait({ silentSinceMs: this.#silentSinceMs, heardMs: this.#heard.lastMs })
  }

  get leftMs(): number {
    return Math.max(0, this.endMs - this.#clock.now())
  }

  /** Calls `over` once when a wait is over; the returned function stops that. */
  watch(over: () => void): () => void {
    // A wait that begins later ends later than this, so it is looked at often enough.
    let stop = this.#clock.after(Math.min(this.leftMs, PATIENCE_MS), () => look())
    const look = (): void => {
      if (this.leftMs === 0) return over()
      stop = this.#clock.after(Math.min(this.leftMs, PATIENCE_MS), look)
    }
    return () => stop()
  }
}

/** The one whose wait ends last; undefined of none. All of them wait from now on. */
export const mostPatient = (all: readonly Patience[]): Patience | undefined =>
  all.toSorted((a, b) => b.asked() - a.asked())[0]

/** The one whose wait ends first; undefined of none. All of them wait from now on. */
export const leastPatient = (all: readonly Patience[]): Patience | undefined =>
  all.toSorted((a, b) => a.asked() - b.asked())[0]
