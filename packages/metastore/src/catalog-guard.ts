import { DecodeError, type Schema } from '@nyala/client/base'
import { SqlError } from '@nyala/client/protocol'
import { type Keys, parseCatalogKey } from './keys.ts'
import type { Compare, KeyValue } from './kv.ts'
import {
  catalogRootRecord,
  databaseRecord,
  decodeRecord,
  RECENT_WRITES_MAX,
  relationRecord,
} from './records.ts'

/** A record with the revisions of its key, which guarded writes compare. */
export interface Versioned<T> {
  readonly record: T
  readonly key: string
  readonly createRevision: number
  readonly modRevision: number
}

/**
 * A key that a write compares by its mod revision and rewrites with the write's id in it: what makes the write
 * applicable once at most, and recognisable afterwards.
 */
export interface Guard {
  readonly key: string
  readonly createRevision: number
  /** What it remembered before the write, newest first. */
  readonly recentWrites: readonly string[]
}

export const guardOf = ({
  key,
  createRevision,
  record,
}: Versioned<{ readonly recentWrites: readonly string[] }>): Guard => ({
  key,
  createRevision,
  recentWrites: record.recentWrites,
})

export const isUnchanged = ({ key, modRevision }: Versioned<unknown>): Compare => ({
  kind: 'modRevision',
  key,
  equals: modRevision,
})

export const remember = (recent: readonly string[], writeId: string): readonly string[] =>
  [writeId, ...recent].slice(0, RECENT_WRITES_MAX)

export type Resolution =
  /** `revision`: one at which the write is visible, not always the one that it was made at. */
  | { readonly kind: 'applied'; readonly revision: number }
  /** And it never will be: a guard that it compares has changed. */
  | { readonly kind: 'notApplied' }
  /** The guards are gone or have forgotten. */
  | { readonly kind: 'unknown' }

/**
 * What became of a write whose reply was lost and whose repetition was refused, by what its guards say now.
 * All guards are rewritten by the same commit, so one that can tell is enough.
 */
export function resolveWrite(
  keys: Keys,
  writeId: string,
  guards: readonly Guard[],
  found: ReadonlyMap<string, KeyValue | undefined>,
): Resolution {
  for (const guard of guards) {
    const item = found.get(guard.key)
    // Gone, or deleted and made anew: it cannot remember.
    if (item?.createRevision !== guard.createRevision) continue
    const recent = recentWritesOf(keys, item)
    if (recent.includes(writeId)) return { kind: 'applied', revision: item.modRevision }
    if (remembersSince(guard.recentWrites, recent)) return { kind: 'notApplied' }
  }
  return { kind: 'unknown' }
}

/** As long as the newest write of before is still remembered, so is everything after it. */
function remembersSince(before: readonly string[], now: readonly string[]): boolean {
  const newestBefore = before[0]
  if (newestBefore === undefined) return now.length < RECENT_WRITES_MAX
  return now.includes(newestBefore)
}

function recentWritesOf(keys: Keys, item: KeyValue): readonly string[] {
  const read = (schema: Schema<{ readonly recentWrites: readonly string[] }>): readonly string[] =>
    decodeRecord(schema, item.value, item.key).recentWrites
  try {
    switch (parseCatalogKey(keys, item.key)?.kind) {
      case 'root':
        return read(catalogRootRecord)
      case 'database':
        return read(databaseRecord)
      case 'table':
        return read(relationRecord)
      case 'name':
      case undefined:
        return []
    }
  } catch (cause) {
    if (!(cause instanceof DecodeError)) throw cause
    throw new SqlError('commit_outcome_unknown', `a record cannot be read: ${cause.message}`, {
      hint: 'all coordinators must run the same version; see which one wrote it',
      cause,
    })
  }
}
