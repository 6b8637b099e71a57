import { decimalSize } from './partition-field.ts'
import type { IcebergField } from './types.ts'

/** The Avro schemas of manifest lists and manifests of format version 2, as the specification has them. */
interface AvroField {
  readonly name: string
  readonly type: unknown
  readonly default?: null
  readonly 'field-id': number
}

const required = (id: number, name: string, type: unknown): AvroField => ({
  name,
  type,
  'field-id': id,
})

const optional = (id: number, name: string, type: unknown): AvroField => ({
  name,
  type: ['null', type],
  default: null,
  'field-id': id,
})

/** Avro has no maps with keys other than text: Iceberg writes them as lists of pairs. */
const intMap = (keyId: number, valueId: number, value: unknown): unknown => ({
  type: 'array',
  logicalType: 'map',
  items: {
    type: 'record',
    name: `k${keyId}_v${valueId}`,
    fields: [required(keyId, 'key', 'int'), required(valueId, 'value', value)],
  },
})

const list = (elementId: number, items: unknown): unknown => ({
  type: 'array',
  items,
  'element-id': elementId,
})

export const MANIFEST_LIST_SCHEMA = {
  type: 'record',
  name: 'manifest_file',
  fields: [
    required(500, 'manifest_path', 'string'),
    required(501, 'manifest_length', 'long'),
    required(502, 'partition_spec_id', 'int'),
    required(517, 'content', 'int'),
    required(515, 'sequence_number', 'long'),
    required(516, 'min_sequence_number', 'long'),
    required(503, 'added_snapshot_id', 'long'),
    required(504, 'added_files_count', 'int'),
    required(505, 'existing_files_count', 'int'),
    required(506, 'deleted_files_count', 'int'),
    required(512, 'added_rows_count', 'long'),
    required(513, 'existing_rows_count', 'long'),
    required(514, 'deleted_rows_count', 'long'),
    optional(
      507,
      'partitions',
      list(508, {
        type: 'record',
        name: 'r508',
        fields: [
          required(509, 'contains_null', 'boolean'),
          optional(518, 'contains_nan', 'boolean'),
          optional(510, 'lower_bound', 'bytes'),
          optional(511, 'upper_bound', 'bytes'),
        ],
      }),
    ),
    optional(519, 'key_metadata', 'bytes'),
  ],
} as const

/** Of a manifest whose files' partitions have these fields; none for a table without partitions. */
export function manifestSchema(
  partition: readonly Pick<IcebergField, 'id' | 'name' | 'type'>[],
): unknown {
  const partitionType = {
    type: 'record',
    name: 'r102',
    fields: partition.map((field) =>
      optional(field.id, avroName(field.name), avroPrimitive(field.type, field.id)),
    ),
  }
  return {
    type: 'record',
    name: 'manifest_entry',
    fields: [
      required(0, 'status', 'int'),
      optional(1, 'snapshot_id', 'long'),
      optional(3, 'sequence_number', 'long'),
      optional(4, 'file_sequence_number', 'long'),
      required(2, 'data_file', dataFileSchema(partitionType)),
    ],
  }
}

const dataFileSchema = (partition: unknown): unknown => ({
  type: 'record',
  name: 'r2',
  fields: [
    required(134, 'content', 'int'),
    required(100, 'file_path', 'string'),
    required(101, 'file_format', 'string'),
    required(102, 'partition', partition),
    required(103, 'record_count', 'long'),
    required(104, 'file_size_in_bytes', 'long'),
    optional(108, 'column_sizes', intMap(117, 118, 'long')),
    optional(109, 'value_counts', intMap(119, 120, 'long')),
    optional(110, 'null_value_counts', intMap(121, 122, 'long')),
    optional(137, 'nan_value_counts', intMap(138, 139, 'long')),
    optional(125, 'lower_bounds', intMap(126, 127, 'bytes')),
    optional(128, 'upper_bounds', intMap(129, 130, 'bytes')),
    optional(131, 'key_metadata', 'bytes'),
    optional(132, 'split_offsets', list(133, 'long')),
    optional(135, 'equality_ids', list(136, 'int')),
    optional(140, 'sort_order_id', 'int'),
  ],
})

function avroPrimitive(type: IcebergField['type'], id: number): unknown {
  switch (type) {
    case 'boolean':
    case 'int':
    case 'long':
    case 'float':
    case 'double':
    case 'string':
      return type
    case 'binary':
      return 'bytes'
    case 'date':
      return { type: 'int', logicalType: 'date' }
    case 'time':
      return { type: 'long', logicalType: 'time-micros' }
    case 'timestamp':
    case 'timestamptz':
      return {
        type: 'long',
        logicalType: 'timestamp-micros',
        'adjust-to-utc': type === 'timestamptz',
      }
    case 'uuid':
      return { type: 'fixed', size: 16, logicalType: 'uuid', name: `uuid_${id}` }
    default: {
      const size = /^fixed\[(\d+)\]$/.exec(String(type))?.[1]
      if (size !== undefined) return { type: 'fixed', size: Number(size), name: `fixed_${id}` }
      return decimalSchema(String(type), id)
    }
  }
}

function decimalSchema(type: string, id: number): unknown {
  const [, precision, scale] = /^decimal\((\d+),\s*(\d+)\)$/.exec(type) ?? []
  if (precision === undefined || scale === undefined) throw new Error(`no Avro type for "${type}"`)
  return {
    type: 'fixed',
    size: decimalSize(type),
    name: `decimal_${id}_${precision}_${scale}`,
    logicalType: 'decimal',
    precision: Number(precision),
    scale: Number(scale),
  }
}

/** Avro's names are letters, digits and underscores; Iceberg writes any other character as `_xHEX`. */
export const avroName = (name: string): string =>
  [...name]
    .map((c, i) =>
      /[A-Za-z_]/.test(c) || (i > 0 && /[0-9]/.test(c))
        ? c
        : /[0-9]/.test(c)
          ? `_${c}`
          : `_x${(c.codePointAt(0) ?? 0).toString(16).toUpperCase()}`,
    )
    .join('')
