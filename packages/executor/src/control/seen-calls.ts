/** Calls of one socket of which it is remembered that they have come. */
const REMEMBERED = 4_096

/**
 * Tells a call that has come before from one that is new: what was sent once must not be done twice, however late it comes
 * again. Whoever calls counts up, so one that is older than what is remembered is not new.
 */
export class SeenCalls {
  readonly #seen = new Set<number>()
  #highest = -1

  isNew(call: number): boolean {
    if (call <= this.#highest - REMEMBERED || this.#seen.has(call)) return false
    this.#seen.add(call)
    this.#highest = Math.max(this.#highest, call)
    if (this.#seen.size > 2 * REMEMBERED) {
      for (const one of this.#seen) if (one <= this.#highest - REMEMBERED) this.#seen.delete(one)
    }
    return true
  }
}
