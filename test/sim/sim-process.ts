import type { Clock } from '@nyala/client/base'
import type {
  CallOptions,
  CommitRequest,
  CommitResult,
  GetResult,
  Kv,
  LeaseGrant,
  LeaseId,
  RangeOptions,
  RangeResult,
  WatchHandlers,
} from '@nyala/metastore'
import type { MemoryKv } from '@nyala/metastore/memory'

/**
 * A simulated process: whatever reaches it (timers, answers, events of watches and sockets) goes through `run`. While
 * it is paused all of that waits, and comes in one rush when it wakes, in order; once it is killed nothing comes any
 * more, though what it had sent may still be applied.
 */
export class SimProcess {
  readonly clock: Clock
  #state: 'running' | 'paused' | 'dead' = 'running'
  #waiting: (() => void)[] = []
  #pausedAt = 0
  /** When it woke last, and how long it had been away. */
  woke: { readonly at: number; readonly awayMs: number } = { at: -Infinity, awayMs: 0 }
  readonly #world: Clock

  constructor(world: Clock) {
    this.#world = world
    this.clock = processClock(world, this)
  }

  get isRunning(): boolean {
    return this.#state === 'running'
  }

  get isPaused(): boolean {
    return this.#state === 'paused'
  }

  get isDead(): boolean {
    return this.#state === 'dead'
  }

  run(action: () => void): void {
    if (this.#state === 'running') action()
    else if (this.#state === 'paused') this.#waiting.push(action)
  }

  pause(): void {
    if (this.#state !== 'running') return
    this.#state = 'paused'
    this.#pausedAt = this.#world.now()
  }

  resume(): void {
    if (this.#state !== 'paused') return
    this.#state = 'running'
    const at = this.#world.now()
    this.woke = { at, awayMs: at - this.#pausedAt }
    for (const action of this.#waiting.splice(0)) this.run(action)
  }

  kill(): void {
    this.#state = 'dead'
    this.#waiting = []
  }

  /** The outcome of a promise, when the process runs. Never settles for one that is dead. */
  await<T>(promise: Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      promise.then(
        (value) => this.run(() => resolve(value)),
        (error: unknown) => this.run(() => reject(error)),
      )
    })
  }
}

function processClock(world: Clock, process: SimProcess): Clock {
  const after: Clock['after'] = (ms, action) => {
    let cancelled = false
    const cancel = world.after(ms, () =>
      process.run(() => {
        if (!cancelled) action()
      }),
    )
    return () => {
      cancelled = true
      cancel()
    }
  }
  return {
    now: () => world.now(),
    wall: () => world.wall(),
    after,
    sleep(ms, options) {
      const signal = options?.signal
      return new Promise((resolve, reject) => {
        if (signal?.aborted === true) return reject(signal.reason as Error)
        const onAbort = (): void => {
          cancel()
          reject(signal?.reason as Error)
        }
        const cancel = after(ms, () => {
          signal?.removeEventListener('abort', onAbort)
          resolve()
        })
        signal?.addEventListener('abort', onAbort, { once: true })
      })
    },
  }
}

/** The store as a process sees it. `onCommit` sees, and may change, each commit on its way out. */
export class ProcessKv implements Kv {
  readonly inner: MemoryKv
  readonly #process: SimProcess
  readonly #onCommit: (request: CommitRequest) => CommitRequest

  constructor(
    inner: MemoryKv,
    process: SimProcess,
    onCommit: (request: CommitRequest) => CommitRequest = (request) => request,
  ) {
    this.inner = inner
    this.#process = process
    this.#onCommit = onCommit
  }

  range(prefix: string, options?: RangeOptions): Promise<RangeResult> {
    return this.#process.await(this.inner.range(prefix, options))
  }

  get(key: string, options?: CallOptions): Promise<GetResult> {
    return this.#process.await(this.inner.get(key, options))
  }

  commitIf(request: CommitRequest, options?: CallOptions): Promise<CommitResult> {
    return this.#process.await(this.inner.commitIf(this.#onCommit(request), options))
  }

  grantLease(ttlSeconds: number, options?: CallOptions): Promise<LeaseGrant> {
    return this.#process.await(this.inner.grantLease(ttlSeconds, options))
  }

  keepAlive(lease: LeaseId, options?: CallOptions): Promise<number> {
    return this.#process.await(this.inner.keepAlive(lease, options))
  }

  revokeLease(lease: LeaseId, options?: CallOptions): Promise<void> {
    return this.#process.await(this.inner.revokeLease(lease, options))
  }

  watch(prefix: string, fromRevision: number, handlers: WatchHandlers): () => void {
    let stopped = false
    const gated =
      <T>(handler: (value: T) => void) =>
      (value: T): void =>
        this.#process.run(() => {
          if (!stopped) handler(value)
        })
    const stop = this.inner.watch(prefix, fromRevision, {
      events: gated(handlers.events.bind(handlers)),
      compacted: gated(handlers.compacted.bind(handlers)),
      disconnected: gated(handlers.disconnected.bind(handlers)),
    })
    return () => {
      stopped = true
      stop()
    }
  }

  close(): Promise<void> {
    return this.inner.close()
  }
}
