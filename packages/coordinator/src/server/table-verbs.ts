import { positionAt, SqlError } from '@nyala/client/protocol'
import type { Listing } from '@nyala/executor/protocol'
import {
  type ColumnRecord,
  type NewTable,
  planCreateRelation,
  type PlanContext,
  type RelationRecord,
  sameDoneTwice,
  type TableRecord,
} from '@nyala/metastore'
import { requireDatabase } from '../bind/bind-query.ts'
import { didYouMean } from '../bind/nearest.ts'
import { columnsOf } from '../iceberg/history.ts'
import { fromUri } from '../iceberg/table-files.ts'
import type { CreateExternalTable, ObjectName } from '../sql/statement.ts'
import { typeText } from '../sql/sql-types.ts'
import { checkDistinct, checkSchemas, inferColumns, locationPath } from '../table/external-table.ts'
import { dataColumns, manifestOf } from '../table/manifest.ts'
import { executeChange } from '../write/catalog-change.ts'
import type { StatementIdentity } from '../write/committer.ts'
import {
  metadataDirectory,
  metadataPath,
  newestMetadata,
  readRegistered,
} from './register-iceberg.ts'
import type { Services } from './services.ts'
import type { StatementContext, StatementOutcome } from './statement-context.ts'

/** Times that a REFRESH lists again because another one came first. */
const REFRESH_ATTEMPTS_MAX = 3

/** Statements that make tables of directories, and list those again. */
export class TableVerbs {
  readonly #services: Services

  constructor(services: Services) {
    this.#services = services
  }

