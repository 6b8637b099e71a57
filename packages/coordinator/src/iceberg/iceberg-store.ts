import { typeText } from '../sql/sql-types.ts'
import { SqlError } from '@nyala/client/protocol'
import type { TableRecord } from '@nyala/metastore'
import type { ByteCache } from '../table/byte-cache.ts'
import type { Manifest, ManifestFile } from '../table/manifest.ts'
import { rowGroupsOf, statisticsOf } from './data-file.ts'
import {
  type DataFile,
  ENTRY,
  type ManifestEntry,
  type ManifestInfo,
  readManifest,
  readManifestList,
} from './manifest-file.ts'
import { hasAllSchemas, hasEvolved } from './foreign-metadata.ts'
import { schemaOf, snapshotOf } from './history.ts'
import { currentSchema, currentSnapshot, parseMetadata, type TableMetadata } from './metadata.ts'
import { type FieldSummary, type PartitionField, partitionFields } from './partition-field.ts'
import { PartitionNumbers } from './partition-layout.ts'
import { type PlacedFile, rowDeletes } from './row-deletes.ts'
import { corrupted, fromUri, readTableFile } from './table-files.ts'
import { type IcebergField, type IcebergSchema, sqlTypeOf } from './types.ts'

/** Bytes of the heap for a byte of a file, at the most: manifests are compressed. */
const HEAP_PER_BYTE = { json: 3, avro: 30 }

/** Which files of a table are read. */
interface ReadOptions {
  readonly snapshotId?: bigint | undefined
  /** Told the fields of a manifest's partition spec, and what the list says of each; false where no file in it matters. */
  readonly canMatter?:
    ((fields: readonly PartitionField[], summaries: readonly FieldSummary[]) => boolean) | undefined
}

/** Reads the metadata of managed tables. All files are immutable, so what was read once is kept while there is room. */
export class IcebergStore {
  readonly #cache: ByteCache<unknown>

  constructor(cache: ByteCache<unknown>) {
    this.#cache = cache
  }

  /** Keeps what was written here under this path as if it had been read; `bytes`: about what it takes of the heap. */
  keep(
    path: string,
    value: TableMetadata | readonly ManifestInfo[] | readonly ManifestEntry[],
    bytes: number,
  ): void {
    this.#cache.set(path, value, bytes)
  }

  /** The metadata file that the table's head names. Fails with `data_corrupted`. */
  async metadata(table: TableRecord): Promise<TableMetadata> {
    const { manifest: pointer } = table
    if (pointer === null) {
      throw new SqlError('data_corrupted', `table "${table.name}" has no metadata file`)
    }
    return this.metadataAt(pointer, table.format === 'iceberg')
  }

