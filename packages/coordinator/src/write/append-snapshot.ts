import { join } from 'node:path'
import type { Clock, Log } from '@nyala/client/base'
import type { ManifestPointer, TableRecord } from '@nyala/metastore'
import { dataFileOf } from '../iceberg/data-file.ts'
import type { IcebergStore } from '../iceberg/iceberg-store.ts'
import {
  type DataFile,
  ENTRY,
  type ManifestEntry,
  type ManifestInfo,
  writeManifest,
  writeManifestList,
} from '../iceberg/manifest-file.ts'
import { manifestsToMerge } from '../iceberg/manifest-merge.ts'
import {
  currentSchema,
  currentSnapshot,
  currentSpec,
  formatMetadata,
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
import type { EncodedFile } from './append-encoder.ts'
import type { StageableRows, StagePlace } from './append-queue.ts'
import type { StagedHead } from './change.ts'
import { removeAttempts } from './staging.ts'
import {
  baseOf,
  countOf,
  existingEntries,
  leastSequenceNumber,
  type TableBase,
  totalsOf,
  withManifest,
} from './table-change.ts'
import { newSnapshotId } from './write-ids.ts'

/** About how many bytes of the heap it takes to keep what was just written. */
const HEAP_BYTES = { perMetadataByte: 3, perManifest: 600, perEntry: 1_500 }

export interface AppendSnapshotOptions {
  readonly store: IcebergStore
  readonly clock: Clock
  readonly log: Log
}

/** A manifest that is only in memory yet. */
interface NewManifest {
  readonly content: TableFileContent
  readonly entries: readonly ManifestEntry[]
}

/** What stays as it is when a commit is tried again under the same write. */
interface StagedFile extends NewManifest {
  readonly writeId: string
  readonly data: TableFileContent
  readonly file: DataFile
}

/** A snapshot that is only in memory yet. */
interface NewSnapshot {
  readonly metadata: TableMetadata
  readonly manifests: readonly ManifestInfo[]
  readonly merged: NewManifest | undefined
  readonly list: TableFileContent
  readonly metadataFile: TableFileContent
}

/**
 * One data file of a group of appends, with the metadata that makes it part of a table without partitions. All is made in
 * memory and then written at once, as no file needs another one to be there: a head names them when all are on disk.
 */
export class AppendSnapshot implements StageableRows {
  readonly #file: EncodedFile
  readonly #options: AppendSnapshotOptions
  readonly #snapshotId = newSnapshotId()
  #staged: StagedFile | undefined
  #location = ''

  constructor(file: EncodedFile, options: AppendSnapshotOptions) {
    this.#file = file
    this.#options = options
  }

  async stage(current: TableRecord, place: StagePlace): Promise<StagedHead> {
    const { store, clock } = this.#options
    const base = await baseOf(current, store)
    this.#location = current.location
    const before = this.#staged?.writeId === place.writeId ? this.#staged : undefined
    const staged = before ?? stagedFile(base, this.#file, place.writeId)
    this.#staged = staged
    const nowMs = clock.wall()
    const made = await this.#snapshot(base, staged, place, nowMs)
    await writeTableFiles([
      ...(before === undefined ? [staged.data, staged.content] : []),
      ...(made.merged === undefined ? [] : [made.merged.content]),
      ...[made.list, made.metadataFile],
    ])
    this.#keep(staged, made)
    const forgets = isForgetful(base.metadata, made.metadata)
    return withManifest(current, { manifest: pointerOf(made), forgets }, nowMs)
  }

  async tidy(writeId: string, attempts: number): Promise<void> {
    try {
      await removeAttempts(this.#location, writeId, attempts)
    } catch (error) {
      this.#options.log.warn('stagedFilesNotRemoved', { write: writeId, error })
    }
  }

  async #snapshot(
    base: TableBase,
    { content, file }: StagedFile,
    { writeId, attempt }: StagePlace,
    nowMs: number,
  ): Promise<NewSnapshot> {
    const { metadata, location } = base
    const directory = join(location, 'metadata')
    const sequenceNumber = nextSequenceNumber(metadata)
    const snapshot = { id: this.#snapshotId, sequenceNumber }
    const added = countOf([file])
    const own = addedManifest(
      { ...uriOf(content), specId: metadata['default-spec-id'] },
      added,
      snapshot,
    )
    const merge = await this.#merged(base, `${writeId}-merged-${attempt}`, snapshot)
    const manifests = [...(merge?.kept ?? base.manifests), own]
    const list = writeManifestList(manifests, {
      id: this.#snapshotId,
      parentId: currentSnapshot(metadata)?.['snapshot-id'] ?? null,
      sequenceNumber: BigInt(sequenceNumber),
    })
    const listName = `snap-${this.#snapshotId}-${attempt}-${writeId}`
    const listFile = namedContent(directory, { name: listName, ending: '.avro' }, list)
    const next = withSnapshot(metadata, {
      id: this.#snapshotId,
      operation: 'append',
      manifestList: toUri(listFile.path),
      added,
      removed: { files: 0, rows: 0, bytes: 0 },
      nowMs,
      previousFile: base.metadataFile,
    })
    const version = String(sequenceNumber).padStart(5, '0')
    const metadataFile = namedContent(
      directory,
      { name: `${version}-${writeId}-${attempt}`, ending: '.metadata.json' },
      Buffer.from(formatMetadata(next)),
    )
    return { metadata: next, manifests, merged: merge?.made, list: listFile, metadataFile }
  }

  /** The base's manifests with those of one tier as one, where they are many. */
  async #merged(
    { manifests, metadata, location }: TableBase,
    name: string,
    snapshot: { readonly id: bigint; readonly sequenceNumber: number },
  ): Promise<{ readonly kept: readonly ManifestInfo[]; readonly made: NewManifest } | undefined> {
    const specId = metadata['default-spec-id']
    const parts = manifestsToMerge(manifests.filter((one) => one.specId === specId))
    if (parts.length === 0) return undefined
    const entries = await existingEntries(this.#options.store, parts)
    const bytes = writeManifest(entries, currentSchema(metadata), currentSpec(metadata))
    const content = namedContent(join(location, 'metadata'), { name, ending: '.avro' }, bytes)
    const none = { files: 0, rows: 0 }
    const info: ManifestInfo = {
      ...addedManifest({ ...uriOf(content), specId }, none, snapshot),
      minSequenceNumber: leastSequenceNumber(entries),
      existing: countOf(entries.map((entry) => entry.file)),
    }
    const isMerged = new Set(parts)
    const kept = [info, ...manifests.filter((one) => !isMerged.has(one))]
    return { kept, made: { content, entries } }
  }

  /** Whoever commits next would read all of it back at once. */
  #keep(staged: StagedFile, made: NewSnapshot): void {
    const { store } = this.#options
    const { metadataFile, list, merged, manifests, metadata } = made
    store.keep(
      metadataFile.path,
      metadata,
      HEAP_BYTES.perMetadataByte * metadataFile.content.byteLength,
    )
    store.keep(list.path, manifests, HEAP_BYTES.perManifest * manifests.length)
    const number = BigInt(metadata['last-sequence-number'])
    const entries = staged.entries.map((entry) => ({
      ...entry,
      ...{ snapshotId: this.#snapshotId, sequenceNumber: number, fileSequenceNumber: number },
    }))
    for (const one of [{ ...staged, entries }, ...(merged === undefined ? [] : [merged])]) {
      store.keep(one.content.path, one.entries, HEAP_BYTES.perEntry * one.entries.length)
    }
  }
}

function stagedFile(base: TableBase, file: EncodedFile, writeId: string): StagedFile {
  const { metadata, location } = base
  const schema = currentSchema(metadata)
  const name = { name: `${writeId}-0-0-0`, ending: '.parquet' } as const
  const data = namedContent(join(location, 'data'), name, file.content)
  const found = dataFileOf({ ...file.facts, path: data.path, crc: data.crc32 }, schema.fields, [])
  const entries: readonly ManifestEntry[] = [
    {
      status: ENTRY.added,
      // Taken over from the list, which is written anew where the commit must be tried again.
      ...{ snapshotId: null, sequenceNumber: null, fileSequenceNumber: null },
      file: found,
    },
  ]
  const bytes = writeManifest(entries, schema, currentSpec(metadata))
  const manifest = { name: `${writeId}-m0`, ending: '.avro' } as const
  const content = namedContent(join(location, 'metadata'), manifest, bytes)
  return { writeId, data, file: found, content, entries }
}

const uriOf = ({
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
