import { type Deferred, deferred } from '@nyala/client/base'

/**
 * Whether what the stage of a result reads is there. It is not while that is made again, as an executor was lost with it.
 *
 * ```
 *   there ──lost──► being made again ──made──► there
 *     └────────────────────┴────end────► ended
 * ```
 */
export class ResultInputs {
  #making: Deferred<undefined> | undefined
  #isEnded = false

  lost(): void {
    this.#making ??= deferred()
  }

  made(): void {
    this.#making?.resolve(undefined)
    this.#making = undefined
  }

  /** The query has ended, and nothing is made any more. */
  end(): void {
    this.#isEnded = true
    this.made()
  }

  /** Resolves when it is there; fails where the query ends before. */
  async there(): Promise<void> {
    while (this.#making !== undefined) await this.#making.promise
    if (this.#isEnded) throw new Error('the query has ended')
  }
}
