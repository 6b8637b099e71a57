import type { PhysicalPlan } from '../plan/physical-plan.ts'
import { ByteCache } from '../table/byte-cache.ts'

/** Bytes of the heap, measured: a file of a manifest, a row group of it, a split. */
const FILE_BYTES = 350
const ROW_GROUP_BYTES = 100
const SPLIT_BYTES = 120
const PLAN_BYTES = 4096

/** The part of the memory that is for what holds at each revision: such plans are small, as they read no file. */
const LASTING_PART = 1 / 8

/**
 * Values that hold for one revision of the catalog, and are gone once a newer one was seen; and values that the catalog has
 * no part in, which stay.
 */
export class KeptPlans<V> {
  readonly #cache: ByteCache<V>
  readonly #lasting: ByteCache<V>
  #revision = 0

  constructor(limitBytes: number) {
    this.#lasting = new ByteCache(LASTING_PART * limitBytes)
    this.#cache = new ByteCache((1 - LASTING_PART) * limitBytes)
  }

  get size(): number {
    return this.#cache.size + this.#lasting.size
  }

  get(key: string, revision: number): V | undefined {
    this.#turnTo(revision)
    const current = revision === this.#revision ? this.#cache.get(key) : undefined
    return current ?? this.#lasting.get(key)
  }

  /** `revision`: what it holds for; undefined for each. A plan that was made while the catalog moved on is not kept. */
  set(
    key: string,
    revision: number | undefined,
    kept: { readonly value: V; readonly bytes: number },
  ): void {
    if (revision === undefined) return this.#lasting.set(key, kept.value, kept.bytes)
    this.#turnTo(revision)
    if (revision === this.#revision) this.#cache.set(key, kept.value, kept.bytes)
  }

  #turnTo(revision: number): void {
    if (revision <= this.#revision) return
    this.#revision = revision
    this.#cache.clear()
  }
}

/** About how much memory a plan holds. Files count in full, as the plan outlives the manifest that they came from. */
export function planBytes(plan: PhysicalPlan, sql: string): number {
  let bytes = PLAN_BYTES + 4 * sql.length
  for (const scan of plan.scans.values()) {
    for (const file of scan.files) bytes += FILE_BYTES + ROW_GROUP_BYTES * file.rowGroups.length
  }
  for (const fragment of plan.fragments) {
    for (const part of fragment.parts) if (part.kind === 'text') bytes += 2 * part.text.length
    for (const { groups } of fragment.divided ?? [])
      for (const group of groups) bytes += SPLIT_BYTES * group.length
  }
  return bytes
}
