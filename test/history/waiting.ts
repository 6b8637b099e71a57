import type { Clock } from '@nyala/client/base'

/** Whatever fails, and however busy the machine: no client may wait for so long for one attempt of a transaction. */
const WAITS_MAX_MS = 180_000
const POLL_MS = 500

export interface Waiting {
  /** What it waits for, and since when on the clock's own scale; undefined between two. */
  readonly acts: { readonly what: string; readonly since: number } | undefined
}

/** Fails where a client waits for ever: every request ends in a result or an error. */
export async function untilOneWaits(
  clients: readonly Waiting[],
  { clock, isOver }: { readonly clock: Clock; readonly isOver: () => boolean },
): Promise<void> {
  while (!isOver() || clients.some(({ acts }) => acts !== undefined)) {
    for (const [i, { acts }] of clients.entries()) {
      const ms = acts === undefined ? 0 : clock.now() - acts.since
      if (ms > WAITS_MAX_MS) {
        throw new Error(`client ${i} waits for ${acts?.what ?? ''} since ${Math.round(ms)} ms`)
      }
    }
    await clock.sleep(POLL_MS)
  }
}

/** Where the time of clients went. */
export class Times {
  readonly #byName = new Map<string, { count: number; ms: number; longestMs: number }>()

  add(what: string, ms: number): void {
    const { count, ms: before, longestMs } = this.#byName.get(what) ?? EMPTY
    const longest = Math.max(longestMs, ms)
    this.#byName.set(what, { count: count + 1, ms: before + ms, longestMs: longest })
  }

  /** `add 620 × 41 ms, at most 5023 ms`, the most of the time first. */
  lines(): readonly string[] {
    return [...this.#byName]
      .toSorted(([, a], [, b]) => b.ms - a.ms)
      .map(([what, { count, ms, longestMs }]) => {
        return `${what} ${count} × ${Math.round(ms / count)} ms, at most ${Math.round(longestMs)} ms`
      })
  }
}

const EMPTY = { count: 0, ms: 0, longestMs: 0 }
