import { unreachable } from '@nyala/client/base'
import { positionAt, SqlError } from '@nyala/client/protocol'
import { planCreateRelation, type PlanContext, planReplaceView } from '@nyala/metastore'
import { bindParameters } from '../bind/parameters.ts'
import { readsCatalog } from '../bind/resolve.ts'
import type {
  CreateViewStatement,
  DescribeQueryStatement,
  ExplainStatement,
  PlainStatement,
  QueryBody,
  QueryStatement,
  Statement,
} from '../sql/statement.ts'
import { checkDistinct } from '../table/external-table.ts'
import { CatalogVerbs, resetSetting, setSetting } from './catalog-verbs.ts'
import { computeStats } from './compute-stats.ts'
import { planText } from './plan-text.ts'
import { profileText } from './profile.ts'
import { type PlannedQuery, Queries } from './query-statement.ts'
import { type LocalResult, text } from './rows-to-arrow.ts'
import type { Services } from './services.ts'
import { Listings } from './show.ts'
import { AppendStatement } from '../write/append-statement.ts'
import { isPerhapsBlind } from './read-consistency.ts'
import { killQuery, showQueries } from './show-queries.ts'
import type { StatementContext, StatementOutcome } from './statement-context.ts'
import { executeChange } from '../write/catalog-change.ts'
import type { StatementIdentity } from '../write/committer.ts'
import { checkInTransaction } from '../txn/statements.ts'
import { TableVerbs } from './table-verbs.ts'
import { WorkAhead } from './work-ahead.ts'
import { Maintenance } from '../write/maintenance.ts'
import { Merges } from '../write/merges.ts'
import { RowChanges } from '../write/row-changes.ts'
import { Writes } from '../write/writes.ts'

/** What of the plain statements is left for {@link Listings}. */
type ListingStatement = Extract<
  PlainStatement,
  { readonly kind: `show${string}` | `describe${'Database' | 'Table'}` }
>

interface KeptPlan {
  readonly planned?: PlannedQuery | undefined
  /** With the snapshot that is read, as far as that is known. */
  readonly context: StatementContext
}

const UNSEEN: ReadonlySet<string> = new Set(['undefined_table', 'undefined_database'])

/** Texts that probably read a table: of these etcd is asked before they are read. */
const NAMES_TABLES = /\bfrom\b/i

/**
 * Statements that read nothing of what others have written: they are about the session or the running queries, or what they
 * change is decided by a compare. USE looks for what it does not find by itself.
 */
const OF_NO_SNAPSHOT: ReadonlySet<Statement['kind']> = new Set<Statement['kind']>([
  ...(['set', 'reset', 'showSetting', 'showSettings', 'use', 'commit', 'rollback'] as const),
  ...(['showQueries', 'killQuery', 'showFunctions'] as const),
])

/** Tables that INVALIDATE METADATA lists again at the same time. */
const REFRESHES_AT_ONCE = 4

/** Runs any statement of the language; what each kind does is found from here. */
export class Statements {
  readonly #services: Services
  readonly #queries: Queries
  readonly #tables: TableVerbs
  readonly #append: AppendStatement
  readonly #catalog: CatalogVerbs
  readonly #listings: Listings
  readonly #writes: Writes
  readonly #rowChanges: RowChanges
  readonly #merges: Merges
  readonly #maintenance: Maintenance
  readonly #ahead = new WorkAhead()