  /** A metadata file. Fails with `data_corrupted`. */
  async metadataAt(
    pointer: Pick<NonNullable<TableRecord['manifest']>, 'path' | 'crc32' | 'bytes'>,
    isForeign = false,
  ): Promise<TableMetadata> {
    return this.#kept(pointer.path, HEAP_PER_BYTE.json * pointer.bytes, async () => {
      const content = await readTableFile(pointer.path, pointer)
      const by = isForeign ? 'foreign' : 'us'
      return parsed(pointer.path, () => parseMetadata(content.toString('utf8'), by))
    })
  }

  /** A metadata file that was a table's once; undefined where it is gone. */
  async formerMetadata(path: string): Promise<TableMetadata | undefined> {
    try {
      const content = await readTableFile(path)
      return parsed(path, () => parseMetadata(content.toString('utf8')))
    } catch (error) {
      if (error instanceof SqlError && error.error === 'data_corrupted') return undefined
      throw error
    }
  }

  /** The manifests of a table's current snapshot, or another one; none where it has no snapshot. */
  async manifests(
    metadata: TableMetadata,
    snapshot = currentSnapshot(metadata),
  ): Promise<readonly ManifestInfo[]> {
    if (snapshot === undefined) return []
    const path = fromUri(snapshot['manifest-list'])
    return this.#kept(path, 0, async (keepBytes) => {
      const content = await readTableFile(path)
      keepBytes(HEAP_PER_BYTE.avro * content.byteLength)
      return parsed(path, () => readManifestList(content))
    })
  }

  async entries(info: ManifestInfo): Promise<readonly ManifestEntry[]> {
    const path = fromUri(info.path)
    return this.#kept(path, HEAP_PER_BYTE.avro * info.bytes, async () => {
      const content = await readTableFile(path)
      return parsed(path, () => readManifest(content, info))
    })
  }

  /** The data files of a table's current snapshot, as its manifests have them. */
  async dataFiles(table: TableRecord): Promise<readonly DataFile[]> {
    return (await this.specFiles(table)).map(({ file }) => file)
  }

  /** The same with the partition spec of each. */
  async specFiles(
    table: TableRecord,
  ): Promise<readonly { readonly file: DataFile; readonly specId: number }[]> {
    const files: { readonly file: DataFile; readonly specId: number }[] = []
    for (const info of await this.manifests(await this.metadata(table))) {
      if (info.content !== 0) continue
      for (const { status, file } of await this.entries(info)) {
        if (status !== ENTRY.deleted) files.push({ file, specId: info.specId })
      }
    }
    return files
  }

  /**
   * The files of a table, in the form in which queries read those of any table. `snapshotId`: of another snapshot than
   * the current one, which the metadata must name. `canMatter`: manifests that it is false for are not read.
   */
  async read(table: TableRecord, { snapshotId, canMatter }: ReadOptions = {}): Promise<Manifest> {
    const metadata = await this.metadata(table)
    const snapshot =
      snapshotId === undefined ? currentSnapshot(metadata) : snapshotOf(metadata, snapshotId)
    // Columns may have changed since the newest snapshot, and then its rows are read as they are now.
    const schema = snapshotId === undefined ? currentSchema(metadata) : schemaOf(metadata, snapshot)
    const infos = await this.manifests(metadata, snapshot)
    const left =
      canMatter === undefined ? infos : manifestsLeft(infos, { metadata, schema, canMatter })
    const isAll = left.length === infos.length
    const which = isAll ? 'all' : `only ${left.map((one) => infos.indexOf(one)).join()}`
    const key = `files of ${table.manifest?.path ?? ''} ${snapshotId ?? ''} ${which}`
    return this.#kept(key, 0, async (keepBytes) => {
      const manifest = await this.#assemble(table, metadata, { infos: left, schema })
      keepBytes(500 * manifest.files.length)
      if (isAll) return manifest
      const skipped = { read: left.length, total: infos.length, filesTotal: filesOf(infos) }
      return { ...manifest, skipped }
    })
  }

  async #assemble(
    table: TableRecord,
    metadata: TableMetadata,
    { infos, schema }: { readonly infos: readonly ManifestInfo[]; readonly schema: IcebergSchema },
  ): Promise<Manifest> {
    const { fields } = schema
    // Files that were written before they became the table's have no field ids.
    const isMapped = metadata.properties?.['schema.name-mapping.default'] !== undefined
    if (table.format === 'iceberg' && isMapped && hasEvolved(metadata)) {
      throw unsupported(table, 'changed columns, and files without their ids')
    }
    const files: ManifestFile[] = []
    const partitions = new PartitionNumbers(metadata, fields)
    const data: PlacedFile[] = []
    const deletes: PlacedFile[] = []
    for (const info of infos) {
      for (const { status, file, sequenceNumber } of await this.entries(info)) {
        if (status === ENTRY.deleted) continue
        checkReadable(table, file)
        const isData = file.content === 0
        const { specId } = info
        ;(isData ? data : deletes).push({ file, specId, sequenceNumber: sequenceNumber ?? 0n })
        if (!isData) continue
        const statistics = statisticsOf(file, fields)
        files.push({
          path: relative(table.location, fromUri(file.path)),
          bytes: file.bytes,
          modifiedMs: UNKNOWN_TIME,
          rows: file.rows,
          rowGroups: rowGroupsOf(file),
          schema: 0,
          ...(statistics === undefined ? {} : { statistics }),
          partition: partitions.numberOf(info.specId, file.partition),
        })
      }
    }
    const columns = fields.map(({ name, type }) => ({ name, type: typeText(sqlTypeOf(type)) }))
    return {
      format: 1,
      location: table.location,
      partitionColumns: [],
      schemas: [columns],
      partitions: partitions.texts(),
      files,
      layout: partitions.layout(),
      ...(deletes.length === 0
        ? {}
        : { deletes: this.#deletes(table, { data, deletes }, { metadata, fields }) }),
      ...(metadata.schemas.length > 1 || !hasAllSchemas(metadata) ? evolved(metadata, fields) : {}),
    }
  }

  #deletes(
    table: TableRecord,
    files: Parameters<typeof rowDeletes>[0],
    of: Parameters<typeof rowDeletes>[1],
  ): Manifest['deletes'] {
    try {
      return rowDeletes(files, of, ({ path }) => relative(table.location, fromUri(path)))
    } catch (error) {
      throw unsupported(table, `deletes that are not known here: ${(error as Error).message}`)
    }
  }

  async #kept<T>(
    key: string,
    bytes: number,
    read: (keepBytes: (bytes: number) => void) => Promise<T>,
  ): Promise<T> {
    const kept = this.#cache.get(key)
    if (kept !== undefined) return kept as T
    let size = bytes
    const value = await read((known) => {
      size = known
    })
    this.#cache.set(key, value, size)
    return value
  }
}

