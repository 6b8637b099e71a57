import { type Clock } from '@nyala/client/base'
import {
  CALL_TIMEOUT_MS,
  type CallOptions,
  type CommitRequest,
  type CommitResult,
  type GetResult,
  type Kv,
  KvError,
  type LeaseGrant,
  type LeaseId,
  type RangeOptions,
  type RangeResult,
  type WatchHandlers,
} from './kv.ts'
import { MemoryStore } from './memory-store.ts'

export type KvMethod = 'range' | 'get' | 'commitIf' | 'grantLease' | 'keepAlive' | 'revokeLease'

/**
 * What becomes of one call.
 *  pass         it is done and answered
 *  unavailable  it is certainly not done
 *  loseRequest  it is not done, but the caller cannot know
 *  loseReply    it is done, but the caller cannot know
 *  late         the caller is told that the outcome is unknown, and it is done `afterMs` later
 */
export type Fate =
  | 'pass'
  | 'unavailable'
  | 'loseRequest'
  | 'loseReply'
  | { readonly kind: 'late'; readonly afterMs: number }

export interface MemoryKvFaults {
  /** Decides each call's fate; default: all pass. */
  readonly fate?: (method: KvMethod) => Fate
  /** Milliseconds each call takes; default 0, which still yields to other work. */
  readonly latencyMs?: () => number
  /** Deliver each batch of watch events twice, as etcd may after a reconnect. */
  readonly repeatEvents?: boolean
}

/** One simulated etcd that any number of connections share. */
export class MemoryEtcd {
  readonly store: MemoryStore
  readonly #clock: Clock

  constructor(clock: Clock) {
    this.#clock = clock
    this.store = new MemoryStore(clock)
  }

  connect(faults: MemoryKvFaults = {}): MemoryKv {
    return new MemoryKv(this.store, this.#clock, faults)
  }

  compact(revision: number = this.store.revision): void {
    this.store.compact(revision)
  }
}

interface Watcher {
  readonly prefix: string
  readonly handlers: WatchHandlers
  next: number
  scheduled: boolean
}

/** One process's connection to a {@link MemoryEtcd}, with switches for what a network can do to it. */
export class MemoryKv implements Kv {
  /** May be replaced at any time. */
  faults: MemoryKvFaults
  readonly #store: MemoryStore
  readonly #clock: Clock
  readonly #watchers = new Set<Watcher>()
  readonly #stopListening: () => void
  #cut = false
  #closed = false

  constructor(store: MemoryStore, clock: Clock, faults: MemoryKvFaults) {
    this.#store = store
    this.#clock = clock
    this.faults = faults
    this.#stopListening = store.onRevision(() => {
      for (const watcher of this.#watchers) this.#schedule(watcher)
    })
  }

