import type { BigIntStats } from 'node:fs'
import { type FileHandle, open } from 'node:fs/promises'
import { sep } from 'node:path'
import { type Column, SqlError } from '@nyala/client/protocol'
import type { FileStatistics, ListedFile, Listing } from '../protocol/index.ts'
import { Lister, LISTED_FILES_MAX } from './lister.ts'
import { type ParquetFooter, readFooter } from './parquet-footer.ts'
import { partitionValues } from './partition-values.ts'
import { fileStatisticsOf, withStatistics } from './listed-statistics.ts'
import { fileError, type Roots } from './roots.ts'

/** Files opened at once; the file system of Node has four threads. */
const OPEN_FILES_MAX = 16
/** Footers kept, so that a query over files by name does not read them again; their number, and their bytes on disk. */
const FOOTERS_MAX = 20_000
const FOOTERS_BYTES_MAX = 64 * 1024 * 1024
const SCHEMAS_MAX = 1_000

export interface InspectorOptions {
  readonly roots: Roots
  /** The columns of a Parquet file as the kernel's SQL sees them. */
  readonly describe: (path: string) => Promise<readonly Column[]>
}

export interface WrittenFacts {
  readonly rows: number
  readonly bytes: number
  readonly statistics: FileStatistics | undefined
  /** Compressed; null for nested columns. */
  readonly columnBytes: readonly (number | null)[]
  /** Compressed; of each row group. */
  readonly rowGroupBytes: readonly number[]
}

interface FileFacts {
  readonly bytes: number
  readonly modifiedMs: number
  readonly footer: ParquetFooter
}

/** Tells coordinators what Parquet files there are: rows, row groups, schemas and partition values. */
export class Inspector {
  readonly #lister: Lister
  readonly #describe: InspectorOptions['describe']
  readonly #footers = new Map<string, { readonly state: string; readonly footer: ParquetFooter }>()
  readonly #schemas = new Map<string, readonly Column[]>()
  #footerBytes = 0

  constructor(options: InspectorOptions) {
    this.#lister = new Lister(options.roots)
    this.#describe = options.describe
  }

  /** All Parquet files below one directory. One bad file fails the whole listing, and is named. */
  async location(paths: readonly string[]): Promise<Listing> {
    const [path] = paths
    if (path === undefined || paths.length > 1) {
      throw new SqlError(
        'invalid_parameter_value',
        `one location is listed at a time, not ${paths.length}`,
      )
    }
    const found = await this.#lister.below(path)
    return await this.#listing(found.location, found.paths, found.location)
  }

  /** The Parquet files that paths and patterns name. */
  async files(paths: readonly string[]): Promise<Listing> {
    const found = await this.#matching(paths)
    return await this.#listing(found.location, found.paths, sep)
  }

  /** Files of any kind that paths and patterns name; nothing in them is read. */
  async paths(paths: readonly string[]): Promise<Listing> {
    const found = await this.#matching(paths)
    const files = await inParallel(found.paths, async (path): Promise<ListedFile> => {
      await using file = await openFile(path)
      const { bytes, modifiedMs } = file
      return {
        path,
        bytes,
        modifiedMs,
        rows: 0,
        rowGroups: [],
        schema: 0,
        partition: partitionValues(path, sep),
      }
    })
    return { location: found.location, files, schemas: [[]] }
  }

  /** What the footer says of one file that was written here; each list is by the columns of the file. */
  async written(path: string): Promise<WrittenFacts> {
    const { bytes, footer } = await this.#facts(path)
    const columns = await this.#schema(path, footer)
    return {
      rows: footer.rows,
      bytes,
      statistics: fileStatisticsOf(footer, columns),
      columnBytes: footer.columns.map((column) => column?.bytes ?? null),
      rowGroupBytes: footer.rowGroups.map(({ bytes: ofGroup }) => ofGroup),
    }
  }

