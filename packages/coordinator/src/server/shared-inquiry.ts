/**
 * Answers all who ask with one inquiry at a time, so that what an answer costs does not grow with how often it is asked
 * for. Everybody gets an answer that was begun after the question.
 */
export class SharedInquiry<T> {
  readonly #inquire: () => Promise<T>
  #running: Promise<T> | undefined
  #next: Promise<T> | undefined

  constructor(inquire: () => Promise<T>) {
    this.#inquire = inquire
  }

  /** Fails as the inquiry does. */
  ask(): Promise<T> {
    if (this.#next !== undefined) return this.#next
    if (this.#running === undefined) return this.#begin()
    const begin = (): Promise<T> => this.#begin()
    this.#next = this.#running.then(begin, begin)
    return this.#next
  }

  #begin(): Promise<T> {
    this.#next = undefined
    const running = this.#inquire().finally(() => {
      if (this.#running === running) this.#running = undefined
    })
    this.#running = running
    return running
  }
}
