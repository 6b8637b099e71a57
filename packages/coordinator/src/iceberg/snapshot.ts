import type { FileCount, ManifestInfo } from './manifest-file.ts'
import {
  currentSnapshot,
  type MetadataLogEntry,
  type Operation,
  type Snapshot,
  type SnapshotLogEntry,
  type TableMetadata,
} from './metadata.ts'

/**
 * Snapshots that the metadata names at the most, and as many former metadata files, so that a commit's work does not grow
 * with the number of those before it; more where the table asks for more to be kept.
 */
export const SNAPSHOTS_MAX = 100
/**
 * Where there are more, so many of the newest stay. Many are forgotten at once, as each such commit leaves a record of the
 * files that are to go.
 */
export const SNAPSHOTS_KEPT = 50

/** Snapshots that are kept however old they are, unless the table says another number. */
const KEPT_ANYWAY = 1

/** How many of the newest snapshots a table's properties ask to keep. Pure. */
export function snapshotsToKeep({ properties = {} }: Pick<TableMetadata, 'properties'>): number {
  const text = properties['history.expire.min-snapshots-to-keep'] ?? ''
  return /^[1-9]\d{0,8}$/.test(text) ? Number(text) : KEPT_ANYWAY
}

interface Limit {
  readonly most: number
  /** So many stay where there are more. */
  readonly kept: number
}

/** How many snapshots and former files may be named; as many as the table asks for. */
function limits({ properties = {} }: TableMetadata): {
  readonly snapshots: Limit
  readonly files: Limit
} {
  const kept = Math.max(SNAPSHOTS_KEPT, snapshotsToKeep({ properties }))
  const snapshots = { most: kept + SNAPSHOTS_MAX - SNAPSHOTS_KEPT, kept }
  const text = properties['write.metadata.previous-versions-max'] ?? ''
  if (!/^[1-9]\d{0,8}$/.test(text)) return { snapshots, files: snapshots }
  const most = Number(text)
  return { snapshots, files: { most, kept: Math.ceil(most / 2) } }
}

/** The newest entries of a log of what was a table's contents: going back and forth makes entries, but no snapshots. Pure. */
export const boundedLog = (
  metadata: TableMetadata,
  log: readonly SnapshotLogEntry[],
): readonly SnapshotLogEntry[] => log.slice(-limits(metadata).snapshots.most)

export interface SnapshotChange {
  readonly id: bigint
  readonly operation: Operation
  /** URI. */
  readonly manifestList: string
  readonly added: FileCount & { readonly bytes: number }
  readonly removed: FileCount & { readonly bytes: number }
  readonly nowMs: number
  /** The file that `metadata` was read from; undefined where the table is only being made. */
  readonly previousFile: string | undefined
  /** More for the summary. */
  readonly summary?: Readonly<Record<string, string>>
}

/** The sequence number that the next snapshot of a table has. */
export const nextSequenceNumber = (metadata: TableMetadata): number =>
  metadata['last-sequence-number'] + 1

/** The metadata with one more snapshot, which is the table's contents from then on. Pure. */
export function withSnapshot(metadata: TableMetadata, change: SnapshotChange): TableMetadata {
  const parent = currentSnapshot(metadata)
  const sequenceNumber = nextSequenceNumber(metadata)
  // Time may seem to go back between machines; the log must not.
  const timestampMs = Math.max(change.nowMs, metadata['last-updated-ms'])
  const snapshot: Snapshot = {
    'snapshot-id': change.id,
    ...(parent === undefined ? {} : { 'parent-snapshot-id': parent['snapshot-id'] }),
    'sequence-number': sequenceNumber,
    'timestamp-ms': timestampMs,
    'manifest-list': change.manifestList,
    summary: summaryOf(parent, change),
    'schema-id': metadata['current-schema-id'],
  }
  const formerFiles = metadataLog(metadata, change.previousFile)
  const all = [...(metadata.snapshots ?? []), snapshot]
  const limit = limits(metadata)
  const isMuch = all.length > limit.snapshots.most
  const snapshots = isMuch ? all.slice(-limit.snapshots.kept) : all
  // Both at once: one record for each would be twice the work.
  const areManyFiles = isMuch || formerFiles.length > limit.files.most
  const known = new Set(snapshots.map((one) => one['snapshot-id']))
  const entry = { 'timestamp-ms': timestampMs, 'snapshot-id': change.id }
  const before = metadata['snapshot-log'] ?? []
  // What was the contents before a snapshot that nobody knows any more is not to be told either.
  const log = before.slice(before.findLastIndex((one) => !known.has(one['snapshot-id'])) + 1)
  return {
    ...metadata,
    'last-sequence-number': sequenceNumber,
    'last-updated-ms': timestampMs,
    'current-snapshot-id': change.id,
    snapshots,
    'snapshot-log': boundedLog(metadata, [...log, entry]),
    'metadata-log': areManyFiles ? formerFiles.slice(-limit.files.kept) : formerFiles,
    refs: { ...metadata.refs, main: { 'snapshot-id': change.id, type: 'branch' } },
  }
}

