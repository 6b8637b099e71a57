import { positionAt, SqlError } from '@nyala/client/protocol'
import { foldName, type TableRecord } from '@nyala/metastore'
import type { DataFile } from '../iceberg/manifest-file.ts'
import { fromUri } from '../iceberg/table-files.ts'
import type { Queries } from '../server/query-statement.ts'
import type { Services } from '../server/services.ts'
import type { StatementContext, StatementOutcome } from '../server/statement-context.ts'
import type { TableVerbs } from '../server/table-verbs.ts'
import type { DeleteStatement, UpdateStatement } from '../sql/statement.ts'
import type { TableChange } from './change.ts'
import { managedTable, withTarget } from './managed-table.ts'
import { planRows } from './plan-rows.ts'
import {
  checkAssigned,
  keptSql,
  type RowChange,
  rowChangeOf,
  touchedSql,
  updatedSql,
} from './row-change.ts'
import { stageRewrite } from './rewrite-snapshot.ts'
import { stageRows } from './stage-rows.ts'
import { checkFields, hasFields } from './struct-fields.ts'
import { type Addition, baseOf, withManifest } from './table-change.ts'
import { newSnapshotId } from './write-ids.ts'
import type { StagedWrite } from './write-run.ts'

/** Files that hold rows to change, and how many of them each. */
export type Touched = ReadonlyMap<DataFile, number>

/** DELETE and UPDATE: files that hold rows to change are written anew, the others stay. */
export class RowChanges {
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

