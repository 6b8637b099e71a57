/** Commits in a row after which others are let go first. */
const RUN = 4
/** Who has been in the way within this time is thought to be there still. */
const CONTENDED_MS = 30_000
/** Of the time that a commit takes: another one begins when it sees that it was overtaken, and takes as long. */
const SHARE = 1.5
const WAIT_MAX_MS = 1_000

/**
 * When a coordinator that commits to one table again and again lets others go first. Whoever has committed knows the new
 * head at once, and has its next commit ready before others, who wait for the news, make theirs anew: under load one could
 * overtake another for half a minute. Nothing but what it remembers; times are milliseconds of one clock.
 */
export class Courtesy {
  #inARow = 0
  #othersAtMs = Number.NEGATIVE_INFINITY
  #dueMs = Number.NEGATIVE_INFINITY
  /** Where the last commit from here has left the head; undefined before the first. */
  #revision: number | undefined

  /** A commit goes on top of this head. */
  builds(nowMs: number, headRevision: number): void {
    if (this.#revision !== undefined && this.#revision !== headRevision) this.overtaken(nowMs)
  }

  /** Another coordinator has changed the table. */
  overtaken(nowMs: number): void {
    this.#inARow = 0
    this.#othersAtMs = nowMs
  }

  /** A commit from here got through. `tookMs`: what it took to make and decide it. */
  committed(nowMs: number, tookMs: number, revision: number): void {
    this.#revision = revision
    this.#inARow++
    const isContended = nowMs - this.#othersAtMs < CONTENDED_MS
    if (!isContended || this.#inARow % RUN !== 0) return
    this.#dueMs = nowMs + Math.min(SHARE * tookMs, WAIT_MAX_MS)
  }

  /** How long the next commit is to wait; 0 or less: not at all. */
  waitMs(nowMs: number): number {
    return this.#dueMs - nowMs
  }
}
