import { SqlError } from '@nyala/client/protocol'
import { type CatalogSnapshot, CatalogState } from './catalog-snapshot.ts'
import type { Keys } from './keys.ts'
import type { Compare, Operation } from './kv.ts'

/** What one statement of a transaction does to the catalog, decided on the catalog as those before it leave it. */
export interface StagedWrite {
  readonly compares: readonly Compare[]
  readonly operations: readonly Operation[]
}

/** etcd takes 128 compares and as many operations in one commit; some are for the records of the transaction itself. */
export const STAGED_OPERATIONS_MAX = 120

/**
 * The catalog as it would be with these writes. Pure. What they put has negative revisions, which no key of the store
 * has, so that a decision on it cannot be taken for one on what is stored.
 */
export function overlaid(
  snapshot: CatalogSnapshot,
  keys: Keys,
  writes: readonly StagedWrite[],
): CatalogSnapshot {
  if (writes.length === 0) return snapshot
  const state = CatalogState.of(keys, snapshot)
  let number = 0
  for (const { operations } of writes) {
    for (const operation of operations) state.applyStaged(operation, --number)
  }
  return state.snapshot(snapshot.revision)
}

/**
 * Writes that were decided on each other as one. Pure. A compare of a key that an earlier one has written goes: that is
 * so by the order of the writes. Of several operations on a key the last one counts, as a commit may have only one.
 * Fails with `program_limit_exceeded` or `feature_not_supported` where one commit cannot do it all.
 */
export function composed(writes: readonly StagedWrite[]): StagedWrite {
  const compares = new Map<string, Compare>()
  const byKey = new Map<string, Operation>()
  const prefixes = new Map<string, Operation>()
  const isUnder = (key: string): boolean => [...prefixes.keys()].some((p) => key.startsWith(p))
  for (const write of writes) {
    for (const compare of write.compares) {
      const { key } = compare
      if (byKey.has(key) || isUnder(key)) continue
      compares.set(`${compare.kind} ${key}`, compare)
    }
    for (const operation of write.operations) {
      if (operation.kind === 'get') continue
      if (operation.kind === 'deletePrefix') {
        for (const key of byKey.keys()) if (key.startsWith(operation.prefix)) byKey.delete(key)
        prefixes.set(operation.prefix, operation)
        continue
      }
      if (isUnder(operation.key)) throw inNewDatabase()
      byKey.set(operation.key, operation)
    }
  }
  const operations = [...prefixes.values(), ...byKey.values()]
  if (Math.max(compares.size, operations.length) > STAGED_OPERATIONS_MAX) throw tooMuch()
  return { compares: [...compares.values()], operations }
}

const inNewDatabase = (): SqlError =>
  new SqlError(
    'feature_not_supported',
    'tables cannot be made in a database that the same transaction has made or dropped',
    { hint: 'commit, and go on in another transaction' },
  )

const tooMuch = (): SqlError =>
  new SqlError('program_limit_exceeded', 'the transaction changes too many tables', {
    hint: `one commit changes ${STAGED_OPERATIONS_MAX} records; a table that is made or dropped takes three`,
  })
