import { randomUUID } from 'node:crypto'
import { join } from 'node:path'
import type { Column } from '@nyala/client/protocol'
import type { CatalogSnapshot, ColumnRecord, ManifestPointer, NewTable } from '@nyala/metastore'
import { requireDatabase } from '../bind/bind-query.ts'
import { newMetadata, type TableMetadata } from '../iceberg/metadata.ts'
import { makeTableDirectories, toUri } from '../iceberg/table-files.ts'
import { FieldIds, storableType } from '../iceberg/types.ts'
import { typeText, type SqlType } from '../sql/sql-types.ts'
import type { CreateTable, CreateTableAsStatement, CreateTableLike } from '../sql/statement.ts'
import { parseType } from '../sql/type-text.ts'
import { checkDistinct, locationPath } from '../table/external-table.ts'
import { newPartitionFields } from './partitioning.ts'
import { newSortFields } from './sorting.ts'
import { stageMetadata } from './table-change.ts'
import { newWriteId } from './write-ids.ts'

/** A managed table that is about to be made. */
export interface TableInTheMaking {
  /** Of the write that makes it; part of the name of its directory, which so is nobody else's. */
  readonly id: string
  readonly location: string
  readonly metadata: TableMetadata
  /** Its head, but for the metadata file. */
  readonly table: NewTable
  readonly nowMs: number
  /** Makes its directories. */
  begin(): Promise<void>
  /** Writes its metadata file, as that of a table without rows. */
  writeMetadata(): Promise<ManifestPointer>
}

export interface NewColumn {
  readonly name: string
  readonly type: SqlType
  readonly comment?: string | undefined
  readonly notNull?: boolean | undefined
}

/** The columns that a table is made with; `notices` says which types became other ones. */
export function storableColumns(
  columns: readonly (Column | NewColumn)[],
  notices: string[],
): readonly ColumnRecord[] {
  checkDistinct(columns)
  return columns.map((column) => {
    const { name } = column
    const declared = typeof column.type === 'string' ? typeOfText(column.type) : column.type
    const kept = storableType(declared, name)
    const [before, type] = [typeText(declared), typeText(kept)]
    if (before !== type) {
      notices.push(`column "${name}" is kept as ${type}: Iceberg tables have no ${before}`)
    }
    const comment = 'comment' in column ? column.comment : undefined
    const notNull = 'notNull' in column && column.notNull === true
    return {
      ...{ name, type },
      ...(comment === undefined ? {} : { comment }),
      ...(notNull ? { notNull } : {}),
    }
  })
}

/** JSON is a name to the kernel's catalog alone, which types of columns are not asked. */
const typeOfText = (text: string): SqlType =>
  text === 'JSON'
    ? { kind: 'named', name: 'JSON', schema: undefined, modifiers: [] }
    : parseType(text)

/** Fails with `undefined_database`. */
export function newTableOf(
  statement: Omit<CreateTable | CreateTableAsStatement | CreateTableLike, 'kind'>,
  columns: readonly ColumnRecord[],
  where: {
    readonly target: { readonly database: string; readonly name: string }
    readonly catalog: CatalogSnapshot
    readonly warehouse: string
    readonly nowMs: number
    /** Of the statement. */
    readonly text: string
  },
): TableInTheMaking {
  const { target, catalog, warehouse, nowMs } = where
  requireDatabase(catalog, target.database)
  const database = catalog.database(target.database)?.record
  const directory =
    database?.location === undefined
      ? join(warehouse, fileName(target.database))
      : locationPath(database.location)
  const id = newWriteId()
  const location = join(directory, `${fileName(target.name)}-${id}`)
  const metadata = newMetadata({
    uuid: randomUUID(),
    location: toUri(location),
    columns: columns.map((column) => ({ ...column, type: parseType(column.type) })),
    ids: new FieldIds(),
    nowMs,
    order: (fields) => newSortFields(statement.sortBy, fields, where.text),
    partition: (fields) => newPartitionFields(statement.partitionBy, fields, where.text),
    properties: {
      ...Object.fromEntries(statement.properties.map(({ key, value }) => [key, value])),
      ...(statement.comment === undefined ? {} : { comment: statement.comment }),
    },
  })
  return {
    id,
    location,
    metadata,
    nowMs,
    table: {
      kind: 'managed',
      ...target,
      ...(statement.comment === undefined ? {} : { comment: statement.comment }),
      location,
      columns,
      partitionColumns: [],
      schemaVersion: 1,
      snapshotId: 0,
      manifest: null,
      statistics: null,
      refreshedAt: nowMs,
    },
    begin: () => makeTableDirectories(location),
    writeMetadata: () => stageMetadata(location, metadata, id),
  }
}

/** What is left of a name that every file system, and every reader of paths, takes as it stands. */
const fileName = (name: string): string =>
  name
    .toLowerCase()
    .replace(/[^a-z0-9_-]/g, '_')
    .slice(0, 60)
