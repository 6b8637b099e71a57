import type { CatalogSnapshot, TableRecord, Versioned } from '@nyala/metastore'
import type { IcebergStore } from '../iceberg/iceberg-store.ts'
import type { TableMetadata } from '../iceberg/metadata.ts'
import { isForgetful, withCommitTime, withFormerFile } from '../iceberg/snapshot.ts'
import { toUri } from '../iceberg/table-files.ts'
import type { StagedHead } from './change.ts'
import { managedTables } from './snapshot-expiry.ts'
import { stageMetadata } from './table-change.ts'

/** A table as a transaction is to leave it. */
export interface LeftTable {
  /** As it is without the transaction; undefined where that makes it. */
  readonly before: TableRecord | undefined
  readonly head: Versioned<TableRecord>
}

/** One whose snapshots bear the time of the commit. */
export interface DatedTable {
  readonly head: Versioned<TableRecord>
  readonly staged: StagedHead
}

/** Gives what a transaction has made the time of its commit. A simulation has no files to write it into. */
export type DateCommit = (
  tables: readonly LeftTable[],
  commit: { readonly writeId: string; readonly attempt: number; readonly nowMs: number },
) => Promise<readonly DatedTable[]>

/** The tables that differ between two states of the catalog in the metadata that they name. Pure. */
export function leftTables(before: CatalogSnapshot, after: CatalogSnapshot): readonly LeftTable[] {
  const known = new Map(managedTables(before).map(({ record }) => [record.id, record]))
  return managedTables(after)
    .map((head) => ({ before: known.get(head.record.id), head }))
    .filter((one) => one.before?.manifest?.path !== one.head.record.manifest?.path)
}

/**
 * Statements of a transaction stage their snapshots one after another, and nobody sees any of them before its COMMIT: with
 * the times of the statements, a query AS OF a time between two of them would find a state that never was. All of them,
 * in all tables, have one time, that of the commit.
 */
export const dateCommit =
  (store: IcebergStore): DateCommit =>
  async (tables, { writeId, attempt, nowMs }) => {
    const read = await Promise.all(
      tables.map(async (table) => {
        const { before, head } = table
        const metadata = await store.metadata(head.record)
        const former = before === undefined ? undefined : await store.metadata(before)
        return { ...table, metadata, known: idsOf(former) }
      }),
    )
    const changed = read.filter(({ metadata, known }) =>
      metadata.snapshots?.some((one) => !known.has(one['snapshot-id'])),
    )
    // Time may seem to go back between machines; it must not in any of the tables.
    const timeMs = Math.max(nowMs, ...changed.map(({ metadata }) => metadata['last-updated-ms']))
    return Promise.all(
      changed.map(async ({ head, metadata, known }) => {
        const { record } = head
        const file = record.manifest === null ? undefined : toUri(record.manifest.path)
        const next = withCommitTime(withFormerFile(metadata, file, timeMs), known, timeMs)
        const name = `${writeId}-${attempt}`
        const manifest = await stageMetadata(record.location, next, name)
        const staged = { record: { ...record, manifest }, forgets: isForgetful(metadata, next) }
        return { head, staged }
      }),
    )
  }

const idsOf = (metadata: TableMetadata | undefined): ReadonlySet<bigint> =>
  new Set(metadata?.snapshots?.map((one) => one['snapshot-id']))
