import { positionAt, SqlError } from '@nyala/client/protocol'
import { foldName, type TableRecord } from '@nyala/metastore'
import type { DataFile } from '../iceberg/manifest-file.ts'
import { currentSchema, currentSpec, type TableMetadata } from '../iceberg/metadata.ts'
import { type PartitionField, partitionFields } from '../iceberg/partition-field.ts'
import type { PartitionValue } from '../iceberg/partition-transform.ts'
import { sqlTypeOf } from '../iceberg/types.ts'
import { domainOf, parseBound } from '../plan/estimate/bounds.ts'
import type { InsertHeader, InsertPartition } from '../sql/statement.ts'
import type { InsertTarget } from './assignment.ts'
import type { Addition, TableBase } from './table-change.ts'

/** The fields that a table is partitioned by now; those that were removed have no values. */
const fieldsOf = (metadata: TableMetadata): readonly PartitionField[] =>
  partitionFields(currentSpec(metadata), currentSchema(metadata).fields).filter(
    ({ transform }) => transform.kind !== 'void',
  )

/**
 * Which columns the query of an INSERT has values for, and which are given in `PARTITION (a = 1, b)`: `a` is a constant, and
 * the last of the query's columns are those of `b`. Pure. Fails with `undefined_column`, `duplicate_column` or
 * `invalid_parameter_value` where a column is none that the table is partitioned by.
 */
export function insertedColumns(
  statement: Pick<InsertHeader, 'columns' | 'partition'>,
  table: Pick<TableRecord, 'name' | 'columns'>,
  { metadata, text }: { readonly metadata: TableMetadata; readonly text: string },
): Pick<InsertTarget, 'columns' | 'constants'> {
  const { partition, columns } = statement
  if (partition === undefined) return { columns }
  const fields = fieldsOf(metadata)
  const constants = new Map<string, string | null>()
  const seen = new Set(columns?.map(({ name }) => foldName(name)))
  for (const { column, value, at } of partition) {
    const position = positionAt(text, at)
    const field = fields.find(
      ({ source, transform }) =>
        foldName(source?.name ?? '') === foldName(column) &&
        (transform.kind === 'identity' || value === undefined),
    )
    if (field === undefined) {
      const names = fields.map(({ source }) => `"${source?.name ?? ''}"`).join(', ')
      const message = `table "${table.name}" is not partitioned by the values of column "${column}"`
      throw new SqlError('invalid_parameter_value', message, {
        position,
        hint: names === '' ? 'leave PARTITION out' : `it is partitioned by ${names}`,
      })
    }
    if (seen.has(foldName(column))) {
      throw new SqlError('duplicate_column', `column "${column}" is named twice`, { position })
    }
    seen.add(foldName(column))
    if (value !== undefined) constants.set(foldName(column), value)
  }
  const given = new Set(partition.map(({ column }) => foldName(column)))
  const named =
    columns ??
    table.columns
      .filter(({ name }) => !given.has(foldName(name)))
      .map(({ name }) => ({ name, at: partition[0]?.at ?? 0 }))
  const dynamic = partition.filter(({ value }) => value === undefined)
  return {
    columns: [...named, ...dynamic.map(({ column, at }) => ({ name: column, at }))],
    constants,
  }
}

/**
 * The files that INSERT OVERWRITE takes away from a partitioned table: those of the partition that PARTITION says, be there
 * new rows or not; without such, those of all partitions that have new rows. Undefined for a table without partitions.
 */
export function overwrittenFiles(
  base: TableBase,
  partition: readonly InsertPartition[] | undefined,
  addition: Addition,
): ((file: DataFile) => boolean) | undefined {
  const { metadata } = base
  const fields = partitionFields(currentSpec(metadata), currentSchema(metadata).fields)
  if (!fields.some(({ transform }) => transform.kind !== 'void')) return undefined
  if (base.manifests.some(({ specId }) => specId !== metadata['default-spec-id'])) {
    throw new SqlError(
      'feature_not_supported',
      'partitions of a table cannot be overwritten while it has files of another partitioning',
      { hint: 'delete the rows, and insert the new ones, in one transaction' },
    )
  }
  const isStatic = partition?.every(({ value }) => value !== undefined) ?? false
  if (partition !== undefined && isStatic) {
    const wanted = partition.map((one) => constantOf(one, fields))
    return (file) => wanted.every(({ index, value }) => file.partition[index] === value)
  }
  const touched = new Set(addition.files.map(keyOf))
  return (file) => touched.has(keyOf(file))
}

const keyOf = ({ partition }: DataFile): string =>
  JSON.stringify(partition.map((value) => (typeof value === 'bigint' ? [String(value)] : value)))

function constantOf(
  { column, value }: InsertPartition,
  fields: readonly PartitionField[],
): { readonly index: number; readonly value: PartitionValue } {
  const index = fields.findIndex(
    ({ source, transform }) =>
      transform.kind === 'identity' && foldName(source?.name ?? '') === foldName(column),
  )
  const type = fields[index]?.type ?? ''
  if (value === null || value === undefined) return { index, value: null }
  const domain = domainOf(sqlTypeOf(type))
  const found = domain === undefined ? undefined : parseBound(value, domain)
  if (found !== undefined) return { index, value: found }
  throw new SqlError('invalid_parameter_value', `'${value}' is no value of column "${column}"`, {
    hint: 'write it as a query would show it',
  })
}
