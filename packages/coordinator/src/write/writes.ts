import {
  type ColumnRecord,
  type NewTable,
  planCreateRelation,
  planDropDatabase,
  planDropRelation,
  rememberDropped,
  type RelationRecord,
  type TableRecord,
} from '@nyala/metastore'
import { snapshotOf } from '../iceberg/history.ts'
import type { Operation } from '../iceberg/metadata.ts'
import type { Queries } from '../server/query-statement.ts'
import type { LocalResult } from '../server/rows-to-arrow.ts'
import type { Services } from '../server/services.ts'
import type { StatementContext, StatementOutcome } from '../server/statement-context.ts'
import type { TableVerbs } from '../server/table-verbs.ts'
import type {
  AlterTable,
  CreateTable,
  CreateTableAsStatement,
  CreateTableLike,
  DescribeHistory,
  DropDatabase,
  DropTable,
  InsertStatement,
  Truncate,
} from '../sql/statement.ts'
import { alterTable } from './alter-table.ts'
import { castSql, type InsertTarget } from './assignment.ts'
import type { TableChange } from './change.ts'
import { leftTables } from './commit-time.ts'
import type { StatementIdentity } from './committer.ts'
import { withRow } from './failed-row.ts'
import { historyOf } from './history.ts'
import { planInsert } from './insert-plan.ts'
import { insertedColumns, overwrittenFiles } from './insert-partition.ts'
import { managedTable } from './managed-table.ts'
import { stageSnapshot } from './new-snapshot.ts'
import { newTableOf, storableColumns } from './new-table.ts'
import { planRows } from './plan-rows.ts'
import { rewriteOf } from './row-changes.ts'
import { shapeOf } from './table-like.ts'
import { stageRows } from './stage-rows.ts'
import { type Addition, baseOf, withManifest } from './table-change.ts'
import { newSnapshotId } from './write-ids.ts'
import type { StagedWrite, WriteRuns } from './write-run.ts'

/** Statements that change managed tables. Each is a transaction of its own, done exactly once by its statement's id. */
export class Writes {
  readonly #services: Services
  readonly #tables: TableVerbs
  readonly #queries: Queries

  constructor(
    services: Services,
    parts: { readonly tables: TableVerbs; readonly queries: Queries },
  ) {
    this.#services = services
    this.#tables = parts.tables
    this.#queries = parts.queries
  }

