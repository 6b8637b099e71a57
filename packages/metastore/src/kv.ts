import { type Brand, assert } from '@nyala/client/base'

/**
 * The seam to the agreed-on key-value store: etcd in production, {@link MemoryEtcd} in tests and simulation.
 *
 * Only `commitIf` may carry a safety decision. A read can be stale, a watch can repeat or lose events over
 * the bugs of the server, a lease can end without its holder knowing. They give speed; a compare gives truth.
 *
 * Every call has a deadline and ends in a value or a {@link KvError}. Nothing here retries a write.
 */
export interface Kv {
  /** All keys that start with `prefix`, in key order, as of one revision. Large ranges are read in pages pinned to it. */
  range(prefix: string, options?: RangeOptions): Promise<RangeResult>
  /** One key, linearizable. */
  get(key: string, options?: GetOptions): Promise<GetResult>
  /** Applies `success` where all compares hold, else `failure`; atomically, at one revision. */
  commitIf(request: CommitRequest, options?: CallOptions): Promise<CommitResult>
  /** A new lease. The server may grant a longer time to live than asked. A lost reply leaks it until it expires. */
  grantLease(ttlSeconds: number, options?: CallOptions): Promise<LeaseGrant>
  /** Renews once. Resolves with the seconds left, 0 when the lease is gone. */
  keepAlive(lease: LeaseId, options?: CallOptions): Promise<number>
  /** Ends the lease and deletes its keys at one revision. A lease that is already gone is not an error. */
  revokeLease(lease: LeaseId, options?: CallOptions): Promise<void>
  /**
   * Tells of all changes to keys that start with `prefix` from `fromRevision` on.
   * Ends for good after `compacted` or `disconnected`; whoever wants to go on starts another one.
   * The returned function stops it; no handler is called after that.
   */
  watch(prefix: string, fromRevision: number, handlers: WatchHandlers): () => void
  /** Ends all watches silently and refuses further calls with kind `closed`. */
  close(): Promise<void>
}

export type LeaseId = Brand<string, 'LeaseId'>

export interface CallOptions {
  /** Deadline of the call in milliseconds. */
  readonly timeoutMs?: number | undefined
}

export interface GetOptions extends CallOptions {
  /** It is read all the time: it may take a way of its own, which costs less. */
  readonly often?: boolean | undefined
}

export interface RangeOptions extends CallOptions {
  /** Only keys that come after this one. */
  readonly after?: string | undefined
  /** At most so many, the first ones; default all. */
  readonly limit?: number | undefined
  /** Read as of this revision; fails with `compacted` where it is gone. Default: now, linearizable. */
  readonly revision?: number | undefined
}

export interface KeyValue {
  readonly key: string
  readonly value: string
  /** Revision at which the key came into being; a key that was deleted and put again has a new one. */
  readonly createRevision: number
  readonly modRevision: number
  readonly lease: LeaseId | undefined
}

export interface RangeResult {
  readonly revision: number
  readonly items: readonly KeyValue[]
}

export interface GetResult {
  readonly revision: number
  readonly item: KeyValue | undefined
}

export interface LeaseGrant {
  readonly lease: LeaseId
  readonly ttlSeconds: number
}

export type Compare =
  | { readonly kind: 'absent'; readonly key: string }
  | { readonly kind: 'createRevision'; readonly key: string; readonly equals: number }
  | { readonly kind: 'modRevision'; readonly key: string; readonly equals: number }
  | { readonly kind: 'value'; readonly key: string; readonly equals: string }

/** A put without a lease takes the key off the lease it had. */
export type Operation =
  | {
      readonly kind: 'put'
      readonly key: string
      readonly value: string
      readonly lease?: LeaseId | undefined
    }
  | { readonly kind: 'delete'; readonly key: string }
  | { readonly kind: 'deletePrefix'; readonly prefix: string }
  | { readonly kind: 'get'; readonly key: string }

/** One commit may put or delete a key at most once. */
export interface CommitRequest {
  readonly compares: readonly Compare[]
  readonly success: readonly Operation[]
  readonly failure?: readonly Operation[] | undefined
}

export type OperationResult =
  | { readonly kind: 'put' }
  | { readonly kind: 'delete'; readonly deleted: number }
  | { readonly kind: 'get'; readonly item: KeyValue | undefined }

export interface CommitResult {
  readonly succeeded: boolean
  /** Revision of the store after the commit; where something was written, the revision of that write. */
  readonly revision: number
  /** One result for each operation of the branch that was taken, in order. */
  readonly responses: readonly OperationResult[]
}

