/** The only source of time. Simulations pass their own; `Date`, `performance` and `setTimeout` stay in this file and in `main.ts`. */
export interface Clock {
  /** Monotonic milliseconds; differences only. Immune to steps of the wall clock. */
  now(): number
  /** Milliseconds since 1970-01-01 UTC; for records and people, never for deadlines. */
  wall(): number
  /** Calls `action` once after `ms`; the returned function cancels it. Never keeps a process alive when `background`. */
  after(ms: number, action: () => void, options?: { readonly background?: boolean }): () => void
  /** Resolves after `ms`; rejects with the signal's reason when aborted. */
  sleep(ms: number, options?: { readonly signal?: AbortSignal | undefined }): Promise<void>
}

export const systemClock: Clock = {
  now: () => performance.now(),
  wall: () => Date.now(),
  after(ms, action, options) {
    const timer = setTimeout(action, ms)
    // Browsers return a number here, which has no `unref`.
    if (options?.background === true && typeof timer === 'object') timer.unref()
    return () => clearTimeout(timer)
  },
  sleep(ms, options) {
    const signal = options?.signal
    return new Promise((resolve, reject) => {
      if (signal?.aborted === true) return reject(signal.reason as Error)
      const onAbort = (): void => {
        clearTimeout(timer)
        reject(signal?.reason as Error)
      }
      const timer = setTimeout(() => {
        signal?.removeEventListener('abort', onAbort)
        resolve()
      }, ms)
      signal?.addEventListener('abort', onAbort, { once: true })
    })
  },
}
