import { readdir, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { SqlError } from '@nyala/client/protocol'
import type { Patience, TableRecord } from '@nyala/metastore'
import { formerFiles, reachableFiles } from '../iceberg/reachable.ts'
import { fromUri } from '../iceberg/table-files.ts'
import type { Services } from '../server/services.ts'
import { headOf } from './committer.ts'
import { forgottenFiles } from './expired-files.ts'

/** Orphans are older than this where the statement does not say: three days. */
export const ORPHAN_AGE_MS = 259_200_000
/** No statement may say less: writes that run name their files in a record, but queries do not. */
export const ORPHAN_AGE_MIN_MS = 3_600_000

/**
 * Removes files of a table that nothing names; tells how many. What is looked at comes in this order, so that each file is
 * seen by one of them: the files; the records of writes, which are there before the first file and go with the commit
 * that names it; the head, which is proved to be the newest.
 */
export async function removeOrphans(
  table: TableRecord,
  { olderThanMs, patience }: { readonly olderThanMs: number; readonly patience: Patience },
  services: Pick<Services, 'catalog' | 'manifests' | 'writes' | 'clock'>,
): Promise<number> {
  const { catalog, manifests, writes, clock } = services
  const store = manifests.iceberg
  const files = await filesOf(table.location)
  const transactions = await writes.writeLog.transactions({ patience })
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
  const metadata = await store.metadata(record)
  const reachable = new Set(await reachableFiles(store, metadata, record.manifest.path))
  // A query may be reading what was the newest when it began, whatever became of that since.
  for (const former of metadata['metadata-log'] ?? []) {
    if (former['timestamp-ms'] < clock.wall() - ORPHAN_AGE_MIN_MS) continue
    const path = fromUri(former['metadata-file'])
    const before = await store.formerMetadata(path)
    if (before === undefined) continue
    for (const one of await formerFiles(store, before)) reachable.add(one)
  }
  const ids: string[] = []
  for (const { record: one } of transactions) {
    if (one.kind === 'expired') {
      // Queries may still be reading what it has forgotten.
      if (one.table !== table.id) continue
      for (const path of await forgottenFiles(store, one)) reachable.add(path)
    } else ids.push(one.id)
  }
  const orphans = orphansOf(files, { olderThanMs, reachable, writes: ids })
  for (const path of orphans) await rm(path, { force: true })
  return orphans.length
}

export interface FoundFile {
  readonly path: string
  /** Milliseconds since 1970-01-01 UTC. */
  readonly modifiedMs: number
}

/** All files below the directories of a table that writes put files into. */
export async function filesOf(location: string): Promise<readonly FoundFile[]> {
  const found: FoundFile[] = []
  for (const part of ['data', 'metadata']) {
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
 * still be committed or is being cleaned up. Pure.
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
  return files
    .filter(({ modifiedMs }) => modifiedMs < olderThanMs)
    .map(({ path }) => path)
    .filter((path) => !reachable.has(path) && !writes.some((id) => path.includes(id)))
}
