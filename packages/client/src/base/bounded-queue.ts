import { type Deferred, deferred } from './deferred.ts'

/**
 * A queue between one producer and one consumer that ends in a value or an error.
 * It does not block its producer: whoever fills it holds credits for what fits, so overflow is a bug of the peer
 * and is reported by `push` returning false.
 */
export class BoundedQueue<T> implements AsyncIterable<T> {
  readonly #limit: number
  readonly #items: T[] = []
  #ended: { readonly error?: unknown } | undefined
  #waiter: Deferred<IteratorResult<T>> | undefined

  constructor(limit: number) {
    this.#limit = limit
  }

  get size(): number {
    return this.#items.length
  }

  /** False when the queue is full or has ended; the item is then not taken. */
  push(item: T): boolean {
    if (this.#ended !== undefined) return false
    if (this.#waiter !== undefined) {
      const waiter = this.#waiter
      this.#waiter = undefined
      waiter.resolve({ value: item, done: false })
      return true
    }
    if (this.#items.length >= this.#limit) return false
    this.#items.push(item)
    return true
  }

  /** Ends the queue; items already in it are still delivered. A second end is ignored. */
  end(error?: unknown): void {
    if (this.#ended !== undefined) return
    this.#ended = error === undefined ? {} : { error }
    const waiter = this.#waiter
    if (waiter === undefined) return
    this.#waiter = undefined
    if (error === undefined) waiter.resolve({ value: undefined, done: true })
    else waiter.reject(error)
  }

  next(): Promise<IteratorResult<T>> {
    if (this.#items.length > 0) {
      return Promise.resolve({ value: this.#items.shift() as T, done: false })
    }
    if (this.#ended !== undefined) {
      if ('error' in this.#ended) return Promise.reject(this.#ended.error as Error)
      return Promise.resolve({ value: undefined, done: true })
    }
    this.#waiter = deferred<IteratorResult<T>>()
    return this.#waiter.promise
  }

  [Symbol.asyncIterator](): AsyncIterator<T> {
    return { next: () => this.next() }
  }
}
