import { deferred } from '../base/deferred.ts'
import { isMutant } from '../base/mutants.ts'
import { Prng } from '../base/prng.ts'
import type { SqlError } from '../protocol/errors.ts'
import type { Endpoint } from '../protocol/messages.ts'
import { randomHex } from '../protocol/ids.ts'
import { raceDials } from './dial-race.ts'
import { abortError, ConnectionError, typedError } from './errors.ts'
import type { EventHub } from './events.ts'
import { Link, type LinkEvents } from './link.ts'
import type { ResolvedOptions } from './options.ts'
import type { Platform } from './platform.ts'

/** The first connection is given up after this many rounds: where nothing listens, nobody wants to wait. */
export const FIRST_CONNECT_ROUNDS = 3

/** Clients that lose their coordinator together do not dial the others in one moment, but within so long. */
export const RECONNECT_SPREAD_MS = 100

/** A coordinator that has not answered a cancel by then is taken to hang. */
const CANCEL_ANSWER_MS = 500

/** What is said last has so long to be heard before the connections are closed. */
const LAST_WORDS_MS = 2_000

/** Why a coordinator that was dialled and has neither answered nor refused is left out. */
export const OUTRUN = 'it had not answered when another one did'

/** After a failure an address is dialled after the others for so long. */
const DOUBT_MS = 10_000

/**
 * The coordinators that this client knows and the one link that it uses. Any coordinator can take any statement, so one
 * link is enough; when it is lost or drains, the next statement goes to another coordinator.
 */
export class Coordinators {
  readonly #options: ResolvedOptions
  readonly #platform: Platform
  readonly #events: EventHub
  readonly #prng = new Prng(Number.parseInt(randomHex(4), 16))
  readonly #failedAt = new Map<string, number>()
  readonly #links = new Set<Link>()
  readonly #linkEvents: LinkEvents
  readonly #closing = new AbortController()
  /** Cancels that nobody waits for. */
  readonly #said = new Set<Promise<unknown>>()
  #discovered: readonly Endpoint[] = []
  #current: Link | undefined
  #opening: Promise<Link> | undefined
  /** There was a link, which is gone or going: as it may be for many others. */
  #isStruck = false

