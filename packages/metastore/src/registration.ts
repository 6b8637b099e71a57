import { type Clock, deferred, isMutant, type Log } from '@nyala/client/base'
import type { Keys } from './keys.ts'
import { type KeyValue, type Kv, KvError, type LeaseId } from './kv.ts'
import { PrefixView, type ViewChange } from './prefix-view.ts'
import { encodeRecord, type MemberRecord, memberRecord } from './records.ts'
import { repeatCommit, repeatRead, type RetryOptions } from './retry.ts'
import { Session } from './session.ts'

/** Pause after a failed attempt to register. */
const RETRY_MIN_MS = 50
const RETRY_MAX_MS = 500

export interface RegistrationOptions {
  readonly kv: Kv
  readonly keys: Keys
  readonly clock: Clock
  readonly log: Log
  readonly record: MemberRecord
  readonly ttlSeconds?: number | undefined
  /** `incarnation` is the create revision of the member's key: larger each time. */
  readonly onRegistered?: ((incarnation: number) => void) | undefined
  /** The member is no longer in the membership; unless superseded, it will be registered again. */
  readonly onLost?: ((reason: RegistrationLoss) => void) | undefined
}

export interface RegistrationLoss {
  /** `superseded`: another process registered under the same id. This one gives up for good and should stop. */
  readonly kind: 'lapsed' | 'superseded'
  readonly reason: string
}

/**
 * Keeps a member's key present under a lease.
 *
 * ```
 *   registering ──► registered ──lease lost, key deleted──► registering
 *        └───────────────┴──another process took the id──► superseded (final)
 *   any ──stop──► stopped (final): the lease is revoked at once
 * ```
 *
 * A predecessor's key (the same id, restarted before its lease ran out) is replaced in three writes. The first puts
 * it under our lease, by which a predecessor that still lives learns that it is superseded; then it is deleted and
 * created, because a put alone would keep its create revision and with it the old incarnation.
 */
export class Registration {
  readonly #options: RegistrationOptions
  readonly #key: string
  readonly #view: PrefixView
  readonly #abort = new AbortController()
  readonly #first = deferred<void>()
  /** Every lease this object ever held: a key under one of them is its own. */
  readonly #leases = new Set<LeaseId>()
  #record: MemberRecord
  #incarnation: number | undefined
  #session: Session | undefined
  #wasRegistered = false
  #superseded = false
  #running: Promise<void> | undefined

  constructor(options: RegistrationOptions) {
    this.#options = options
    this.#record = options.record
    this.#key = options.keys.member(options.record.role, options.record.id)
    // Other members' keys may start with this one; they are not looked at.
    this.#view = new PrefixView({ ...options, prefix: this.#key })
    this.#view.onChange((change) => this.#noticeSuccessor(change))
  }

  /** Create revision of the key; `undefined` while not registered. */
  get incarnation(): number | undefined {
    return this.#incarnation
  }

  get superseded(): boolean {
    return this.#superseded
  }

  /** The member's lease, for other keys that should vanish with it. */
  get lease(): LeaseId | undefined {
    return this.#incarnation === undefined ? undefined : this.#session?.lease
  }

  /** Begins to register; resolves when registered for the first time. An abort stops the registration. */
  async start(options: { readonly signal?: AbortSignal | undefined } = {}): Promise<void> {
    const { signal } = options
    // An abort may come before anybody waits for the first registration.
    this.#first.promise.catch(() => undefined)
    const onAbort = (): void => this.#first.reject(signal?.reason)
    signal?.addEventListener('abort', onAbort, { once: true })
    try {
      signal?.throwIfAborted()
      await this.#view.start(options)
      this.#running ??= this.#run()
      await this.#first.promise
    } catch (error) {
      await this.stop()
      throw error
    } finally {
      signal?.removeEventListener('abort', onAbort)
    }
  }