  run(
    statement: DeleteStatement | UpdateStatement,
    context: StatementContext,
  ): Promise<StatementOutcome> {
    const { functions, writes } = this.#services
    return writes.once(context, async (identity) => {
      const command = statement.kind.toUpperCase()
      const change = rowChangeOf(statement, { text: context.sql, functions })
      const table = managedTable(this.#tables, change.table, context)
      if (statement.kind === 'update') checkAssigned(table, statement.columns, context.sql)
      // What is wrong with it is told by its own text, before anything is written around it.
      await this.#check(statement, table, context)
      const touched = await this.#touched(table, change, context)
      const rows = sum(touched.values())
      const request = { identity, context, command, locations: [table.location] }
      return writes.staged(request, async (write) => {
        if (touched.size === 0) return leave(table, write)
        const isWhole = ([file, count]: [DataFile, number]): boolean => count === file.rows
        const emptied = statement.kind === 'delete' ? [...touched].filter(isWhole) : []
        const gone = new Set(emptied.map(([file]) => file))
        const anew = [...touched.keys()].filter((file) => !gone.has(file))
        const sql = statement.kind === 'update' ? updatedSql(table, change) : keptSql(table, change)
        const removed = statement.kind === 'update' ? 0 : rows - sum(emptied.map(([, n]) => n))
        const wanted = sum(anew.map((file) => file.rows)) - removed
        const addition = await this.#rewritten(table, write, { sql, files: anew, wanted, context })
        const files = new Set([...touched.keys()].map(({ path }) => path))
        const rewrite = rewriteOf(table, { removed: files, addition }, this.#services, write)
        return write.update(rewrite, { rows })
      })
    })
  }

  /** Fails with what is wrong in the statement as it stands, and where a value has a field that its column does not have. */
  async #check(
    statement: DeleteStatement | UpdateStatement,
    table: TableRecord,
    context: StatementContext,
  ): Promise<void> {
    const assigned = statement.kind === 'update' ? statement.columns : []
    const columns = assigned.map(({ name }) =>
      table.columns.find((column) => foldName(column.name) === foldName(name)),
    )
    if (!columns.some((column) => column !== undefined && hasFields(column))) {
      await this.#queries.bind(statement, context)
      return
    }
    const found = await this.#queries.columnsOf(statement, context)
    for (const [i, column] of columns.entries()) {
      const position = positionAt(context.sql, assigned[i]?.at ?? statement.at)
      if (column !== undefined) checkFields(column, found[i]?.type ?? '', { position })
    }
  }

  /** The files that hold rows of which the condition is true: found by reading those only whose bounds allow it. */
  async #touched(
    table: TableRecord,
    change: RowChange,
    context: StatementContext,
  ): Promise<Touched> {
    const files = await this.#services.manifests.iceberg.dataFiles(table)
    if (change.condition === undefined) return new Map(files.map((file) => [file, file.rows]))
    const body = await this.#services.frontEnd.parseQuery(touchedSql(table, change))
    const inner = { ...withTarget(context, table), sql: body.text }
    return touchedOf(files, await this.#queries.collect(body, inner))
  }

  /** Writes the rows of some files anew; `wanted`: how many there must be. */
  async #rewritten(
    table: TableRecord,
    write: StagedWrite,
    how: {
      readonly sql: string
      readonly files: readonly DataFile[]
      readonly wanted: number
      readonly context: StatementContext
    },
  ): Promise<Addition> {
    if (how.files.length === 0) return { files: [], manifest: null }
    const { frontEnd, manifests } = this.#services
    const paths = new Set(how.files.map(({ path }) => fromUri(path)))
    const context = withTarget(how.context, table, paths)
    const planned = await planRows(how.sql, context, { queries: this.#queries, frontEnd })
    const base = await baseOf(table, manifests.iceberg)
    const addition = await stageRows(this.#queries, base, write, { planned, context })
    checkWritten(addition, how.wanted)
    return addition
  }
}

/** What a query of files and counts has found. Throws an Error where it names a file that the table does not have. */
export function touchedOf(
  files: readonly DataFile[],
  rows: readonly (readonly unknown[])[],
): Touched {
  const fileAt = filesByPath(files)
  return new Map(rows.map(([path, count]) => [fileAt(path), Number(count)]))
}

/** Finds files by what a query says of their place. That throws an Error where it names a file that the table has not. */
export function filesByPath(files: readonly DataFile[]): (path: unknown) => DataFile {
  const byPath = new Map(files.map((file) => [fromUri(file.path), file]))
  return (path) => {
    const file = byPath.get(String(path))
    if (file === undefined) throw new Error(`"${String(path)}" is no file of the table`)
    return file
  }
}

/** Rows were found by one query and written by another: where these disagree, nothing may be committed. */
export function checkWritten({ files }: Addition, wanted: number): void {
  const written = sum(files.map((file) => file.rows))
  if (written === wanted) return
  throw new SqlError(
    'feature_not_supported',
    'the statement names other rows each time it is computed',
    {
      detail: `${written} rows were written where ${wanted} were expected; nothing was changed`,
      hint: 'a subquery with LIMIT needs an ORDER BY that tells all rows apart',
    },
  )
}

/** The statement has changed nothing, which is true as long as the table is as it was read. */
export function leave(table: TableRecord, write: StagedWrite): ReturnType<StagedWrite['update']> {
  const change = { kind: 'rewrite', files: new Set<string>() } as const
  const apply: TableChange['apply'] = (record) => Promise.resolve({ record, forgets: false })
  return write.update({ base: table, change, apply }, { rows: 0 })
}

/** The change of a table that puts an addition in the place of some of its files. */
export function rewriteOf(
  table: TableRecord,
  rewrite: {
    readonly removed: ReadonlySet<string>
    readonly addition: Addition
    readonly operation?: 'replace' | 'append' | undefined
    /** Files of others that came meanwhile and that it would have to know of. */
    readonly covers?: ((file: DataFile) => boolean) | undefined
  },
  { clock, manifests }: Pick<Services, 'clock' | 'manifests'>,
  write: StagedWrite,
): TableChange {
  const snapshotId = newSnapshotId()
  const { removed, addition, covers } = rewrite
  const operation = rewrite.operation ?? (addition.manifest === null ? 'delete' : 'overwrite')
  return {
    base: table,
    change: { kind: 'rewrite', files: removed, covers },
    async apply(current, attempt) {
      const store = manifests.iceberg
      const nowMs = clock.wall()
      const base = await baseOf(current, store)
      const manifest = await stageRewrite(
        base,
        { removed, addition },
        {
          ...{ writeId: write.id, attempt, snapshotId, operation, nowMs, store },
        },
      )
      return withManifest(current, manifest, nowMs)
    },
  }
}

const sum = (numbers: Iterable<number>): number => {
  let total = 0
  for (const number of numbers) total += number
  return total
}
