import type { Clock } from '@nyala/client/base'

export interface RoundsOptions {
  readonly clock: Clock
  /** From the end of one round to the beginning of the next, and before the first. */
  readonly everyMs: number
  readonly round: () => Promise<void>
  /** Of a round that failed; the next one is made all the same. */
  readonly onError: (error: unknown) => void
}

/** Background work in rounds, never two at once, until it is stopped. A process does not stay for them. */
export class Rounds {
  readonly #options: RoundsOptions
  #stopTimer: (() => void) | undefined
  #stopped = false

  constructor(options: RoundsOptions) {
    this.#options = options
  }

  get stopped(): boolean {
    return this.#stopped
  }

  start(): void {
    const { clock, everyMs, round, onError } = this.#options
    const next = (): void => {
      round()
        .catch(onError)
        .finally(() => {
          if (!this.#stopped) this.start()
        })
    }
    this.#stopTimer = clock.after(everyMs, next, { background: true })
  }

  /** A round that has begun is not cut short. */
  stop(): void {
    this.#stopped = true
    this.#stopTimer?.()
  }
}
