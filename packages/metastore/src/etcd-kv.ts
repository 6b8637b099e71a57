import { type Clock, type Log } from '@nyala/client/base'
import { SqlError } from '@nyala/client/protocol'
import type { Etcd3, IResponseHeader } from 'etcd3'
import { type EtcdClient, type EtcdCredentials, makeEtcdClient, toKvError } from './etcd-client.ts'
import { prefixEnd, toCompare, toKeyValue, toOperationResult, toRequestOp } from './etcd-codec.ts'
import { EtcdReader } from './etcd-reader.ts'
import { watchEtcd } from './etcd-watch.ts'
import {
  CALL_TIMEOUT_MS,
  type CallOptions,
  checkCommit,
  type CommitRequest,
  type CommitResult,
  type GetOptions,
  type GetResult,
  type KeyValue,
  type Kv,
  KvError,
  type LeaseGrant,
  type LeaseId,
  parseRevision,
  type RangeOptions,
  type RangeResult,
  type WatchHandlers,
} from './kv.ts'
import { toSqlError } from './retry.ts'

/** etcd counts the rest of the range for each page, so small pages make a large range quadratic. */
const PAGE_KEYS = 10_000
/** A range of many keys takes longer than a single key. */
const RANGE_TIMEOUT_MS = 2000
/** A member that is down must not hold up a start that the others suffice for. */
const MEMBER_TIMEOUT_MS = 500
/** Never written; reading it proves that etcd answers. */
const PROBE_KEY = '/nyala/ready'
const READY_RETRY_MIN_MS = 20
const READY_RETRY_MAX_MS = 300

export interface EtcdKvOptions {
  /** `http://host:port` or `https://host:port` of each member. */
  readonly endpoints: readonly string[]
  readonly clock: Clock
  readonly log: Log
  readonly credentials?: EtcdCredentials | undefined
}

/** Opens a connection to etcd. Does not wait for it: see {@link EtcdKv.waitReady}. */
export async function connectKv(options: EtcdKvOptions): Promise<EtcdKv> {
  const client = await makeEtcdClient(options.endpoints, options.clock, options.credentials)
  return new EtcdKv(client, options)
}

type AnswerHeader = Pick<IResponseHeader, 'cluster_id'>

export class EtcdKv implements Kv, AsyncDisposable {
  readonly endpoints: readonly string[]
  readonly #client: Etcd3
  readonly #closeClient: () => void
  readonly #clock: Clock
  readonly #log: Log
  readonly #credentials: EtcdCredentials | undefined
  readonly #reader: EtcdReader
  readonly #watches = new Set<() => void>()
  /** Id of the etcd cluster that answered first; every other answer must come from the same. */
  #clusterId: string | undefined
  #misconfigured: KvError | undefined
  #closed = false

  constructor({ client, close }: EtcdClient, options: EtcdKvOptions) {
    this.endpoints = options.endpoints
    this.#client = client
    this.#closeClient = close
    this.#clock = options.clock
    this.#log = options.log
    this.#credentials = options.credentials
    this.#reader = new EtcdReader(options)
  }

