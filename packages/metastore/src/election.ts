import { type Clock, DecodeError, isMutant, type Log } from '@nyala/client/base'
import { type MemberId, randomHex, SqlError } from '@nyala/client/protocol'
import type { Keys } from './keys.ts'
import { type CommitRequest, type CommitResult, type Compare, type Kv, KvError } from './kv.ts'
import { PrefixView } from './prefix-view.ts'
import { decodeRecord, encodeRecord, type LeaderRecord, leaderRecord } from './records.ts'
import { type RepeatedCommit, repeatCommit } from './retry.ts'
import { LEASE_TTL_SECONDS, Session } from './session.ts'

const RETRY_MS = 50
/** A coordinator whose term has ended lets others try for this long before it campaigns again. */
const YIELD_MS = 1000
/** A leader that is cut off from the store tries for so long to give its key back, and leaves it to expire then. */
const GIVE_BACK_BUDGET_MS = 1000

export interface ElectionOptions {
  readonly kv: Kv
  readonly keys: Keys
  readonly clock: Clock
  readonly log: Log
  readonly candidate: {
    readonly id: MemberId
    readonly address: string
    /** As in the member record of this process. */
    readonly startedAt: number
  }
  readonly ttlSeconds?: number | undefined
  /** Another coordinator could lead: one whose term has ended lets it go first. Default: true. */
  readonly hasRivals?: (() => boolean) | undefined
  /** A leader that was away for longer gives up. Default: half its lease. */
  readonly absenceMaxMs?: number | undefined
  readonly onElected?: ((leadership: Leadership) => void) | undefined
  /** Whatever was done for this leadership must stop; its writes are refused from now on or soon. */
  readonly onDeposed?: ((leadership: Leadership, reason: string) => void) | undefined
  /** Called when the leader that is seen changes, by the leader itself too. */
  readonly onLeader?: ((leader: Leader | undefined) => void) | undefined
}

/** The leader as seen by a watch: who to ask, never a proof that it still leads. */
export interface Leader {
  readonly record: LeaderRecord
  readonly epoch: number
}

export type FencedCommit =
  /** The epoch is over; nothing was written. `epoch`: the one that is current, where that is known and there is one. */
  | { readonly kind: 'fenced'; readonly epoch: number | undefined }
  | {
      readonly kind: 'answered'
      readonly result: CommitResult
      /** An earlier attempt may have been applied: see {@link repeatCommit}. */
      readonly ambiguous: boolean
    }

/** One term of office. Its epoch is the create revision of the leader key. */
export class Leadership {
  readonly epoch: number
  readonly #kv: Kv
  readonly #clock: Clock
  readonly #key: string
  readonly #session: Session

  constructor(options: {
    readonly kv: Kv
    readonly clock: Clock
    readonly key: string
    readonly epoch: number
    readonly session: Session
  }) {
    this.epoch = options.epoch
    this.#kv = options.kv
    this.#clock = options.clock
    this.#key = options.key
    this.#session = options.session
  }

  /** A hint to stop early; never enough to act on. False for good once this process was away for too long. */
  get probablyCurrent(): boolean {
    return this.#session.valid
  }

