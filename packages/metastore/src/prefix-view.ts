import { type Clock, deferred, type Deferred, isMutant, type Log } from '@nyala/client/base'
import { type KeyValue, type Kv, KvError, type WatchEvent } from './kv.ts'

/** Pause before a broken view tries again; grows so that an absent etcd is not hammered. */
const RETRY_MIN_MS = 50
const RETRY_MAX_MS = 500

export interface PrefixViewOptions {
  readonly kv: Kv
  readonly prefix: string
  readonly clock: Clock
  readonly log: Log
}

export type ViewChange =
  /** The whole view was read anew; anything may have changed. */
  | { readonly kind: 'reset' }
  /** These events were applied, in order, as one step. */
  | { readonly kind: 'events'; readonly events: readonly WatchEvent[] }

/**
 * A live copy of all keys under a prefix. What it holds at `revision` is always a state that the store really had.
 *
 * ```
 *   listing ──listed──► following ──disconnected──► (pause) ──► following, from the last event's revision
 *      ▲                    │
 *      └──── compacted ─────┘
 * ```
 *
 * It resumes from the revision of the last event it applied, never from that of a response header, which is the
 * store's and may be ahead of what was delivered. It asks again for that revision rather than for the next one:
 * etcd before 3.4.36 loses deletions at exactly the compaction revision, and events it has seen are dropped anyway.
 */
export class PrefixView {
  readonly #kv: Kv
  readonly #prefix: string
  readonly #clock: Clock
  readonly #log: Log
  readonly #items = new Map<string, KeyValue>()
  readonly #listeners = new Set<(change: ViewChange) => void>()
  readonly #abort = new AbortController()
  #revision = 0
  #listed = false
  #listings = 0
  #following = false
  #lastError: unknown
  /** Set while the view follows; ends the watch and lists anew. */
  #restart: (() => void) | undefined
  #running: Promise<void> | undefined

  constructor(options: PrefixViewOptions) {
    this.#kv = options.kv
    this.#prefix = options.prefix
    this.#clock = options.clock
    this.#log = options.log
  }

  /** Revision of the last event applied, or at which the view was listed; 0 before the first listing. */
  get revision(): number {
    return this.#revision
  }

  /** False while there is no stream: the view may then be behind. */
  get following(): boolean {
    return this.#following
  }

  /** How often all keys were read, the first time included. */
  get listings(): number {
    return this.#listings
  }

  get(key: string): KeyValue | undefined {
    return this.#items.get(key)
  }

  items(): IterableIterator<KeyValue> {
    return this.#items.values()
  }

