import { avroName, MANIFEST_LIST_SCHEMA, manifestSchema } from './avro-schemas.ts'
import { readAvro, writeAvro } from './avro-file.ts'
import type { PartitionSpec } from './metadata.ts'
import {
  type FieldSummary,
  type PartitionField,
  partitionFields,
  rawValue,
  type RawValue,
  valueOfRaw,
} from './partition-field.ts'
import type { PartitionValue } from './partition-transform.ts'
import type { IcebergSchema } from './types.ts'

/** What became of a file in the snapshot that wrote the entry: 0 existing, 1 added, 2 deleted. */
export const ENTRY = { existing: 0, added: 1, deleted: 2 } as const

/** A data file as a manifest has it; maps are by field id. */
export interface DataFile {
  /** 0 data, 1 position deletes, 2 equality deletes. */
  readonly content: number
  /** As written; absent: PARQUET. */
  readonly format?: string | undefined
  /** URI. */
  readonly path: string
  /** Of each field of the partition spec that its manifest is of. */
  readonly partition: readonly PartitionValue[]
  readonly rows: number
  readonly bytes: number
  readonly columnSizes: ReadonlyMap<number, number>
  /** Values, NULLs included. */
  readonly valueCounts: ReadonlyMap<number, number>
  readonly nullCounts: ReadonlyMap<number, number>
  readonly lowerBounds: ReadonlyMap<number, Buffer>
  readonly upperBounds: ReadonlyMap<number, Buffer>
  /** Where row groups begin. */
  readonly splitOffsets: readonly number[]
  /** Of equality deletes: the ids of the fields that are compared. */
  readonly equalityIds?: readonly number[] | undefined
  /** The order that its rows are in; absent or null: none. */
  readonly sortOrderId?: number | null | undefined
}

export interface ManifestEntry {
  readonly status: number
  /** Null: that of the manifest, as the list of its snapshot says. */
  readonly snapshotId: bigint | null
  readonly sequenceNumber: bigint | null
  readonly fileSequenceNumber: bigint | null
  readonly file: DataFile
}

/** A manifest as a manifest list has it. */
export interface ManifestInfo {
  /** URI. */
  readonly path: string
  readonly bytes: number
  readonly specId: number
  /** 0 data, 1 deletes. */
  readonly content: number
  readonly sequenceNumber: bigint
  readonly minSequenceNumber: bigint
  readonly addedSnapshotId: bigint
  readonly added: FileCount
  readonly existing: FileCount
  readonly deleted: FileCount
  /** Of each field of its partition spec; absent where the list does not say. */
  readonly partitions?: readonly FieldSummary[] | undefined
}

export interface FileCount {
  readonly files: number
  readonly rows: number
}

/** The bytes of a manifest whose files are all of one partition spec. */
export function writeManifest(
  entries: readonly ManifestEntry[],
  schema: IcebergSchema,
  spec: PartitionSpec,
): Buffer {
  const fields = partitionFields(spec, schema.fields)
  const records = entries.map((entry) => entryRecord(entry, fields))
  return writeAvro(manifestSchema(fields), records, {
    schema: JSON.stringify(schema),
    'schema-id': String(schema['schema-id']),
    'partition-spec': JSON.stringify(spec.fields),
    'partition-spec-id': String(spec['spec-id']),
    'format-version': '2',
    content: 'data',
  })
}

function entryRecord(entry: ManifestEntry, fields: readonly PartitionField[]): unknown {
  const { file } = entry
  return {
    status: entry.status,
    snapshot_id: entry.snapshotId,
    sequence_number: entry.sequenceNumber,
    file_sequence_number: entry.fileSequenceNumber,
    data_file: {
      content: file.content,
      file_path: file.path,
      file_format: file.format ?? 'PARQUET',
      partition: Object.fromEntries(
        fields.map(({ name, type }, i) => [
          avroName(name),
          rawValue(type, file.partition[i] ?? null),
        ]),
      ),
      record_count: BigInt(file.rows),
      file_size_in_bytes: BigInt(file.bytes),
      column_sizes: pairs(file.columnSizes, BigInt),
      value_counts: pairs(file.valueCounts, BigInt),
      null_value_counts: pairs(file.nullCounts, BigInt),
      nan_value_counts: null,
      lower_bounds: pairs(file.lowerBounds, (bytes) => bytes),
      upper_bounds: pairs(file.upperBounds, (bytes) => bytes),
      key_metadata: null,
      split_offsets: file.splitOffsets.length === 0 ? null : file.splitOffsets.map(BigInt),
      equality_ids: file.equalityIds ?? null,
      sort_order_id: file.sortOrderId ?? null,
    },
  }
}

