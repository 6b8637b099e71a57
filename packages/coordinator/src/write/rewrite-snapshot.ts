import { join } from 'node:path'
import { SqlError } from '@nyala/client/protocol'
import {
  type DataFile,
  ENTRY,
  type ManifestEntry,
  type ManifestInfo,
  writeManifest,
} from '../iceberg/manifest-file.ts'
import { currentSchema } from '../iceberg/metadata.ts'
import { nextSequenceNumber } from '../iceberg/snapshot.ts'
import { toUri, writeTableFile } from '../iceberg/table-files.ts'
import { type SnapshotOptions, stageSnapshot } from './new-snapshot.ts'
import {
  type Addition,
  countOf,
  leastSequenceNumber,
  partitionsOf,
  specOf,
  type StagedMetadata,
  type TableBase,
} from './table-change.ts'

/** Some files of a table, and what takes their place. */
export interface Rewrite {
  /** URIs, as manifests have them. */
  readonly removed: ReadonlySet<string>
  readonly addition: Addition
}

/**
 * Writes the manifest list and the metadata of a table with a snapshot in which some files are gone and others there; no
 * other file is touched. Fails with `serialization_failure` where one of those to remove is gone already.
 */
export async function stageRewrite(
  base: TableBase,
  { removed, addition }: Rewrite,
  options: SnapshotOptions,
): Promise<StagedMetadata> {
  const gone: DataFile[] = []
  const kept: ManifestInfo[] = []
  for (const info of base.manifests) {
    const entries = info.content === 0 ? await options.store.entries(info) : []
    const live = entries.filter(({ status }) => status !== ENTRY.deleted)
    const here = live.filter(({ file }) => removed.has(file.path))
    // One that only says what an earlier snapshot removed says nothing of this one.
    if (here.length === 0 && (live.length > 0 || info.content !== 0)) kept.push(info)
    if (here.length === 0) continue
    gone.push(...here.map(({ file }) => file))
    const number = kept.length
    kept.push(await writeWithout(base, { info, live, removed, number }, options))
  }
  if (gone.length !== removed.size) {
    throw new SqlError(
      'serialization_failure',
      'files that the statement read were removed by another statement meanwhile',
      { hint: 'nothing was written: send the statement again' },
    )
  }
  return stageSnapshot(base, addition, { ...options, kept, removed: countOf(gone) })
}

/** A manifest with the entries of another one, of which some say from now on that their files are gone. */
async function writeWithout(
  base: TableBase,
  manifest: {
    readonly info: ManifestInfo
    readonly live: readonly ManifestEntry[]
    readonly removed: ReadonlySet<string>
    readonly number: number
  },
  { writeId, attempt, snapshotId }: SnapshotOptions,
): Promise<ManifestInfo> {
  const { metadata, location } = base
  const { info, live, removed, number } = manifest
  const entries = live.map((entry): ManifestEntry => {
    if (!removed.has(entry.file.path)) return { ...entry, status: ENTRY.existing }
    return { ...entry, status: ENTRY.deleted, snapshotId }
  })
  const existing = entries.filter(({ status }) => status === ENTRY.existing)
  const deleted = entries.filter(({ status }) => status === ENTRY.deleted)
  const spec = specOf(metadata, info.specId)
  const content = writeManifest(entries, currentSchema(metadata), spec)
  const name = { name: `${writeId}-merged-${attempt}-${number}`, ending: '.avro' } as const
  const written = await writeTableFile(join(location, 'metadata'), name, content)
  const files = (list: readonly ManifestEntry[]): readonly DataFile[] => list.map((e) => e.file)
  return {
    path: toUri(written.path),
    bytes: written.bytes,
    ...partitionsOf(metadata, files(live), spec),
    content: 0,
    sequenceNumber: BigInt(nextSequenceNumber(metadata)),
    minSequenceNumber: leastSequenceNumber(live),
    addedSnapshotId: snapshotId,
    added: { files: 0, rows: 0 },
    existing: countOf(files(existing)),
    deleted: countOf(files(deleted)),
  }
}
