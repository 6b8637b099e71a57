import { foreignMetadata } from './foreign-metadata.ts'
import {
  type FieldIds,
  fieldsOf,
  type IcebergField,
  type IcebergSchema,
  type NewColumn,
} from './types.ts'

/**
 * A table's metadata file of format version 2. What this version does not know of it is kept as it is, so that rewriting
 * a table which another engine has written loses nothing.
 */
export interface TableMetadata {
  readonly 'format-version': number
  readonly 'table-uuid': string
  /** URI of the table's directory. */
  readonly location: string
  readonly 'last-sequence-number': number
  readonly 'last-updated-ms': number
  readonly 'last-column-id': number
  readonly schemas: readonly IcebergSchema[]
  readonly 'current-schema-id': number
  readonly 'partition-specs': readonly PartitionSpec[]
  readonly 'default-spec-id': number
  readonly 'last-partition-id': number
  readonly 'sort-orders': readonly SortOrder[]
  readonly 'default-sort-order-id': number
  readonly properties?: Readonly<Record<string, string>>
  /** -1 or absent: none. */
  readonly 'current-snapshot-id'?: bigint
  readonly snapshots?: readonly Snapshot[]
  readonly 'snapshot-log'?: readonly SnapshotLogEntry[]
  readonly 'metadata-log'?: readonly MetadataLogEntry[]
  readonly refs?: Readonly<Record<string, SnapshotRef>>
}

export interface PartitionSpec {
  readonly 'spec-id': number
  readonly fields: readonly {
    readonly 'source-id': number
    readonly 'field-id': number
    readonly name: string
    readonly transform: string
  }[]
}

export interface SortOrder {
  readonly 'order-id': number
  readonly fields: readonly {
    readonly transform: string
    readonly 'source-id': number
    readonly direction: 'asc' | 'desc'
    readonly 'null-order': 'nulls-first' | 'nulls-last'
  }[]
}

export interface Snapshot {
  readonly 'snapshot-id': bigint
  readonly 'parent-snapshot-id'?: bigint
  readonly 'sequence-number': number
  readonly 'timestamp-ms': number
  /** URI. */
  readonly 'manifest-list': string
  readonly summary: Readonly<Record<string, string>> & { readonly operation: Operation }
  readonly 'schema-id'?: number
}

export type Operation = 'append' | 'replace' | 'overwrite' | 'delete'

export interface SnapshotLogEntry {
  readonly 'timestamp-ms': number
  readonly 'snapshot-id': bigint
}

export interface MetadataLogEntry {
  readonly 'timestamp-ms': number
  readonly 'metadata-file': string
}

export interface SnapshotRef {
  readonly 'snapshot-id': bigint
  readonly type: 'branch' | 'tag'
}

/** Field ids of partitions begin behind this. */
const LAST_COLUMN_ID = 999

/** The first metadata of a table. `partition` and `order` make the fields of its partition spec and sort order of those of its
 * columns. */
export function newMetadata(table: {
  readonly uuid: string
  readonly location: string
  readonly columns: readonly NewColumn[]
  readonly ids: FieldIds
  readonly nowMs: number
  readonly properties?: Readonly<Record<string, string>>
  readonly partition?: (columns: readonly IcebergField[]) => PartitionSpec['fields']
  readonly order?: (columns: readonly IcebergField[]) => SortOrder['fields']
}): TableMetadata {
  const fields = fieldsOf(table.columns, table.ids)
  const partition = table.partition?.(fields) ?? []
  const order = table.order?.(fields) ?? []
  // Order 0 is that of tables without one.
  const orders = order.length === 0 ? [] : [{ 'order-id': 1, fields: order }]
  return {
    'format-version': 2,
    'table-uuid': table.uuid,
    location: table.location,
    'last-sequence-number': 0,
    'last-updated-ms': table.nowMs,
    'last-column-id': table.ids.last,
    schemas: [{ type: 'struct', 'schema-id': 0, fields }],
    'current-schema-id': 0,
    'partition-specs': [{ 'spec-id': 0, fields: partition }],
    'default-spec-id': 0,
    'last-partition-id': Math.max(LAST_COLUMN_ID, ...partition.map((field) => field['field-id'])),
    'sort-orders': [{ 'order-id': 0, fields: [] }, ...orders],
    'default-sort-order-id': orders.length,
    properties: { 'write.format.default': 'parquet', ...table.properties },
    'current-snapshot-id': -1n,
    snapshots: [],
    'snapshot-log': [],
    'metadata-log': [],
    refs: {},
  }
}

/** The schema that new data is written with. Throws an Error where the metadata names one that it does not have. */
export function currentSchema(metadata: TableMetadata): IcebergSchema {
  const id = metadata['current-schema-id']
  const schema = metadata.schemas.find((one) => one['schema-id'] === id)
  if (schema === undefined) throw new Error(`the metadata has no schema ${id}`)
  return schema
}

export function currentSpec(metadata: TableMetadata): PartitionSpec {
  const id = metadata['default-spec-id']
  const spec = metadata['partition-specs'].find((one) => one['spec-id'] === id)
  if (spec === undefined) throw new Error(`the metadata has no partition spec ${id}`)
  return spec
}

/** The order of rows in new files; undefined where there is none. */
export const currentSortOrder = (metadata: TableMetadata): SortOrder | undefined =>
  metadata['sort-orders'].find(
    (one) => one['order-id'] === metadata['default-sort-order-id'] && one.fields.length > 0,
  )

/** The snapshot that is the table's contents; undefined for a table that never had any. */
export function currentSnapshot(metadata: TableMetadata): Snapshot | undefined {
  const id = metadata['current-snapshot-id']
  if (id === undefined || id === -1n) return undefined
  const snapshot = metadata.snapshots?.find((one) => one['snapshot-id'] === id)
  if (snapshot === undefined) throw new Error(`the metadata has no snapshot ${id}`)
  return snapshot
}

/** Keys whose numbers use all 64 bits. */
const LONG_KEY = /"((?:current-|parent-)?snapshot-id)":\s*(-?\d+)/g
const LONG_KEYS = new Set(['snapshot-id', 'current-snapshot-id', 'parent-snapshot-id'])

/**
 * Reads the text of a metadata file. Throws an Error that says what is missing or not supported: versions other than 2,
 * and what a table of version 2 must have.
 */
export function parseMetadata(text: string, by: 'us' | 'foreign' = 'us'): TableMetadata {
  const exact = text.replace(LONG_KEY, '"$1":"$2"')
  const value = JSON.parse(exact, (key, item: unknown) =>
    LONG_KEYS.has(key) && typeof item === 'string' ? BigInt(item) : item,
  ) as Partial<TableMetadata>
  if (by === 'foreign') return foreignMetadata(value)
  const version = value['format-version']
  if (version !== 2) throw new Error(`its format version is ${String(version)}, not 2`)
  for (const key of REQUIRED) {
    if (value[key] === undefined) throw new Error(`it has no "${key}"`)
  }
  return value as TableMetadata
}

const REQUIRED = [
  'table-uuid',
  'location',
  'last-sequence-number',
  'last-column-id',
  'schemas',
  'current-schema-id',
  'partition-specs',
  'default-spec-id',
] as const satisfies readonly (keyof TableMetadata)[]

export function formatMetadata(metadata: TableMetadata): string {
  const text = JSON.stringify(metadata, (_, item: unknown) =>
    typeof item === 'bigint' ? String(item) : item,
  )
  return text.replace(/"((?:current-|parent-)?snapshot-id)":"(-?\d+)"/g, '"$1":$2')
}