const pairs = <V, W>(map: ReadonlyMap<number, V>, to: (value: V) => W): unknown =>
  map.size === 0 ? null : [...map].map(([key, value]) => ({ key, value: to(value) }))

/** The entries of a manifest; what the list says of it stands in for what they leave out. Throws an Error on bad bytes. */
export function readManifest(bytes: Buffer, info: ManifestInfo): readonly ManifestEntry[] {
  const { records, metadata } = readAvro(bytes)
  const partition = partitionReader(metadata['avro.schema'] ?? '')
  return records.map((record) => {
    const raw = record as RawEntry
    const isAdded = raw.status === ENTRY.added
    const sequenceNumber = raw.sequence_number ?? (isAdded ? info.sequenceNumber : null)
    return {
      status: raw.status,
      snapshotId: raw.snapshot_id ?? info.addedSnapshotId,
      // Manifests of version 1 have no numbers: all their files are of number 0.
      sequenceNumber: sequenceNumber ?? 0n,
      fileSequenceNumber:
        raw.file_sequence_number ?? (isAdded ? info.sequenceNumber : sequenceNumber) ?? 0n,
      file: readDataFile(raw.data_file, partition),
    }
  })
}

/** Reads the partitions of a manifest's files: the fields' names and order are those of its own schema. */
function partitionReader(
  schema: string,
): (raw: RawDataFile['partition']) => readonly PartitionValue[] {
  const fields = fieldsOf(fieldsOf(JSON.parse(schema), 'data_file'), 'partition')
  const known = (fields as AvroRecord).fields.map(({ name, type }) => ({
    name,
    isDecimal: JSON.stringify(type).includes('"decimal"'),
  }))
  return (raw) => known.map(({ name, isDecimal }) => valueOfRaw(raw?.[name], isDecimal))
}

interface AvroRecord {
  readonly fields: readonly { readonly name: string; readonly type: unknown }[]
}

const fieldsOf = (record: unknown, name: string): unknown =>
  (record as AvroRecord).fields.find((field) => field.name === name)?.type ?? { fields: [] }

type Pairs<V> = readonly { readonly key: number; readonly value: V }[] | null | undefined

interface RawEntry {
  readonly status: number
  readonly snapshot_id: bigint | null
  readonly sequence_number?: bigint | null
  readonly file_sequence_number?: bigint | null
  readonly data_file: RawDataFile
}

interface RawDataFile {
  readonly content?: number
  readonly file_path: string
  readonly file_format?: string
  readonly partition?: Readonly<Record<string, RawValue>>
  readonly record_count: bigint
  readonly file_size_in_bytes: bigint
  readonly column_sizes?: Pairs<bigint>
  readonly value_counts?: Pairs<bigint>
  readonly null_value_counts?: Pairs<bigint>
  readonly lower_bounds?: Pairs<Buffer>
  readonly upper_bounds?: Pairs<Buffer>
  readonly split_offsets?: readonly bigint[] | null
  readonly equality_ids?: readonly number[] | null
  readonly sort_order_id?: number | null
}