  range(prefix: string, options: RangeOptions = {}): Promise<RangeResult> {
    return this.#read('range', options, () => {
      const revision = options.revision ?? this.#store.revision
      const { after, limit } = options
      const all = this.#store.range(prefix, revision)
      const from = after === undefined ? 0 : all.findIndex(({ key }) => isAfter(key, after))
      return { revision, items: from < 0 ? [] : all.slice(from).slice(0, limit) }
    })
  }

  get(key: string, options: CallOptions = {}): Promise<GetResult> {
    return this.#read('get', options, () => ({
      revision: this.#store.revision,
      item: this.#store.get(key),
    }))
  }

  commitIf(request: CommitRequest, options: CallOptions = {}): Promise<CommitResult> {
    return this.#write('commitIf', options, () => this.#store.commitIf(request))
  }

  grantLease(ttlSeconds: number, options: CallOptions = {}): Promise<LeaseGrant> {
    return this.#write('grantLease', options, () => this.#store.grantLease(ttlSeconds))
  }

  keepAlive(lease: LeaseId, options: CallOptions = {}): Promise<number> {
    return this.#write('keepAlive', options, () => this.#store.keepAlive(lease))
  }

  revokeLease(lease: LeaseId, options: CallOptions = {}): Promise<void> {
    return this.#write('revokeLease', options, () => this.#store.revokeLease(lease))
  }

  watch(prefix: string, fromRevision: number, handlers: WatchHandlers): () => void {
    const watcher: Watcher = { prefix, handlers, next: fromRevision, scheduled: false }
    this.#watchers.add(watcher)
    if (this.#cut || this.#closed) {
      queueMicrotask(() => this.#break(watcher, 'not connected'))
    } else {
      this.#schedule(watcher)
    }
    return () => this.#watchers.delete(watcher)
  }

  /** Breaks every watch once, as a reset connection does. */
  dropConnections(): void {
    for (const watcher of [...this.#watchers]) this.#break(watcher, 'connection reset')
  }

  /** Until `heal`, every call is refused and every watch broken. */
  cut(): void {
    this.#cut = true
    this.dropConnections()
  }

  heal(): void {
    this.#cut = false
  }

  close(): Promise<void> {
    this.#closed = true
    this.#watchers.clear()
    this.#stopListening()
    return Promise.resolve()
  }

  async #read<T>(method: KvMethod, options: CallOptions, apply: () => T): Promise<T> {
    const { there, back, inTime } = this.#journey(options)
    await this.#travel(there)
    if (this.#fate(method) !== 'pass' || !inTime) {
      throw new KvError('unavailable', `${method} failed`)
    }
    const result = apply()
    await this.#travel(back)
    return result
  }

  async #write<T>(method: KvMethod, options: CallOptions, apply: () => T): Promise<T> {
    const { there, back, inTime } = this.#journey(options)
    await this.#travel(there)
    const fate = this.#fate(method)
    if (fate === 'unavailable') throw new KvError('unavailable', `${method} was not sent`)
    if (typeof fate === 'object') {
      this.#clock.after(fate.afterMs, () => this.#applyLate(apply), { background: true })
    }
    if (fate === 'loseRequest' || typeof fate === 'object') {
      throw new KvError('unknownOutcome', `${method} was not answered`)
    }
    const result = apply()
    await this.#travel(back)
    if (fate === 'loseReply' || !inTime) {
      throw new KvError('unknownOutcome', `the reply to ${method} was lost`)
    }
    return result
  }

  /** How long a call is under way in each direction, cut short where its deadline comes first. */
  #journey({ timeoutMs = CALL_TIMEOUT_MS }: CallOptions): {
    readonly there: number
    readonly back: number
    readonly inTime: boolean
  } {
    const ms = this.faults.latencyMs?.() ?? 0
    const there = Math.min(ms / 2, timeoutMs)
    return { there, back: Math.min(ms / 2, timeoutMs - there), inTime: ms <= timeoutMs }
  }

  /** Nobody waits for the answer of a late request, so a refusal by the store has no reader either. */
  #applyLate(apply: () => unknown): void {
    try {
      apply()
    } catch (error) {
      if (!(error instanceof KvError)) throw error
    }
  }

  #fate(method: KvMethod): Fate {
    if (this.#closed) throw new KvError('closed', 'the connection is closed')
    if (this.#cut) return 'unavailable'
    return this.faults.fate?.(method) ?? 'pass'
  }

  async #travel(ms: number): Promise<void> {
    if (ms > 0) await this.#clock.sleep(ms)
    else await Promise.resolve()
  }

  #schedule(watcher: Watcher): void {
    if (watcher.scheduled) return
    watcher.scheduled = true
    queueMicrotask(() => {
      watcher.scheduled = false
      this.#deliver(watcher)
    })
  }

  #deliver(watcher: Watcher): void {
    if (watcher.next < this.#store.compactRevision) {
      if (this.#watchers.delete(watcher)) {
        watcher.handlers.compacted(this.#store.compactRevision)
      }
      return
    }
    while (watcher.next <= this.#store.revision && this.#watchers.has(watcher)) {
      const events = this.#store.eventsAt(watcher.next++, watcher.prefix)
      if (events.length === 0) continue
      watcher.handlers.events(events)
      if (this.faults.repeatEvents === true && this.#watchers.has(watcher)) {
        watcher.handlers.events(events)
      }
    }
  }

  #break(watcher: Watcher, reason: string): void {
    if (!this.#watchers.delete(watcher)) return
    watcher.handlers.disconnected(new KvError('unavailable', reason))
  }
}

/** In the order of bytes, as etcd has keys. */
const isAfter = (key: string, other: string): boolean =>
  Buffer.compare(Buffer.from(key), Buffer.from(other)) > 0
