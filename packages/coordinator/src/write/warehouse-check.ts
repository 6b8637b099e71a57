import { createReadStream } from 'node:fs'
import { readdir, stat } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { crc32 } from 'node:zlib'
import { type Clock, type Log } from '@nyala/client/base'
import { SqlError } from '@nyala/client/protocol'
import {
  Catalog,
  type ExpiredSnapshots,
  type Keys,
  type Kv,
  type TableRecord,
  WriteLog,
} from '@nyala/metastore'
import { IcebergStore } from '../iceberg/iceberg-store.ts'
import { ENTRY } from '../iceberg/manifest-file.ts'
import { reachableFiles } from '../iceberg/reachable.ts'
import { fromUri, namedChecksum } from '../iceberg/table-files.ts'
import { ByteCache } from '../table/byte-cache.ts'
import { forgottenFiles } from './expired-files.ts'
import { filesOf } from './orphans.ts'

const CACHE_BYTES = 64 * 1024 * 1024

/**
 * Compares what the catalog names with what lies in the directories of managed tables, and reads every byte of it: every
 * file that a snapshot names is there, with its size and checksum; every file that is there is named; no directory is
 * that of no table. For a cluster in which no write runs. Resolves with what is not so, in words. Files that only forgotten
 * snapshots named are named by the records of these until they go.
 */
export async function checkWarehouse(parts: {
  readonly kv: Kv
  readonly keys: Keys
  readonly clock: Clock
  readonly log: Log
}): Promise<readonly string[]> {
  await using catalog = await Catalog.open(parts)
  const snapshot = catalog.snapshot()
  const tables = snapshot
    .databases()
    .flatMap(({ record }) => snapshot.relations(record.name))
    .map(({ record }) => record)
    .filter((record): record is TableRecord => record.kind === 'managed')
  const store = new IcebergStore(new ByteCache(CACHE_BYTES))
  const forgotten = (await new WriteLog(parts).transactions()).flatMap(({ record }) =>
    record.kind === 'expired' ? [record] : [],
  )
  const problems: string[] = []
  for (const table of tables) {
    const of = forgotten.filter((one) => one.table === table.id)
    problems.push(...(await checkTable(table, of, store)))
  }
  return [...problems, ...(await strayDirectories(tables))]
}

async function checkTable(
  table: TableRecord,
  forgotten: readonly ExpiredSnapshots[],
  store: IcebergStore,
): Promise<readonly string[]> {
  const name = `table "${table.database}.${table.name}"`
  const found = await filesOf(table.location)
  try {
    const metadata = await store.metadata(table)
    const named = new Set(await reachableFiles(store, metadata, table.manifest?.path ?? ''))
    for (const one of forgotten) {
      for (const path of await forgottenFiles(store, one)) named.add(path)
    }
    const problems: string[] = []
    for (const { path } of found) {
      // What a record still named may have been removed meanwhile, with the record.
      if (named.has(path) || !(await isThere(path))) continue
      problems.push(`${name}: nothing names the file "${path}"`)
    }
    const seen = new Set<string>()
    for (const snapshot of metadata.snapshots ?? []) {
      for (const info of await store.manifests(metadata, snapshot)) {
        for (const { status, file } of await store.entries(info)) {
          const path = fromUri(file.path)
          if (status === ENTRY.deleted || seen.has(path)) continue
          seen.add(path)
          const wrong = await wrongFile(path, file.bytes)
          if (wrong !== undefined) problems.push(`${name}: the file "${path}" ${wrong}`)
        }
      }
    }
    return problems
  } catch (error) {
    // A metadata file that is missing or changed: its checksum is compared whenever it is read.
    if (error instanceof SqlError) return [`${name}: ${error.message}`]
    throw error
  }
}

const isThere = (path: string): Promise<boolean> =>
  stat(path).then(
    () => true,
    () => false,
  )

/** What is not as its manifest and its name say; undefined where all is. */
async function wrongFile(path: string, bytes: number): Promise<string | undefined> {
  let [size, crc] = [0, 0]
  try {
    for await (const chunk of createReadStream(path)) {
      size += (chunk as Buffer).byteLength
      crc = crc32(chunk as Buffer, crc)
    }
  } catch (error) {
    return `cannot be read: ${(error as Error).message}`
  }
  if (size !== bytes) return `has ${size} bytes and not ${bytes}`
  const named = namedChecksum(path)
  if (named === undefined) return 'has no checksum in its name'
  return named === crc ? undefined : 'does not have the checksum that its name says'
}

/** Directories beside those of tables, which are named after the writes that made them. */
async function strayDirectories(tables: readonly TableRecord[]): Promise<readonly string[]> {
  const owned = new Set(tables.map(({ location }) => location))
  const problems: string[] = []
  for (const parent of new Set(tables.map(({ location }) => dirname(location)))) {
    for (const entry of await readdir(parent, { withFileTypes: true })) {
      const path = join(parent, entry.name)
      if (entry.isDirectory() && !owned.has(path)) {
        problems.push(`the directory "${path}" is that of no table`)
      }
    }
  }
  return problems
}
