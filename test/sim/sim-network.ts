import type { Clock, Prng } from '@nyala/client/base'
import { CLOSE } from '@nyala/client/wire'
import type { MemberRole } from '@nyala/metastore'
import type { SimProcess } from './sim-process.ts'

/** One life of a member. */
export interface Node {
  readonly role: MemberRole
  readonly id: string
  /** Unlike that of any other life. */
  readonly pid: number
  readonly process: SimProcess
  /** Told of the sockets with other members; executors do not care. */
  onLink(event: SocketEvent): void
}

export type SocketEvent =
  | { readonly kind: 'linkOpened'; readonly role: MemberRole; readonly id: string }
  | {
      readonly kind: 'linkClosed'
      readonly role: MemberRole
      readonly id: string
      readonly code: number
      readonly reason: string
    }

interface Pair {
  readonly a: Node
  readonly b: Node
  open: boolean
  /** Since when no ping gets through. */
  badSinceMs: number | undefined
}

const STEP_MS = 100
const BROKEN = 1006
/** Four pings of 500 ms. */
const SILENT_MS = 2_000
const PROBE_TIMEOUT_MS = 500
/** Chance that a missing socket is there again after a step. */
const REDIAL_CHANCE = 0.3

/**
 * The sockets between coordinators, and between coordinators and executors: they break at once when a process dies, and
 * after two seconds without a ping when it is paused or cut off.
 */
export class SimNetwork {
  readonly #clock: Clock
  readonly #prng: Prng
  #pairs: Pair[] = []
  /** The life that listens at the address of an id. */
  readonly #listening = new Map<string, Node>()
  readonly #cuts = new Set<string>()
  #stopped = false

  constructor(clock: Clock, prng: Prng) {
    this.#clock = clock
    this.#prng = prng
    this.#step()
  }

  add(node: Node): void {
    for (const other of this.#listening.values()) {
      if (other.id === node.id) continue
      if (other.role === 'executor' && node.role === 'executor') continue
      this.#pairs.push({ a: node, b: other, open: false, badSinceMs: undefined })
    }
    this.#listening.set(node.id, node)
  }

  /** Both directions between two members, whichever lives they have. */
  cut(one: string, other: string): void {
    this.#cuts.add(pairName(one, other))
  }

  heal(): void {
    this.#cuts.clear()
  }

  /** An orderly end: the sockets are closed with a word. */
  leave(node: Node): void {
    for (const pair of this.#pairs) {
      if (pair.a !== node && pair.b !== node) continue
      this.#close(pair, { code: CLOSE.goingAway, reason: 'leaves' })
    }
  }

  stop(): void {
    this.#stopped = true
  }

  async probe(
    from: Node,
    target: { readonly id: string; readonly pid: number },
  ): Promise<'answered' | 'refused' | 'silent'> {
    await this.#clock.sleep(this.#prng.below(10))
    const there = this.#listening.get(target.id)
    const isCut = this.#cuts.has(pairName(from.id, target.id))
    if (!isCut && (there === undefined || there.process.isDead)) return 'refused'
    if (!isCut && there?.process.isPaused === false) {
      return there.pid === target.pid ? 'answered' : 'refused'
    }
    await this.#clock.sleep(PROBE_TIMEOUT_MS)
    return 'silent'
  }

  #step(): void {
    if (this.#stopped) return
    this.#pairs = this.#pairs.filter(
      ({ a, b, open }) => open || (!a.process.isDead && !b.process.isDead),
    )
    for (const pair of this.#pairs) this.#stepPair(pair)
    this.#clock.after(STEP_MS, () => this.#step(), { background: true })
  }

  #stepPair(pair: Pair): void {
    const { a, b } = pair
    const isCut = this.#cuts.has(pairName(a.id, b.id))
    const isDead = a.process.isDead || b.process.isDead
    const isBad = isCut || isDead || a.process.isPaused || b.process.isPaused
    if (!isBad) {
      pair.badSinceMs = undefined
      if (!pair.open && this.#prng.chance(REDIAL_CHANCE)) this.#open(pair)
      return
    }
    if (!pair.open) return
    if (isDead && !isCut) return this.#close(pair, { code: BROKEN, reason: '' })
    pair.badSinceMs ??= this.#clock.now()
    if (this.#clock.now() - pair.badSinceMs >= SILENT_MS) {
      this.#close(pair, { code: CLOSE.silent, reason: 'no answer' })
    }
  }

  #open(pair: Pair): void {
    pair.open = true
    for (const [one, other] of ends(pair)) {
      one.process.run(() => one.onLink({ kind: 'linkOpened', role: other.role, id: other.id }))
    }
  }

  #close(pair: Pair, end: { readonly code: number; readonly reason: string }): void {
    if (!pair.open) return
    pair.open = false
    pair.badSinceMs = undefined
    for (const [one, other] of ends(pair)) {
      one.process.run(() =>
        one.onLink({ kind: 'linkClosed', role: other.role, id: other.id, ...end }),
      )
    }
  }
}

const ends = ({ a, b }: Pair): readonly (readonly [Node, Node])[] => [
  [a, b],
  [b, a],
]

const pairName = (one: string, other: string): string => [one, other].sort().join('|')