/** The metadata as changed now without another snapshot. `file`: what it was read from. Pure. */
export function withFormerFile(
  metadata: TableMetadata,
  file: string | undefined,
  nowMs: number,
): TableMetadata {
  const log = metadataLog(metadata, file)
  const { most, kept } = limits(metadata).files
  return {
    ...metadata,
    'last-updated-ms': Math.max(nowMs, metadata['last-updated-ms']),
    'metadata-log': log.length > most ? log.slice(-kept) : log,
  }
}

/**
 * The metadata with one time, in milliseconds since 1970-01-01 UTC, for all snapshots but those that were `known` before.
 * Those that were the contents within a transaction only are not in the log of what a table's contents were. Pure.
 */
export function withCommitTime(
  metadata: TableMetadata,
  known: ReadonlySet<bigint>,
  timeMs: number,
): TableMetadata {
  const isNew = (one: Snapshot | SnapshotLogEntry): boolean => !known.has(one['snapshot-id'])
  const dated = <T extends Snapshot | SnapshotLogEntry>(one: T): T =>
    isNew(one) ? { ...one, 'timestamp-ms': timeMs } : one
  const current = metadata['current-snapshot-id']
  const log = metadata['snapshot-log']?.filter(
    (one) => !isNew(one) || one['snapshot-id'] === current,
  )
  return {
    ...metadata,
    'last-updated-ms': timeMs,
    ...(metadata.snapshots === undefined ? {} : { snapshots: metadata.snapshots.map(dated) }),
    ...(log === undefined ? {} : { 'snapshot-log': log.map(dated) }),
  }
}

/** Whether a table's next metadata does not name all snapshots and former files that the one before did. Pure. */
export function isForgetful(before: TableMetadata, next: TableMetadata): boolean {
  const snapshots = new Set(next.snapshots?.map((one) => one['snapshot-id']))
  const files = new Set(next['metadata-log']?.map((one) => one['metadata-file']))
  return (
    (before.snapshots ?? []).some((one) => !snapshots.has(one['snapshot-id'])) ||
    (before['metadata-log'] ?? []).some((one) => !files.has(one['metadata-file']))
  )
}

function metadataLog(
  metadata: TableMetadata,
  previousFile: string | undefined,
): readonly MetadataLogEntry[] {
  const log = metadata['metadata-log'] ?? []
  if (previousFile === undefined) return log
  const entry = { 'timestamp-ms': metadata['last-updated-ms'], 'metadata-file': previousFile }
  return [...log, entry]
}

function summaryOf(parent: Snapshot | undefined, change: SnapshotChange): Snapshot['summary'] {
  const { added, removed, operation } = change
  const before = (key: string): number => Number(parent?.summary[key] ?? 0)
  const changes = {
    'added-data-files': added.files,
    'added-records': added.rows,
    'added-files-size': added.bytes,
    'deleted-data-files': removed.files,
    'deleted-records': removed.rows,
    'removed-files-size': removed.bytes,
  }
  const totals = {
    'total-data-files': before('total-data-files') + added.files - removed.files,
    'total-records': before('total-records') + added.rows - removed.rows,
    'total-files-size': before('total-files-size') + added.bytes - removed.bytes,
    'total-delete-files': 0,
    'total-position-deletes': 0,
    'total-equality-deletes': 0,
  }
  const changed = Object.entries(changes).filter(([, value]) => value > 0)
  const numbers = [...changed, ...Object.entries(totals)].map(([k, v]) => [k, String(v)] as const)
  return { operation, ...change.summary, ...Object.fromEntries(numbers) }
}

/** A manifest of files that one snapshot adds, as its list has it. */
export function addedManifest(
  manifest: Pick<ManifestInfo, 'path' | 'bytes' | 'specId' | 'partitions'>,
  added: FileCount,
  snapshot: { readonly id: bigint; readonly sequenceNumber: number },
): ManifestInfo {
  const none = { files: 0, rows: 0 }
  return {
    ...manifest,
    content: 0,
    sequenceNumber: BigInt(snapshot.sequenceNumber),
    minSequenceNumber: BigInt(snapshot.sequenceNumber),
    addedSnapshotId: snapshot.id,
    added,
    existing: none,
    deleted: none,
  }
}