  get #runs(): WriteRuns {
    return this.#services.writes
  }

  createTable(statement: CreateTable, context: StatementContext): Promise<StatementOutcome> {
    return this.#runs.once(context, async (identity) => {
      const columns = storableColumns(statement.columns, context.notices)
      return this.#make(statement, columns, { identity, context, command: 'CREATE TABLE' })
    })
  }

  createTableLike(
    statement: CreateTableLike,
    context: StatementContext,
  ): Promise<StatementOutcome> {
    return this.#runs.once(context, async (identity) => {
      const other = this.#tables.table(statement.like, context)
      const { iceberg } = this.#services.manifests
      const metadata = other.kind === 'managed' ? await iceberg.metadata(other) : undefined
      const shape = shapeOf(other, metadata, statement)
      const columns = storableColumns(shape.columns, context.notices)
      const make = { identity, context, command: 'CREATE TABLE' }
      return this.#make({ ...statement, ...shape }, columns, make)
    })
  }

  /** The table is there with all of its rows, or not at all. */
  createTableAs(
    statement: CreateTableAsStatement,
    context: StatementContext,
  ): Promise<StatementOutcome> {
    return this.#runs.once(context, async (identity) => {
      const found = await this.#queries.columnsOf(statement, context)
      const columns = storableColumns(found, context.notices)
      const make = { identity, context, command: 'CREATE TABLE AS' }
      return this.#make(statement, columns, make, async (table, write) => {
        const planned = await planRows(castSql(statement.sql, columns), context, {
          ...{ queries: this.#queries, frontEnd: this.#services.frontEnd },
        })
        return stageRows(this.#queries, table, write, { planned, context })
      })
    })
  }

  insert(statement: InsertStatement, context: StatementContext): Promise<StatementOutcome> {
    return this.#runs.once(context, async (identity) => {
      const { iceberg } = this.#services.manifests
      const { table, target } = await this.#target(statement, context)
      const parts = { queries: this.#queries, frontEnd: this.#services.frontEnd }
      const planned = await planInsert(statement, { ...parts, target, context })
      return this.#runs.staged(
        { identity, context, command: 'INSERT', locations: [table.location] },
        async (write) => {
          const base = await baseOf(table, iceberg)
          const addition = await stageRows(this.#queries, base, write, { planned, context })
          const operation = statement.overwrite ? 'overwrite' : 'append'
          const covers = statement.overwrite
            ? overwrittenFiles(base, statement.partition, addition)
            : undefined
          if (covers !== undefined) {
            const gone = (await iceberg.dataFiles(table)).filter(covers)
            const removed = new Set(gone.map(({ path }) => path))
            const rewrite = { removed, addition, covers }
            const rows = rowsOf(addition)
            return write.update(rewriteOf(table, rewrite, this.#services, write), { rows })
          }
          return this.#replace(table, addition, { write, operation })
        },
      )
    })
  }

  /** What an INSERT has failed with, with the row that it is about where that can be told. Never rejects. */
  async withRow(
    error: unknown,
    statement: InsertStatement,
    context: StatementContext,
  ): Promise<unknown> {
    return withRow(error, statement, {
      statementId: context.statementId,
      tookMs: this.#services.clock.now() - context.startedAt,
      target: async () => (await this.#target(statement, context)).target,
      collect: async (sql) => {
        const body = await this.#services.frontEnd.parseQuery(sql)
        return this.#queries.collect(body, { ...context, sql })
      },
    })
  }

  async #target(
    statement: InsertStatement,
    context: StatementContext,
  ): Promise<{ readonly table: TableRecord; readonly target: InsertTarget }> {
    const table = managedTable(this.#tables, statement.table, context)
    const metadata = await this.#services.manifests.iceberg.metadata(table)
    const { sql: text } = context
    const { at } = statement.table
    const columns =
      statement.isDefault === true
        ? { columns: table.columns.slice(0, 1).map(({ name }) => ({ name, at })) }
        : insertedColumns(statement, table, { metadata, text })
    return { table, target: { ...columns, table, at, text } }
  }

  alterTable(statement: AlterTable, context: StatementContext): Promise<StatementOutcome> {
    const { manifests } = this.#services
    const table = managedTable(this.#tables, statement.table, context)
    return alterTable({ statement, table, context }, this.#runs, manifests.iceberg)
  }

  truncate(statement: Truncate, context: StatementContext): Promise<StatementOutcome> {
    return this.#runs.once(context, async (identity) => {
      const command = 'TRUNCATE TABLE'
      const { database, name } = this.#tables.target(statement.table, context)
      if (statement.ifExists && context.catalog.relation(database, name) === undefined) {
        context.notices.push(`table "${name}" does not exist, skipping`)
        return { command }
      }
      const table = managedTable(this.#tables, statement.table, context)
      return this.#runs.staged(
        { identity, context, command, locations: [table.location] },
        (write) =>
          this.#replace(table, { files: [], manifest: null }, { write, operation: 'delete' }),
      )
    })
  }

  async history(statement: DescribeHistory, context: StatementContext): Promise<LocalResult> {
    const table = managedTable(this.#tables, statement.table, context)
    const store = this.#services.manifests.iceberg
    const metadata = await store.metadata(table)
    const { current } = context.transaction
    const changed = current && leftTables(current.before, context.catalog)
    const own = changed?.find(({ head }) => head.record.id === table.id)
    if (own === undefined) return historyOf(metadata)
    const before = own.before === undefined ? undefined : await store.metadata(own.before)
    return historyOf(metadata, (id) => before !== undefined && snapshotOf(before, id) !== undefined)
  }

  /** DROP TABLE, of any kind of table; the files of a managed one go later, as queries may be reading them. */
  dropTable(statement: DropTable, context: StatementContext): Promise<StatementOutcome> {
    return this.#runs.once(context, async (identity) => {
      const { ifExists } = statement
      const target = this.#tables.target(statement.table, context)
      const done = await this.#runs.execute(
        { identity, context, command: 'DROP TABLE' },
        (plan) => planDropRelation(plan, target, { expect: 'table', ifExists }),
        ({ dropped }, writeId) => this.#remember(dropped === undefined ? [] : [dropped], writeId),
      )
      if (done.value.dropped === undefined) {
        context.notices.push(`table "${target.name}" does not exist, skipping`)
      }
      return { command: 'DROP TABLE', revision: done.revision }
    })
  }

  dropDatabase(statement: DropDatabase, context: StatementContext): Promise<StatementOutcome> {
    return this.#runs.once(context, async (identity) => {
      const { ifExists, cascade } = statement
      const { name } = statement.database
      const done = await this.#runs.execute(
        { identity, context, command: 'DROP DATABASE' },
        (plan) => planDropDatabase(plan, name, { ifExists, cascade }),
        ({ dropped = [] }, writeId) => this.#remember(dropped, writeId),
      )
      if (done.value.dropped === undefined) {
        context.notices.push(`database "${name}" does not exist, skipping`)
      }
      return { command: 'DROP DATABASE', revision: done.revision }
    })
  }

  #remember(
    dropped: readonly RelationRecord[],
    writeId: string,
  ): readonly ReturnType<typeof rememberDropped>[] {
    const locations = dropped.flatMap((one) => (one.kind === 'managed' ? [one.location] : []))
    if (locations.length === 0) return []
    const startedAt = this.#services.clock.wall()
    return [rememberDropped(this.#runs.keys, { id: writeId, locations, startedAt })]
  }

  /** Makes a table, with the rows that `fill` stages for it. */
  async #make(
    statement: Parameters<typeof newTableOf>[0],
    columns: readonly ColumnRecord[],
    how: {
      readonly identity: StatementIdentity
      readonly context: StatementContext
      readonly command: string
    },
    fill?: (base: StagedTable, write: StagedWrite) => Promise<Addition>,
  ): Promise<StatementOutcome> {
    const { context, command } = how
    const target = this.#tables.target(statement.table, context)
    const { ifNotExists } = statement
    if (ifNotExists && context.catalog.relation(target.database, target.name) !== undefined) {
      context.notices.push(`relation "${target.name}" already exists, skipping`)
      return { command }
    }
    const made = newTableOf(statement, columns, {
      target,
      catalog: context.catalog,
      warehouse: this.#runs.warehouse,
      nowMs: this.#services.clock.wall(),
      text: context.sql,
    })
    return this.#runs.staged({ ...how, id: made.id, locations: [made.location] }, async (write) => {
      await this.#services.requireOwn(made.location)
      await made.begin()
      const base = { location: made.location, metadata: made.metadata }
      const addition = await fill?.(base, write)
      const { store, nowMs } = { store: this.#services.manifests.iceberg, nowMs: made.nowMs }
      const manifest =
        addition === undefined
          ? await made.writeMetadata()
          : (
              await stageSnapshot({ ...base, metadataFile: undefined, manifests: [] }, addition, {
                ...{ writeId: write.id, attempt: 0, snapshotId: newSnapshotId() },
                ...{ operation: 'append', nowMs, store },
              })
            ).manifest
      const table: NewTable = {
        ...made.table,
        manifest,
        snapshotId: addition === undefined ? 0 : 1,
      }
      const rows = addition === undefined ? null : rowsOf(addition)
      const done = await write.execute((plan) => planCreateRelation(plan, table, { ifNotExists }), {
        rows,
      })
      if (!done.value.created) {
        context.notices.push(`relation "${target.name}" already exists, skipping`)
      }
      return done
    })
  }

  /**
   * Commits a new snapshot of a table. An append goes on top of whatever came meanwhile; what takes the place of rows
   * gives up with `serialization_failure` where there are other rows by now than when the statement began.
   */
  async #replace(
    table: TableRecord,
    addition: Addition,
    how: {
      readonly write: StagedWrite
      readonly operation: Operation
    },
  ): ReturnType<StagedWrite['update']> {
    const { clock, manifests } = this.#services
    const { write, operation } = how
    const snapshotId = newSnapshotId()
    const rows = operation === 'delete' ? null : rowsOf(addition)
    const change = { kind: operation === 'append' ? 'append' : 'replaceAll' } as const
    const apply: TableChange['apply'] = async (current, attempt) => {
      const base = await baseOf(current, manifests.iceberg)
      const nowMs = clock.wall()
      const store = manifests.iceberg
      const manifest = await stageSnapshot(base, addition, {
        ...{ writeId: write.id, attempt, snapshotId, operation, nowMs, store },
      })
      return withManifest(current, manifest, nowMs)
    }
    return write.update({ base: table, change, apply }, { rows })
  }
}

type StagedTable = Parameters<typeof stageRows>[1]

const rowsOf = ({ files }: Addition): number => files.reduce((sum, file) => sum + file.rows, 0)