export type WatchEvent =
  | { readonly kind: 'put'; readonly item: KeyValue }
  | { readonly kind: 'delete'; readonly key: string; readonly modRevision: number }

export interface WatchHandlers {
  /** Whole revisions only, in order; never empty. Events may be repeated. */
  events(events: readonly WatchEvent[]): void
  /** History before `compactRevision` is gone: read everything again. */
  compacted(compactRevision: number): void
  /** The stream broke, or the server has said nothing for too long, or it has no quorum. */
  disconnected(error: KvError): void
}

export type KvErrorKind =
  /** A read failed, or a write was certainly not done. */
  | 'unavailable'
  /** A write may have been done, or may yet be done later. Repeat the same guarded write to find out. */
  | 'unknownOutcome'
  /** The revision asked for is no longer kept. */
  | 'compacted'
  /** The store has reached its size limit: puts and leases are refused, reads and deletes work. */
  | 'noSpace'
  /** The request is larger than the server takes. */
  | 'tooLarge'
  | 'leaseNotFound'
  | 'unauthorized'
  /** The endpoints belong to different stores; nothing read or written through them can be trusted. */
  | 'misconfigured'
  /** The request breaks a rule of the store; a bug of the caller. */
  | 'invalid'
  /** The `Kv` was closed. */
  | 'closed'

export class KvError extends Error {
  override readonly name = 'KvError'
  readonly kind: KvErrorKind

  constructor(kind: KvErrorKind, message: string, options: { readonly cause?: unknown } = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause })
    this.kind = kind
  }
}

/** Deadline of a call unless it says otherwise: about twice an election, so that a member that hangs costs little. */
export const CALL_TIMEOUT_MS = 1000
/** etcd's default --max-txn-ops, which counts each list by itself. */
export const COMMIT_OPERATIONS_MAX = 128
/** Below etcd's 1.5 MiB --max-request-bytes, so that the refusal is ours and typed. */
export const COMMIT_BYTES_MAX = 1 << 20

/** Decodes an int64 that etcd sends as text. Revisions are JSON numbers in our records, so they must be exact. */
export function parseRevision(text: string | number): number {
  const revision = Number(text)
  assert(Number.isSafeInteger(revision) && revision >= 0, () => `revision out of range: ${text}`)
  return revision
}

/** Refuses what etcd would refuse, before it is sent; both implementations share it so that tests see it too. */
export function checkCommit(request: CommitRequest): void {
  const lists = [request.compares, request.success, request.failure ?? []]
  const longest = Math.max(...lists.map((list) => list.length))
  if (longest > COMMIT_OPERATIONS_MAX) {
    throw new KvError(
      'tooLarge',
      `commit has ${longest} operations, more than ${COMMIT_OPERATIONS_MAX}`,
    )
  }
  const bytes = commitBytes(request)
  if (bytes > COMMIT_BYTES_MAX) {
    throw new KvError('tooLarge', `commit has ${bytes} bytes, more than ${COMMIT_BYTES_MAX}`)
  }
  checkWrittenOnce(request.success)
  checkWrittenOnce(request.failure ?? [])
}

function commitBytes(request: CommitRequest): number {
  let bytes = 0
  for (const compare of request.compares) {
    bytes += Buffer.byteLength(compare.key)
    if (compare.kind === 'value') bytes += Buffer.byteLength(compare.equals)
  }
  for (const operation of [...request.success, ...(request.failure ?? [])]) {
    bytes += Buffer.byteLength(operation.kind === 'deletePrefix' ? operation.prefix : operation.key)
    if (operation.kind === 'put') bytes += Buffer.byteLength(operation.value)
  }
  return bytes
}

/** etcd refuses two puts of a key, and a put of a key that the same branch deletes; deletes may repeat. */
function checkWrittenOnce(operations: readonly Operation[]): void {
  const put = new Set<string>()
  for (const operation of operations) {
    if (operation.kind !== 'put') continue
    if (put.has(operation.key)) throw new KvError('invalid', `key "${operation.key}" is put twice`)
    put.add(operation.key)
  }
  for (const operation of operations) {
    if (operation.kind === 'delete' && put.has(operation.key)) {
      throw new KvError('invalid', `key "${operation.key}" is put and deleted`)
    }
    if (operation.kind !== 'deletePrefix') continue
    for (const key of put) {
      if (key.startsWith(operation.prefix)) {
        throw new KvError('invalid', `key "${key}" is put and deleted`)
      }
    }
  }
}
