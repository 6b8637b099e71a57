import { currentSnapshot, type Snapshot, type TableMetadata } from './metadata.ts'
import { boundedLog, snapshotsToKeep, withFormerFile } from './snapshot.ts'

/** Snapshots younger than this do not expire, unless the statement or the table says another age: five days. */
const SNAPSHOT_AGE_MS = 432_000_000

/** Which snapshots are to be forgotten. */
export interface Retention {
  /** Those older than this, in milliseconds since 1970-01-01 UTC, */
  readonly olderThanMs: number
  /** but for so many of the newest that led to the current one. */
  readonly keep: number
}

/** What a table's own properties say; undefined where they say that nothing is ever removed. Pure. */
export function ownRetention(metadata: TableMetadata, nowMs: number): Retention | undefined {
  if (metadata.properties?.['gc.enabled'] === 'false') return undefined
  return { olderThanMs: nowMs - snapshotAgeMs(metadata), keep: snapshotsToKeep(metadata) }
}

/**
 * When the next snapshot of a table expires by the table's own properties, in milliseconds since 1970-01-01 UTC; infinite
 * where none does as the table is. Pure.
 */
export function nextExpiryMs(metadata: TableMetadata): number {
  const retention = ownRetention(metadata, 0)
  if (retention === undefined) return Infinity
  const expiring = expiredSnapshots(metadata, { ...retention, olderThanMs: Infinity })
  const times = (metadata.snapshots ?? [])
    .filter((one) => expiring.has(one['snapshot-id']))
    .map((one) => one['timestamp-ms'])
  return Math.min(...times) + snapshotAgeMs(metadata) + 1
}

/** The age at which a table's properties let snapshots expire, in milliseconds. Pure. */
export function snapshotAgeMs({ properties = {} }: TableMetadata): number {
  const text = properties['history.expire.max-snapshot-age-ms'] ?? ''
  return /^\d{1,15}$/.test(text) ? Number(text) : SNAPSHOT_AGE_MS
}

/**
 * The snapshots that are older than a time, in milliseconds since 1970-01-01 UTC, but for the current one, those that a
 * branch or tag names, and the newest `keep` of those that led to the current one. Pure.
 */
export function expiredSnapshots(
  metadata: TableMetadata,
  { olderThanMs, keep }: Retention,
): ReadonlySet<bigint> {
  const snapshots = metadata.snapshots ?? []
  const byId = new Map(snapshots.map((one) => [one['snapshot-id'], one]))
  const kept = new Set(Object.values(metadata.refs ?? {}).map((ref) => ref['snapshot-id']))
  let ancestor: Snapshot | undefined = currentSnapshot(metadata)
  for (let i = 0; i < keep && ancestor !== undefined; i++) {
    kept.add(ancestor['snapshot-id'])
    const parent: bigint | undefined = ancestor['parent-snapshot-id']
    ancestor = parent === undefined ? undefined : byId.get(parent)
  }
  const old = snapshots.filter(
    (one) => one['timestamp-ms'] < olderThanMs && !kept.has(one['snapshot-id']),
  )
  return new Set(old.map((one) => one['snapshot-id']))
}

/** The metadata without some snapshots. `file`: what it was read from. Pure. */
export function withoutSnapshots(
  metadata: TableMetadata,
  expired: ReadonlySet<bigint>,
  { file, nowMs }: { readonly file: string | undefined; readonly nowMs: number },
): TableMetadata {
  const log = metadata['snapshot-log'] ?? []
  // What was the contents before a snapshot that nobody knows any more is not to be told either.
  const last = log.findLastIndex((entry) => expired.has(entry['snapshot-id']))
  return {
    ...withFormerFile(metadata, file, nowMs),
    snapshots: (metadata.snapshots ?? []).filter((one) => !expired.has(one['snapshot-id'])),
    'snapshot-log': log.slice(last + 1),
  }
}

/** The metadata with another of its snapshots as the table's contents. Pure. */
export function withCurrentSnapshot(
  metadata: TableMetadata,
  snapshot: Snapshot,
  { file, nowMs }: { readonly file: string | undefined; readonly nowMs: number },
): TableMetadata {
  const next = withFormerFile(metadata, file, nowMs)
  const id = snapshot['snapshot-id']
  const entry = { 'timestamp-ms': next['last-updated-ms'], 'snapshot-id': id }
  return {
    ...next,
    'current-snapshot-id': id,
    'snapshot-log': boundedLog(metadata, [...(metadata['snapshot-log'] ?? []), entry]),
    refs: { ...metadata.refs, main: { 'snapshot-id': id, type: 'branch' } },
  }
}
