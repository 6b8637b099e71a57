import { readdir, readFile, stat } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { crc32 } from 'node:zlib'
import { SqlError } from '@nyala/client/protocol'
import type { ManifestPointer } from '@nyala/metastore'
import { currentSnapshot, parseMetadata, type TableMetadata } from '../iceberg/metadata.ts'
import { corrupted, fromUri } from '../iceberg/table-files.ts'
import { locationPath } from '../table/external-table.ts'

/** A metadata file of another engine, as a head names it. */
export interface Registered {
  readonly metadata: TableMetadata
  readonly pointer: ManifestPointer
}

/** The metadata file that CREATE EXTERNAL TABLE … STORED AS ICEBERG means. Fails with `undefined_file`. */
export async function metadataPath(where: {
  readonly location: string | undefined
  readonly properties: readonly { readonly key: string; readonly value: string }[]
}): Promise<string> {
  const named = where.properties.find(({ key }) => key.toLowerCase() === 'metadata_location')
  if (named !== undefined) return fromUri(named.value)
  if (where.location === undefined) {
    throw new SqlError('syntax_error', 'an Iceberg table needs a LOCATION', {
      hint: "or its metadata file: TBLPROPERTIES ('metadata_location' = '/dir/metadata/x.metadata.json')",
    })
  }
  return newestMetadata(join(locationPath(where.location), 'metadata'))
}

/** The newest metadata file of a directory: the one that its hint names, or that with the highest number. */
export async function newestMetadata(directory: string): Promise<string> {
  const missing = (cause?: unknown): SqlError =>
    new SqlError('undefined_file', `directory "${directory}" has no metadata of an Iceberg table`, {
      hint: "name the file: TBLPROPERTIES ('metadata_location' = '…')",
      cause,
    })
  const names = await readdir(directory).catch((cause: unknown) => {
    throw missing(cause)
  })
  const hint = names.includes('version-hint.text')
    ? (await readFile(join(directory, 'version-hint.text'), 'utf8')).trim()
    : undefined
  const hinted = names.find((name) => hint !== undefined && name === `v${hint}.metadata.json`)
  const found = hinted ?? (await highest(directory, names))
  if (found === undefined) throw missing()
  return join(directory, found)
}

/** The metadata file with the highest number; of several the one that was written last. */
async function highest(directory: string, names: readonly string[]): Promise<string | undefined> {
  const numbered = names.flatMap((name) => {
    const number = /^v?(\d+)(?:-.*)?\.metadata\.json$/.exec(name)?.[1]
    return number === undefined ? [] : [{ name, number: Number(number) }]
  })
  const most = Math.max(...numbered.map(({ number }) => number))
  const written = await Promise.all(
    numbered
      .filter(({ number }) => number === most)
      .map(async ({ name }) => ({ name, at: (await stat(join(directory, name))).mtimeMs })),
  )
  return written.toSorted((a, b) => a.at - b.at).at(-1)?.name
}

/** Reads a metadata file that another engine has written. Fails with `undefined_file` or `data_corrupted`. */
export async function readRegistered(path: string): Promise<Registered> {
  const content = await readFile(path).catch((cause: unknown) => {
    const message = `file "${path}" cannot be read: ${(cause as Error).message}`
    throw new SqlError('undefined_file', message, { cause })
  })
  let metadata: TableMetadata
  try {
    metadata = parseMetadata(content.toString('utf8'), 'foreign')
  } catch (cause) {
    throw corrupted(path, `is no metadata that can be read: ${(cause as Error).message}`, cause)
  }
  const summary = currentSnapshot(metadata)?.summary
  const total = (key: string): number => Number(summary?.[key] ?? 0)
  return {
    metadata,
    pointer: {
      ...{ path, crc32: crc32(content), bytes: content.byteLength },
      files: total('total-data-files'),
      rows: total('total-records'),
      dataBytes: total('total-files-size'),
    },
  }
}

/** Where other metadata files of a registered table lie. */
export const metadataDirectory = (pointer: { readonly path: string }): string =>
  dirname(pointer.path)
