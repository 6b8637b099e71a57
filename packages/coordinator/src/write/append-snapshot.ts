import { join } from 'node:path'
import type { Clock, Log } from '@nyala/client/base'
import type { TableRecord } from '@nyala/metastore'
import { dataFileOf } from '../iceberg/data-file.ts'
import type { IcebergStore } from '../iceberg/iceberg-store.ts'
import {
  type DataFile,
  ENTRY,
  type ManifestEntry,
  writeManifest,
} from '../iceberg/manifest-file.ts'
import { currentSchema, currentSpec } from '../iceberg/metadata.ts'
import { namedContent, type TableFileContent } from '../iceberg/table-files.ts'
import type { EncodedFile } from './append-encoder.ts'
import type { StageableRows, StagePlace } from './append-queue.ts'
import type { StagedHead } from './change.ts'
import {
  keepEntries,
  manifestPlace,
  type NewManifest,
  newSnapshot,
  writeSnapshot,
} from './new-snapshot.ts'
import { removeFiles } from './staging.ts'
import { baseOf, type TableBase, withManifest } from './table-change.ts'
import { newSnapshotId } from './write-ids.ts'

export interface AppendSnapshotOptions {
  readonly store: IcebergStore
  readonly clock: Clock
  readonly log: Log
}

/** What stays as it is when a commit is tried again under the same write. */
interface StagedFile extends NewManifest {
  readonly writeId: string
  readonly data: TableFileContent
  readonly file: DataFile
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
  /** Files that an attempt names and the next one does not. */
  #ofAttempt: readonly string[] = []

  constructor(file: EncodedFile, options: AppendSnapshotOptions) {
    this.#file = file
    this.#options = options
  }

  async stage(current: TableRecord, place: StagePlace): Promise<StagedHead> {
    const { store, clock } = this.#options
    const base = await baseOf(current, store)
    const before = this.#staged?.writeId === place.writeId ? this.#staged : undefined
    const staged = before ?? stagedFile(base, this.#file, place.writeId)
    this.#staged = staged
    const nowMs = clock.wall()
    const addition = { files: [staged.file], manifest: manifestPlace(staged.content) }
    const made = await newSnapshot(base, addition, {
      ...{ ...place, snapshotId: this.#snapshotId, operation: 'append', nowMs, store },
    })
    const { list, metadataFile, merged } = made
    this.#ofAttempt = [list, metadataFile, ...(merged === undefined ? [] : [merged.content])].map(
      ({ path }) => path,
    )
    const more = before === undefined ? [staged.data, staged.content] : []
    const written = await writeSnapshot(made, store, more)
    const number = BigInt(made.metadata['last-sequence-number'])
    const own = {
      ...{ snapshotId: this.#snapshotId, sequenceNumber: number, fileSequenceNumber: number },
    }
    const entries = staged.entries.map((entry) => ({ ...entry, ...own }))
    keepEntries(store, { ...staged, entries })
    return withManifest(current, written, nowMs)
  }

  async dropAttempt(): Promise<void> {
    try {
      await removeFiles(this.#ofAttempt)
    } catch (error) {
      const write = this.#staged?.writeId
      this.#options.log.warn('stagedFilesNotRemoved', { write, error })
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
