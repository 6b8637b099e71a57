import { randomBytes } from 'node:crypto'
import { mkdir, open, readFile, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { crc32 } from 'node:zlib'
import { DecodeError, type Schema } from '@nyala/client/base'
import { SqlError } from '@nyala/client/protocol'
import type { ManifestPointer, StatisticsPointer, TableRecord } from '@nyala/metastore'
import { IcebergStore } from '../iceberg/iceberg-store.ts'
import { ByteCache } from './byte-cache.ts'
import { type Manifest, manifest, totalBytes, totalRows } from './manifest.ts'
import { type TableStatistics, tableStatistics } from './statistics.ts'

/** Bytes of decoded files kept: a table of some thousand files takes one of them, one of a hundred thousand tens. */
const CACHE_BYTES_MAX = 128 * 1024 * 1024
/** Bytes of the heap for a byte of JSON, at the most; measured over manifests of many small and of few large entries. */
const HEAP_PER_JSON_BYTE = 3

interface Pointer {
  readonly path: string
  readonly crc32: number
  readonly bytes: number
}

/**
 * Immutable metadata files in a directory that every coordinator shares. A file is complete and on disk before the
 * head that names it can be written, gets a name that no other writer can choose, and is never changed: so readers
 * need no lock, and a file that no head ever named is only litter.
 */
export class ManifestStore {
  readonly #directory: string
  readonly #cache: ByteCache<unknown>
  /** The metadata of managed tables. */
  readonly iceberg: IcebergStore

  constructor(directory: string, options: { readonly cacheBytesMax?: number } = {}) {
    this.#directory = directory
    this.#cache = new ByteCache(options.cacheBytesMax ?? CACHE_BYTES_MAX)
    this.iceberg = new IcebergStore(this.#cache)
  }

  /** Estimated bytes of what is kept decoded. */
  get cachedBytes(): number {
    return this.#cache.bytes
  }

  async write(value: Manifest): Promise<ManifestPointer> {
    const pointer = await this.#write('manifest', value)
    return {
      ...pointer,
      files: value.files.length,
      rows: totalRows(value.files),
      dataBytes: totalBytes(value.files),
    }
  }

  /**
   * The files of a table; an empty manifest where the table was never listed. `version`: of a managed table, which
   * snapshot, and which of its files.
   */
  async read(table: TableRecord, version?: Parameters<IcebergStore['read']>[1]): Promise<Manifest> {
    if (table.kind === 'managed' || table.format === 'iceberg')
      return this.iceberg.read(table, version)
    if (table.manifest === null) {
      return {
        format: 1,
        location: table.location,
        partitionColumns: table.partitionColumns.map((c) => c.name),
        schemas: [],
        partitions: [],
        files: [],
      }
    }
    return this.#read(table.manifest, manifest, table)
  }

  async writeStatistics(value: TableStatistics): Promise<StatisticsPointer> {
    const pointer = await this.#write('statistics', value)
    return { ...pointer, computedAt: value.computedAt }
  }

  async readStatistics(table: TableRecord): Promise<TableStatistics | undefined> {
    if (table.statistics === null) return undefined
    return this.#read(table.statistics, tableStatistics, table)
  }

  async #write(name: string, value: unknown): Promise<Pointer> {
    const bytes = Buffer.from(JSON.stringify(value))
    const path = join(this.#directory, `${name}-${randomBytes(8).toString('hex')}.json`)
    const temporary = `${path}.tmp`
    try {
      await mkdir(this.#directory, { recursive: true })
      const file = await open(temporary, 'wx')
      try {
        await file.writeFile(bytes)
        await file.sync()
      } finally {
        await file.close()
      }
      await rename(temporary, path)
      // The name itself must survive a power cut, or the head would point at nothing.
      const directory = await open(this.#directory, 'r')
      await directory.sync().finally(() => directory.close())
    } catch (cause) {
      // What could not be written is often what cannot be removed; the first failure is the one to tell.
      await rm(temporary, { force: true }).catch(() => undefined)
      throw new SqlError(
        'io_error',
        `cannot write metadata file "${path}": ${(cause as Error).message}`,
        {
          cause,
        },
      )
    }
    return { path, crc32: crc32(bytes), bytes: bytes.byteLength }
  }

  async #read<T>(pointer: Pointer, schema: Schema<T>, table: TableRecord): Promise<T> {
    const cached = this.#cache.get(pointer.path)
    if (cached !== undefined) return cached as T
    const bytes = await readFile(pointer.path).catch((cause: unknown) => {
      throw this.#broken(table, pointer, `cannot be read: ${(cause as Error).message}`, cause)
    })
    if (bytes.byteLength !== pointer.bytes || crc32(bytes) !== pointer.crc32) {
      throw this.#broken(table, pointer, 'does not have the checksum that the catalog recorded')
    }
    const value = this.#decode(bytes, pointer, schema, table)
    this.#cache.set(pointer.path, value, bytes.byteLength * HEAP_PER_JSON_BYTE)
    return value
  }

  #decode<T>(bytes: Buffer, pointer: Pointer, schema: Schema<T>, table: TableRecord): T {
    try {
      return schema.decode(JSON.parse(bytes.toString('utf8')), 'metadata')
    } catch (cause) {
      if (!(cause instanceof DecodeError) && !(cause instanceof SyntaxError)) throw cause
      throw this.#broken(table, pointer, `is not of a known format: ${cause.message}`, cause)
    }
  }

  #broken(table: TableRecord, pointer: Pointer, what: string, cause?: unknown): SqlError {
    const name = `${table.database}.${table.name}`
    return new SqlError(
      'data_corrupted',
      `metadata file "${pointer.path}" of table "${name}" ${what}`,
      {
        hint: `REFRESH ${name} writes a new one from the files of the table`,
        cause,
      },
    )
  }
}
