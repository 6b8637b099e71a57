import { assert, type Clock } from '@nyala/client/base'

interface Timer {
  readonly at: number
  readonly action: () => void
}

/**
 * A clock that stands still until told otherwise, so that a test of seconds takes milliseconds and runs the same
 * each time. Between two timers all work that they caused is done.
 */
export class ManualClock implements Clock {
  readonly #timers = new Set<Timer>()
  #now: number
  readonly #wallOffset: number

  constructor(options: { readonly now?: number; readonly wall?: number } = {}) {
    this.#now = options.now ?? 1000
    this.#wallOffset = (options.wall ?? Date.UTC(2026, 0, 1)) - this.#now
  }

  now(): number {
    return this.#now
  }

  wall(): number {
    return this.#now + this.#wallOffset
  }

  after(ms: number, action: () => void): () => void {
    const timer = { at: this.#now + Math.max(0, ms), action }
    this.#timers.add(timer)
    return () => this.#timers.delete(timer)
  }

  sleep(ms: number, options?: { readonly signal?: AbortSignal | undefined }): Promise<void> {
    const signal = options?.signal
    return new Promise((resolve, reject) => {
      if (signal?.aborted === true) return reject(signal.reason as Error)
      const onAbort = (): void => {
        cancel()
        reject(signal?.reason as Error)
      }
      const cancel = this.after(ms, () => {
        signal?.removeEventListener('abort', onAbort)
        resolve()
      })
      signal?.addEventListener('abort', onAbort, { once: true })
    })
  }

  /** Lets `ms` go by, firing what falls due, in order. */
  async advance(ms: number): Promise<void> {
    const end = this.#now + ms
    for (;;) {
      await idle()
      const timer = this.#next()
      if (timer === undefined || timer.at > end) break
      this.#fire(timer)
    }
    this.#now = end
    await idle()
  }

  /** Moves time on with nobody noticing, as for a process that is paused: what fell due is late. */
  jump(ms: number): void {
    this.#now += ms
  }

  /** Lets time go by until `promise` settles. More than `limitMs` of it is a bug: what is waited for never comes. */
  async run<T>(promise: Promise<T>, limitMs = 600_000): Promise<T> {
    const end = this.#now + limitMs
    let settled = false
    const settle = (): void => {
      settled = true
    }
    promise.then(settle, settle)
    for (;;) {
      await idle()
      if (settled) return promise
      const timer = this.#next()
      assert(timer !== undefined, 'waits for something that no timer will cause')
      assert(timer.at <= end, () => `did not settle within ${limitMs} ms`)
      this.#fire(timer)
    }
  }

  #next(): Timer | undefined {
    let next: Timer | undefined
    for (const timer of this.#timers) {
      if (next === undefined || timer.at < next.at) next = timer
    }
    return next
  }

  #fire(timer: Timer): void {
    this.#timers.delete(timer)
    this.#now = Math.max(this.#now, timer.at)
    timer.action()
  }
}

/** Resolves when all microtasks, and those that they made, are done. */
const idle = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))
