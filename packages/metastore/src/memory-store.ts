import { assert, type Clock } from '@nyala/client/base'
import {
  checkCommit,
  type CommitRequest,
  type CommitResult,
  type Compare,
  type KeyValue,
  KvError,
  type LeaseGrant,
  type LeaseId,
  type Operation,
  type OperationResult,
  type WatchEvent,
} from './kv.ts'

interface Version {
  readonly modRevision: number
  /** `undefined` is a deletion. */
  readonly item: KeyValue | undefined
}

interface Lease {
  readonly ttlSeconds: number
  readonly keys: Set<string>
  cancelTimer: () => void
}

/**
 * The state of one simulated etcd: keys with all their versions, leases, and history since the last compaction.
 * Everything is synchronous; {@link MemoryKv} adds the network. Revisions, leases and refusals follow etcd 3.4.
 */
export class MemoryStore {
  readonly #clock: Clock
  readonly #versions = new Map<string, Version[]>()
  readonly #leases = new Map<LeaseId, Lease>()
  readonly #history = new Map<number, readonly WatchEvent[]>()
  readonly #listeners = new Set<() => void>()
  #revision = 1
  #compactRevision = 0
  #leaseCount = 0

  constructor(clock: Clock) {
    this.#clock = clock
  }

  get revision(): number {
    return this.#revision
  }

  get compactRevision(): number {
    return this.#compactRevision
  }