const readDataFile = (
  raw: RawDataFile,
  partition: ReturnType<typeof partitionReader>,
): DataFile => ({
  content: raw.content ?? 0,
  format: raw.file_format,
  path: raw.file_path,
  partition: partition(raw.partition),
  rows: Number(raw.record_count),
  bytes: Number(raw.file_size_in_bytes),
  columnSizes: mapOf(raw.column_sizes, Number),
  valueCounts: mapOf(raw.value_counts, Number),
  nullCounts: mapOf(raw.null_value_counts, Number),
  lowerBounds: mapOf(raw.lower_bounds, (bytes) => bytes),
  upperBounds: mapOf(raw.upper_bounds, (bytes) => bytes),
  splitOffsets: (raw.split_offsets ?? []).map(Number),
  ...(raw.equality_ids === null || raw.equality_ids === undefined
    ? {}
    : { equalityIds: raw.equality_ids }),
  ...(raw.sort_order_id === null || raw.sort_order_id === undefined
    ? {}
    : { sortOrderId: raw.sort_order_id }),
})

const mapOf = <V, W>(list: Pairs<V>, to: (value: V) => W): ReadonlyMap<number, W> =>
  new Map((list ?? []).map(({ key, value }) => [key, to(value)]))

/** The bytes of the list of a snapshot's manifests. */
export function writeManifestList(
  manifests: readonly ManifestInfo[],
  snapshot: {
    readonly id: bigint
    readonly parentId: bigint | null
    readonly sequenceNumber: bigint
  },
): Buffer {
  return writeAvro(MANIFEST_LIST_SCHEMA, manifests.map(infoRecord), {
    'snapshot-id': String(snapshot.id),
    'parent-snapshot-id': String(snapshot.parentId),
    'sequence-number': String(snapshot.sequenceNumber),
    'format-version': '2',
  })
}

const infoRecord = (info: ManifestInfo): unknown => ({
  manifest_path: info.path,
  manifest_length: BigInt(info.bytes),
  partition_spec_id: info.specId,
  content: info.content,
  sequence_number: info.sequenceNumber,
  min_sequence_number: info.minSequenceNumber,
  added_snapshot_id: info.addedSnapshotId,
  added_files_count: info.added.files,
  existing_files_count: info.existing.files,
  deleted_files_count: info.deleted.files,
  added_rows_count: BigInt(info.added.rows),
  existing_rows_count: BigInt(info.existing.rows),
  deleted_rows_count: BigInt(info.deleted.rows),
  partitions:
    info.partitions?.map((field) => ({
      contains_null: field.containsNull,
      contains_nan: field.containsNan,
      lower_bound: field.lower,
      upper_bound: field.upper,
    })) ?? null,
  key_metadata: null,
})

/** Throws an Error on bad bytes. */
export function readManifestList(bytes: Buffer): readonly ManifestInfo[] {
  return readAvro(bytes).records.map((record) => {
    const raw = record as Readonly<Record<string, number | bigint | string | null | undefined>>
    const { partitions } = record as { readonly partitions?: readonly RawSummary[] | null }
    const long = (name: string): bigint => BigInt(raw[name] ?? 0)
    const count = (kind: string): FileCount => ({
      // Version 1 knew them by other names.
      files: Number(raw[`${kind}_files_count`] ?? raw[`${kind}_data_files_count`] ?? 0),
      rows: Number(raw[`${kind}_rows_count`] ?? 0),
    })
    return {
      path: String(raw['manifest_path']),
      bytes: Number(raw['manifest_length']),
      specId: Number(raw['partition_spec_id']),
      content: Number(raw['content'] ?? 0),
      sequenceNumber: long('sequence_number'),
      minSequenceNumber: long('min_sequence_number'),
      addedSnapshotId: long('added_snapshot_id'),
      added: count('added'),
      existing: count('existing'),
      deleted: count('deleted'),
      ...(partitions === null || partitions === undefined
        ? {}
        : { partitions: partitions.map(readSummary) }),
    }
  })
}

interface RawSummary {
  readonly contains_null: boolean
  readonly contains_nan?: boolean | null
  readonly lower_bound?: Buffer | null
  readonly upper_bound?: Buffer | null
}

const readSummary = (raw: RawSummary): FieldSummary => ({
  containsNull: raw.contains_null,
  containsNan: raw.contains_nan ?? null,
  lower: raw.lower_bound ?? null,
  upper: raw.upper_bound ?? null,
})
