import { readdir, rm, stat } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { SqlError } from '@nyala/client/protocol'
import type { LoggedTransaction, Patience, TableRecord, Versioned } from '@nyala/metastore'
import type { IcebergStore } from '../iceberg/iceberg-store.ts'
import type { TableMetadata } from '../iceberg/metadata.ts'
import { formerFiles, reachableFiles } from '../iceberg/reachable.ts'
import { fromUri } from '../iceberg/table-files.ts'
import type { Services } from '../server/services.ts'
import { headOf } from './committer.ts'
import { forgottenFiles } from './expired-files.ts'
import { PARTS } from './staging.ts'
import { oldestOf, type Reads } from './write-janitor.ts'

/** Orphans are older than this where the statement does not say: three days. */
export const ORPHAN_AGE_MS = 259_200_000
/** No statement may say less: a file may be younger than what the record of its write is read by. */
export const ORPHAN_AGE_MIN_MS = 3_600_000

/**
 * Removes files of a table that nothing names, and that nobody reads who began before; tells how many. What is looked at
 * comes in this order, so that each file is seen by one of them: the files; the records of writes, which are there before
 * the first file and go with the commit that names it; the head, which is proved to be the newest; the records of what
 * commits up to it have made the table forget, which go when nobody reads that; and what is read.
 */
export async function removeOrphans(
  table: TableRecord,
  { olderThanMs, patience }: { readonly olderThanMs: number; readonly patience: Patience },
  services: Pick<Services, 'catalog' | 'manifests' | 'writes' | 'reads'>,
): Promise<number> {
  const { catalog, manifests, writes, reads } = services
  const store = manifests.iceberg
  const files = await filesOf(table.location)
  const pending = await writes.writeLog.transactions({ patience })
  const head = headOf(catalog.snapshot(), table)
  const { key, modRevision, record } = head
  const compare = { kind: 'modRevision', key, equals: modRevision } as const
  const isNewest = await writes.writeLog.holds([compare], { patience })
  if (!isNewest || record.manifest === null) {
    throw new SqlError(
      'serialization_failure',
      `table "${table.name}" was changed by another statement meanwhile`,
      { hint: 'nothing was removed: send the statement again' },
    )
  }
  const ids = pending.flatMap(({ record: one }) => (one.kind === 'expired' ? [] : [one.id]))
  const reachable = await namedFiles(head, {
    store,
    records: () => writes.writeLog.transactions({ patience }),
    reads: () => reads({ patience }),
  })
  const orphans = orphansOf(files, { olderThanMs, reachable, writes: ids })
  for (const path of orphans) await rm(path, { force: true })
  return orphans.length
}

/** What says which files of a table count as named: asked for once the head was proved to be the newest. */
export interface Naming {
  readonly store: IcebergStore
  readonly records: () => Promise<readonly LoggedTransaction[]>
  readonly reads: () => Promise<Reads>
}

/** The paths of all files that a table's head names, that commits up to it have made it forget, or that somebody may read. */
export async function namedFiles(
  { record: table, modRevision }: Versioned<TableRecord>,
  { store, records, reads }: Naming,
): Promise<Set<string>> {
  const metadata = await store.metadata(table)
  const named = new Set(await reachableFiles(store, metadata, table.manifest?.path ?? ''))
  for (const { record: one } of await records()) {
    if (one.kind !== 'expired' || one.table !== table.id) continue
    for (const path of await forgottenFiles(store, one)) named.add(path)
  }
  // Whoever reads the catalog as it was before this head may read the table as any former metadata has it.
  if (oldestOf(await reads()) < modRevision) await addFormer(store, metadata, named)
  return named
}

/** Adds what is left of the files that the metadata before this one named. */
async function addFormer(
  store: IcebergStore,
  metadata: TableMetadata,
  reachable: Set<string>,
): Promise<void> {
  for (const former of metadata['metadata-log'] ?? []) {
    const before = await store.formerMetadata(fromUri(former['metadata-file']))
    if (before === undefined) continue
    const isKnown = (list: string): boolean => reachable.has(list)
    for (const one of await formerFiles(store, before, isKnown)) reachable.add(one)
  }
}

export interface FoundFile {
  readonly path: string
  /** Milliseconds since 1970-01-01 UTC. */
  readonly modifiedMs: number
}

/** All files below the directories of a table that writes put files into. */
export async function filesOf(location: string): Promise<readonly FoundFile[]> {
  const found: FoundFile[] = []
  for (const part of PARTS) {
    const directory = join(location, part)
    for (const entry of await readdir(directory, { recursive: true, withFileTypes: true })) {
      if (!entry.isFile()) continue
      const path = join(entry.parentPath, entry.name)
      // What is gone by now is nobody's any more.
      const known = await stat(path).catch(() => undefined)
      if (known !== undefined) found.push({ path, modifiedMs: known.mtimeMs })
    }
  }
  return found
}

/**
 * The files that nobody needs: older than a time, not named by any metadata that counts, and not of a write that may
 * still be committed or is being cleaned up. Of a path the last part counts, which says which write has made it: what
 * comes before it is the real path where an executor has written, and may be a link as the catalog has it. Pure.
 */
export function orphansOf(
  files: readonly FoundFile[],
  known: {
    readonly olderThanMs: number
    readonly reachable: ReadonlySet<string>
    /** Ids of writes, which are part of the names of their files. */
    readonly writes: readonly string[]
  },
): readonly string[] {
  const { olderThanMs, reachable, writes } = known
  const names = new Set([...reachable].map((path) => basename(path)))
  return files
    .filter(({ modifiedMs }) => modifiedMs < olderThanMs)
    .map(({ path }) => path)
    .filter((path) => !names.has(basename(path)) && !writes.some((id) => path.includes(id)))
}