  /** Called after each change, with the change applied. The returned function ends it. */
  onChange(listener: (change: ViewChange) => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  /**
   * Begins to follow; resolves after the first listing. Retries until it succeeds or `signal` aborts,
   * which stops the view.
   */
  async start(options: { readonly signal?: AbortSignal | undefined } = {}): Promise<void> {
    this.#running ??= this.#run()
    if (this.#listed) return
    try {
      await this.waitFor(() => this.#listed, options)
    } catch (error) {
      await this.stop()
      throw error
    }
  }

  async stop(): Promise<void> {
    this.#abort.abort(new KvError('closed', `the view of "${this.#prefix}" was stopped`))
    await this.#running
  }

  /** Reads all keys again, for whoever must be sure not to be behind. */
  relist(): void {
    this.#restart?.()
  }

  /**
   * Resolves once `condition` holds, checked now and after each change.
   * Rejects with the signal's reason, or with a {@link KvError} when the view stops.
   */
  async waitFor(
    condition: () => boolean,
    options: { readonly signal?: AbortSignal | undefined } = {},
  ): Promise<void> {
    if (condition()) return
    const signal = anySignal(this.#abort.signal, options.signal)
    signal.throwIfAborted()
    const done = deferred<void>()
    const onAbort = (): void => done.reject(signal.reason)
    const stopListening = this.onChange(() => {
      if (condition()) done.resolve()
    })
    signal.addEventListener('abort', onAbort, { once: true })
    try {
      await done.promise
    } finally {
      stopListening()
      signal.removeEventListener('abort', onAbort)
    }
  }

  /** The last reason why the view could not follow, for error messages. */
  get lastError(): unknown {
    return this.#lastError
  }

  async #run(): Promise<void> {
    let needsListing = true
    let pauseMs = RETRY_MIN_MS
    while (!this.#abort.signal.aborted) {
      const began = this.#revision
      try {
        if (needsListing) await this.#list()
        needsListing = false
        needsListing = (await this.#follow()) === 'relist'
        pauseMs = RETRY_MIN_MS
      } catch (error) {
        if (this.#abort.signal.aborted) return
        this.#lastError = error
        this.#log.info('view broken', { prefix: this.#prefix, revision: this.#revision, error })
        if (error instanceof KvError && error.kind === 'compacted') needsListing = true
        if (this.#revision > began) pauseMs = RETRY_MIN_MS
        await this.#pause(pauseMs)
        pauseMs = Math.min(2 * pauseMs, RETRY_MAX_MS)
      }
    }
  }

  async #pause(ms: number): Promise<void> {
    try {
      await this.#clock.sleep(ms, { signal: this.#abort.signal })
    } catch (error) {
      if (!this.#abort.signal.aborted) throw error
    }
  }

  async #list(): Promise<void> {
    const { revision, items } = await this.#kv.range(this.#prefix)
    if (this.#abort.signal.aborted) return
    // A read after a pause of the server can be older than what has been seen already: never go back.
    if (revision < this.#revision) {
      throw new KvError('unavailable', `stale listing at ${revision}, view is at ${this.#revision}`)
    }
    this.#items.clear()
    for (const item of items) this.#items.set(item.key, item)
    this.#revision = revision
    this.#listed = true
    this.#listings++
    this.#emit({ kind: 'reset' })
  }

  /** Follows until a listing is needed (resolves), the view is stopped (resolves) or the stream breaks (rejects). */
  async #follow(): Promise<'relist' | 'stopped'> {
    const signal = this.#abort.signal
    if (signal.aborted) return 'stopped'
    const over = deferred<'relist' | 'stopped'>()
    const onAbort = (): void => over.resolve('stopped')
    signal.addEventListener('abort', onAbort, { once: true })
    let stop = (): void => undefined
    try {
      stop = this.#kv.watch(this.#prefix, this.#revision, {
        events: (events) => this.#apply(events),
        compacted: () => this.#onCompacted(over),
        disconnected: (error) => over.reject(error),
      })
      this.#restart = () => over.resolve('relist')
      this.#following = true
      return await over.promise
    } finally {
      this.#following = false
      this.#restart = undefined
      signal.removeEventListener('abort', onAbort)
      stop()
    }
  }

  #onCompacted(over: Deferred<'relist' | 'stopped'>): void {
    this.#log.info('viewCompacted', { prefix: this.#prefix, revision: this.#revision })
    if (isMutant('no-relisting')) return over.reject(new KvError('unavailable', 'not listed anew'))
    over.resolve('relist')
  }

  #apply(events: readonly WatchEvent[]): void {
    const fresh = events.filter((event) => revisionOf(event) > this.#revision)
    const last = fresh.at(-1)
    if (last === undefined) return
    for (const event of fresh) {
      if (event.kind === 'put') this.#items.set(event.item.key, event.item)
      else this.#items.delete(event.key)
    }
    this.#revision = revisionOf(last)
    this.#emit({ kind: 'events', events: fresh })
  }

  #emit(change: ViewChange): void {
    for (const listener of [...this.#listeners]) listener(change)
  }
}

const revisionOf = (event: WatchEvent): number =>
  event.kind === 'put' ? event.item.modRevision : event.modRevision

const anySignal = (own: AbortSignal, other: AbortSignal | undefined): AbortSignal =>
  other === undefined ? own : AbortSignal.any([own, other])
