import { rm } from 'node:fs/promises'
import type { Catalog, ExpiredSnapshots, TableRecord } from '@nyala/metastore'
import type { IcebergStore } from '../iceberg/iceberg-store.ts'
import { formerFiles, reachableFiles } from '../iceberg/reachable.ts'
import { fromUri } from '../iceberg/table-files.ts'
import type { ExpiredWrite } from './write-janitor.ts'

/**
 * Removes the files that only snapshots needed which a table has forgotten; tells how many. What no head names once it never
 * will again: commits compare the head that they build on, and only add files of their own. So it does no harm where it is
 * done late, or twice, or while the table is written to. `writes`: the records of one table, in the order in which they were
 * made.
 */
export async function removeExpiredFiles(
  parts: { readonly catalog: Catalog; readonly store: IcebergStore },
  writes: readonly ExpiredWrite[],
): Promise<number> {
  const { catalog, store } = parts
  const last = writes.at(-1)
  if (last === undefined) return 0
  const snapshot = await catalog.atLeast(last.modRevision)
  const table = snapshot
    .databases()
    .flatMap(({ record: database }) => snapshot.relations(database.name))
    .map((relation) => relation.record)
    .find((one): one is TableRecord => one.kind === 'managed' && one.id === last.record.table)
  // The directory of a dropped table goes as a whole.
  if (table === undefined || table.manifest === null) return 0
  const now = await reachableFiles(store, await store.metadata(table), table.manifest.path)
  let count = 0
  for (const { record } of writes) {
    const named = await forgottenFiles(store, record, (list) => now.has(list))
    // Data files before the manifests that name them: who is interrupted here begins anew with what is left.
    const gone = named.filter((path) => !now.has(path) && isOwn(table, path)).toReversed()
    for (const path of gone) await rm(path, { force: true })
    count += gone.length
  }
  return count
}

/**
 * What is left of the files that the metadata named, at any distance, which a commit took the place of, the metadata file
 * itself first; but for those of snapshots whose list `isKnown`. Nothing where that file is gone: then all else is.
 */
export async function forgottenFiles(
  store: IcebergStore,
  { before }: ExpiredSnapshots,
  isKnown?: (list: string) => boolean,
): Promise<readonly string[]> {
  const metadata = await store.formerMetadata(before.path)
  if (metadata === undefined) return []
  const log = (metadata['metadata-log'] ?? []).map((one) => fromUri(one['metadata-file']))
  return [before.path, ...log, ...(await formerFiles(store, metadata, isKnown))]
}

/** Files elsewhere may be those of another table too. */
export const isOwn = ({ location }: TableRecord, path: string): boolean =>
  path.startsWith(`${location}/data/`) || path.startsWith(`${location}/metadata/`)