  constructor(options: ResolvedOptions, platform: Platform, events: EventHub) {
    this.#options = options
    this.#platform = platform
    this.#events = events
    this.#linkEvents = {
      onMembers: (coordinators) => this.#onMembers(coordinators),
      onDraining: (link) => this.#onDraining(link),
      onClosed: (link, reason) => this.#onClosed(link, reason),
    }
  }

  get current(): Link | undefined {
    return this.#current
  }

  /** All addresses worth dialling: those the cluster told of, then the given ones. */
  addresses(): readonly string[] {
    const told = this.#options.discover ? this.#discovered.map(({ address }) => address) : []
    return [...new Set([...told, ...this.#options.endpoints])]
  }

  /**
   * A usable link, the present one or a new one. `rounds` bounds the tries over all addresses.
   * Rejects with `connection_failure` naming the last reason, or with the abort of the signal.
   */
  async acquire(
    options: { readonly signal?: AbortSignal | undefined; readonly rounds?: number } = {},
  ): Promise<Link> {
    if (this.#closing.signal.aborted) throw closedDatabase()
    if (this.#current?.usable === true) return this.#current
    // All who wait share one search; each may give up waiting on its own.
    this.#opening ??= this.#search(options.rounds ?? this.#options.retry.attempts).finally(() => {
      this.#opening = undefined
    })
    return abortable(this.#opening, options.signal)
  }

  /** The open link to one coordinator, which keeps the transaction of a session; where there is none, any other. */
  async acquireFor(
    coordinator: string | undefined,
    options: { readonly signal?: AbortSignal | undefined } = {},
  ): Promise<Link> {
    for (const link of this.#links) {
      if (link.coordinator === coordinator && link.open) return link
    }
    return this.acquire(options)
  }

  async #search(rounds: number): Promise<Link> {
    let last: unknown
    let refusal: SqlError | undefined
    if (this.#isStruck && !isMutant('no-spread')) await this.spread(RECONNECT_SPREAD_MS)
    for (let round = 0; round < rounds; round++) {
      if (round > 0) await this.backoff(round)
      let isSilent = false
      const link = await this.#race((error) => {
        last = error
        if (error.error === 'connection_exception') refusal = error
        else isSilent = true
      })
      if (link !== undefined) return link
      // While a cluster is upgraded some may speak another version; where all do, waiting does not help.
      if (refusal !== undefined && !isSilent) throw refusal
    }
    throw refusal ?? this.#unreachable(last)
  }

  /** One round: the first coordinator that greets, or undefined when each has failed, of which is told. */
  async #race(onFailed: (error: SqlError) => void): Promise<Link | undefined> {
    const link = await raceDials(this.#dialOrder(), {
      clock: this.#platform.clock,
      open: (address, signal) => this.#open(address, signal),
      discard: (late) => late.close(),
      onFailed: (address, cause) => {
        const error = typedError(cause)
        this.#leaveOut(address, error.message)
        onFailed(error)
      },
      onOutrun: (address) => this.#leaveOut(address, OUTRUN),
      signal: this.#closing.signal,
    })
    if (link !== undefined) this.#use(link)
    return link
  }

  #leaveOut(address: string, reason: string): void {
    this.#doubt(address)
    this.#events.emit({ kind: 'unreachable', address, reason })
  }

  #doubt(address: string): void {
    this.#failedAt.set(address, this.#platform.clock.now())
  }

  /**
   * At random, so that clients spread; those that have failed lately come last, and of these the last to fail comes last.
   * One that drains is as one that fails now.
   */
  #dialOrder(): readonly string[] {
    const now = this.#platform.clock.now()
    const draining = new Set([...this.#links].map((link) => link.address))
    const failedAt = (address: string): number => {
      const at = draining.has(address) ? now : (this.#failedAt.get(address) ?? -Infinity)
      return now - at < DOUBT_MS ? at : -Infinity
    }
    const known = this.addresses()
    if (isMutant('no-spread')) return known
    return shuffled(known, this.#prng).toSorted((a, b) =>
      failedAt(a) === failedAt(b) ? 0 : failedAt(a) - failedAt(b),
    )
  }

  #unreachable(last: unknown): SqlError {
    const reason = last instanceof Error ? last.message : 'no coordinator is known'
    return new ConnectionError('connection_failure', reason, {
      hint: `none of ${this.addresses().join(', ')} answered; is the cluster up?`,
      cause: last,
    })
  }

  #open(address: string, signal: AbortSignal): Promise<Link> {
    return Link.open(address, this.#platform, {
      application: this.#options.application,
      events: this.#linkEvents,
      signal,
    })
  }

  #use(link: Link): void {
    if (this.#closing.signal.aborted) {
      link.close()
      throw closedDatabase()
    }
    if (link.open) this.#links.add(link)
    this.#current = link
    this.#isStruck = false
    const { address } = link
    const { coordinator, cluster } = link.welcome
    this.#events.emit({ kind: 'connected', coordinator, address, cluster })
    this.#onMembers(link.welcome.coordinators)
  }

  /** What is looked for is not to be had there now; others are tried first. What else runs on the link goes on. */
  avoid(link: Link): void {
    this.#doubt(link.address)
    if (this.#current === link) this.#current = undefined
    if (link.idle) link.close()
  }

  /** Waits as long as the options say for the `round`-th try after a failed one, counted from 1. */
  backoff(round: number): Promise<void> {
    const { minDelay, maxDelay, jitter } = this.#options.retry
    const delay = Math.min(maxDelay, minDelay * 2 ** (round - 1))
    const ms = jitter ? delay * (0.5 + this.#prng.next() / 2) : delay
    return this.#platform.clock
      .sleep(ms, { signal: this.#closing.signal })
      .catch(() => Promise.reject(closedDatabase()))
  }

  /** A moment of random length, at most `ms`, so that many that were struck together do not act together. */
  spread(ms: number): Promise<void> {
    return this.#platform.clock
      .sleep(this.#prng.next() * ms, { signal: this.#closing.signal })
      .catch(() => Promise.reject(closedDatabase()))
  }

  #onMembers(coordinators: readonly Endpoint[]): void {
    const same =
      coordinators.length === this.#discovered.length &&
      coordinators.every(({ id, address }, i) => {
        const known = this.#discovered[i]
        return known?.id === id && known.address === address
      })
    if (same) return
    this.#discovered = coordinators
    this.#events.emit({ kind: 'membersChanged', coordinators })
  }

  #onDraining(link: Link): void {
    this.#leave(link)
    this.#events.emit({ kind: 'draining', coordinator: link.coordinator })
  }

  #onClosed(link: Link, reason: string): void {
    // One that another coordinator outran was never used, and is closed by us.
    if (!this.#links.delete(link)) return
    this.#doubt(link.address)
    this.#leave(link)
    if (this.#closing.signal.aborted) return
    const { coordinator, address } = link
    this.#events.emit({ kind: 'disconnected', coordinator, address, reason })
  }

  /** Has whatever coordinator can be reached cancel a query. Nobody waits for that but {@link heard}. */
  cancelQuery(queryId: string): void {
    const said = this.acquire()
      .then((link) => link.request({ kind: 'cancelQuery', queryId }))
      // It has ended, or goes when its time is over.
      .catch(() => undefined)
      .finally(() => this.#said.delete(said))
    this.#said.add(said)
  }

  /** Waits a moment for the answer to a cancel, and where none comes does what is given. */
  unlessHeard(answered: Promise<void>, unheard: () => void): void {
    const waited = deferred<void>()
    const stopTimer = this.#platform.clock.after(CANCEL_ANSWER_MS, () => {
      if (!this.#closing.signal.aborted) unheard()
      waited.resolve()
    })
    const said = Promise.race([answered, waited.promise]).finally(() => {
      stopTimer()
      this.#said.delete(said)
    })
    this.#said.add(said)
  }

  /** Resolves when what was said last was heard, or has not been in time. */
  async heard(): Promise<void> {
    if (this.#said.size === 0) return
    const late = deferred<void>()
    const stopTimer = this.#platform.clock.after(LAST_WORDS_MS, () => late.resolve())
    const all = async (): Promise<void> => {
      // One that was not heard is said again, to somebody else.
      while (this.#said.size > 0) await Promise.all(this.#said)
    }
    await Promise.race([all(), late.promise])
    stopTimer()
  }

  /** The next statement is for another coordinator. */
  #leave(link: Link): void {
    if (this.#current !== link) return
    this.#current = undefined
    this.#isStruck = true
  }

  close(): void {
    this.#closing.abort(closedDatabase())
    for (const link of this.#links) link.close()
    this.#current = undefined
  }
}

const closedDatabase = (): SqlError =>
  new ConnectionError('connection_exception', 'the database handle is closed')

function shuffled<T>(items: readonly T[], prng: Prng): T[] {
  const result = [...items]
  for (let i = result.length - 1; i > 0; i--) {
    const j = prng.below(i + 1)
    const held = result[i] as T
    result[i] = result[j] as T
    result[j] = held
  }
  return result
}

/** The promise, or the abort of the signal, whichever comes first; what the promise does later is of no interest. */
export function abortable<T>(promise: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (signal === undefined) return promise
  return new Promise((resolve, reject) => {
    if (signal.aborted) return reject(abortError(signal))
    const onAbort = (): void => reject(abortError(signal))
    signal.addEventListener('abort', onAbort, { once: true })
    promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', onAbort))
  })
}
