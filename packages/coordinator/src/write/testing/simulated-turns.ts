import type { Clock, Prng } from '@nyala/client/base'
import { TableTurns } from '../table-turns.ts'

/** Turns of a coordinator that knows no other. */
export const turnsAlone = (clock: Clock): TableTurns =>
  new TableTurns({ id: 'c1', clock, random: () => 0, tell: () => undefined })

const LATENCY_MAX_MS = 20

/** Turns of coordinators to which news of each other come late, and sometimes not at all. */
export class SimulatedTurns {
  readonly #clock: Clock
  readonly #prng: Prng
  readonly #isFaulty: () => boolean
  readonly #all = new Map<string, TableTurns>()

  constructor(clock: Clock, prng: Prng, isFaulty: () => boolean) {
    this.#clock = clock
    this.#prng = prng
    this.#isFaulty = isFaulty
  }

  open(id: string): TableTurns {
    const [clock, prng] = [this.#clock, this.#prng]
    const turns = new TableTurns({
      ...{ id, clock, random: () => prng.next() },
      tell: (turn) => {
        for (const [other, theirs] of this.#all) {
          if (other === id || (this.#isFaulty() && prng.chance(0.1))) continue
          const isCut = this.#isFaulty() && prng.chance(0.02)
          const arrive = (): void => theirs.onPeer(id, isCut ? undefined : turn)
          clock.after(1 + prng.below(LATENCY_MAX_MS), arrive)
        }
      },
    })
    this.#all.set(id, turns)
    return turns
  }
}