  constructor(services: Services) {
    this.#services = services
    this.#queries = new Queries(services)
    this.#tables = new TableVerbs(services)
    this.#append = new AppendStatement(services, this.#tables)
    this.#catalog = new CatalogVerbs(services, this.#tables)
    this.#listings = new Listings(services, this.#tables)
    const parts = { tables: this.#tables, queries: this.#queries }
    this.#writes = new Writes(services, parts)
    this.#rowChanges = new RowChanges(services, parts)
    this.#merges = new Merges(services, parts)
    this.#maintenance = new Maintenance(services, parts)
  }

  async run(context: StatementContext): Promise<StatementOutcome> {
    const bound = bindParameters(context.sql, context.parameters, context.settings.dialect)
    let inner = { ...context, sql: bound.sql }
    try {
      const isInTransaction = inner.transaction.current !== undefined
      if (isPerhapsBlind(context.sql)) {
        const appended = isInTransaction ? undefined : await this.#appendRows(inner)
        if (appended !== undefined) return appended
        inner = { ...inner, catalog: await context.newest() }
      }
      const kept: KeptPlan = isInTransaction ? { context: inner } : await this.#keptPlan(inner)
      if (kept.planned !== undefined) return await this.#queries.run(kept.planned, kept.context)
      const statement = await this.#services.frontEnd.parse(bound.sql, {
        dialect: context.settings.dialect,
      })
      return await this.#dispatch(statement, kept.context)
    } catch (error) {
      throw bound.relocate(error)
    }
  }

  /** The plan of an earlier statement of the same text, if any. One that reads tables is of the newest snapshot. */
  async #keptPlan(context: StatementContext): Promise<KeptPlan> {
    const planned = this.#queries.cachedPlan(context.sql, context)
    if (planned?.readsCatalog === false) return { planned, context }
    if (planned === undefined) {
      if (NAMES_TABLES.test(context.sql)) context.askNewest()
      return { context }
    }
    const catalog = await context.newest()
    if (catalog === context.catalog) return { planned, context }
    const inner = { ...context, catalog }
    return { planned: this.#queries.cachedPlan(context.sql, inner), context: inner }
  }

  async #dispatch(statement: Statement, context: StatementContext): Promise<StatementOutcome> {
    checkInTransaction(statement, context)
    if (statement.kind === 'query') return this.#query(statement, context)
    if (statement.kind === 'explain') return this.#explain(statement, context)
    if (OF_NO_SNAPSHOT.has(statement.kind)) return this.#onSnapshot(statement, context)
    return this.#onSnapshot(statement, { ...context, catalog: await context.newest() })
  }

  async #onSnapshot(
    statement: Exclude<Statement, { readonly kind: 'query' | 'explain' }>,
    context: StatementContext,
  ): Promise<StatementOutcome> {
    switch (statement.kind) {
      case 'describeQuery':
        return this.#describeQuery(statement, context)
      case 'createView':
        return this.#services.writes.once(context, (identity) =>
          this.#createView(statement, context, identity),
        )
      case 'createTableAs':
        return this.#writes.createTableAs(statement, context)
      case 'insert':
        try {
          return await this.#writes.insert(statement, context)
        } catch (error) {
          const located = await this.#append.located(error, context)
          throw await this.#writes.withRow(located, statement, context)
        }
      case 'delete':
      case 'update':
        return this.#rowChanges.run(statement, context)
      case 'merge':
        return this.#merges.run(statement, context)
      default:
        return this.#plain(statement, context)
    }
  }

  /** What came of a few literal rows; undefined where the statement is another one. */
  async #appendRows(context: StatementContext): Promise<StatementOutcome | undefined> {
    const { dialect } = context.settings
    const insert = this.#services.frontEnd.literalInsert(context.sql, { dialect })
    if (insert === undefined) return undefined
    try {
      return await this.#append.insert(insert, context)
    } catch (error) {
      // The table may be newer than what this coordinator has seen.
      if (error instanceof SqlError && UNSEEN.has(error.error)) return undefined
      throw error
    }
  }

  async #query(statement: QueryStatement, context: StatementContext): Promise<StatementOutcome> {
    const keptAs = context.transaction.current === undefined ? context.sql : undefined
    const { planned, context: read } = await this.#plan(statement, context, keptAs)
    return this.#queries.run(planned, read)
  }

  /** The plan of a query on the newest snapshot, or on the one at hand where the catalog has no part in it. */
  async #plan(
    body: QueryBody,
    context: StatementContext,
    keptAs: string | undefined,
  ): Promise<{ readonly planned: PlannedQuery; readonly context: StatementContext }> {
    const plan = (inner: StatementContext): Promise<PlannedQuery> =>
      this.#queries.plan(body, inner, keptAs)
    if (!readsCatalog(body.query)) return { planned: await plan(context), context }
    const { value, context: read } = await this.#ahead.run(context, plan)
    return { planned: value, context: read }
  }

  async #explain(
    statement: ExplainStatement,
    context: StatementContext,
  ): Promise<StatementOutcome> {
    const { planned, context: read } = await this.#plan(statement, context, undefined)
    const lines = [...planText(planned.plan, statement.verbose)]
    if (!statement.analyze) {
      const statistics = { planMs: planned.planMs }
      return { ...local(linesResult('EXPLAIN', lines)), statistics }
    }
    const profile = await this.#queries.analyze(planned, read)
    return { ...local(linesResult('EXPLAIN', [...lines, '', ...profileText(profile)])), profile }
  }

  async #describeQuery(
    statement: DescribeQueryStatement,
    context: StatementContext,
  ): Promise<StatementOutcome> {
    const { columns } = await this.#queries.bind(statement, context)
    if (columns === undefined) {
      throw new SqlError(
        'feature_not_supported',
        'the columns of a query over files are only known by running it',
        {
          hint: 'run it with LIMIT 0, or make a table of the files',
        },
      )
    }
    return local({
      command: 'DESCRIBE',
      columns: [text('name'), text('type')],
      rows: columns.map((c) => [c.name, c.type]),
    })
  }

  async #createView(
    statement: CreateViewStatement,
    context: StatementContext,
    identity: StatementIdentity,
  ): Promise<StatementOutcome> {
    const target = this.#tables.target(statement.view, context)
    const { columns: found, views } = await this.#queries.bind(statement, context)
    const replaced = context.catalog.relation(target.database, target.name)?.record
    if (replaced !== undefined && views.has(replaced.id)) {
      throw new SqlError(
        'feature_not_supported',
        `view "${target.database}.${target.name}" refers to itself`,
        { position: positionAt(context.sql, statement.view.at) },
      )
    }
    if (found === undefined) {
      throw new SqlError('feature_not_supported', 'a view cannot read files that are no table', {
        hint: 'make an external table of the files first',
      })
    }
    if (statement.columns.length > 0 && statement.columns.length !== found.length) {
      throw new SqlError(
        'syntax_error',
        `the view names ${statement.columns.length} columns, its query has ${found.length}`,
        {
          position: positionAt(context.sql, statement.view.at),
        },
      )
    }
    const columns = found.map((c, i) => ({
      name: statement.columns[i]?.name ?? c.name,
      type: c.type,
    }))
    checkDistinct(columns)
    const view = {
      kind: 'view' as const,
      ...target,
      ...(statement.comment === undefined ? {} : { comment: statement.comment }),
      sql: statement.text,
      sessionDatabase: context.session.database,
      dialect: context.settings.dialect,
      columns,
    }
    const { orReplace, ifNotExists } = statement
    const change = {
      ...{ runs: this.#services.writes, context, command: 'CREATE VIEW' },
      plan: (plan: PlanContext) =>
        orReplace ? planReplaceView(plan, view) : planCreateRelation(plan, view, { ifNotExists }),
      notice: ({ created }: { readonly created: boolean }) =>
        created || orReplace ? undefined : `relation "${target.name}" already exists, skipping`,
    }
    return executeChange(change, identity)
  }

  async #plain(statement: PlainStatement, context: StatementContext): Promise<StatementOutcome> {
    switch (statement.kind) {
      case 'begin':
      case 'commit':
      case 'rollback':
        return this.#services.transactions.run(statement, context)
      case 'createDatabase':
        return this.#catalog.createDatabase(statement, context)
      case 'dropDatabase':
        return this.#writes.dropDatabase(statement, context)
      case 'createTable':
        return this.#writes.createTable(statement, context)
      case 'createTableLike':
        return this.#writes.createTableLike(statement, context)
      case 'executeProcedure':
        return this.#maintenance.run(statement, context)
      case 'alterTable':
        return this.#writes.alterTable(statement, context)
      case 'truncate':
        return this.#writes.truncate(statement, context)
      case 'describeHistory':
        return local(await this.#writes.history(statement, context))
      case 'use':
        return this.#catalog.use(statement, context)
      case 'dropTable':
        return this.#writes.dropTable(statement, context)
      case 'dropView':
        return this.#catalog.dropView(statement, context)
      case 'renameTable':
      case 'renameView':
        return this.#catalog.rename(statement, context)
      case 'createExternalTable':
        return this.#tables.create(statement, context)
      case 'recoverPartitions':
        return this.#tables.refresh(statement.table, context, 'ALTER TABLE')
      case 'refresh':
        return this.#tables.refresh(statement.table, context, 'REFRESH')
      case 'invalidateMetadata':
        return this.#invalidate(statement.table, context)
      case 'computeStats':
        return computeStats(statement, context, {
          services: this.#services,
          tables: this.#tables,
          queries: this.#queries,
        })
      case 'dropStats':
        return this.#tables.dropStatistics(statement.table, context)
      case 'set':
        return setSetting(statement, context)
      case 'reset':
        return resetSetting(statement, context)
      case 'killQuery':
        return killQuery(statement, context, this.#services)
      default:
        return local(await this.#list(statement, context))
    }
  }

  /** Statements that only tell what is there. */
  async #list(statement: ListingStatement, context: StatementContext): Promise<LocalResult> {
    switch (statement.kind) {
      case 'describeDatabase':
        return this.#listings.describeDatabase(statement.database.name, context)
      case 'describeTable':
        return this.#listings.describe(statement, context)
      case 'showDatabases':
      case 'showTables':
      case 'showViews':
      case 'showFunctions':
        return this.#listings.show(statement, context)
      case 'showCreateTable':
      case 'showCreateView':
      case 'showPartitions':
      case 'showTableStats':
      case 'showColumnStats':
      case 'showColumns':
        return this.#listings.object(statement, context)
      case 'showFiles':
        return this.#listings.files(statement, context)
      case 'showSettings':
        return this.#listings.settings(context)
      case 'showQueries':
        return showQueries(this.#services)
      case 'showSetting':
        return this.#listings.setting(statement.name, context)
      default:
        return unreachable(statement)
    }
  }

  /** With a table it is REFRESH; without one, REFRESH of every table there is. */
  async #invalidate(
    name: Parameters<TableVerbs['refresh']>[0] | undefined,
    context: StatementContext,
  ): Promise<StatementOutcome> {
    const command = 'INVALIDATE METADATA'
    if (name !== undefined) return this.#tables.refresh(name, context, command)
    const all = context.catalog.databases().flatMap(({ record }) =>
      context.catalog
        .relations(record.name)
        .filter((r) => r.record.kind === 'external')
        .map((r) => ({ database: r.record.database, name: r.record.name, at: 0 })),
    )
    let revision = context.catalog.revision
    for (let first = 0; first < all.length; first += REFRESHES_AT_ONCE) {
      const part = all.slice(first, first + REFRESHES_AT_ONCE)
      const done = await Promise.allSettled(
        part.map((t) => this.#tables.refresh(t, context, command)),
      )
      context.signal.throwIfAborted()
      done.forEach((result, i) => {
        if (result.status === 'fulfilled') revision = Math.max(revision, result.value.revision ?? 0)
        else
          context.notices.push(
            `table ${part[i]?.database}.${part[i]?.name}: ${String((result.reason as Error).message)}`,
          )
      })
    }
    return { command, revision }
  }
}

const local = (result: LocalResult): StatementOutcome => ({
  command: result.command,
  local: result,
})

const linesResult = (command: string, lines: readonly string[]): LocalResult => ({
  command,
  columns: [text('plan')],
  rows: lines.map((line) => [line]),
})
