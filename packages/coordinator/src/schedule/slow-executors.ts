import type { Clock, Log } from '@nyala/client/base'

/** For so long an executor is given tasks only where there is no other, once a second attempt elsewhere was faster. */
export const SLOW_MS = 10_000

/** Executors that lately were slower than another with the same task, though that began later. */
export class SlowExecutors {
  readonly #options: { readonly clock: Clock; readonly log: Log }
  readonly #untilMs = new Map<string, number>()

  constructor(options: { readonly clock: Clock; readonly log: Log }) {
    this.#options = options
  }

  /** `over` is called when its time is. */
  note(executor: string, over: () => void): void {
    const { clock, log } = this.#options
    if (!this.has(executor)) log.warn('executorSlow', { executor, sparedMs: SLOW_MS })
    this.#untilMs.set(executor, clock.now() + SLOW_MS)
    for (const id of this.#untilMs.keys()) if (!this.has(id)) this.#untilMs.delete(id)
    clock.after(SLOW_MS, over, { background: true })
  }

  has(executor: string): boolean {
    const untilMs = this.#untilMs.get(executor)
    return untilMs !== undefined && this.#options.clock.now() < untilMs
  }
}
