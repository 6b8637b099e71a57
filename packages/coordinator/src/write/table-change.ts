import { join } from 'node:path'
import type { ManifestPointer, TableRecord } from '@nyala/metastore'
import type { IcebergStore } from '../iceberg/iceberg-store.ts'
import {
  type DataFile,
  ENTRY,
  type ManifestEntry,
  type ManifestInfo,
  writeManifest,
} from '../iceberg/manifest-file.ts'
import {
  currentSchema,
  currentSnapshot,
  currentSpec,
  formatMetadata,
  type PartitionSpec,
  type TableMetadata,
} from '../iceberg/metadata.ts'
import { partitionFields, summaryOf } from '../iceberg/partition-field.ts'
import { toUri, writeTableFile } from '../iceberg/table-files.ts'
import type { StagedHead } from './change.ts'

/** Files that a write adds to a table. */
export interface Addition {
  readonly files: readonly DataFile[]
  /** Null where there are no files. */
  readonly manifest: { readonly path: string; readonly bytes: number } | null
}

/** A table as one metadata file has it. */
export interface TableBase {
  readonly location: string
  readonly metadata: TableMetadata
  /** Undefined for a table that is only being made. */
  readonly metadataFile: string | undefined
  readonly manifests: readonly ManifestInfo[]
}

export async function baseOf(table: TableRecord, store: IcebergStore): Promise<TableBase> {
  const metadata = await store.metadata(table)
  const manifests = await store.manifests(metadata)
  const metadataFile = table.manifest === null ? undefined : toUri(table.manifest.path)
  return { location: table.location, metadata, metadataFile, manifests }
}

/** Writes the manifest of the files that a write adds: once, however often the commit is tried. */
export async function stageAddition(
  base: Pick<TableBase, 'location' | 'metadata'>,
  files: readonly DataFile[],
  writeId: string,
): Promise<Addition> {
  if (files.length === 0) return { files, manifest: null }
  const { metadata } = base
  const entries = files.map((file): ManifestEntry => ({
    status: ENTRY.added,
    // Taken over from the list, which is written anew where the commit must be tried again.
    ...{ snapshotId: null, sequenceNumber: null, fileSequenceNumber: null },
    file,
  }))
  const content = writeManifest(entries, currentSchema(metadata), currentSpec(metadata))
  const place = join(base.location, 'metadata')
  const written = await writeTableFile(place, { name: `${writeId}-m0`, ending: '.avro' }, content)
  return { files, manifest: { path: toUri(written.path), bytes: written.bytes } }
}

/** Metadata of a table that is on disk, and that nothing names yet. */
export interface StagedMetadata {
  readonly manifest: ManifestPointer
  /** It does not name all that the metadata before it did. */
  readonly forgets: boolean
}

/** Writes a metadata file; what a head then says of it. */
export async function stageMetadata(
  location: string,
  metadata: TableMetadata,
  name: string,
): Promise<ManifestPointer> {
  const file = await writeTableFile(
    join(location, 'metadata'),
    { name: metadataName(metadata, name), ending: '.metadata.json' },
    Buffer.from(formatMetadata(metadata)),
  )
  const { files, rows, bytes } = totalsOf(metadata)
  return { ...file, files, rows, dataBytes: bytes }
}

/** The name of a metadata file: a number, one more than that of the file before, as other writers count them, and a name. */
export function metadataName(metadata: TableMetadata, name: string): string {
  const before = metadata['metadata-log']?.at(-1)?.['metadata-file']
  const number = /\/(\d+)-[^/]*$/.exec(before ?? '')?.[1]
  const version = number === undefined ? metadata['last-sequence-number'] : Number(number) + 1
  return `${String(version).padStart(5, '0')}-${name}`
}

export function specOf(metadata: TableMetadata, id: number): PartitionSpec {
  const spec = metadata['partition-specs'].find((one) => one['spec-id'] === id)
  if (spec === undefined) throw new Error(`the metadata has no partition spec ${id}`)
  return spec
}

/** What a manifest list says of the partitions of files that are all of one spec: the table's own, or another one. */
export function partitionsOf(
  metadata: TableMetadata,
  files: readonly DataFile[],
  spec: PartitionSpec = currentSpec(metadata),
): Pick<ManifestInfo, 'specId' | 'partitions'> {
  const fields = partitionFields(spec, currentSchema(metadata).fields)
  const partitions = fields.map(({ type }, i) =>
    summaryOf(
      type,
      files.map((file) => file.partition[i] ?? null),
    ),
  )
  return { specId: spec['spec-id'], partitions }
}

export const countOf = (
  files: readonly DataFile[],
): { readonly files: number; readonly rows: number; readonly bytes: number } => ({
  files: files.length,
  rows: files.reduce((sum, file) => sum + file.rows, 0),
  bytes: files.reduce((sum, file) => sum + file.bytes, 0),
})

export function totalsOf(metadata: TableMetadata): {
  readonly files: number
  readonly rows: number
  readonly bytes: number
} {
  const summary = currentSnapshot(metadata)?.summary
  const total = (key: string): number => Number(summary?.[key] ?? 0)
  return {
    files: total('total-data-files'),
    rows: total('total-records'),
    bytes: total('total-files-size'),
  }
}

/** The entries of manifests whose files are still there, as a manifest that takes the place of these has them. */
export async function existingEntries(
  store: IcebergStore,
  manifests: readonly ManifestInfo[],
): Promise<readonly ManifestEntry[]> {
  const entries: ManifestEntry[] = []
  for (const info of manifests) {
    for (const entry of await store.entries(info)) {
      if (entry.status !== ENTRY.deleted) entries.push({ ...entry, status: ENTRY.existing })
    }
  }
  return entries
}

/** The least sequence number of entries; 0 where there are none. */
export function leastSequenceNumber(entries: readonly ManifestEntry[]): bigint {
  const numbers = entries.map(({ sequenceNumber }) => sequenceNumber ?? 0n)
  return numbers.reduce((low, n) => (n < low ? n : low), numbers[0] ?? 0n)
}

/** The head of a table that has one more snapshot. */
export const withManifest = (
  current: TableRecord,
  { manifest, forgets }: StagedMetadata,
  nowMs: number,
): StagedHead => ({
  record: { ...current, manifest, snapshotId: current.snapshotId + 1, refreshedAt: nowMs },
  forgets,
})