/** Those of a list that may name files which matter, by what the list says of their partitions. */
function manifestsLeft(
  infos: readonly ManifestInfo[],
  {
    metadata,
    schema,
    canMatter,
  }: { readonly metadata: TableMetadata; readonly schema: IcebergSchema } & Required<
    Pick<ReadOptions, 'canMatter'>
  >,
): readonly ManifestInfo[] {
  const fields = new Map(
    metadata['partition-specs'].map((spec) => [
      spec['spec-id'],
      partitionFields(spec, schema.fields),
    ]),
  )
  return infos.filter(({ specId, partitions }) => {
    const own = fields.get(specId)
    return own === undefined || partitions === undefined || canMatter?.(own, partitions) !== false
  })
}

/** Data files that a list says its manifests name. */
const filesOf = (infos: readonly ManifestInfo[]): number =>
  infos
    .filter(({ content }) => content === 0)
    .reduce((sum, { added, existing }) => sum + added.files + existing.files, 0)

/** Names, places and types in files are those of the schema that they were written with. */
const evolved = (
  metadata: TableMetadata,
  fields: readonly IcebergField[],
): Pick<Manifest, 'fieldIds' | 'retyped'> => ({
  fieldIds: fields.map(({ id }) => id),
  retyped: new Set(
    fields
      .filter(
        ({ id, type }) =>
          metadata.schemas.some((one) => isOther(one.fields, id, type)) ||
          // What a forgotten schema said of it is not known.
          (!hasAllSchemas(metadata) && isWidened(type)),
      )
      .map(({ name }) => name),
  ),
})

/** Types that a column may have become from a narrower one. */
const isWidened = (type: IcebergField['type']): boolean =>
  typeof type === 'string' && /^(?:long|double|decimal\()/.test(type)

const isOther = (
  fields: readonly IcebergField[],
  id: number,
  type: IcebergField['type'],
): boolean =>
  fields.some((field) => field.id === id && JSON.stringify(field.type) !== JSON.stringify(type))

/** Files of managed tables are told by size and checksum, not by when they were written. */
export const UNKNOWN_TIME = -1

const relative = (location: string, path: string): string =>
  path.startsWith(`${location}/`) ? path.slice(location.length + 1) : path

function parsed<T>(path: string, parse: () => T): T {
  try {
    return parse()
  } catch (cause) {
    if (cause instanceof SqlError) throw cause
    throw corrupted(path, `is not what it should be: ${(cause as Error).message}`, cause)
  }
}

/** Fails with `feature_not_supported` for what rows depend on and is not read: other formats. */
function checkReadable(table: TableRecord, file: DataFile): void {
  if (file.format !== undefined && file.format.toUpperCase() !== 'PARQUET') {
    throw unsupported(table, `files of the format ${file.format}`)
  }
}

const unsupported = ({ database, name }: TableRecord, what: string): SqlError =>
  new SqlError(
    'feature_not_supported',
    `table "${database}.${name}" has ${what}, which cannot be read`,
  )
