import { rm } from 'node:fs/promises'
import { SqlError } from '@nyala/client/protocol'
import type { Catalog, ExpiredSnapshots, TableRecord } from '@nyala/metastore'
import type { IcebergStore } from '../iceberg/iceberg-store.ts'
import { addSnapshot, reachableFiles } from '../iceberg/reachable.ts'
import { fromUri } from '../iceberg/table-files.ts'

/**
 * Removes the files that only snapshots needed which a table has forgotten. What no head names once it never will
 * again: commits compare the head that they build on, and only add files of their own. So it does no harm where it is
 * done late, or twice, or while the table is written to. `revision`: that of the record.
 */
export async function removeExpiredFiles(
  parts: { readonly catalog: Catalog; readonly store: IcebergStore },
  record: ExpiredSnapshots,
  revision: number,
): Promise<number> {
  const { catalog, store } = parts
  const snapshot = await catalog.atLeast(revision)
  const table = snapshot
    .databases()
    .flatMap(({ record: database }) => snapshot.relations(database.name))
    .map((relation) => relation.record)
    .find((one): one is TableRecord => one.kind === 'managed' && one.id === record.table)
  // The directory of a dropped table goes as a whole.
  if (table === undefined || table.manifest === null) return 0
  const now = await reachableFiles(store, await store.metadata(table), table.manifest.path)
  const before = await store.metadataAt(record.before)
  const named = new Set([record.before.path])
  for (const snapshot of before.snapshots ?? []) {
    if (now.has(fromUri(snapshot['manifest-list']))) continue
    try {
      await addSnapshot(store, { metadata: before, snapshot, found: named })
    } catch (error) {
      // Somebody has removed a part of it before: the rest is for remove_orphan_files.
      if (!(error instanceof SqlError) || error.error !== 'data_corrupted') throw error
    }
  }
  // Data files before the manifests that name them: who is interrupted here begins anew with what is left.
  const gone = [...named].filter((path) => !now.has(path) && isOwn(table, path)).toReversed()
  for (const path of gone) await rm(path, { force: true })
  return gone.length
}

/** Files elsewhere may be those of another table too. */
export const isOwn = ({ location }: TableRecord, path: string): boolean =>
  path.startsWith(`${location}/data/`) || path.startsWith(`${location}/metadata/`)
