import { join } from 'node:path'
import type { ManifestPointer } from '@nyala/metastore'
import type { IcebergStore } from '../iceberg/iceberg-store.ts'
import {
  type ManifestEntry,
  type ManifestInfo,
  writeManifest,
  writeManifestList,
} from '../iceberg/manifest-file.ts'
import { manifestsToMerge } from '../iceberg/manifest-merge.ts'
import {
  currentSchema,
  currentSnapshot,
  formatMetadata,
  type Operation,
  type TableMetadata,
} from '../iceberg/metadata.ts'
import {
  addedManifest,
  isForgetful,
  nextSequenceNumber,
  withSnapshot,
} from '../iceberg/snapshot.ts'
import {
  namedContent,
  type TableFileContent,
  toUri,
  writeTableFiles,
} from '../iceberg/table-files.ts'
import {
  type Addition,
  countOf,
  existingEntries,
  leastSequenceNumber,
  metadataName,
  partitionsOf,
  specOf,
  type StagedMetadata,
  type TableBase,
  totalsOf,
} from './table-change.ts'

/** About how many bytes of the heap it takes to keep what was just written. */
const HEAP_BYTES = { perMetadataByte: 3, perManifest: 600, perEntry: 1_500 }

export interface SnapshotOptions {
  readonly writeId: string
  readonly attempt: number
  readonly snapshotId: bigint
  readonly operation: Operation
  readonly nowMs: number
  readonly store: IcebergStore
  /** Manifests of the base that the snapshot keeps; absent: all of an append, none of any other operation. */
  readonly kept?: readonly ManifestInfo[] | undefined
  /** What of the base it does not have any more; absent: nothing or all, likewise. */
  readonly removed?: ReturnType<typeof countOf> | undefined
}

/** A manifest that is only in memory yet. */
export interface NewManifest {
  readonly content: TableFileContent
  readonly entries: readonly ManifestEntry[]
}

/** A snapshot that is only in memory yet. */
export interface NewSnapshot {
  readonly metadata: TableMetadata
  readonly manifests: readonly ManifestInfo[]
  readonly merged: NewManifest | undefined
  readonly list: TableFileContent
  readonly metadataFile: TableFileContent
  readonly forgets: boolean
}

/**
 * A table with one more snapshot, which has the manifest of the addition and those that are kept; these are merged where
 * there are many. `append` keeps what the table has, any other operation puts the addition in its place.
 */
export async function newSnapshot(
  base: TableBase,
  addition: Addition,
  options: SnapshotOptions,
): Promise<NewSnapshot> {
  const { metadata, location, manifests: all } = base
  const { writeId, attempt, snapshotId, operation, nowMs } = options
  const sequenceNumber = nextSequenceNumber(metadata)
  const added = countOf(addition.files)
  const isAppend = operation === 'append'
  const { kept, merged } = await mergedManifests(
    base,
    options.kept ?? (isAppend ? all : []),
    options,
  )
  const manifests = [...kept]
  if (addition.manifest !== null) {
    const own = { ...addition.manifest, ...partitionsOf(metadata, addition.files) }
    manifests.push(addedManifest(own, added, { id: snapshotId, sequenceNumber }))
  }
  const directory = join(location, 'metadata')
  const listName = `snap-${snapshotId}-${attempt}-${writeId}`
  const list = namedContent(
    directory,
    { name: listName, ending: '.avro' },
    writeManifestList(manifests, {
      id: snapshotId,
      parentId: currentSnapshot(metadata)?.['snapshot-id'] ?? null,
      sequenceNumber: BigInt(sequenceNumber),
    }),
  )
  const next = withSnapshot(metadata, {
    id: snapshotId,
    operation,
    manifestList: toUri(list.path),
    added,
    removed: options.removed ?? (isAppend ? NOTHING : totalsOf(metadata)),
    nowMs,
    previousFile: base.metadataFile,
  })
  const name = metadataName(next, `${writeId}-${attempt}`)
  const text = Buffer.from(formatMetadata(next))
  const metadataFile = namedContent(directory, { name, ending: '.metadata.json' }, text)
  const forgets = isForgetful(metadata, next)
  return { metadata: next, manifests, merged, list, metadataFile, forgets }
}