  async #matching(
    paths: readonly string[],
  ): Promise<{ readonly location: string; readonly paths: readonly string[] }> {
    const all = new Set<string>()
    let location: string | undefined
    for (const path of paths) {
      const found = await this.#lister.matching(path)
      location ??= found.base
      for (const one of found.paths) all.add(one)
      if (all.size > LISTED_FILES_MAX) {
        throw new SqlError('program_limit_exceeded', `more than ${LISTED_FILES_MAX} files to list`)
      }
    }
    if (location === undefined) throw new SqlError('invalid_parameter_value', 'no path was given')
    return { location, paths: [...all] }
  }

  async #listing(
    location: string,
    paths: readonly string[],
    partitionsFrom: string,
  ): Promise<Listing> {
    const facts = await inParallel(paths, (path) => this.#facts(path))
    const numbering = new SchemaNumbering()
    const files: ListedFile[] = []
    const statistics: (FileStatistics | undefined)[] = []
    for (const [i, path] of paths.entries()) {
      const { bytes, modifiedMs, footer } = facts[i] as FileFacts
      const columns = await this.#schema(path, footer)
      statistics.push(fileStatisticsOf(footer, columns))
      files.push({
        path,
        bytes,
        modifiedMs,
        rows: footer.rows,
        rowGroups: footer.rowGroups,
        schema: numbering.numberOf(columns),
        partition: partitionValues(path, partitionsFrom),
      })
    }
    return { location, files: withStatistics(files, statistics), schemas: numbering.schemas }
  }

  async #facts(path: string): Promise<FileFacts> {
    await using file = await openFile(path)
    const { bytes, modifiedMs } = file
    const known = this.#footers.get(path)
    if (known?.state === file.state) return { bytes, modifiedMs, footer: known.footer }
    const footer = await readFooter(file.handle, path, bytes)
    checkNames(path, footer.names)
    this.#keepFooter(path, file.state, footer)
    return { bytes, modifiedMs, footer }
  }

  #keepFooter(path: string, state: string, footer: ParquetFooter): void {
    this.#footerBytes -= this.#footers.get(path)?.footer.bytes ?? 0
    this.#footers.delete(path)
    this.#footers.set(path, { state, footer })
    this.#footerBytes += footer.bytes
    for (const [oldest, kept] of this.#footers) {
      if (this.#footers.size <= FOOTERS_MAX && this.#footerBytes <= FOOTERS_BYTES_MAX) break
      this.#footers.delete(oldest)
      this.#footerBytes -= kept.footer.bytes
    }
  }

  /** Files of equal schemas are described once. */
  async #schema(path: string, footer: ParquetFooter): Promise<readonly Column[]> {
    const known = this.#schemas.get(footer.fingerprint)
    if (known !== undefined) return known
    const columns = await this.#describe(path)
    remember(this.#schemas, footer.fingerprint, columns, SCHEMAS_MAX)
    return columns
  }
}

/** Numbers distinct schemas; footers that differ may still say the same columns. */
class SchemaNumbering {
  readonly schemas: (readonly Column[])[] = []
  readonly #numbers = new Map<string, number>()
  readonly #ofObject = new Map<readonly Column[], number>()

  numberOf(columns: readonly Column[]): number {
    const quick = this.#ofObject.get(columns)
    if (quick !== undefined) return quick
    const key = JSON.stringify(columns)
    const number = this.#numbers.get(key) ?? this.schemas.push(columns) - 1
    this.#numbers.set(key, number)
    this.#ofObject.set(columns, number)
    return number
  }
}

interface OpenFile extends AsyncDisposable {
  readonly handle: FileHandle
  readonly bytes: number
  readonly modifiedMs: number
  /** Changes whenever the file does. */
  readonly state: string
}

async function openFile(path: string): Promise<OpenFile> {
  let handle: FileHandle | undefined
  try {
    handle = await open(path, 'r')
    return describedFile(handle, await handle.stat({ bigint: true }))
  } catch (cause) {
    await handle?.close()
    throw fileError(path, cause)
  }
}

function describedFile(
  handle: FileHandle,
  { size, mtimeNs, ino }: Pick<BigIntStats, 'size' | 'mtimeNs' | 'ino'>,
): OpenFile {
  return {
    handle,
    bytes: Number(size),
    modifiedMs: Number(mtimeNs / 1000n) / 1000,
    state: `${ino}:${size}:${mtimeNs}`,
    [Symbol.asyncDispose]: () => handle.close(),
  }
}

/** The kernel would rename the second one, and no name would say which is meant. */
function checkNames(path: string, names: readonly string[]): void {
  const seen = new Set<string>()
  for (const name of names) {
    const folded = name.toLowerCase()
    if (seen.has(folded)) {
      throw new SqlError('duplicate_column', `file "${path}" has more than one column "${name}"`, {
        hint: 'write the file again with distinct names; case does not tell names apart',
      })
    }
    seen.add(folded)
  }
}

function remember<V>(map: Map<string, V>, key: string, value: V, limit: number): void {
  map.delete(key)
  map.set(key, value)
  if (map.size <= limit) return
  const oldest = map.keys().next()
  if (oldest.done !== true) map.delete(oldest.value)
}

/** Results in the order of the items; the first failure stops the rest. */
async function inParallel<T, R>(
  items: readonly T[],
  work: (item: T) => Promise<R>,
): Promise<readonly R[]> {
  const results: R[] = new Array<R>(items.length)
  let next = 0
  let failed = false
  const worker = async (): Promise<void> => {
    while (next < items.length && !failed) {
      const i = next++
      try {
        results[i] = await work(items[i] as T)
      } catch (error) {
        failed = true
        throw error
      }
    }
  }
  await Promise.all(Array.from({ length: Math.min(OPEN_FILES_MAX, items.length) }, worker))
  return results
}
