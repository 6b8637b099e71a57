/**
 * Which revisions of the catalog the statements of this coordinator read. A statement holds the one that it was bound to,
 * from when it has it until its result is with the client, and so long the files that the catalog named then stay.
 */
export class ReadHolds {
  readonly #held = new Map<number, number>()

  /** The returned function gives it back; called again it does nothing. */
  hold(revision: number): () => void {
    this.#held.set(revision, (this.#held.get(revision) ?? 0) + 1)
    let isHeld = true
    return () => {
      if (!isHeld) return
      isHeld = false
      const others = (this.#held.get(revision) ?? 0) - 1
      if (others > 0) this.#held.set(revision, others)
      else this.#held.delete(revision)
    }
  }

  /** Undefined where none is held. */
  get oldest(): number | undefined {
    return this.#held.size === 0 ? undefined : Math.min(...this.#held.keys())
  }
}
