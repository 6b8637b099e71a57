import { SqlError } from '@nyala/client/protocol'
import type { IcebergStore } from './iceberg-store.ts'
import { ENTRY } from './manifest-file.ts'
import type { Snapshot, TableMetadata } from './metadata.ts'
import { fromUri } from './table-files.ts'

/**
 * The absolute paths of all files that a table's metadata names, at any distance: of every snapshot that it knows, not of
 * the current one alone. `file`: what it was read from. Fails with `data_corrupted` where one cannot be read.
 */
export async function reachableFiles(
  store: IcebergStore,
  metadata: TableMetadata,
  file: string,
): Promise<ReadonlySet<string>> {
  const found = new Set([file])
  for (const former of metadata['metadata-log'] ?? []) found.add(fromUri(former['metadata-file']))
  for (const snapshot of metadata.snapshots ?? []) {
    await addSnapshot(store, { metadata, snapshot, found })
  }
  return found
}

/**
 * What is left of the files that former metadata of a table named, but for those of snapshots whose list `isKnown`. Some of
 * it may have been removed since, and is left out then.
 */
export async function formerFiles(
  store: IcebergStore,
  metadata: TableMetadata,
  isKnown: (list: string) => boolean = () => false,
): Promise<ReadonlySet<string>> {
  const found = new Set<string>()
  for (const snapshot of metadata.snapshots ?? []) {
    if (isKnown(fromUri(snapshot['manifest-list']))) continue
    await addSnapshot(store, { metadata, snapshot, found, ifThere })
  }
  return found
}

/** Undefined where a file of metadata is not there any more. */
async function ifThere<T>(read: Promise<T>): Promise<T | undefined> {
  try {
    return await read
  } catch (error) {
    if (error instanceof SqlError && error.error === 'data_corrupted') return undefined
    throw error
  }
}

/**
 * Adds the files of one snapshot to those that were found, the manifest list before the rest. What `ifThere` says is not
 * there is left out by itself: other snapshots may have shared a manifest, and taken it with them when they went.
 */
async function addSnapshot(
  store: IcebergStore,
  of: {
    readonly metadata: TableMetadata
    readonly snapshot: Snapshot
    readonly found: Set<string>
    readonly ifThere?: <T>(read: Promise<T>) => Promise<T | undefined>
  },
): Promise<void> {
  const { metadata, snapshot, found, ifThere: read = async (all) => all } = of
  const infos = await read(store.manifests(metadata, snapshot))
  if (infos === undefined) return
  found.add(fromUri(snapshot['manifest-list']))
  for (const info of infos) {
    const path = fromUri(info.path)
    // Most manifests are shared by many snapshots.
    if (found.has(path)) continue
    const entries = await read(store.entries(info))
    if (entries === undefined) continue
    found.add(path)
    for (const { status, file } of entries) {
      if (status !== ENTRY.deleted) found.add(fromUri(file.path))
    }
  }
}
