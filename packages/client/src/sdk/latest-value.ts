import { deferred, type Deferred } from '../base/deferred.ts'

/** A value that changes: whoever follows it sees the newest, and misses those it was too slow for. */
export class LatestValue<T> {
  #version = 0
  #value: T | undefined
  #ended = false
  #changed: Deferred<void> = deferred()

  get value(): T | undefined {
    return this.#value
  }

  set(value: T): void {
    if (this.#ended) return
    this.#value = value
    this.#version++
    this.#wake()
  }

  end(): void {
    this.#ended = true
    this.#wake()
  }

  #wake(): void {
    const changed = this.#changed
    this.#changed = deferred()
    changed.resolve()
  }

  async *values(): AsyncGenerator<T, void, undefined> {
    let seen = 0
    for (;;) {
      if (this.#version !== seen) {
        seen = this.#version
        yield this.#value as T
      } else if (this.#ended) {
        return
      } else {
        await this.#changed.promise
      }
    }
  }
}