  /**
   * Resolves when etcd has answered a linearizable read, and every endpoint that answers alone is of the same cluster.
   * Fails with `metastore_unavailable` after `timeoutMs`.
   */
  async waitReady(options: {
    readonly timeoutMs: number
    readonly signal?: AbortSignal | undefined
  }): Promise<void> {
    const end = this.#clock.now() + options.timeoutMs
    for (let pause = READY_RETRY_MIN_MS; ; pause = Math.min(2 * pause, READY_RETRY_MAX_MS)) {
      options.signal?.throwIfAborted()
      const left = end - this.#clock.now()
      try {
        const timeoutMs = Math.max(1, Math.min(left, CALL_TIMEOUT_MS))
        await this.get(PROBE_KEY, { timeoutMs })
        return await this.#checkMembers()
      } catch (cause) {
        if (this.#misconfigured !== undefined) throw toSqlError(this.#misconfigured, false)
        if (this.#clock.now() + pause >= end) throw this.#notReady(options.timeoutMs, cause)
        this.#log.debug('metastore not ready', { endpoints: this.endpoints, cause })
      }
      await this.#clock.sleep(pause, { signal: options.signal })
    }
  }

  async range(prefix: string, options: RangeOptions = {}): Promise<RangeResult> {
    const end = prefixEnd(prefix)
    const items: KeyValue[] = []
    const { after, limit = Infinity } = options
    let revision = options.revision
    let from = after === undefined ? Buffer.from(prefix) : next(Buffer.from(after))
    for (;;) {
      const most = Math.min(PAGE_KEYS, limit - items.length)
      const request = { key: from, range_end: end, limit: most, revision: revision ?? 0 }
      const page = await this.#call(`range "${prefix}"`, 'read', () =>
        this.#client.kv.range(request, this.#deadline(options, RANGE_TIMEOUT_MS)),
      )
      // The first page says which revision the rest is read at.
      revision ??= parseRevision(page.header.revision)
      for (const kv of page.kvs) items.push(toKeyValue(kv))
      const last = page.kvs.at(-1)
      if (!page.more || last === undefined || items.length >= limit) return { revision, items }
      from = next(last.key)
    }
  }

  async get(key: string, options: GetOptions = {}): Promise<GetResult> {
    const bytes = Buffer.from(key)
    const { timeoutMs = CALL_TIMEOUT_MS, often } = options
    const result = await this.#call(
      `get "${key}"`,
      'read',
      () =>
        (often === true ? this.#reader.get(bytes, timeoutMs) : undefined) ??
        this.#client.kv.range({ key: bytes }, this.#deadline(options)),
    )
    const kv = result.kvs[0]
    return {
      revision: parseRevision(result.header.revision),
      item: kv === undefined ? undefined : toKeyValue(kv),
    }
  }

  async commitIf(request: CommitRequest, options: CallOptions = {}): Promise<CommitResult> {
    checkCommit(request)
    const txn = {
      compare: request.compares.map(toCompare),
      success: request.success.map(toRequestOp),
      failure: (request.failure ?? []).map(toRequestOp),
    }
    const result = await this.#call('commitIf', 'write', () =>
      this.#client.kv.txn(txn, this.#deadline(options)),
    )
    return {
      succeeded: result.succeeded,
      revision: parseRevision(result.header.revision),
      responses: result.responses.map(toOperationResult),
    }
  }

