import type { ColumnRecord, TableRecord } from '@nyala/metastore'
import {
  currentSchema,
  currentSortOrder,
  currentSpec,
  type TableMetadata,
} from '../iceberg/metadata.ts'
import { partitionFields } from '../iceberg/partition-field.ts'
import type { CreateTableLike, PartitionTransform, SortColumn } from '../sql/statement.ts'

/** Properties that say what the files of one table are. */
const OWN_PROPERTIES = new Set(['comment', 'write.format.default'])

/** What a table is made with that is to be like another one. Its rows, and what no statement can say, are left out. */
export interface Shape {
  readonly columns: readonly ColumnRecord[]
  readonly partitionBy: readonly PartitionTransform[]
  readonly sortBy: readonly SortColumn[]
  readonly properties: CreateTableLike['properties']
  readonly comment: string | undefined
}

/** The shape that `CREATE TABLE … LIKE other` says. `metadata`: of a managed table. Pure. */
export function shapeOf(
  other: TableRecord,
  metadata: TableMetadata | undefined,
  statement: CreateTableLike,
): Shape {
  const { at } = statement.like
  const comment = statement.comment ?? other.comment
  if (metadata === undefined) {
    const partitionBy = other.partitionColumns.map(({ name }): PartitionTransform => ({
      ...{ transform: 'identity', argument: undefined, column: name, at },
    }))
    const columns = [...other.columns, ...other.partitionColumns]
    return { columns, partitionBy, sortBy: [], properties: statement.properties, comment }
  }
  const own = new Set(statement.properties.map(({ key }) => key))
  const inherited = Object.entries(metadata.properties ?? {})
    .filter(([key]) => !OWN_PROPERTIES.has(key) && !own.has(key))
    .map(([key, value]) => ({ key, value }))
  return {
    columns: other.columns,
    partitionBy: partitionsOf(metadata, at),
    sortBy: sortOf(metadata, at),
    properties: [...inherited, ...statement.properties],
    comment,
  }
}

function partitionsOf(metadata: TableMetadata, at: number): readonly PartitionTransform[] {
  const fields = partitionFields(currentSpec(metadata), currentSchema(metadata).fields)
  return fields.flatMap(({ transform, source }): readonly PartitionTransform[] => {
    if (source === undefined) return []
    const column = source.name
    switch (transform.kind) {
      case 'void':
      case 'unknown':
        return []
      case 'bucket':
        return [{ transform: 'bucket', argument: transform.count, column, at }]
      case 'truncate':
        return [{ transform: 'truncate', argument: transform.width, column, at }]
      default:
        return [{ transform: transform.kind, argument: undefined, column, at }]
    }
  })
}

function sortOf(metadata: TableMetadata, at: number): readonly SortColumn[] {
  const { fields } = currentSchema(metadata)
  return (currentSortOrder(metadata)?.fields ?? []).flatMap((item): readonly SortColumn[] => {
    const column = fields.find(({ id }) => id === item['source-id'])?.name
    if (column === undefined || item.transform !== 'identity') return []
    const descending = item.direction === 'desc'
    return [{ column, descending, nullsFirst: item['null-order'] === 'nulls-first', at }]
  })
}
