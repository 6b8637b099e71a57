import type { PhysicalPlan } from '../plan/physical-plan.ts'
import { ByteCache } from '../table/byte-cache.ts'

/** Bytes of the heap, measured: a file of a manifest, a row group of it, a split. */
const FILE_BYTES = 350
const ROW_GROUP_BYTES = 100
const SPLIT_BYTES = 120
const PLAN_BYTES = 4096

/** Values that hold for one revision of the catalog: once a newer one was seen, those of before are gone. */
export class KeptPlans<V> {
  readonly #cache: ByteCache<V>
  #revision = 0

  constructor(limitBytes: number) {
    this.#cache = new ByteCache(limitBytes)
  }

  get size(): number {
    return this.#cache.size
  }

  get(key: string, revision: number): V | undefined {
    this.#turnTo(revision)
    return revision === this.#revision ? this.#cache.get(key) : undefined
  }

  /** A plan that was made while the catalog moved on is not kept. */
  set(key: string, revision: number, kept: { readonly value: V; readonly bytes: number }): void {
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
