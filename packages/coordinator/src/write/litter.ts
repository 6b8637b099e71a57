import { readdir, stat } from 'node:fs/promises'
import { basename, join } from 'node:path'
import type { LoggedTransaction, TableRecord, Versioned } from '@nyala/metastore'
import { formerFiles } from '../iceberg/reachable.ts'
import { type Naming, namedFiles } from './orphans.ts'
import { PARTS } from './staging.ts'

/** Of a write's id, wherever it stands in a name. */
const WRITE_ID = /w[0-9a-f]{24}/g

/** The ids of writes that the name of a file bears; none where no write has made it. */
export const writesIn = (name: string): readonly string[] => name.match(WRITE_ID) ?? []

/** What lies in a table's directories, as `data/<name>` and `metadata/<name>`. */
export async function entriesOf(location: string): Promise<readonly string[]> {
  const parts = await Promise.all(
    PARTS.map(async (part) =>
      (await readdir(join(location, part))).map((name) => `${part}/${name}`),
    ),
  )
  return parts.flat()
}

/**
 * Changes whenever a file comes into a table's directories or leaves them; but for what happens within one tick of the
 * file system's clock, so one that is the same is believed only at a second look.
 */
export async function stampOf(location: string): Promise<string> {
  const found = await Promise.all(PARTS.map((part) => stat(join(location, part), { bigint: true })))
  return found.map(({ ino, mtimeNs }) => `${ino}@${mtimeNs}`).join(' ')
}

/** Ids of writes that are under way, or whose files are being removed. Pure. */
export const unfinished = (records: readonly LoggedTransaction[]): ReadonlySet<string> =>
  new Set(records.flatMap(({ record }) => (record.kind === 'expired' ? [] : [record.id])))

/**
 * Entries that bear the ids of writes, each of which has ended, and that nothing names. `named`: paths, of which the last
 * part counts: it says which write has made it, and nothing of another table bears that. Pure.
 */
export function litterOf(
  entries: readonly string[],
  known: { readonly unfinished: ReadonlySet<string>; readonly named: Iterable<string> },
): readonly string[] {
  const ended = entries.filter((entry) => {
    const writes = writesIn(entry)
    return writes.length > 0 && !writes.some((id) => known.unfinished.has(id))
  })
  if (ended.length === 0) return ended
  const names = new Set<string>()
  for (const path of known.named) names.add(basename(path))
  return ended.filter((entry) => !names.has(basename(entry)))
}

/**
 * Paths of all files of a table that count as named, and of what any metadata that lies in its directory names: where etcd
 * was set back to what it was some time ago, that is how the table can be made whole again. `litter`: what is doubted of it.
 */
export async function namedAnyhow(
  head: Versioned<TableRecord>,
  litter: readonly string[],
  naming: Naming,
): Promise<ReadonlySet<string>> {
  const named = await namedFiles(head, naming)
  const { location } = head.record
  for (const entry of litter) {
    if (!entry.endsWith('.metadata.json')) continue
    const metadata = await naming.store.formerMetadata(join(location, entry))
    if (metadata === undefined) continue
    for (const path of await formerFiles(naming.store, metadata)) named.add(path)
  }
  return named
}
