import type { Clock } from '@nyala/client/base'
import type { Keys } from './keys.ts'
import type { Kv, Operation } from './kv.ts'
import { repeatRead } from './retry.ts'

/** Reads on their way at once: one that a member does not answer holds up nobody who begins later. */
const UNDER_WAY_MAX = 4
/** A member that hangs is not waited for longer: another one may answer. */
const ANSWER_MS = 300

/**
 * What a commit does. Where it changes the catalog it puts the mark that {@link NewestRevision} reads as well, at the one
 * revision of all that it changes.
 */
export const marked = (keys: Keys, operations: readonly Operation[]): readonly Operation[] =>
  operations.some((operation) => isChange(operation, keys.catalog))
    ? [...operations, { kind: 'put', key: keys.catalogMark, value: '' }]
    : operations

const isChange = (operation: Operation, prefix: string): boolean => {
  if (operation.kind === 'get') return false
  return (operation.kind === 'deletePrefix' ? operation.prefix : operation.key).startsWith(prefix)
}

export interface NewestRevisionOptions {
  readonly kv: Pick<Kv, 'get' | 'commitIf'>
  readonly keys: Keys
  readonly clock: Clock
}

/**
 * Which revision the catalog has reached, by a linearizable read of one key: whatever anybody was told to be done before
 * it was asked for is of this revision or of an earlier one.
 *
 * Who asks shares the next read that is sent, never one that was sent before: a read for each turn of the loop is all that
 * any number of statements costs. It is as good as the store's reads are: those of etcd before 3.4.42 can be old where a
 * member was paused. So nothing is decided by it; what is written is decided by compares.
 */
export class NewestRevision {
  readonly #options: NewestRevisionOptions
  readonly #underWay = new Set<Promise<void>>()
  #next: Promise<number> | undefined
  #silentSince: number | undefined

  constructor(options: NewestRevisionOptions) {
    this.#options = options
  }

  /** Since when, on the clock's own scale, the store is asked and does not answer; undefined where it has answered. */
  get silentSince(): number | undefined {
    return this.#silentSince
  }

  /** 0 where the catalog was never changed. Fails with `metastore_unavailable` after 4.5 s. */
  read(): Promise<number> {
    this.#next ??= this.#send()
    return this.#next
  }

  async #send(): Promise<number> {
    // Those that ask in the same turn go together, and those that ask while as many as may be are on their way.
    await Promise.resolve()
    while (this.#underWay.size >= UNDER_WAY_MAX) await Promise.race(this.#underWay)
    this.#next = undefined
    const read = this.#read()
    const ended = read
      .then(
        () => undefined,
        () => undefined,
      )
      .finally(() => this.#underWay.delete(ended))
    this.#underWay.add(ended)
    return read
  }

  async #read(): Promise<number> {
    const { kv, keys, clock } = this.#options
    this.#silentSince ??= clock.now()
    const { item } = await repeatRead({ kv, clock }, () =>
      kv.get(keys.catalogMark, { timeoutMs: ANSWER_MS, often: true }),
    )
    this.#silentSince = undefined
    return item?.modRevision ?? 0
  }
}