  create(statement: CreateExternalTable, context: StatementContext): Promise<StatementOutcome> {
    return this.#services.writes.once(context, (identity) =>
      this.#create(statement, context, identity),
    )
  }

  async #create(
    statement: CreateExternalTable,
    context: StatementContext,
    identity: StatementIdentity,
  ): Promise<StatementOutcome> {
    const command = 'CREATE TABLE'
    const target = this.target(statement.table, context)
    requireDatabase(context.catalog, target.database)
    if (
      context.catalog.relation(target.database, target.name) !== undefined &&
      statement.ifNotExists
    ) {
      context.notices.push(`relation "${target.name}" already exists, skipping`)
      return { command }
    }
    if (statement.format === 'iceberg') return this.#register(statement, context, identity)
    const listing = await this.#list(locationPath(statement.location), context)
    const partitionColumns = statement.partitionColumns.map(columnRecord)
    const columns = await this.#columns(statement, listing, partitionColumns, context)
    if (columns.length === 0) {
      throw new SqlError(
        'invalid_parameter_value',
        `location "${statement.location}" holds no Parquet file to take columns from`,
        {
          hint: 'list the columns, or write LIKE PARQUET with a file that has them',
        },
      )
    }
    checkDistinct([...columns, ...partitionColumns])
    checkSchemas(listing, columns)
    const now = this.#services.clock.wall()
    const table = {
      kind: 'external' as const,
      database: target.database,
      name: target.name,
      ...(statement.comment === undefined ? {} : { comment: statement.comment }),
      location: listing.location,
      columns,
      partitionColumns,
      schemaVersion: 1,
      snapshotId: 1,
      manifest: await this.#writeManifest(listing, partitionColumns),
      statistics: null,
      refreshedAt: now,
    }
    if (listing.files.length === 0) {
      context.notices.push(
        `location "${listing.location}" holds no Parquet files: the table is empty`,
      )
    }
    return this.#add(table, { statement, context, identity })
  }

  #add(
    table: NewTable,
    how: {
      readonly statement: CreateExternalTable
      readonly context: StatementContext
      readonly identity: StatementIdentity
    },
  ): Promise<StatementOutcome> {
    const { statement, context, identity } = how
    const { ifNotExists } = statement
    const change = {
      ...{ runs: this.#services.writes, context, command: 'CREATE TABLE' },
      plan: (plan: PlanContext) => planCreateRelation(plan, table, { ifNotExists }),
      notice: ({ created }: { readonly created: boolean }) =>
        created ? undefined : `relation "${table.name}" already exists, skipping`,
    }
    return executeChange(change, identity)
  }

  /** A table of Iceberg's that another engine keeps: it is read as its metadata says, and never written to. */
  async #register(
    statement: CreateExternalTable,
    context: StatementContext,
    identity: StatementIdentity,
  ): Promise<StatementOutcome> {
    const target = this.target(statement.table, context)
    const { manifests, clock } = this.#services
    const path = await metadataPath({
      location: statement.location === '' ? undefined : statement.location,
      properties: statement.properties,
    })
    await this.#checkRoots(path, context)
    const { pointer, metadata } = await readRegistered(path)
    const table = {
      kind: 'external' as const,
      format: 'iceberg' as const,
      ...target,
      ...(statement.comment === undefined ? {} : { comment: statement.comment }),
      location: fromUri(metadata.location),
      columns: columnsOf(metadata),
      partitionColumns: [],
      schemaVersion: 1,
      snapshotId: 1,
      manifest: pointer,
      statistics: null,
      refreshedAt: clock.wall(),
    }
    // What cannot be read is told now, not when somebody asks for its rows.
    await manifests.read({ ...table, id: '', createdAt: 0, recentWrites: [] })
    return this.#add(table, { statement, context, identity })
  }

  /** Fails where a file is not below one of the directories that executors may read. */
  async #checkRoots(path: string, { signal }: StatementContext): Promise<void> {
    await this.#services.executors.any().inspect('paths', [path], { signal })
  }

  /** REFRESH of a table that another engine keeps: the newest metadata file beside the one that it was read from. */
  async #refreshRegistered(
    table: TableRecord,
    context: StatementContext,
    command: string,
  ): Promise<StatementOutcome> {
    const { catalog, manifests, clock } = this.#services
    if (table.manifest === null) return { command }
    const path = await newestMetadata(metadataDirectory(table.manifest))
    await this.#checkRoots(path, context)
    const { pointer, metadata } = await readRegistered(path)
    const changed = {
      manifest: pointer,
      columns: columnsOf(metadata),
      refreshedAt: clock.wall(),
    }
    await manifests.read({ ...table, ...changed })
    const updated = catalog.updateTable(
      { database: table.database, name: table.name },
      (current) => ({
        ...current,
        ...changed,
        snapshotId: current.snapshotId + 1,
        schemaVersion: current.schemaVersion + 1,
      }),
      { signal: context.signal, patience: context.patience },
    )
    const done = await sameDoneTwice(updated)
    return { command, revision: done.revision }
  }

  /** REFRESH and RECOVER PARTITIONS: the files are listed again and become a new snapshot of the table. */
  async refresh(
    name: ObjectName,
    context: StatementContext,
    command: string,
  ): Promise<StatementOutcome> {
    const target = this.target(name, context)
    for (let attempt = 1; ; attempt++) {
      const table = this.table(name, context)
      if (table.kind === 'managed') {
        context.notices.push(`table "${table.name}" is managed: its files are always known`)
        return { command }
      }
      if (table.format === 'iceberg') return this.#refreshRegistered(table, context, command)
      const listing = await this.#list(table.location, context)
      checkSchemas(listing, table.columns)
      const manifest = await this.#writeManifest(listing, table.partitionColumns)
      try {
        const updated = this.#services.catalog.updateTable(
          target,
          (current) => {
            if (current.id !== table.id || current.snapshotId !== table.snapshotId) {
              throw new SqlError(
                'concurrent_ddl',
                `table "${target.name}" was refreshed by another statement`,
              )
            }
            return {
              ...current,
              manifest,
              snapshotId: current.snapshotId + 1,
              refreshedAt: this.#services.clock.wall(),
            }
          },
          { signal: context.signal, patience: context.patience },
        )
        const done = await sameDoneTwice(updated)
        return { command, revision: done.revision }
      } catch (error) {
        // A listing that was begun before another one ended may be the older: list again rather than put it on top.
        const isConflict = error instanceof SqlError && error.error === 'concurrent_ddl'
        if (!isConflict || attempt >= REFRESH_ATTEMPTS_MAX) throw error
      }
    }
  }

  async dropStatistics(name: ObjectName, context: StatementContext): Promise<StatementOutcome> {
    const { database, name: table } = this.table(name, context)
    const updated = this.#services.catalog.updateTable(
      { database, name: table },
      (current) => ({ ...current, statistics: null }),
      { signal: context.signal, patience: context.patience },
    )
    const done = await sameDoneTwice(updated)
    return { command: 'DROP STATS', revision: done.revision }
  }

  /** Database and name of a relation as the session means them. */
  target(
    name: ObjectName,
    context: StatementContext,
  ): { readonly database: string; readonly name: string } {
    return { database: name.database ?? context.session.database, name: name.name }
  }

  /** Fails with `undefined_table` naming the nearest. Reads the newest snapshot, not the statement's first. */
  relation(name: ObjectName, context: StatementContext): RelationRecord {
    const { database, name: table } = this.target(name, context)
    const isAlone = context.transaction.current === undefined
    const catalog = isAlone ? this.#services.catalog.snapshot() : context.catalog
    requireDatabase(catalog, database)
    const found = catalog.relation(database, table)?.record
    if (found !== undefined) return found
    const names = catalog.relations(database).map((r) => r.record.name)
    throw new SqlError(
      'undefined_table',
      `table "${table}" does not exist in database "${database}"`,
      {
        position: positionAt(context.sql, name.at),
        hint: didYouMean(table, names) ?? `SHOW TABLES IN ${database} lists them`,
      },
    )
  }

  /** Fails as {@link relation} does, and where the name is that of a view. */
  table(name: ObjectName, context: StatementContext): TableRecord {
    const relation = this.relation(name, context)
    if (relation.kind !== 'view') return relation
    throw new SqlError('undefined_table', `"${name.name}" is a view, not a table`, {
      position: positionAt(context.sql, name.at),
    })
  }

  #list(location: string, context: StatementContext): Promise<Listing> {
    return this.#services.executors
      .any()
      .inspect('location', [location], { signal: context.signal })
  }

  async #columns(
    statement: CreateExternalTable,
    listing: Listing,
    partitionColumns: readonly ColumnRecord[],
    context: StatementContext,
  ): Promise<readonly ColumnRecord[]> {
    if (statement.columns !== undefined) return statement.columns.map(columnRecord)
    if (statement.likeFile === undefined) {
      const schemas = listing.schemas.map((schema) => dataColumns(schema, partitionColumns))
      return inferColumns({ ...listing, schemas })
    }
    const path = locationPath(statement.likeFile)
    const file = await this.#services.executors
      .any()
      .inspect('files', [path], { signal: context.signal })
    const [schema] = file.schemas
    if (schema === undefined) {
      throw new SqlError('undefined_file', `file "${path}" does not exist`, {
        hint: 'LIKE PARQUET takes the path of one Parquet file',
      })
    }
    return dataColumns(schema, partitionColumns)
  }

  /** Values of partition columns are checked against their types before anything is stored. */
  async #writeManifest(
    listing: Listing,
    partitionColumns: readonly ColumnRecord[],
  ): Promise<NonNullable<TableRecord['manifest']>> {
    const { manifests, mirror } = this.#services
    const manifest = manifestOf(
      listing,
      partitionColumns.map((c) => c.name),
    )
    if (partitionColumns.length > 0) {
      const key = `check ${listing.location} ${this.#services.clock.now()}`
      await mirror.loadPartitions(key, partitionColumns, manifest.partitions)
    }
    return manifests.write(manifest)
  }
}

const columnRecord = (column: {
  readonly name: string
  readonly type: Parameters<typeof typeText>[0]
  readonly comment: string | undefined
}): ColumnRecord => ({
  name: column.name,
  type: typeText(column.type),
  ...(column.comment === undefined ? {} : { comment: column.comment }),
})
