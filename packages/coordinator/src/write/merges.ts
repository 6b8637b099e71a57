import { type Column, SqlError } from '@nyala/client/protocol'
import type { TableRecord } from '@nyala/metastore'
import type { DataFile } from '../iceberg/manifest-file.ts'
import { fromUri } from '../iceberg/table-files.ts'
import type { Queries } from '../server/query-statement.ts'
import type { Services } from '../server/services.ts'
import type { StatementContext, StatementOutcome } from '../server/statement-context.ts'
import type { TableVerbs } from '../server/table-verbs.ts'
import type { MergeStatement } from '../sql/statement.ts'
import { managedTable, withTarget } from './managed-table.ts'
import { checkMerge } from './merge-check.ts'
import { mergeOf, MergeSql, resolveMerge } from './merge.ts'
import { planRows } from './plan-rows.ts'
import { checkWritten, filesByPath, leave, rewriteOf } from './row-changes.ts'
import { stageRows } from './stage-rows.ts'
import { hasFields } from './struct-fields.ts'
import { type Addition, baseOf } from './table-change.ts'
import type { StagedWrite } from './write-run.ts'

/** What MERGE has found to do. */
interface Found {
  /** Rows to change or delete, and to delete, by file. */
  readonly files: ReadonlyMap<DataFile, { readonly changed: number; readonly deleted: number }>
  readonly inserted: number
}

/** MERGE: as of DELETE and UPDATE, only files with rows that change are written anew. */
export class Merges {
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

  run(statement: MergeStatement, context: StatementContext): Promise<StatementOutcome> {
    const { functions, writes } = this.#services
    return writes.once(context, async (identity) => {
      const read = mergeOf(statement, { text: context.sql, functions })
      const table = managedTable(this.#tables, read.target, context)
      const merge = resolveMerge(read, statement, { table, text: context.sql })
      const sql = new MergeSql(table, merge)
      await checkMerge(statement, {
        ...{ table, text: context.sql, sql },
        bindOwn: () => this.#queries.bind(statement, context),
        columnsOf: (query) => this.#columnsOf(query, table, withTarget(context, table)),
      })
      const found = await this.#find(table, sql, context)
      const changed = [...found.files.values()].reduce((sum, one) => sum + one.changed, 0)
      const rows = changed + found.inserted
      const request = { identity, context, command: 'MERGE', locations: [table.location] }
      return writes.staged(request, async (write) => {
        if (rows === 0) return leave(table, write)
        const addition = await this.#write(table, write, { sql, found, context })
        const removed = new Set([...found.files.keys()].map(({ path }) => path))
        const operation = removed.size === 0 ? ('append' as const) : undefined
        const covers = sql.isAboutAll ? (): boolean => true : undefined
        const rewrite = { removed, addition, operation, covers }
        return write.update(rewriteOf(table, rewrite, this.#services, write), { rows })
      })
    })
  }

  /** None where they are known by running it only, and no column has fields to be checked. */
  async #columnsOf(
    sql: string,
    table: TableRecord,
    context: StatementContext,
  ): Promise<readonly Column[]> {
    const parsed = await this.#services.frontEnd.parseQuery(sql)
    // A place in our text is none in the user's.
    const body = { ...parsed, source: { ...parsed.source, toUser: () => undefined } }
    const { columns } = await this.#queries.bind(body, context)
    return columns ?? (table.columns.some(hasFields) ? this.#queries.columnsOf(body, context) : [])
  }

  /** Fails with `cardinality_violation` where a row of the target would be changed twice. */
  async #find(table: TableRecord, sql: MergeSql, context: StatementContext): Promise<Found> {
    const data = await this.#services.manifests.iceberg.dataFiles(table)
    const fileAt = filesByPath(data)
    const files = new Map<DataFile, { changed: number; deleted: number }>()
    const { deletes } = sql
    for (const [path, clause, count, most] of await this.#rows(sql.touched(), table, context)) {
      if (Number(most) > 1) {
        throw new SqlError(
          'cardinality_violation',
          `MERGE would change a row of table "${table.name}" twice: ${String(most)} rows of the source match it`,
          { hint: 'let ON, or the query of the source, leave at most one for each' },
        )
      }
      const file = fileAt(path)
      const before = files.get(file) ?? { changed: 0, deleted: 0 }
      const rows = Number(count)
      files.set(file, {
        changed: before.changed + rows,
        deleted: before.deleted + (deletes.has(Number(clause)) ? rows : 0),
      })
    }
    const [[inserted] = [0]] = sql.hasInserts
      ? await this.#rows(sql.insertedCount(), table, context)
      : []
    return { files, inserted: Number(inserted) }
  }

  async #rows(
    sql: string,
    table: TableRecord,
    context: StatementContext,
  ): Promise<readonly (readonly unknown[])[]> {
    const { frontEnd } = this.#services
    const inner = withTarget(context, table)
    const planned = await planRows(sql, inner, { queries: this.#queries, frontEnd })
    return this.#queries.collectPlanned(planned, inner)
  }

  async #write(
    table: TableRecord,
    write: StagedWrite,
    what: { readonly sql: MergeSql; readonly found: Found; readonly context: StatementContext },
  ): Promise<Addition> {
    const { files, inserted } = what.found
    const anew = [...files].filter(([file, { deleted }]) => deleted < file.rows)
    const parts = { files: anew.length > 0, inserts: inserted > 0 }
    if (!parts.files && !parts.inserts) return { files: [], manifest: null }
    const { frontEnd, manifests } = this.#services
    const paths = new Set(anew.map(([{ path }]) => fromUri(path)))
    const context = withTarget(what.context, table, paths)
    const planned = await planRows(what.sql.written(parts), context, {
      ...{ queries: this.#queries, frontEnd },
    })
    const base = await baseOf(table, manifests.iceberg)
    const addition = await stageRows(this.#queries, base, write, { planned, context })
    const left = anew.reduce((sum, [file, { deleted }]) => sum + file.rows - deleted, 0)
    checkWritten(addition, left + inserted)
    return addition
  }
}
