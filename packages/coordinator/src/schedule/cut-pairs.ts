import type { Clock, Log } from '@nyala/client/base'

/** For so long tasks are kept from pulling between two executors that did not reach each other. */
export const CUT_MS = 10_000

/**
 * Pairs of executors of which one could not pull from the other, as both answer here: the link between them is cut, or
 * one is about to be found dead. Trying costs each task a time-out, so for a while nothing is placed where it would pull
 * over such a link.
 */
export class CutPairs {
  readonly #options: { readonly clock: Clock; readonly log: Log }
  readonly #pairs = new Map<string, { readonly ids: readonly [string, string]; untilMs: number }>()

  constructor(options: { readonly clock: Clock; readonly log: Log }) {
    this.#options = options
  }

  note(consumer: string, producer: string): void {
    const { clock, log } = this.#options
    const ids = [consumer, producer].toSorted() as [string, string]
    const key = ids.join('/')
    if (!this.#isCut(key)) log.warn('executorsCut', { consumer, producer })
    this.#pairs.set(key, { ids, untilMs: clock.now() + CUT_MS })
  }

  /** The other ends of the cut links of these, who are asked for only where there is any such link. */
  cutFrom(producersOf: () => ReadonlySet<string>): ReadonlySet<string> {
    const others = new Set<string>()
    if (this.#pairs.size === 0) return others
    const producers = producersOf()
    for (const [key, { ids }] of this.#pairs) {
      if (!this.#isCut(key)) this.#pairs.delete(key)
      else {
        const [a, b] = ids
        if (producers.has(a)) others.add(b)
        if (producers.has(b)) others.add(a)
      }
    }
    return others
  }

  /** The other ends of the cut links of one. */
  missedBy(executor: string): ReadonlySet<string> {
    return this.cutFrom(() => new Set([executor]))
  }

  #isCut(key: string): boolean {
    const pair = this.#pairs.get(key)
    return pair !== undefined && this.#options.clock.now() < pair.untilMs
  }
}