/**
 * Writes what a snapshot is made of, with `more` files, at the same time: no file needs another one to be there, as nothing
 * names them yet. What was written is kept as if it had been read: whoever commits next would read all of it back at once.
 */
export async function writeSnapshot(
  made: NewSnapshot,
  store: IcebergStore,
  more: readonly TableFileContent[] = [],
): Promise<StagedMetadata> {
  const { metadata, metadataFile, list, merged, manifests, forgets } = made
  const own = merged === undefined ? [] : [merged]
  await writeTableFiles([...more, ...own.map(({ content }) => content), list, metadataFile])
  const bytes = metadataFile.content.byteLength
  store.keep(metadataFile.path, metadata, HEAP_BYTES.perMetadataByte * bytes)
  store.keep(list.path, manifests, HEAP_BYTES.perManifest * manifests.length)
  for (const one of own) keepEntries(store, one)
  return { manifest: pointerOf(made), forgets }
}

/** Keeps the entries of a manifest that is on disk by now. */
export const keepEntries = (store: IcebergStore, { content, entries }: NewManifest): void =>
  store.keep(content.path, entries, HEAP_BYTES.perEntry * entries.length)

/** Writes the snapshot that an addition makes; nothing names it yet. */
export async function stageSnapshot(
  base: TableBase,
  addition: Addition,
  options: SnapshotOptions,
): Promise<StagedMetadata> {
  return writeSnapshot(await newSnapshot(base, addition, options), options.store)
}

const NOTHING = { files: 0, rows: 0, bytes: 0 }

/** Manifests with those of one tier as one, where they are many. Those of the snapshot itself say what it has removed. */
async function mergedManifests(
  { metadata, location }: TableBase,
  manifests: readonly ManifestInfo[],
  { writeId, attempt, snapshotId, store }: SnapshotOptions,
): Promise<{ readonly kept: readonly ManifestInfo[]; readonly merged: NewManifest | undefined }> {
  const parts = manifestsToMerge(manifests.filter((one) => one.addedSnapshotId !== snapshotId))
  const [first] = parts
  if (first === undefined) return { kept: manifests, merged: undefined }
  const entries = await existingEntries(store, parts)
  const spec = specOf(metadata, first.specId)
  const bytes = writeManifest(entries, currentSchema(metadata), spec)
  const name = { name: `${writeId}-merged-${attempt}`, ending: '.avro' } as const
  const content = namedContent(join(location, 'metadata'), name, bytes)
  const files = entries.map(({ file }) => file)
  const place = { ...manifestPlace(content), ...partitionsOf(metadata, files, spec) }
  const sequenceNumber = nextSequenceNumber(metadata)
  const none = { files: 0, rows: 0 }
  const info: ManifestInfo = {
    ...addedManifest(place, none, { id: snapshotId, sequenceNumber }),
    minSequenceNumber: leastSequenceNumber(entries),
    existing: countOf(files),
  }
  const isMerged = new Set(parts)
  const kept = [info, ...manifests.filter((one) => !isMerged.has(one))]
  return { kept, merged: { content, entries } }
}

/** A manifest as lists name it. */
export const manifestPlace = ({
  path,
  content,
}: TableFileContent): { readonly path: string; readonly bytes: number } => ({
  path: toUri(path),
  bytes: content.byteLength,
})

function pointerOf({ metadata, metadataFile }: NewSnapshot): ManifestPointer {
  const { path, crc32, content } = metadataFile
  const { files, rows, bytes } = totalsOf(metadata)
  return { path, crc32, bytes: content.byteLength, files, rows, dataBytes: bytes }
}
