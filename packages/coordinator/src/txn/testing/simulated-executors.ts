import type { Prng } from '@nyala/client/base'
import { SqlError } from '@nyala/client/protocol'
import { onParticipant, type ParticipantEvent, STAGING } from '@nyala/executor/participant'
import type { ManualClock } from '@nyala/metastore/memory'

/** Attempts of a task before its statement fails. */
const ATTEMPTS_MAX = 3

/**
 * Executors that stage files on storage which all reach: they are slow, die before or after their vote, and an attempt
 * that was given up may still put its file there.
 */
export class SimulatedExecutors {
  readonly #prng: Prng
  readonly #clock: ManualClock
  readonly #isEarly: boolean
  readonly #files = new Set<string>()

  constructor(prng: Prng, clock: ManualClock, { isEarly }: { readonly isEarly: boolean }) {
    this.#prng = prng
    this.#clock = clock
    this.#isEarly = isEarly
  }

  has(file: string): boolean {
    return this.#files.has(file)
  }

  /** Removes all files whose names have this in them. */
  remove(writeId: string): void {
    for (const file of this.#files) if (file.includes(writeId)) this.#files.delete(file)
  }

  /** The file of a write that an attempt has voted yes on. */
  async prepare(writeId: string): Promise<string> {
    for (let attempt = 0; attempt < ATTEMPTS_MAX; attempt++) {
      const file = await this.#attempt(`${writeId}-0-${attempt}`)
      if (file !== undefined) return file
    }
    throw new SqlError('executor_lost', 'every executor died')
  }

  async #attempt(file: string): Promise<string | undefined> {
    let state = STAGING
    let vote: boolean | undefined
    const on = (event: ParticipantEvent<string>): void => {
      const [next, effect] = onParticipant(state, event)
      state = next
      if (effect?.kind === 'voteYes') vote = true
      if (effect?.kind === 'voteNo') {
        vote = false
        if (effect.remove.length > 0) this.#files.delete(file)
      }
    }
    const isDying = this.#prng.chance(0.1)
    await this.#clock.sleep(this.#prng.below(100))
    if (isDying) {
      // Its file may come to be there, with nobody to tell of it; or its vote is made and nobody hears it.
      if (this.#prng.chance(0.5)) this.#files.add(file)
      return this.#isEarly ? file : undefined
    }
    if (this.#prng.chance(0.05)) on({ kind: 'failed', reason: 'disk full' })
    this.#files.add(file)
    const written = [{ path: file, partition: 0, rows: 1, bytes: 1, crc: 1 }]
    on({ kind: 'written', files: written })
    await this.#clock.sleep(this.#prng.below(20))
    on({ kind: 'agreed', files: [] })
    on({ kind: 'agreed', files: [] })
    return vote === true ? file : undefined
  }
}