  async grantLease(ttlSeconds: number, options: CallOptions = {}): Promise<LeaseGrant> {
    const grant = await this.#call('grant lease', 'write', () =>
      this.#client.leaseClient.leaseGrant({ TTL: ttlSeconds }, this.#deadline(options)),
    )
    return { lease: grant.ID as LeaseId, ttlSeconds: Number(grant.TTL) }
  }

  /** One short stream per renewal, so that each may land on another member and a dead one costs one attempt. */
  async keepAlive(lease: LeaseId, options: CallOptions = {}): Promise<number> {
    const timeoutMs = options.timeoutMs ?? CALL_TIMEOUT_MS
    const stream = await this.#call('renew lease', 'write', () =>
      this.#client.leaseClient.leaseKeepAlive({ deadline: this.#clock.wall() + timeoutMs }),
    )
    return new Promise((resolve, reject) => {
      const fail = (cause: unknown): void => reject(toKvError(cause, 'renew lease', 'write'))
      stream.on('data', (reply) => {
        stream.end()
        if (this.#admit(reply.header)) resolve(Math.max(0, Number(reply.TTL)))
        else fail(this.#misconfigured)
      })
      // Stays attached after the answer: an error event without a listener would end the process.
      stream.on('error', fail)
      stream.on('end', () => fail(new Error('stream ended without an answer')))
      stream.write({ ID: lease })
    })
  }

  async revokeLease(lease: LeaseId, options: CallOptions = {}): Promise<void> {
    try {
      await this.#call('revoke lease', 'write', () =>
        this.#client.leaseClient.leaseRevoke({ ID: lease }, this.#deadline(options)),
      )
    } catch (error) {
      if (error instanceof KvError && error.kind === 'leaseNotFound') return
      throw error
    }
  }

  watch(prefix: string, fromRevision: number, handlers: WatchHandlers): () => void {
    this.#check()
    const stop = watchEtcd({
      open: () => this.#client.watchClient.watch(),
      clock: this.#clock,
      prefix,
      rangeEnd: prefixEnd(prefix),
      fromRevision,
      handlers,
      check: (header) => (this.#admit(header) ? undefined : this.#misconfigured),
      ended: () => this.#watches.delete(stop),
    })
    this.#watches.add(stop)
    return stop
  }

  close(): Promise<void> {
    if (this.#closed) return Promise.resolve()
    this.#closed = true
    for (const stop of [...this.#watches]) stop()
    this.#closeClient()
    this.#reader.close()
    return Promise.resolve()
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  async #call<T extends object>(
    what: string,
    access: 'read' | 'write',
    call: () => Promise<T>,
  ): Promise<T> {
    this.#check()
    try {
      const response = await call()
      const header = 'header' in response ? (response.header as AnswerHeader) : undefined
      if (header !== undefined && !this.#admit(header)) this.#check()
      return response
    } catch (cause) {
      throw toKvError(cause, what, access)
    }
  }

  #check(): void {
    if (this.#closed) throw new KvError('closed', 'the connection to etcd is closed')
    if (this.#misconfigured !== undefined) throw this.#misconfigured
  }

  /**
   * False when an answer comes from another etcd cluster than the first one did. A stray member, for example on a
   * port that was taken by another cluster, would show us its own keys and take our writes.
   */
  #admit(header: AnswerHeader): boolean {
    this.#clusterId ??= header.cluster_id
    if (this.#clusterId === header.cluster_id) return true
    this.#misconfigured ??= new KvError(
      'misconfigured',
      `the etcd endpoints ${this.endpoints.join(', ')} belong to different clusters`,
    )
    return false
  }

  /** Asks each endpoint by itself, since a call goes to any of them. One that does not answer is checked when it does. */
  async #checkMembers(): Promise<void> {
    if (this.endpoints.length === 1) return
    const headers = await Promise.all(this.endpoints.map((endpoint) => this.#headerOf(endpoint)))
    for (const header of headers) {
      if (header !== undefined && !this.#admit(header)) this.#check()
    }
  }

  async #headerOf(endpoint: string): Promise<IResponseHeader | undefined> {
    const { client, close } = await makeEtcdClient([endpoint], this.#clock, this.#credentials)
    try {
      const request = { key: Buffer.from(PROBE_KEY), serializable: true }
      const { header } = await client.kv.range(request, this.#deadline({}, MEMBER_TIMEOUT_MS))
      return header
    } catch (error) {
      this.#log.info('etcd member does not answer', { endpoint, error })
      return undefined
    } finally {
      close()
    }
  }

  /** gRPC takes deadlines on the wall clock and turns them into a timer at once, so later steps do no harm. */
  #deadline(options: CallOptions, fallbackMs = CALL_TIMEOUT_MS): { deadline: number } {
    return { deadline: this.#clock.wall() + (options.timeoutMs ?? fallbackMs) }
  }

  #notReady(timeoutMs: number, cause: unknown): SqlError {
    return new SqlError(
      'metastore_unavailable',
      `etcd does not answer at ${this.endpoints.join(', ')} (waited ${timeoutMs} ms)`,
      {
        hint: 'start etcd or correct the list of etcd endpoints',
        detail: cause instanceof Error ? cause.message : undefined,
        cause,
      },
    )
  }
}

/** The first key that there may be after this one. */
const next = (key: Buffer): Buffer => Buffer.concat([key, Buffer.from([0])])
