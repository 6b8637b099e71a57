import { SqlError } from '@nyala/client/protocol'
import type { ColumnBounds, FileStatistics, TableFile } from '@nyala/executor/protocol'
import { quoteIdentifier } from '../sql/escape.ts'
import type { ManifestFile } from '../table/manifest.ts'
import type { DataFile } from './manifest-file.ts'
import { isHeld, type PartitionField } from './partition-field.ts'
import { parseKey } from './partition-sql.ts'
import { type PartitionValue, transformSql } from './partition-transform.ts'
import { type Bound, decodeBound, encodeBound } from './single-value.ts'
import { toUri } from './table-files.ts'
import type { IcebergField } from './types.ts'

/** Where the first row group of a Parquet file begins, behind its magic bytes. */
const FIRST_ROW_GROUP = 4
/** Of the kernel's COPY. */
const ROW_GROUP_ROWS = 122_880

/** A file that a task wrote with these columns, in one partition of these fields, as a manifest has it. Pure. */
export function dataFileOf(
  file: TableFile,
  fields: readonly IcebergField[],
  partition: readonly PartitionField[],
): DataFile {
  const [columnSizes, valueCounts] = [new Map<number, number>(), new Map<number, number>()]
  const nullCounts = new Map<number, number>()
  const [lowerBounds, upperBounds] = [new Map<number, Buffer>(), new Map<number, Buffer>()]
  fields.forEach((field, i) => {
    const { type } = field
    // Of nested columns only the parts are counted, which is for writers that see them.
    if (typeof type !== 'string') return
    const size = file.columnBytes[i]
    if (typeof size === 'number') columnSizes.set(field.id, size)
    valueCounts.set(field.id, file.rows)
    const known = file.statistics?.[i]
    if (known === undefined || known === null) return
    if (!known.nulls.includes(-1)) {
      nullCounts.set(
        field.id,
        known.nulls.reduce((sum, n) => sum + n, 0),
      )
    }
    const lower = boundOf(type, known.min, (a, b) => compareBounds(type, a, b) < 0)
    const upper = boundOf(type, known.max, (a, b) => compareBounds(type, a, b) > 0)
    if (lower === undefined || upper === undefined) return
    lowerBounds.set(field.id, lower)
    upperBounds.set(field.id, upper)
  })
  return {
    content: 0,
    path: toUri(file.path),
    partition: partition.map((field, i) => partitionValueOf(field, file.partition?.[i] ?? null)),
    rows: file.rows,
    bytes: file.bytes,
    ...{ columnSizes, valueCounts, nullCounts, lowerBounds, upperBounds },
    splitOffsets: splitOffsetsOf(file),
  }
}

/** Fails with `numeric_value_out_of_range`: what a transform makes of the ends of a type need not be of the type. */
function partitionValueOf(
  { type, source, transform }: PartitionField,
  key: string | null,
): PartitionValue {
  const value = parseKey(type, key)
  if (isHeld(type, value)) return value
  const column = source?.name ?? ''
  throw new SqlError(
    'numeric_value_out_of_range',
    `column "${column}" has a value of which ${transformSql(transform, quoteIdentifier(column))} is ` +
      `${String(value)}: no partition of the type ${type} can be that of it`,
    { hint: 'leave the row out, or partition the table by another transform or column' },
  )
}

/** Our writers put row groups behind each other without a gap. */
function splitOffsetsOf({ rowGroupBytes = [0] }: TableFile): readonly number[] {
  let next = FIRST_ROW_GROUP
  return rowGroupBytes.map((bytes) => {
    const offset = next
    next += bytes
    return offset
  })
}

/**
 * The row groups of a data file, by which it may be read in parts; a manifest tells where they begin, but not of how many
 * rows they are. Those of our writers all have the same number but for the last; one that may be otherwise is told as one.
 * Pure.
 */
export function rowGroupsOf({ rows, bytes, splitOffsets }: DataFile): ManifestFile['rowGroups'] {
  const count = splitOffsets.length
  if (count < 2 || Math.ceil(rows / ROW_GROUP_ROWS) !== count) return [{ rows, bytes }]
  return splitOffsets.map((offset, i) => ({
    rows: Math.min(ROW_GROUP_ROWS, rows - i * ROW_GROUP_ROWS),
    bytes: (splitOffsets[i + 1] ?? bytes) - offset,
  }))
}

/** The bound of all row groups; undefined where that of one is not known. */
function boundOf(
  type: string,
  bounds: readonly (Bound | null)[],
  isBeyond: (a: Bound, b: Bound) => boolean,
): Buffer | undefined {
  let found: Bound | undefined
  for (const bound of bounds) {
    if (bound === null) return undefined
    if (found === undefined || isBeyond(bound, found)) found = bound
  }
  return found === undefined ? undefined : encodeBound(type, found)
}

/** In the order of the type: text by its bytes, all others as whole numbers. */
function compareBounds(type: string, a: Bound, b: Bound): number {
  if (type === 'string') return Buffer.compare(Buffer.from(String(a)), Buffer.from(String(b)))
  const [left, right] = [BigInt(a), BigInt(b)]
  return left < right ? -1 : left > right ? 1 : 0
}

/** What a manifest says of a file, in the form that footers are read into: one entry for the whole file. Pure. */
export function statisticsOf(
  file: DataFile,
  fields: readonly IcebergField[],
): FileStatistics | undefined {
  const statistics = fields.map(({ id, type }): ColumnBounds | null => {
    if (typeof type !== 'string') return null
    const nulls = file.nullCounts.get(id) ?? -1
    const min = decoded(type, file.lowerBounds.get(id))
    const max = decoded(type, file.upperBounds.get(id))
    const isKnown = min !== undefined && max !== undefined
    if (nulls < 0 && !isKnown) return null
    const bounds = { nulls: [nulls], min: [isKnown ? min : null], max: [isKnown ? max : null] }
    // Writers may cut a text; then it is a bound, but not a value.
    return isKnown && type === 'string' ? { ...bounds, inexact: true } : bounds
  })
  return statistics.every((column) => column === null) ? undefined : statistics
}

/** Times have no statistics in a listing either. */
const decoded = (type: string, bytes: Buffer | undefined): Bound | undefined =>
  bytes === undefined || type === 'time' ? undefined : decodeBound(type, bytes)

/** The option FIELD_IDS of COPY for columns in this order: `{"a": 1, "s": {__duckdb_field_id: 2, "x": 3}}`. */
export function fieldIdsSql(fields: readonly IcebergField[]): string {
  return `{${fields.map((field) => `${quoteKey(field.name)}: ${idSql(field.id, field.type)}`).join(', ')}}`
}

function idSql(id: number, type: IcebergField['type']): string {
  if (typeof type === 'string') return String(id)
  const own = `__duckdb_field_id: ${id}`
  switch (type.type) {
    case 'struct': {
      const parts = type.fields.map((f) => `${quoteKey(f.name)}: ${idSql(f.id, f.type)}`)
      return `{${[own, ...parts].join(', ')}}`
    }
    case 'list':
      return `{${own}, element: ${idSql(type['element-id'], type.element)}}`
    case 'map':
      return `{${own}, key: ${idSql(type['key-id'], type.key)}, value: ${idSql(type['value-id'], type.value)}}`
  }
}

/** Keys of a struct literal may be quoted like names or like texts; as a text nothing in it has another meaning. */
const quoteKey = (name: string): string => `'${name.replaceAll("'", "''")}'`