  /** Belongs into every commit that a leader makes. */
  fence(): Compare {
    return { kind: 'createRevision', key: this.#key, equals: this.epoch }
  }

  /**
   * A guarded write that is refused once the epoch is over. The results of `failure` keep their places.
   * Nothing is sent after an absence of this process, or once its lease has run out: it is fenced then without asking.
   * Fails with `metastore_unavailable` or `commit_outcome_unknown`.
   */
  async commitIf(
    request: CommitRequest,
    options: { readonly signal?: AbortSignal | undefined } = {},
  ): Promise<FencedCommit> {
    if (!this.probablyCurrent) return { kind: 'fenced', epoch: undefined }
    const sent = await this.#send(
      {
        compares: [this.fence(), ...request.compares],
        success: request.success,
        failure: [...(request.failure ?? []), { kind: 'get', key: this.#key }],
      },
      options.signal,
    )
    if (sent === 'over') return { kind: 'fenced', epoch: undefined }
    const { result, ambiguous } = sent
    if (result.succeeded) return { kind: 'answered', result, ambiguous }
    const leader = result.responses.at(-1)
    const epoch = leader?.kind === 'get' ? leader.item?.createRevision : undefined
    if (epoch !== this.epoch) return { kind: 'fenced', epoch }
    const answered = { ...result, responses: result.responses.slice(0, -1) }
    return { kind: 'answered', result: answered, ambiguous }
  }

  /** `over`: the term ended before anything was sent that may have been done. */
  async #send(
    request: CommitRequest,
    signal: AbortSignal | undefined,
  ): Promise<RepeatedCommit | 'over'> {
    const commitIf: Kv['commitIf'] = (again, options) => {
      // Looked at before each attempt: the pause between two may have been a long one.
      if (this.probablyCurrent) return this.#kv.commitIf(again, options)
      return Promise.reject(new KvError('closed', `epoch ${this.epoch} is over`))
    }
    try {
      return await repeatCommit({ kv: { commitIf }, clock: this.#clock, signal }, request)
    } catch (error) {
      const isUnsent = error instanceof SqlError && error.error === 'metastore_unavailable'
      if (isUnsent && !this.probablyCurrent) return 'over'
      throw error
    }
  }
}

/**
 * Ends the term of a leader that is believed dead, so that another can be elected before its lease runs out.
 * Compares the epoch: a leader elected meanwhile is not touched. Wrong about a living leader it costs an election.
 * False when the epoch was over already. Fails with `metastore_unavailable` or `commit_outcome_unknown`.
 */
export async function deposeLeader(
  options: {
    readonly kv: Kv
    readonly keys: Keys
    readonly clock: Clock
    readonly budgetMs?: number | undefined
    readonly signal?: AbortSignal | undefined
  },
  epoch: number,
): Promise<boolean> {
  const key = options.keys.leader
  const { result } = await repeatCommit(options, {
    compares: [{ kind: 'createRevision', key, equals: epoch }],
    success: [{ kind: 'delete', key }],
  })
  return result.succeeded
}

/**
 * Campaigns for the one leader key for as long as it runs.
 *
 * ```
 *   waiting ──key absent──► campaigning ──created it──► leading ──lease lost, key gone, resigned──► waiting
 *                               └──another created it──► waiting
 * ```
 *
 * A candidate that waits holds neither key nor lease, so there is no queue that could go wrong. A leader that was
 * away, paused or hung, for longer than half its lease drops its epoch before it does anything else. Whoever led lets
 * the others go first, so that a leader that wakes does not take its place back.
 */
export class Election {
  readonly #options: ElectionOptions
  readonly #key: string
  readonly #view: PrefixView
  readonly #abort = new AbortController()
  #leader: Leader | undefined
  #hasSeenLeader = false
  #leadership: Leadership | undefined
  #resign: (() => void) | undefined
  #running: Promise<void> | undefined

  constructor(options: ElectionOptions) {
    this.#options = options
    this.#key = options.keys.leader
    this.#view = new PrefixView({ ...options, prefix: this.#key })
    this.#view.onChange(() => this.#observe())
  }

  /** The leader last seen. */
  get leader(): Leader | undefined {
    return this.#leader
  }

  /** Set while this coordinator leads, as far as it can tell. */
  get leadership(): Leadership | undefined {
    return this.#leadership?.probablyCurrent === true ? this.#leadership : undefined
  }

  /** Begins to observe and to campaign; resolves when the leader key has been read for the first time. */
  async start(options: { readonly signal?: AbortSignal | undefined } = {}): Promise<void> {
    await this.#view.start(options)
    this.#running ??= this.#run()
  }

  /** Resolves with the leader once there is one. */
  async waitForLeader(
    options: { readonly signal?: AbortSignal | undefined } = {},
  ): Promise<Leader> {
    for (;;) {
      await this.#view.waitFor(() => this.#leader !== undefined, options)
      if (this.#leader !== undefined) return this.#leader
    }
  }

  /** Gives leadership up, if held, and lets others go first. */
  resign(): void {
    this.#resign?.()
  }

  async stop(): Promise<void> {
    this.#abort.abort(new KvError('closed', 'the election was stopped'))
    this.#resign?.()
    await this.#running
    await this.#view.stop()
  }

  #observe(): void {
    const item = this.#view.get(this.#key)
    if (item?.createRevision === this.#leader?.epoch) return
    try {
      this.#leader =
        item === undefined
          ? undefined
          : {
              record: decodeRecord(leaderRecord, item.value, item.key),
              epoch: item.createRevision,
            }
    } catch (error) {
      if (!(error instanceof DecodeError)) throw error
      this.#options.log.warn('leader record not understood', { error })
      this.#leader = undefined
    }
    this.#hasSeenLeader ||= this.#leader !== undefined
    this.#options.onLeader?.(this.#leader)
  }

  get #isPredecessor(): boolean {
    const { id, startedAt } = this.#options.candidate
    const record = this.#leader?.record
    return record?.id === id && record.startedAt !== startedAt
  }

  async #run(): Promise<void> {
    const { signal } = this.#abort
    while (!signal.aborted) {
      try {
        await this.#view.waitFor(() => this.#leader === undefined || this.#isPredecessor, {
          signal,
        })
        if (isMutant('no-campaign') && this.#hasSeenLeader) return
        // A process of this id that is gone still holds the key: nobody need wait for its lease.
        if (this.#leader !== undefined) await deposeLeader(this.#options, this.#leader.epoch)
        await this.#view.waitFor(() => this.#view.get(this.#key) === undefined, { signal })
        const ended = await this.#campaignOnce()
        const yields = ended === 'deposed' && (this.#options.hasRivals?.() ?? true)
        await this.#pause(yields ? YIELD_MS : RETRY_MS)
      } catch (error) {
        if (signal.aborted) return
        this.#options.log.info('campaign failed', { error })
        await this.#pause(RETRY_MS)
      }
    }
  }

  async #campaignOnce(): Promise<'lost' | 'deposed'> {
    const { ttlSeconds = LEASE_TTL_SECONDS } = this.#options
    const { absenceMaxMs = (ttlSeconds * 1000) / 2 } = this.#options
    const session = await Session.open({ ...this.#options, absenceMaxMs })
    try {
      const epoch = await this.#createKey(session)
      // A session that ended while the answer was on its way leads nobody.
      if (epoch === undefined || !session.valid) return 'lost'
      await this.#lead(session, epoch)
      await this.#giveBack(epoch)
      return 'deposed'
    } finally {
      await session.close()
    }
  }

  /** Revoking the lease does it too, but is not repeated where it is lost; and then others wait until it runs out. */
  async #giveBack(epoch: number): Promise<void> {
    try {
      await deposeLeader({ ...this.#options, budgetMs: GIVE_BACK_BUDGET_MS }, epoch)
    } catch (error) {
      this.#options.log.info('leader key not given back', { epoch, error })
    }
  }

  /** The epoch when the key was created by us. A late duplicate is refused, because its lease is gone by then. */
  async #createKey(session: Session): Promise<number | undefined> {
    const { candidate, clock } = this.#options
    const record = { ...candidate, electedAt: clock.wall(), writeId: randomHex(8) }
    const value = encodeRecord(leaderRecord, record)
    const { result } = await repeatCommit(
      { ...this.#options, signal: this.#abort.signal, budgetMs: session.ttlSeconds * 1000 },
      {
        compares: [{ kind: 'absent', key: this.#key }],
        success: [{ kind: 'put', key: this.#key, value, lease: session.lease }],
        failure: [{ kind: 'get', key: this.#key }],
      },
    )
    if (result.succeeded) return result.revision
    const response = result.responses[0]
    const found = response?.kind === 'get' ? response.item : undefined
    return found?.lease === session.lease ? found.createRevision : undefined
  }

  async #lead(session: Session, epoch: number): Promise<void> {
    const { kv, clock, log } = this.#options
    const leadership = new Leadership({ kv, clock, key: this.#key, epoch, session })
    this.#leadership = leadership
    log.info('elected', { epoch })
    this.#options.onElected?.(leadership)
    const reason = await this.#untilDeposed(session, epoch)
    this.#leadership = undefined
    log.info('deposed', { epoch, reason })
    this.#options.onDeposed?.(leadership, reason)
  }

  async #untilDeposed(session: Session, epoch: number): Promise<string> {
    const over = new AbortController()
    const resigned = new Promise<string>((resolve) => {
      this.#resign = () => resolve(RESIGNED)
      if (this.#abort.signal.aborted) resolve(RESIGNED)
    })
    const isGone = (): boolean =>
      this.#view.revision >= epoch && this.#view.get(this.#key)?.createRevision !== epoch
    const gone = this.#view.waitFor(isGone, over).then(() => 'leader key is gone')
    if (isMutant('no-step-down')) return resigned
    try {
      return await Promise.race([session.lost, gone, resigned])
    } finally {
      this.#resign = undefined
      over.abort()
      // The loser of the race ends by the abort; its rejection has no other reader.
      gone.catch(() => undefined)
    }
  }

  async #pause(ms: number): Promise<void> {
    try {
      await this.#options.clock.sleep(ms, { signal: this.#abort.signal })
    } catch (error) {
      if (!this.#abort.signal.aborted) throw error
    }
  }
}

const RESIGNED = 'resigned'
