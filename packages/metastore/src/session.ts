import { type Clock, deferred, type Log } from '@nyala/client/base'
import { type Kv, KvError, type LeaseId } from './kv.ts'

/** Never below 2 s, or a live member loses its lease when an etcd leader dies; 3 s survived every trial. */
export const LEASE_TTL_SECONDS = 3
/** The session ends this much before the server may expire the lease, for the sake of slow timers. */
const MARGIN_MS = 150
/** Renewals in one time to live. */
const RENEWALS = 4
const RENEW_TIMEOUT_MIN_MS = 50
const RENEW_RETRY_MS = 20
/** How often a session that must notice its own absence looks at the clock, per allowed absence. */
const LOOKS_PER_ABSENCE = 4

export interface SessionOptions {
  readonly kv: Kv
  readonly clock: Clock
  readonly log: Log
  readonly ttlSeconds?: number | undefined
  /**
   * Ends the session when this process was away for longer, paused or too busy to take a timer's turn: before anything
   * else that it does after its return. Default: absence alone ends nothing.
   */
  readonly absenceMaxMs?: number | undefined
}

/**
 * One lease, kept alive. It ends when the server says that the lease is gone, when it was not renewed in time, or
 * when it is closed; it never comes back.
 *
 * It is valid until the moment the last *answered* renewal was *sent*, plus the time to live: the server began to
 * count no earlier than that. Measured on the monotonic clock, so that steps of the wall clock do not matter.
 * Validity is a hint to stop early, never a proof: another member may hold a newer lease already.
 */
export class Session {
  readonly lease: LeaseId
  readonly ttlSeconds: number
  /** Resolves with the reason when the session ends other than by `close`. */
  readonly lost: Promise<string>
  readonly #kv: Kv
  readonly #clock: Clock
  readonly #log: Log
  readonly #lost = deferred<string>()
  readonly #closing = new AbortController()
  readonly #absenceMaxMs: number
  #validUntil: number
  /** When this process was last seen to be running. */
  #lastTurn: number
  #ended = false

  private constructor(
    options: SessionOptions,
    grant: { readonly lease: LeaseId; readonly ttlSeconds: number; readonly sentAt: number },
  ) {
    this.#kv = options.kv
    this.#clock = options.clock
    this.#log = options.log
    this.lease = grant.lease
    this.ttlSeconds = grant.ttlSeconds
    this.lost = this.#lost.promise
    this.#validUntil = grant.sentAt + grant.ttlSeconds * 1000 - MARGIN_MS
    this.#absenceMaxMs = options.absenceMaxMs ?? Infinity
    this.#lastTurn = grant.sentAt
  }

  static async open(options: SessionOptions): Promise<Session> {
    const sentAt = options.clock.now()
    const grant = await options.kv.grantLease(options.ttlSeconds ?? LEASE_TTL_SECONDS)
    const session = new Session(options, { ...grant, sentAt })
    void session.#run()
    if (options.absenceMaxMs !== undefined) void session.#watchAbsence()
    return session
  }

  /** Asking also notices an absence, so that whoever asks before each act does nothing after one. */
  get valid(): boolean {
    return !this.#noticeAbsence() && this.#clock.now() < this.#validUntil
  }

  /** Ends the session and gives the lease back, so that its keys vanish at once. Idempotent. */
  async close(): Promise<void> {
    if (this.#ended) return
    this.#ended = true
    this.#closing.abort()
    await this.#revoke()
  }

  async #revoke(): Promise<void> {
    try {
      await this.#kv.revokeLease(this.lease)
    } catch (error) {
      // It expires by itself; nobody may rely on it being gone earlier.
      this.#log.info('lease not revoked', { lease: this.lease, error })
    }
  }

  async #run(): Promise<void> {
    const periodMs = (this.ttlSeconds * 1000) / RENEWALS
    let pauseMs = periodMs
    for (;;) {
      if (!(await this.#sleep(Math.min(pauseMs, this.#leftMs())))) return
      if (this.#noticeAbsence()) return
      const left = this.#leftMs()
      if (left <= 0) return this.#lose('lease was not renewed in time')
      const renewed = await this.#renew(Math.max(RENEW_TIMEOUT_MIN_MS, Math.min(left, periodMs)))
      if (this.#noticeAbsence()) return
      if (renewed === 'gone') return this.#lose('lease is gone on the server')
      pauseMs = renewed === 'renewed' ? periodMs : RENEW_RETRY_MS
    }
  }

  async #renew(timeoutMs: number): Promise<'renewed' | 'gone' | 'failed'> {
    const sentAt = this.#clock.now()
    try {
      const ttlSeconds = await this.#kv.keepAlive(this.lease, { timeoutMs })
      if (ttlSeconds <= 0) return 'gone'
      this.#validUntil = sentAt + ttlSeconds * 1000 - MARGIN_MS
      return 'renewed'
    } catch (error) {
      if (error instanceof KvError && error.kind === 'leaseNotFound') return 'gone'
      this.#log.debug('lease renewal failed', { lease: this.lease, error })
      return 'failed'
    }
  }

  async #watchAbsence(): Promise<void> {
    while (await this.#sleep(this.#absenceMaxMs / LOOKS_PER_ABSENCE)) {
      if (this.#noticeAbsence()) return
      this.#lastTurn = this.#clock.now()
    }
  }

  /** True when the session is over, by an absence that is noticed just now or otherwise. */
  #noticeAbsence(): boolean {
    const awayMs = this.#clock.now() - this.#lastTurn
    if (!this.#ended && awayMs > this.#absenceMaxMs) {
      this.#lose(`this process was away for ${Math.round(awayMs)} ms`)
      // Others need not wait until it expires.
      void this.#revoke()
    }
    return this.#ended
  }

  /** False when the session was closed meanwhile. */
  async #sleep(ms: number): Promise<boolean> {
    try {
      await this.#clock.sleep(Math.max(0, ms), { signal: this.#closing.signal })
      return true
    } catch (error) {
      if (this.#closing.signal.aborted) return false
      throw error
    }
  }

  #leftMs(): number {
    return this.#validUntil - this.#clock.now()
  }

  #lose(reason: string): void {
    if (this.#ended) return
    this.#ended = true
    this.#closing.abort()
    this.#lost.resolve(reason)
  }
}