  /** Calls `listener` after each new revision. */
  onRevision(listener: () => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  /** What happened at `revision` to keys that start with `prefix`. */
  eventsAt(revision: number, prefix: string): readonly WatchEvent[] {
    return (this.#history.get(revision) ?? []).filter((event) =>
      (event.kind === 'put' ? event.item.key : event.key).startsWith(prefix),
    )
  }

  range(prefix: string, revision = this.#revision): readonly KeyValue[] {
    if (revision < this.#compactRevision) {
      throw new KvError('compacted', `revision ${revision} has been compacted`)
    }
    if (revision > this.#revision) {
      throw new KvError('invalid', `revision ${revision} is in the future`)
    }
    const items: KeyValue[] = []
    for (const [key, versions] of this.#versions) {
      if (!key.startsWith(prefix)) continue
      const item = versions.findLast((version) => version.modRevision <= revision)?.item
      if (item !== undefined) items.push(item)
    }
    return items.sort((a, b) => Buffer.compare(Buffer.from(a.key), Buffer.from(b.key)))
  }

  get(key: string): KeyValue | undefined {
    return this.#versions.get(key)?.at(-1)?.item
  }

  commitIf(request: CommitRequest): CommitResult {
    checkCommit(request)
    const succeeded = request.compares.every((compare) => this.#holds(compare))
    const operations = succeeded ? request.success : (request.failure ?? [])
    for (const operation of operations) {
      if (operation.kind === 'put' && operation.lease !== undefined) this.#lease(operation.lease)
    }
    const events: WatchEvent[] = []
    const responses = operations.map((operation) => this.#apply(operation, events))
    this.#publish(events)
    return { succeeded, revision: this.#revision, responses }
  }

  grantLease(ttlSeconds: number): LeaseGrant {
    const lease = String(7_000_000_000 + this.#leaseCount++) as LeaseId
    // etcd grants whole seconds and never less than one.
    const granted = Math.max(1, Math.ceil(ttlSeconds))
    const cancelTimer = this.#expireAfter(lease, granted)
    this.#leases.set(lease, { ttlSeconds: granted, keys: new Set(), cancelTimer })
    return { lease, ttlSeconds: granted }
  }

  keepAlive(id: LeaseId): number {
    const lease = this.#leases.get(id)
    if (lease === undefined) return 0
    lease.cancelTimer()
    lease.cancelTimer = this.#expireAfter(id, lease.ttlSeconds)
    return lease.ttlSeconds
  }

  revokeLease(id: LeaseId): void {
    const lease = this.#leases.get(id)
    if (lease === undefined) return
    lease.cancelTimer()
    this.#leases.delete(id)
    const events: WatchEvent[] = []
    for (const key of [...lease.keys].sort()) this.#delete(key, events)
    this.#publish(events)
  }

  /** Forgets history before `revision`; of each key the version current at that revision stays readable. */
  compact(revision: number): void {
    assert(revision <= this.#revision, 'compaction in the future')
    if (revision <= this.#compactRevision) return
    this.#compactRevision = revision
    for (const at of this.#history.keys()) {
      if (at < revision) this.#history.delete(at)
    }
    // As etcd before 3.4.36, deletions at the compaction revision itself are lost to watches from it.
    const kept = this.#history.get(revision)?.filter((event) => event.kind === 'put')
    if (kept !== undefined) this.#history.set(revision, kept)
    for (const [key, versions] of this.#versions) this.#trim(key, versions)
  }

  #trim(key: string, versions: Version[]): void {
    const current = versions.findLastIndex((v) => v.modRevision <= this.#compactRevision)
    const kept = versions.slice(Math.max(0, current))
    if (kept[0]?.item === undefined) kept.shift()
    if (kept.length === 0) this.#versions.delete(key)
    else this.#versions.set(key, kept)
  }

  #expireAfter(lease: LeaseId, ttlSeconds: number): () => void {
    return this.#clock.after(ttlSeconds * 1000, () => this.revokeLease(lease), { background: true })
  }

  #lease(id: LeaseId): Lease {
    const lease = this.#leases.get(id)
    if (lease === undefined) throw new KvError('leaseNotFound', `lease ${id} is not known`)
    return lease
  }

  #holds(compare: Compare): boolean {
    const item = this.get(compare.key)
    switch (compare.kind) {
      case 'absent':
        return item === undefined
      case 'createRevision':
        return (item?.createRevision ?? 0) === compare.equals
      case 'modRevision':
        return (item?.modRevision ?? 0) === compare.equals
      case 'value':
        return item?.value === compare.equals
    }
  }

  #apply(operation: Operation, events: WatchEvent[]): OperationResult {
    switch (operation.kind) {
      case 'put':
        this.#put(operation, events)
        return { kind: 'put' }
      case 'delete':
        return { kind: 'delete', deleted: this.#delete(operation.key, events) ? 1 : 0 }
      case 'deletePrefix': {
        const keys = this.#liveKeys(operation.prefix)
        for (const key of keys) this.#delete(key, events)
        return { kind: 'delete', deleted: keys.length }
      }
      case 'get':
        return { kind: 'get', item: this.get(operation.key) }
    }
  }

  #liveKeys(prefix: string): readonly string[] {
    return [...this.#versions]
      .filter(([key, versions]) => key.startsWith(prefix) && versions.at(-1)?.item !== undefined)
      .map(([key]) => key)
      .sort()
  }

  #put(put: Operation & { readonly kind: 'put' }, events: WatchEvent[]): void {
    const modRevision = this.#revision + 1
    const before = this.get(put.key)
    this.#detach(before)
    if (put.lease !== undefined) this.#lease(put.lease).keys.add(put.key)
    const item: KeyValue = {
      key: put.key,
      value: put.value,
      createRevision: before?.createRevision ?? modRevision,
      modRevision,
      lease: put.lease,
    }
    this.#append(put.key, { modRevision, item })
    events.push({ kind: 'put', item })
  }

  #delete(key: string, events: WatchEvent[]): boolean {
    const before = this.get(key)
    if (before === undefined) return false
    this.#detach(before)
    const modRevision = this.#revision + 1
    this.#append(key, { modRevision, item: undefined })
    events.push({ kind: 'delete', key, modRevision })
    return true
  }

  #detach(item: KeyValue | undefined): void {
    if (item?.lease === undefined) return
    this.#leases.get(item.lease)?.keys.delete(item.key)
  }

  #append(key: string, version: Version): void {
    const versions = this.#versions.get(key)
    if (versions === undefined) this.#versions.set(key, [version])
    else versions.push(version)
  }

  #publish(events: readonly WatchEvent[]): void {
    if (events.length === 0) return
    this.#revision++
    this.#history.set(this.#revision, events)
    for (const listener of [...this.#listeners]) listener()
  }
}
