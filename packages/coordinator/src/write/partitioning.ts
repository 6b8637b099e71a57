import { positionAt, SqlError } from '@nyala/client/protocol'
import { foldName } from '@nyala/metastore'
import { didYouMean } from '../bind/nearest.ts'
import type { PartitionSpec } from '../iceberg/metadata.ts'
import type { PartitionField } from '../iceberg/partition-field.ts'
import { keySql } from '../iceberg/partition-sql.ts'
import {
  checkTransform,
  fieldNameOf,
  type Transform,
  transformSql,
  transformText,
} from '../iceberg/partition-transform.ts'
import type { IcebergField } from '../iceberg/types.ts'
import type { PartitionTransform } from '../sql/statement.ts'

/** Field ids of partitions begin here. */
const FIRST_ID = 1000
/** Each partition of a task is a file that is open while it runs. */
const FIELDS_MAX = 20

/**
 * The fields of the partition spec that PARTITIONED BY says, over these columns. Pure. Fails with `undefined_column`,
 * `duplicate_column` or `feature_not_supported`.
 */
export function newPartitionFields(
  items: readonly PartitionTransform[],
  columns: readonly IcebergField[],
  text: string,
): PartitionSpec['fields'] {
  if (items.length > FIELDS_MAX) {
    throw new SqlError('program_limit_exceeded', `more than ${FIELDS_MAX} partition fields`)
  }
  const names = new Set<string>()
  return items.map((item, i) => {
    const position = positionAt(text, item.at)
    const column = columns.find(({ name }) => foldName(name) === foldName(item.column))
    if (column === undefined) {
      const known = columns.map(({ name }) => name)
      const message = `column "${item.column}" of PARTITIONED BY does not exist in the table`
      throw new SqlError('undefined_column', message, {
        position,
        hint: didYouMean(item.column, known),
      })
    }
    const transform = transformOf(item)
    checkTransform(transform, column)
    const name = fieldNameOf(transform, column.name)
    const isOther = columns.some((one) => one !== column && foldName(one.name) === foldName(name))
    if (names.has(foldName(name)) || (isOther && transform.kind !== 'identity')) {
      const message = `the partition field "${name}" of ${transformSql(transform, column.name)} is there twice`
      throw new SqlError('duplicate_column', message, { position })
    }
    names.add(foldName(name))
    return {
      'source-id': column.id,
      'field-id': FIRST_ID + i,
      name,
      transform: transformText(transform),
    }
  })
}

function transformOf({ transform, argument = 1 }: PartitionTransform): Transform {
  if (transform === 'bucket') return { kind: 'bucket', count: argument }
  if (transform === 'truncate') return { kind: 'truncate', width: argument }
  return { kind: transform }
}

/**
 * The keys that a task divides its rows by, one for each field of the spec. Fails with `feature_not_supported` where the
 * table is partitioned in a way that only other writers know.
 */
export const partitionKeys = (fields: readonly PartitionField[]): readonly string[] =>
  fields.map(({ transform, source }) => {
    // A field that was removed stays in tables of version 1 as one that has no values.
    if (transform.kind === 'void' || source === undefined) return 'CAST(NULL AS VARCHAR)'
    checkTransform(transform, source)
    return keySql(transform, source)
  })
