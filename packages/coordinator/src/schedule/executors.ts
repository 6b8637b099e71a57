import { type Clock, isMutant, type Log } from '@nyala/client/base'
import { SqlError } from '@nyala/client/protocol'
import type { Dial, Transport } from '@nyala/client/wire'
import { CutPairs } from './cut-pairs.ts'
import { cutOff } from './executor-watch.ts'
import { ExecutorLink } from './executor-link.ts'
import { type ExecutorState, Placement } from './placement.ts'
import { SlowExecutors } from './slow-executors.ts'
import { inTurn, tasksOf, type Turn } from './turns.ts'

/** Tasks an executor may run at once for each of its threads, so that one that waits for input leaves no core idle. */
const SLOTS_PER_THREAD = 2
const SLOTS_MIN = 4

export interface ExecutorsOptions {
  readonly clock: Clock
  readonly log: Log
  readonly cluster: string
  /** Id of this coordinator. */
  readonly coordinator: string
  readonly dial?: Dial | undefined
  /** Told when the socket of an executor opens or closes; `code` as in `CLOSE` or RFC 6455. */
  readonly onLink?: (event: ExecutorLinkEvent) => void
  /** To be given tasks only where no other executor is left: it fails again and again. */
  readonly isOnProbation?: (executor: string) => boolean
  /** Other coordinators reach executors, and this one none. */
  readonly isCutOff?: () => boolean
}

export type ExecutorLinkEvent =
  | { readonly kind: 'linkOpened'; readonly id: string }
  | {
      readonly kind: 'linkClosed'
      readonly id: string
      readonly code: number
      readonly reason: string
    }

/** The executors that have dialled this coordinator and said hello. */
export class Executors {
  readonly #options: ExecutorsOptions
  readonly #links = new Map<string, ExecutorLink>()
  readonly #listeners = new Map<() => void, Turn | undefined>()
  readonly #cutPairs: CutPairs
  readonly #slow: SlowExecutors
  #isOffering = false
  /** All of them by their load. */
  readonly placement: Placement = new Placement()

  constructor(options: ExecutorsOptions) {
    this.#options = options
    this.#cutPairs = new CutPairs(options)
    this.#slow = new SlowExecutors(options)
  }

  /** Those that did not reach one of these lately, or were not reached from there. */
  cutFrom(producersOf: () => ReadonlySet<string>): ReadonlySet<string> {
    return this.#cutPairs.cutFrom(producersOf)
  }

  /** Those that this one did not reach lately, or that did not reach it. */
  missedBy(executor: string): ReadonlySet<string> {
    return this.#cutPairs.missedBy(executor)
  }

  /** Takes a socket that was dialled to `/executor`. */
  accept(transport: Transport): void {
    new ExecutorLink(transport, {
      ...this.#options,
      onReady: (link) => this.#onReady(link),
      onLoad: (loaded) => {
        this.#place(loaded)
        this.#changed()
      },
      onTaskStarted: (busy) => this.#place(busy),
      onTaskEnded: (link) => {
        this.#place(link)
        this.#offerSoon()
      },
      onUnreached: ({ id }, producer) => this.#cutPairs.note(id, producer),
      onClose: (link, end) => {
        if (this.#links.get(link.id) === link) {
          this.#links.delete(link.id)
          this.placement.remove(link.id)
          this.#options.onLink?.({ kind: 'linkClosed', id: link.id, ...end })
        }
        this.#changed()
      },
    })
  }

  get size(): number {
    return this.#links.size
  }

  /** No executor is reached from here, but from other coordinators. */
  get isCutOff(): boolean {
    return this.size === 0 && this.#options.isCutOff?.() === true
  }

  links(): readonly ExecutorLink[] {
    return [...this.#links.values()]
  }

  get(id: string): ExecutorLink | undefined {
    return this.#links.get(id)
  }

  states(): readonly ExecutorState[] {
    return this.placement.states()
  }

  /** To be called when others than the executors themselves have changed what may be placed on them. */
  refresh(): void {
    for (const link of this.links()) this.#place(link)
    this.#changed()
  }

  /** A task was through sooner elsewhere, though it began later there: for a while it is given none. */
  noteSlow(executor: string): void {
    this.#slow.note(executor, () => this.refresh())
    const link = this.#links.get(executor)
    if (link !== undefined) this.#place(link)
  }

  /** On probation or slow, and not the only one left. */
  #isAvoided(executor: ExecutorLink): boolean {
    const { isOnProbation } = this.#options
    const isBad = (id: string): boolean => isOnProbation?.(id) === true || this.#slow.has(id)
    if (!isBad(executor.id)) return false
    return this.links().some((link) => link.load?.draining !== true && !isBad(link.id))
  }

