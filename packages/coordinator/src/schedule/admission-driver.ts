import { type Clock, type Deferred, deferred, failpoint } from '@nyala/client/base'
import {
  admit,
  type AdmissionLimits,
  type AdmissionRequest,
  type AdmissionState,
  type CoordinatorLoad,
  memoryOf,
  queueIsFull,
  waitedTooLong,
} from './admission.ts'
import { FairQueue } from './fair-queue.ts'
import type { Placement } from './placement.ts'

/** Without another word, queries that run at once for each thread of the executors, and at least. */
const RUNNING_PER_THREAD = 4
const RUNNING_MIN = 32
export const QUEUED_MAX = 1_000

export interface AdmissionOptions {
  readonly clock: Clock
  /** 0: as many as suit the executors that are there. */
  readonly maxRunningQueries: number
  readonly maxQueuedQueries: number
  readonly placement: Placement
  /** Tells the others of a load that has changed. */
  readonly tell: (load: CoordinatorLoad) => void
}

/** How a query wants to be let in. */
export interface Entry extends AdmissionRequest {
  /** Whose turn it takes. */
  readonly session: string
  readonly queueTimeoutMs: number
  readonly signal: AbortSignal
  /** Called when it has to wait, and again when the reason is another one. */
  readonly onQueued: (why: string) => void
}

interface Waiting {
  readonly entry: Entry
  readonly admitted: Deferred<undefined>
  readonly since: number
  why: string
}

interface Peer {
  readonly load: CoordinatorLoad
  readonly heardAt: number
}

/**
 * Lets queries run, makes them wait or refuses them, as `admission.ts` decides.
 *
 * ```
 *   enter ──► running ──leave──►
 *     │  └───► waiting ──its turn, and room──► running       time out, or the client gives up: failed
 *     └──────► refused
 * ```
 *
 * Whoever is first in the queue goes first: what does not fit yet is not overtaken, or it would wait for ever.
 */
export class AdmissionControl {
  readonly #options: AdmissionOptions
  readonly #queue = new FairQueue<Waiting>()
  readonly #peers = new Map<string, Peer>()
  #running = 0
  #memoryBytes = 0

  constructor(options: AdmissionOptions) {
    this.#options = options
  }

  get load(): CoordinatorLoad {
    const first = this.#queue.peek()
    return {
      running: this.#running,
      queued: this.#queue.size,
      waitedMs: first === undefined ? 0 : this.#options.clock.now() - first.since,
      memoryBytes: this.#memoryBytes,
    }
  }

  get limits(): AdmissionLimits {
    const { maxRunningQueries, maxQueuedQueries, placement } = this.#options
    const suitable = Math.max(RUNNING_MIN, placement.threads * RUNNING_PER_THREAD)
    return { runningMax: maxRunningQueries || suitable, queuedMax: maxQueuedQueries }
  }

  /** What another coordinator said of itself; undefined where it has gone. */
  onPeer(id: string, load: CoordinatorLoad | undefined): void {
    if (load === undefined) this.#peers.delete(id)
    else this.#peers.set(id, { load, heardAt: this.#options.clock.now() })
    this.advance()
  }

  /** Resolves when the query may run, with how to say that it has ended. Fails with the reason why it never will. */
  async enter(entry: Entry): Promise<() => void> {
    entry.signal.throwIfAborted()
    const decision = admit(this.#state(), entry)
    if (decision.kind === 'refuse') throw decision.error
    if (entry.cheap) return () => undefined
    if (decision.kind === 'run' && this.#queue.size === 0) return this.#start(entry)
    const why = decision.kind === 'queue' ? decision.why : 'others wait before it'
    const full = queueIsFull(this.#state(), why)
    if (full !== undefined) throw full
    await this.#wait(entry, why)
    return this.#leaver(entry)
  }

  /** Counts a query that another coordinator has let in and that goes on here; it does not wait again. */
  goOn(request: AdmissionRequest): () => void {
    this.#count(request)
    return this.#leaver(request)
  }

  /** Something has changed: lets in whoever can be. */
  advance(): void {
    for (let next = this.#queue.peek(); next !== undefined; next = this.#queue.peek()) {
      const decision = admit(this.#state(), next.entry)
      if (decision.kind === 'queue') return this.#stillWaits(next, decision.why)
      this.#queue.take()
      if (decision.kind === 'refuse') next.admitted.reject(decision.error)
      else {
        this.#count(next.entry)
        next.admitted.resolve(undefined)
      }
    }
  }

  #stillWaits(waiting: Waiting, why: string): void {
    if (waiting.why === why) return
    waiting.why = why
    waiting.entry.onQueued(why)
  }

  async #wait(entry: Entry, why: string): Promise<void> {
    const { clock } = this.#options
    const waiting: Waiting = { entry, admitted: deferred(), since: clock.now(), why }
    const giveUp = (reason: unknown): void => {
      // What has been let in already is not taken back.
      if (!this.#queue.remove(entry.session, waiting)) return
      waiting.admitted.reject(reason)
      this.#tell()
      this.advance()
    }
    const onAbort = (): void => giveUp(entry.signal.reason)
    entry.signal.addEventListener('abort', onAbort, { once: true })
    const seconds = entry.queueTimeoutMs / 1_000
    const stopTimer = clock.after(entry.queueTimeoutMs, () =>
      giveUp(waitedTooLong(seconds, waiting.why)),
    )
    this.#queue.push(entry.session, waiting)
    entry.onQueued(why)
    this.#tell()
    failpoint('query.queued')
    try {
      await waiting.admitted.promise
    } finally {
      stopTimer()
      entry.signal.removeEventListener('abort', onAbort)
    }
  }

  #start(entry: Entry): () => void {
    this.#count(entry)
    return this.#leaver(entry)
  }

  #count(entry: AdmissionRequest): void {
    this.#running++
    this.#memoryBytes += memoryOf(entry)
    this.#tell()
  }

  /** The query counts no more; said twice it counts once. */
  #leaver(entry: AdmissionRequest): () => void {
    let left = false
    return () => {
      if (left) return
      left = true
      this.#running--
      this.#memoryBytes -= memoryOf(entry)
      this.#tell()
      this.advance()
    }
  }

  #tell(): void {
    this.#options.tell(this.load)
  }

  #state(): AdmissionState {
    const { clock, placement } = this.#options
    const now = clock.now()
    return {
      limits: this.limits,
      own: this.load,
      peers: [...this.#peers.values()].map(({ load, heardAt }) =>
        load.queued === 0 ? load : { ...load, waitedMs: load.waitedMs + now - heardAt },
      ),
      executorsBytes: placement.states().map((state) => state.memoryLimitBytes),
    }
  }
}