  /**
   * Changes the record under the same incarnation, for example to `draining`; a later registration keeps the change.
   * False when the member is not registered just now. Fails with `metastore_unavailable`.
   */
  async update(change: (record: MemberRecord) => MemberRecord): Promise<boolean> {
    this.#record = change(this.#record)
    const value = encodeRecord(memberRecord, this.#record)
    for (;;) {
      const { item } = await repeatRead(this.#options, () => this.#options.kv.get(this.#key))
      const lease = item?.lease
      if (item === undefined || lease === undefined || !this.#leases.has(lease)) return false
      if (item.value === value) return true
      const { result } = await repeatCommit(this.#options, {
        compares: [{ kind: 'modRevision', key: this.#key, equals: item.modRevision }],
        success: [{ kind: 'put', key: this.#key, value, lease }],
      })
      if (result.succeeded) return true
    }
  }

  /** Takes the member out of the membership at once. */
  async stop(): Promise<void> {
    if (!this.#abort.signal.aborted) {
      this.#abort.abort(new KvError('closed', 'the registration was stopped'))
      this.#first.reject(this.#abort.signal.reason)
      // Nobody need be waiting for the first registration.
      this.#first.promise.catch(() => undefined)
    }
    await this.#session?.close()
    await this.#view.stop()
    await this.#running
  }

  async #run(): Promise<void> {
    let pauseMs = RETRY_MIN_MS
    while (!this.#abort.signal.aborted && !this.#superseded) {
      try {
        await this.#registerOnce()
        if (isMutant('no-reregistration')) return
        pauseMs = RETRY_MIN_MS
      } catch (error) {
        if (this.#abort.signal.aborted) return
        this.#options.log.warn('registration failed', { key: this.#key, error })
        await this.#pause(pauseMs)
        pauseMs = Math.min(2 * pauseMs, RETRY_MAX_MS)
      }
    }
  }

  /** Registers, then resolves when the registration has lapsed. */
  async #registerOnce(): Promise<void> {
    const session = await Session.open(this.#options)
    this.#session = session
    this.#leases.add(session.lease)
    try {
      // `stop` may have come before there was a session to close.
      this.#abort.signal.throwIfAborted()
      const incarnation = await this.#putKey(session)
      if (incarnation === 'superseded') return this.#lapse(SUPERSEDED)
      // The view must know the key, or its absence would be taken for a deletion.
      await this.#view.waitFor(() => this.#view.revision >= incarnation, this.#abort)
      this.#incarnation = incarnation
      this.#wasRegistered = true
      this.#first.resolve()
      this.#options.onRegistered?.(incarnation)
      this.#lapse(await this.#untilLapsed(session, incarnation))
    } finally {
      this.#incarnation = undefined
      await session.close()
    }
  }

  get #retry(): RetryOptions {
    const { kv, clock } = this.#options
    return { kv, clock, signal: this.#abort.signal }
  }

  /** Creates the key under the session's lease and returns its create revision. */
  async #putKey(session: Session): Promise<number | 'superseded'> {
    for (;;) {
      const value = encodeRecord(memberRecord, this.#record)
      // A late duplicate does no harm: by then the lease it names is gone, or the key is there.
      const { result } = await repeatCommit(this.#retry, {
        compares: [{ kind: 'absent', key: this.#key }],
        success: [{ kind: 'put', key: this.#key, value, lease: session.lease }],
        failure: [{ kind: 'get', key: this.#key }],
      })
      if (result.succeeded) return result.revision
      const response = result.responses[0]
      const found = response?.kind === 'get' ? response.item : undefined
      if (found === undefined) continue
      if (this.#isForeign(found) && this.#wasRegistered) return 'superseded'
      await this.#remove(found, value, session.lease)
    }
  }

  /** Deletes what is found under the key, telling a living predecessor first. Where it fails, the caller looks again. */
  async #remove(found: KeyValue, value: string, lease: LeaseId): Promise<void> {
    let modRevision = found.modRevision
    if (this.#isForeign(found)) {
      const { result } = await repeatCommit(this.#retry, {
        compares: [{ kind: 'modRevision', key: this.#key, equals: modRevision }],
        success: [{ kind: 'put', key: this.#key, value, lease }],
      })
      if (!result.succeeded) return
      modRevision = result.revision
    }
    await repeatCommit(this.#retry, {
      compares: [{ kind: 'modRevision', key: this.#key, equals: modRevision }],
      success: [{ kind: 'delete', key: this.#key }],
    })
  }

  async #untilLapsed(session: Session, incarnation: number): Promise<RegistrationLoss> {
    const over = new AbortController()
    const lapsed = (): boolean => {
      const item = this.#view.get(this.#key)
      return item?.createRevision !== incarnation || item.lease !== session.lease
    }
    const gone = this.#view
      .waitFor(() => this.#superseded || lapsed(), {
        signal: AbortSignal.any([over.signal, this.#abort.signal]),
      })
      .then(() => (this.#superseded ? SUPERSEDED : KEY_GONE))
    const lost = session.lost.then((reason): RegistrationLoss => ({ kind: 'lapsed', reason }))
    try {
      return await Promise.race([gone, lost])
    } finally {
      over.abort()
      // Whichever lost the race ends by the abort; its rejection has no other reader.
      gone.catch(() => undefined)
    }
  }

  /** Looks at each event, not only at the state after them: the put that tells of a successor may be deleted by then. */
  #noticeSuccessor(change: ViewChange): void {
    if (!this.#wasRegistered) return
    if (change.kind === 'reset') {
      const item = this.#view.get(this.#key)
      if (item !== undefined && this.#isForeign(item)) this.#superseded = true
      return
    }
    for (const event of change.events) {
      if (event.kind !== 'put' || event.item.key !== this.#key) continue
      if (this.#isForeign(event.item)) this.#superseded = true
    }
  }

  #isForeign(item: KeyValue): boolean {
    return item.lease === undefined || !this.#leases.has(item.lease)
  }

  #lapse(loss: RegistrationLoss): void {
    this.#incarnation = undefined
    if (loss.kind === 'superseded') this.#superseded = true
    this.#options.log.warn('registration lost', { key: this.#key, ...loss })
    this.#options.onLost?.(loss)
  }

  async #pause(ms: number): Promise<void> {
    try {
      await this.#options.clock.sleep(ms, { signal: this.#abort.signal })
    } catch (error) {
      if (!this.#abort.signal.aborted) throw error
    }
  }
}

const KEY_GONE: RegistrationLoss = { kind: 'lapsed', reason: 'the member key was deleted' }
const SUPERSEDED: RegistrationLoss = {
  kind: 'superseded',
  reason: 'another process registered under this id',
}
