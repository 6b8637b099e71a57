import type { ColumnRecord } from '@nyala/metastore'
import { typeText } from '../sql/sql-types.ts'
import { currentSchema, type Snapshot, type TableMetadata } from './metadata.ts'
import { type IcebergSchema, sqlTypeOf } from './types.ts'

/** The snapshot of this id; undefined where the metadata does not name it (any more). Pure. */
export const snapshotOf = (metadata: TableMetadata, id: bigint): Snapshot | undefined =>
  metadata.snapshots?.find((one) => one['snapshot-id'] === id)

/**
 * The snapshot that was a table's contents at a time, in milliseconds since 1970-01-01 UTC. Undefined before the first
 * that is remembered. Pure.
 */
export function snapshotAt(metadata: TableMetadata, timeMs: number): Snapshot | undefined {
  const log = metadata['snapshot-log'] ?? []
  const entry = log.findLast((one) => one['timestamp-ms'] <= timeMs)
  if (entry !== undefined) return snapshotOf(metadata, entry['snapshot-id'])
  if (log.length > 0) return undefined
  // The log may be left out: then each snapshot was the contents from when it was made.
  return metadata.snapshots?.findLast((one) => one['timestamp-ms'] <= timeMs)
}

/** The schema that a snapshot was written with; version 1 did not say. Throws an Error where it is not there. */
export function schemaOf(metadata: TableMetadata, snapshot: Snapshot | undefined): IcebergSchema {
  const id = snapshot?.['schema-id'] ?? metadata['current-schema-id']
  const schema = metadata.schemas.find((one) => one['schema-id'] === id)
  if (schema === undefined) throw new Error(`the metadata has no schema ${id}`)
  return schema
}

/** ISO 8601; times that a Date cannot hold are told as they are. */
export const timeText = (ms: number): string =>
  Math.abs(ms) <= 8.64e15 ? new Date(ms).toISOString() : `${ms} ms since 1970`

/** How many snapshots an error names. */
const NAMED_MAX = 5

/** A hint for whoever asked for a snapshot that is not there. Pure. */
export function namedSnapshots(table: string, { snapshots = [] }: TableMetadata): string {
  if (snapshots.length === 0) return 'nothing was ever written to it'
  const last = snapshots.slice(-NAMED_MAX).map((one) => {
    return `${one['snapshot-id']} of ${timeText(one['timestamp-ms'])}`
  })
  const oldest = timeText(snapshots[0]?.['timestamp-ms'] ?? 0)
  return (
    `the newest are ${last.toReversed().join(', ')}; the oldest is of ${oldest}; ` +
    `DESCRIBE HISTORY ${table} lists them`
  )
}

/** The columns of a table as queries know them, or those of another schema of it. Pure. */
export const columnsOf = (
  metadata: TableMetadata,
  schema: IcebergSchema = currentSchema(metadata),
): readonly ColumnRecord[] =>
  schema.fields.map(({ name, type, doc }) => ({
    name,
    type: typeText(sqlTypeOf(type)),
    ...(doc === undefined ? {} : { comment: doc }),
  }))
