import { mkdir, open, readFile, rename, rm } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { crc32 } from 'node:zlib'
import { SqlError } from '@nyala/client/protocol'

/** Iceberg names files by URIs; engines take what is behind the scheme as it stands, so nothing is escaped. */
export const toUri = (path: string): string => `file://${path}`

/** The path of a local file. Fails with `feature_not_supported` for other stores. */
export function fromUri(uri: string): string {
  if (uri.startsWith('/')) return uri
  const path = /^file:(?:\/\/)?(\/.*)$/s.exec(uri)?.[1]
  if (path !== undefined) return path
  throw new SqlError('feature_not_supported', `"${uri}" is not on a local file system`)
}

export interface MetadataFile {
  readonly path: string
  readonly crc32: number
  readonly bytes: number
}

/** A name that ends in the checksum of its file: whoever reads that needs no other record of it. */
const CHECKED_NAME = /-([0-9a-f]{8})\.(?:avro|metadata\.json|parquet)$/

/** The checksum that the name of a file says; undefined where it says none. */
export function namedChecksum(path: string): number | undefined {
  const digits = CHECKED_NAME.exec(path)?.[1]
  return digits === undefined ? undefined : Number.parseInt(digits, 16)
}

const hex = (crc: number): string => crc.toString(16).padStart(8, '0')

/**
 * Writes an immutable file `<name>-<checksum><ending>` that is whole and on disk, its name included, when this resolves.
 * Fails with `io_error`, `insufficient_privilege` or `disk_full`, and leaves nothing then.
 */
export async function writeTableFile(
  directory: string,
  file: { readonly name: string; readonly ending: '.avro' | '.metadata.json' },
  content: Uint8Array,
): Promise<MetadataFile> {
  const crc = crc32(content)
  const path = join(directory, `${file.name}-${hex(crc)}${file.ending}`)
  const temporary = `${path}.tmp`
  try {
    const handle = await open(temporary, 'w')
    try {
      await handle.writeFile(content)
      await handle.sync()
    } finally {
      await handle.close()
    }
    await rename(temporary, path)
    await syncDirectory(directory)
  } catch (cause) {
    // What could not be written is often what cannot be removed; the first failure is the one to tell.
    await rm(temporary, { force: true }).catch(() => undefined)
    throw writeError(path, cause)
  }
  return { path, crc32: crc, bytes: content.byteLength }
}

/** A file of a table that is only in memory yet, under the path that it will have. */
export interface TableFileContent {
  readonly path: string
  readonly content: Uint8Array
  readonly crc32: number
}

/** An immutable file `<name>-<checksum><ending>`, not written yet. Pure. */
export function namedContent(
  directory: string,
  file: { readonly name: string; readonly ending: '.avro' | '.metadata.json' | '.parquet' },
  content: Uint8Array,
): TableFileContent {
  const crc = crc32(content)
  const path = join(directory, `${file.name}-${hex(crc)}${file.ending}`)
  return { path, content, crc32: crc }
}

/**
 * Writes files at the same time. They are whole and on disk, their names included, when this resolves; until then nobody
 * looks at them, and what is left of a failure goes by the id of its write. Fails as {@link writeTableFile}.
 */
export async function writeTableFiles(files: readonly TableFileContent[]): Promise<void> {
  const written = await Promise.allSettled(
    files.map(async ({ path, content }) => {
      const handle = await open(path, 'wx')
      try {
        await handle.writeFile(content)
        await handle.sync()
      } finally {
        await handle.close()
      }
    }),
  )
  written.forEach((one, i) => {
    if (one.status === 'rejected') throw writeError(files[i]?.path ?? '', one.reason)
  })
  const directories = new Set(files.map(({ path }) => dirname(path)))
  await Promise.all([...directories].map(syncDirectory))
}

/** Makes the directories of a new table; their names are on disk when this resolves. */
export async function makeTableDirectories(location: string): Promise<void> {
  try {
    const parts = ['data', 'metadata'].map((part) => join(location, part))
    await mkdir(dirname(location), { recursive: true }).catch((cause: unknown) => {
      // On a file system that is read only Node says of this that there is no such directory; what follows says why.
      if ((cause as NodeJS.ErrnoException).code !== 'ENOENT') throw cause
    })
    for (const path of [dirname(location), location, ...parts]) {
      await makeDirectory(path)
    }
    await syncDirectory(location)
    await syncDirectory(dirname(location))
    await syncDirectory(dirname(dirname(location)))
  } catch (cause) {
    throw writeError(location, cause)
  }
}

async function makeDirectory(path: string): Promise<void> {
  try {
    await mkdir(path)
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code !== 'EEXIST') throw cause
  }
}

async function syncDirectory(path: string): Promise<void> {
  const directory = await open(path, 'r')
  await directory.sync().finally(() => directory.close())
}

/** As executors tell it, which write to the same directories. */
const MAY_NOT: ReadonlySet<string> = new Set(['EROFS', 'EACCES', 'EPERM'])

function writeError(path: string, cause: unknown): SqlError {
  const { code, message } = cause as NodeJS.ErrnoException
  if (code === 'ENOSPC' || code === 'EDQUOT') {
    return new SqlError('disk_full', `there is no space left to write "${path}"`, { cause })
  }
  const error = MAY_NOT.has(code ?? '') ? 'insufficient_privilege' : 'io_error'
  return new SqlError(error, `cannot write "${path}": ${message}`, {
    hint:
      code === 'ENOENT'
        ? 'the directory of the table is gone: restore it from a copy'
        : 'the coordinators need the right to write in the directory of the table',
    cause,
  })
}

/**
 * Reads a metadata file. Fails with `data_corrupted` where it cannot be read, or does not have the checksum that its
 * name, or `expected`, says.
 */
export async function readTableFile(
  path: string,
  expected?: { readonly crc32: number; readonly bytes: number },
): Promise<Buffer> {
  let content: Buffer
  try {
    content = await readFile(path)
  } catch (cause) {
    throw corrupted(path, `cannot be read: ${(cause as Error).message}`, cause)
  }
  const named = namedChecksum(path)
  const crc = crc32(content)
  const isWrong =
    (named !== undefined && named !== crc) ||
    (expected !== undefined && (expected.crc32 !== crc || expected.bytes !== content.byteLength))
  if (isWrong) throw corrupted(path, 'does not have the checksum that was recorded for it')
  return content
}

export const corrupted = (path: string, what: string, cause?: unknown): SqlError =>
  new SqlError('data_corrupted', `metadata file "${path}" ${what}`, {
    hint: 'restore the file from a copy',
    cause,
  })
