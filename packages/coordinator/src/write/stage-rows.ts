import { SqlError } from '@nyala/client/protocol'
import { dataFileOf, fieldIdsSql } from '../iceberg/data-file.ts'
import type { DataFile } from '../iceberg/manifest-file.ts'
import { currentSchema, currentSpec } from '../iceberg/metadata.ts'
import { partitionFields } from '../iceberg/partition-field.ts'
import type { IcebergField } from '../iceberg/types.ts'
import type { Queries } from '../server/query-statement.ts'
import type { StatementContext } from '../server/statement-context.ts'
import { quoteIdentifier } from '../sql/escape.ts'
import { targetFileBytes } from './file-size.ts'
import { partitionKeys } from './partitioning.ts'
import { orderSql } from './sorting.ts'
import { type Addition, stageAddition, type TableBase } from './table-change.ts'
import type { StagedWrite } from './write-run.ts'

/** Runs a query on executors, which write its rows to files of a table, and writes the manifest of these. */
export async function stageRows(
  queries: Queries,
  base: Pick<TableBase, 'location' | 'metadata'>,
  write: StagedWrite,
  rows: {
    readonly planned: Parameters<Queries['write']>[0]
    readonly context: StatementContext
  },
): Promise<Addition> {
  const schema = currentSchema(base.metadata)
  const { fields } = schema
  const partition = partitionFields(currentSpec(base.metadata), fields)
  const { location } = base
  const orderBy = orderSql(base.metadata)
  const written = await queries.write(rows.planned, rows.context, (task, attempt) => ({
    kind: 'table',
    directory: `${location}/data`,
    name: `${write.id}-${task}-${attempt}`,
    fieldIds: fieldIdsSql(fields),
    schema: JSON.stringify(schema),
    keys: partitionKeys(partition),
    orderBy,
    fileBytesMax: targetFileBytes(base.metadata.properties),
  }))
  write.ran(written)
  const files = written.files.map((file) => ({
    ...dataFileOf(file, fields, partition),
    sortOrderId: orderBy.length === 0 ? null : base.metadata['default-sort-order-id'],
  }))
  checkNotNull(files, fields)
  return stageAddition(base, files, write.id)
}

/** What the files say themselves: by whatever statement they were written, a table is to keep its promise to its readers. */
function checkNotNull(files: readonly DataFile[], fields: readonly IcebergField[]): void {
  for (const { id, name, required } of fields) {
    if (!required || files.every(({ nullCounts }) => (nullCounts.get(id) ?? 0) === 0)) continue
    throw new SqlError('not_null_violation', `column ${quoteIdentifier(name)} must not be NULL`)
  }
}