  /** Some executor, for work that is no task; the least loaded. Fails with `no_executors`, or `cannot_connect_now`. */
  any(): ExecutorLink {
    const least = this.links().toSorted((a, b) => a.tasksRunning - b.tasksRunning)[0]
    if (least !== undefined) return least
    if (this.isCutOff && !isMutant('no-handing-on')) throw cutOff()
    throw new SqlError('no_executors', 'no executor is connected to this coordinator', {
      hint: 'wait until one has started, or see `nyala status`',
    })
  }

  /** Told when an executor comes, goes or reports its load, queries in turn. The result stops it. */
  onChange(listener: () => void, turn?: Turn): () => void {
    this.#listeners.set(listener, turn)
    return () => this.#listeners.delete(listener)
  }

  /** Tasks of a session that run, of all its queries here. */
  tasksOf(session: string): number {
    return tasksOf([...this.#listeners.values()].filter(isDefined), session)
  }

  close(): void {
    for (const link of this.links()) link.close('coordinator is shutting down')
  }

  #onReady(link: ExecutorLink): void {
    const known = this.#links.get(link.id)
    if (known !== undefined) {
      // The same executor under two incarnations: the record with the higher create revision is the living one.
      if (known.hello.incarnation > link.hello.incarnation) {
        return link.close(`incarnation ${known.hello.incarnation} of ${link.id} is connected`)
      }
      known.close(`replaced by incarnation ${link.hello.incarnation}`)
    }
    this.#links.set(link.id, link)
    this.#place(link)
    this.#options.onLink?.({ kind: 'linkOpened', id: link.id })
    this.#options.log.info('executorReady', {
      executor: link.id,
      incarnation: link.hello.incarnation,
      address: link.hello.dataAddress,
    })
    this.#changed()
  }

  #place(link: ExecutorLink): void {
    if (this.#links.get(link.id) !== link) return
    const state = stateOf(link)
    this.placement.set({ ...state, draining: state.draining || this.#isAvoided(link) })
  }

  #changed(): void {
    for (const [listener, turn] of [...this.#listeners]) if (turn === undefined) listener()
    for (const { listener } of this.#inTurn()) listener()
  }

  /**
   * Offers the slots of tasks that have ended to queries that wait, once for all that end in one go. Their executor may never
   * tell of it: where others have begun and ended since its last report, its load is what it was.
   */
  #offerSoon(): void {
    if (this.#isOffering) return
    this.#isOffering = true
    queueMicrotask(() => {
      this.#isOffering = false
      for (const { listener } of this.#inTurn()) {
        if (this.placement.isFull) return
        listener()
      }
    })
  }

  #inTurn(): readonly { readonly listener: () => void }[] {
    const waiting: (Turn & { readonly listener: () => void })[] = []
    for (const [listener, turn] of this.#listeners) {
      if (turn === undefined) continue
      waiting.push({ session: turn.session, running: () => turn.running(), listener })
    }
    return inTurn(waiting)
  }
}

const isDefined = <T>(value: T | undefined): value is T => value !== undefined

/**
 * One task of each coordinator may run beyond the slots of an executor: what those of others leave is taken by the next of
 * theirs, before it is seen from here.
 */
function stateOf({ id, hello, load, tasksRunning }: ExecutorLink): ExecutorState {
  const others = (load?.tasksRunning ?? 0) - (load?.tasksOwned ?? 0)
  const slots = Math.max(SLOTS_MIN, hello.threads * SLOTS_PER_THREAD)
  return {
    ...{ id, slots, threads: hello.threads },
    tasksRunning: tasksRunning === 0 ? Math.min(others, slots - 1) : tasksRunning + others,
    memoryReservedBytes: load?.memoryReservedBytes ?? 0,
    memoryLimitBytes: hello.memoryLimitBytes,
    queuedBytes: load?.queuedBytes ?? 0,
    draining: load?.draining ?? false,
  }
}
