import type { Clock } from '../base/clock.ts'
import { isMutant } from '../base/mutants.ts'
import { SqlError } from '../protocol/errors.ts'

/**
 * A dial that is not answered for so long is joined by one to the next address, as RFC 8305 has it for the addresses of a
 * host: the kernel of a process that hangs takes connections for it, so a dial to it is neither refused nor answered.
 */
export const NEXT_DIAL_MS = 250

export interface RaceView {
  /** Addresses that were not dialled yet. */
  readonly waiting: number
  /** Dials that were neither answered nor refused yet. */
  readonly unanswered: number
  /** When the last of these dials began. */
  readonly lastBegunMs: number
}

export type RaceStep =
  | { readonly kind: 'dial' }
  /** `untilMs`: when to ask again, if nothing happens before; absent where only an answer helps. */
  | { readonly kind: 'wait'; readonly untilMs?: number }
  | { readonly kind: 'lost' }

/**
 * What to do next in a race of dials: pure. Whoever is refused goes on at once. Each dial beside others waits twice as
 * long as the one before it: coordinators that are slow because many come are not to be dialled by each of them at once.
 */
export function planDial({ waiting, unanswered, lastBegunMs }: RaceView, nowMs: number): RaceStep {
  if (waiting === 0) return { kind: unanswered === 0 ? 'lost' : 'wait' }
  if (unanswered === 0) return { kind: 'dial' }
  if (isMutant('no-dial-race')) return { kind: 'wait' }
  const untilMs = lastBegunMs + NEXT_DIAL_MS * 2 ** (unanswered - 1)
  return nowMs >= untilMs ? { kind: 'dial' } : { kind: 'wait', untilMs }
}

export interface RaceOptions<T> {
  readonly clock: Clock
  /** Dials; once the signal is aborted whatever it has opened must be closed. */
  readonly open: (address: string, signal: AbortSignal) => Promise<T>
  /** Closes what was opened too late to be of use. */
  readonly discard: (opened: T) => void
  readonly onFailed: (address: string, error: SqlError) => void
  /** Another dial, begun later than that of this address, was answered before it. */
  readonly onOutrun: (address: string) => void
  readonly signal: AbortSignal
}

/**
 * Opens the first of the addresses, in their order, that answers; all others are closed. Resolves with undefined when all
 * have failed, each of which was told. Rejects with the reason of the signal, or with what is no error of a dial.
 */
export function raceDials<T>(
  addresses: readonly string[],
  options: RaceOptions<T>,
): Promise<T | undefined> {
  return new Promise((resolve, reject) => {
    const race = new Race(addresses, options, { resolve, reject })
    race.start()
  })
}

interface Outcome<T> {
  readonly resolve: (opened: T | undefined) => void
  readonly reject: (reason: unknown) => void
}

/** `running ──► over`, by the first answer, the last failure or the signal; what comes afterwards is discarded. */
class Race<T> {
  readonly #options: RaceOptions<T>
  readonly #outcome: Outcome<T>
  readonly #waiting: string[]
  /** Unanswered dials in the order of their beginnings. */
  readonly #dials = new Map<string, AbortController>()
  readonly #onAbort = (): void => this.#end(() => this.#outcome.reject(this.#options.signal.reason))
  #lastBegunMs = 0
  #stopTimer: (() => void) | undefined
  #isOver = false

  constructor(addresses: readonly string[], options: RaceOptions<T>, outcome: Outcome<T>) {
    this.#waiting = [...addresses]
    this.#options = options
    this.#outcome = outcome
  }

  start(): void {
    const { signal } = this.#options
    if (signal.aborted) return this.#onAbort()
    signal.addEventListener('abort', this.#onAbort, { once: true })
    this.#step()
  }

  #step(): void {
    this.#stopTimer?.()
    this.#stopTimer = undefined
    const { clock } = this.#options
    const view = {
      waiting: this.#waiting.length,
      unanswered: this.#dials.size,
      lastBegunMs: this.#lastBegunMs,
    }
    const step = planDial(view, clock.now())
    switch (step.kind) {
      case 'dial':
        this.#begin()
        return this.#step()
      case 'wait':
        if (step.untilMs === undefined) return
        this.#stopTimer = clock.after(step.untilMs - clock.now(), () => this.#step())
        return
      case 'lost':
        return this.#end(() => this.#outcome.resolve(undefined))
    }
  }

  #begin(): void {
    const address = this.#waiting.shift()
    if (address === undefined) return
    const dial = new AbortController()
    this.#dials.set(address, dial)
    this.#lastBegunMs = this.#options.clock.now()
    this.#options.open(address, dial.signal).then(
      (opened) => this.#onOpened(address, opened),
      (error: unknown) => this.#onFailed(address, error),
    )
  }

  #onOpened(address: string, opened: T): void {
    if (this.#isOver) return this.#options.discard(opened)
    for (const other of this.#dials.keys()) {
      if (other === address) break
      this.#options.onOutrun(other)
    }
    this.#dials.delete(address)
    this.#end(() => this.#outcome.resolve(opened))
  }

  #onFailed(address: string, error: unknown): void {
    if (this.#isOver) return
    this.#dials.delete(address)
    if (!(error instanceof SqlError)) return this.#end(() => this.#outcome.reject(error))
    this.#options.onFailed(address, error)
    this.#step()
  }

  #end(settle: () => void): void {
    this.#isOver = true
    this.#stopTimer?.()
    this.#options.signal.removeEventListener('abort', this.#onAbort)
    settle()
    for (const dial of this.#dials.values()) dial.abort(new Error('another address has answered'))
    this.#dials.clear()
  }
}
