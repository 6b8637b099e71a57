import { rm } from 'node:fs/promises'
import type { Catalog, ExpiredSnapshots, TableRecord } from '@nyala/metastore'
import type { IcebergStore } from '../iceberg/iceberg-store.ts'
import { formerFiles, reachableFiles } from '../iceberg/reachable.ts'

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
  // What somebody has removed a part of before is for remove_orphan_files.
  const former = await formerFiles(store, before, (list) => now.has(list))
  const named = [record.before.path, ...former]
  // Data files before the manifests that name them: who is interrupted here begins anew with what is left.
  const gone = named.filter((path) => !now.has(path) && isOwn(table, path)).toReversed()
  for (const path of gone) await rm(path, { force: true })
  return gone.length
}

/** Files elsewhere may be those of another table too. */
export const isOwn = ({ location }: TableRecord, path: string): boolean =>
  path.startsWith(`${location}/data/`) || path.startsWith(`${location}/metadata/`)
