import { SqlError } from '@nyala/client/protocol'
import { type Keys, type Operation, rememberExpired, type TableRecord } from '@nyala/metastore'
import type { DataFile } from '../iceberg/manifest-file.ts'

/** What a statement does to a table; whether it may go on top of another commit is decided from this alone. */
export type ChangeKind =
  /** Adds files. */
  | { readonly kind: 'append' }
  /**
   * Puts other files in the place of these, or none: UPDATE, DELETE, MERGE, compaction, INSERT OVERWRITE of partitions.
   * `covers`: files that would have been replaced too, had the statement seen them; absent: there are none such.
   */
  | {
      readonly kind: 'rewrite'
      /** Paths, as manifests have them. */
      readonly files: ReadonlySet<string>
      readonly covers?: ((file: DataFile) => boolean) | undefined
    }
  /** Puts other files, or none, in the place of all there are: INSERT OVERWRITE, TRUNCATE. */
  | { readonly kind: 'replaceAll' }
  /** Columns, partitioning or properties: ALTER TABLE. */
  | { readonly kind: 'schema' }

/** A change of one table by one statement, its data files staged. */
export interface TableChange {
  /** The head that the statement has read. */
  readonly base: TableRecord
  readonly change: ChangeKind
  /**
   * Stages the metadata of the table with the change, and tells the head that names it. `current` is the base, or what
   * came meanwhile where the change may go on top of that; it is called again with each newer one, `attempt` counting
   * from 0. It may throw to give up.
   */
  apply(current: TableRecord, attempt: number): Promise<StagedHead>
}

/** The head of a table as a commit is to leave it; what it names is on disk. */
export interface StagedHead {
  readonly record: TableRecord
  /** What it names does not name all that the head before it did: that is to be removed when nobody reads it any more. */
  readonly forgets: boolean
}

/**
 * The record of what a commit makes a table forget, to be put by that commit. `before`: the head that it takes the place
 * of. Pure.
 */
export function rememberForgotten(
  keys: Keys,
  {
    before,
    staged,
    writeId,
    nowMs,
  }: {
    readonly before: TableRecord
    readonly staged: StagedHead
    readonly writeId: string
    readonly nowMs: number
  },
): readonly Operation[] {
  if (!staged.forgets || before.manifest === null) return []
  const { path, crc32, bytes } = before.manifest
  const record = { table: before.id, before: { path, crc32, bytes }, startedAt: nowMs }
  return [rememberExpired(keys, { id: `${writeId}-forgotten`, ...record })]
}

/** Reads which data files a table has. */
export type LiveFiles = (table: TableRecord) => Promise<readonly DataFile[]>

/**
 * Fails with `serialization_failure` where a change cannot go on top of `current`:
 *
 * | change     | goes on top of                                                                                  |
 * |------------|-------------------------------------------------------------------------------------------------|
 * | append     | anything but another schema                                                                     |
 * | rewrite    | anything but another schema that has left its files, and added none that it would have replaced |
 * | replaceAll | nothing                                                                                         |
 * | schema     | anything but another schema                                                                     |
 */
export async function checkRebase(
  { base, change }: Pick<TableChange, 'base' | 'change'>,
  current: TableRecord,
  liveFiles: LiveFiles,
): Promise<void> {
  if (current.schemaVersion !== base.schemaVersion) throw changedMeanwhile(base)
  if (current.snapshotId === base.snapshotId) return
  switch (change.kind) {
    case 'append':
    case 'schema':
      return
    case 'replaceAll':
      throw changedMeanwhile(base)
    case 'rewrite': {
      const now = await liveFiles(current)
      const paths = new Set(now.map(({ path }) => path))
      if ([...change.files].some((path) => !paths.has(path))) throw changedMeanwhile(base)
      const { covers } = change
      if (covers === undefined) return
      const before = new Set((await liveFiles(base)).map(({ path }) => path))
      if (now.some((file) => !before.has(file.path) && covers(file))) throw changedMeanwhile(base)
    }
  }
}

function changedMeanwhile(table: TableRecord): SqlError {
  return new SqlError(
    'serialization_failure',
    `table "${table.name}" was changed by another statement meanwhile`,
    { hint: 'nothing was written: send the statement again' },
  )
}
