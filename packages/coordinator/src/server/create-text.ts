import type { ColumnRecord, RelationRecord, TableRecord } from '@nyala/metastore'
import { currentSchema, currentSpec, type TableMetadata } from '../iceberg/metadata.ts'
import { partitionFields } from '../iceberg/partition-field.ts'
import { transformSql } from '../iceberg/partition-transform.ts'
import { orderSql } from '../write/sorting.ts'
import { quoteIdentifier, quoteLiteral } from '../sql/escape.ts'

/** Properties that are said by clauses of their own, or that every table has. */
const OWN_PROPERTIES = new Set(['comment', 'write.format.default'])

/** The statement that would make the relation again. `metadata`: of a managed table. */
export function createText(relation: RelationRecord, metadata: TableMetadata | undefined): string {
  const name = `${quoteIdentifier(relation.database)}.${quoteIdentifier(relation.name)}`
  if (relation.kind === 'view') {
    const columns = relation.columns.map((c) => quoteIdentifier(c.name)).join(', ')
    return `CREATE VIEW ${name} (${columns}) AS\n${relation.sql}`
  }
  if (relation.format === 'iceberg') {
    const file = quoteLiteral(relation.manifest?.path ?? '')
    const comment =
      relation.comment === undefined ? '' : `COMMENT ${quoteLiteral(relation.comment)}\n`
    return `CREATE EXTERNAL TABLE ${name}\n${comment}STORED AS ICEBERG\nTBLPROPERTIES ('metadata_location' = ${file})`
  }
  const lines = [
    `CREATE ${relation.kind === 'managed' ? '' : 'EXTERNAL '}TABLE ${name} (`,
    relation.columns.map(columnText).join(',\n'),
    ')',
  ]
  lines.push(...(metadata === undefined ? hivePartitions(relation) : partitioning(metadata)))
  const order = metadata === undefined ? [] : orderSql(metadata)
  if (order.length > 0) lines.push(`SORT BY (${order.join(', ')})`)
  if (relation.comment !== undefined) lines.push(`COMMENT ${quoteLiteral(relation.comment)}`)
  lines.push('STORED AS PARQUET')
  // Where a managed table lies is not for its maker to say.
  if (relation.kind === 'external') lines.push(`LOCATION ${quoteLiteral(relation.location)}`)
  if (metadata !== undefined) lines.push(...properties(metadata))
  return lines.join('\n')
}

const columnText = (c: ColumnRecord): string =>
  `  ${quoteIdentifier(c.name)} ${c.type}${c.notNull === true ? ' NOT NULL' : ''}${c.comment === undefined ? '' : ` COMMENT ${quoteLiteral(c.comment)}`}`

const hivePartitions = ({ partitionColumns }: TableRecord): readonly string[] =>
  partitionColumns.length === 0
    ? []
    : ['PARTITIONED BY (', partitionColumns.map(columnText).join(',\n'), ')']

function partitioning(metadata: TableMetadata): readonly string[] {
  const fields = partitionFields(currentSpec(metadata), currentSchema(metadata).fields)
  const items = fields.flatMap(({ transform, source }) =>
    transform.kind === 'void' || source === undefined
      ? []
      : [transformSql(transform, quoteIdentifier(source.name))],
  )
  return items.length === 0 ? [] : [`PARTITIONED BY (${items.join(', ')})`]
}

function properties(metadata: TableMetadata): readonly string[] {
  const items = Object.entries(metadata.properties ?? {})
    .filter(([key]) => !OWN_PROPERTIES.has(key))
    .map(([key, value]) => `${quoteLiteral(key)} = ${quoteLiteral(value)}`)
  return items.length === 0 ? [] : [`TBLPROPERTIES (${items.join(', ')})`]
}
