import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { icebergRead } from 'icebird'
import { withLocalFiles } from './local-files.ts'
import type { World } from './world.ts'

/** Where managed tables of the database `default` lie. */
export const warehouse = (world: World): string =>
  join(world.dir, 'cluster', 'data', 'warehouse', 'default')

/** Of a managed table in the database `default`. */
export async function directoryOf(world: World, table: string): Promise<string> {
  const names = await readdir(warehouse(world))
  const found = names.filter((name) => name.startsWith(`${table}-w`))
  if (found.length !== 1) throw new Error(`${found.length} directories of ${table}`)
  return join(warehouse(world), found[0] ?? '')
}

/** The rows of a table as another reader of Iceberg sees them, by its newest metadata file. */
export async function readElsewhere(
  directory: string,
): Promise<readonly Record<string, unknown>[]> {
  const names = (await readdir(join(directory, 'metadata')))
    .filter((name) => name.endsWith('.metadata.json'))
    .toSorted()
  const metadataFileName = names.at(-1) ?? ''
  return withLocalFiles(() => icebergRead({ tableUrl: `file://${directory}`, metadataFileName }))
}
