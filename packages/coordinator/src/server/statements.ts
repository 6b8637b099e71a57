import { unreachable } from '@nyala/client/base'
import { positionAt, SqlError } from '@nyala/client/protocol'
import { bindParameters } from '../bind/parameters.ts'
import { parseSetting, settingOf } from '../bind/settings.ts'
import { didYouMean } from '../bind/nearest.ts'
import type {
  CreateViewStatement,
  DescribeQueryStatement,
  ExplainStatement,
  PlainStatement,
  QueryStatement,
  Statement,
} from '../sql/statement.ts'
import { checkDistinct } from '../table/external-table.ts'
import { computeStats } from './compute-stats.ts'
import { planText, profileText } from './profile.ts'
import { Queries } from './query-statement.ts'
import { type LocalResult, text } from './rows-to-arrow.ts'
import type { Services } from './services.ts'
import { Listings } from './show.ts'
import type { StatementContext, StatementOutcome } from './statement-context.ts'
import { TableVerbs } from './table-verbs.ts'

/** Tables that INVALIDATE METADATA lists again at the same time. */
const REFRESHES_AT_ONCE = 4

/** Runs any statement of the language; what each kind does is found from here. */
export class Statements {
  readonly #services: Services
  readonly #queries: Queries
  readonly #tables: TableVerbs
  readonly #listings: Listings

  constructor(services: Services) {
    this.#services = services
    this.#queries = new Queries(services)
    this.#tables = new TableVerbs(services)
    this.#listings = new Listings(services, this.#tables)
  }

  async run(context: StatementContext): Promise<StatementOutcome> {
    const bound = bindParameters(context.sql, context.parameters, context.settings.dialect)
    const inner = { ...context, sql: bound.sql }
    try {
      const cached = this.#queries.cachedPlan(bound.sql, inner)
      if (cached !== undefined) return await this.#queries.run(cached, inner)
      const statement = await this.#services.frontEnd.parse(bound.sql, {
        dialect: context.settings.dialect,
      })
      return await this.#dispatch(statement, inner)
    } catch (error) {
      throw bound.relocate(error)
    }
  }

  #dispatch(statement: Statement, context: StatementContext): Promise<StatementOutcome> {
    switch (statement.kind) {
      case 'query':
        return this.#query(statement, context)
      case 'explain':
        return this.#explain(statement, context)
      case 'describeQuery':
        return this.#describeQuery(statement, context)
      case 'createView':
        return this.#createView(statement, context)
      default:
        return this.#plain(statement, context)
    }
  }

  async #query(statement: QueryStatement, context: StatementContext): Promise<StatementOutcome> {
    const planned = await this.#queries.plan(statement, context, context.sql)
    return this.#queries.run(planned, context)
  }

  async #explain(
    statement: ExplainStatement,
    context: StatementContext,
  ): Promise<StatementOutcome> {
    const planned = await this.#queries.plan(statement, context, undefined)
    const lines = [...planText(planned.plan, statement.verbose)]
    if (!statement.analyze) return local(linesResult('EXPLAIN', lines))
    const profile = await this.#queries.analyze(planned, context)
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
  ): Promise<StatementOutcome> {
    const target = this.#tables.target(statement.view, context)
    const { columns: found } = await this.#queries.bind(statement, context)
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
    const { catalog } = this.#services
    const done = statement.orReplace
      ? await catalog.replaceView(view, { signal: context.signal })
      : await catalog.createRelation(view, {
          ifNotExists: statement.ifNotExists,
          signal: context.signal,
        })
    if (!done.created && !statement.orReplace) {
      context.notices.push(`relation "${target.name}" already exists, skipping`)
    }
    return { command: 'CREATE VIEW', revision: done.revision }
  }

  async #plain(statement: PlainStatement, context: StatementContext): Promise<StatementOutcome> {
    const { catalog } = this.#services
    const { signal } = context
    switch (statement.kind) {
      case 'createDatabase': {
        const { database, ifNotExists, comment, location } = statement
        const done = await catalog.createDatabase(
          {
            name: database.name,
            ...(comment === undefined ? {} : { comment }),
            ...(location === undefined ? {} : { location }),
          },
          { ifNotExists, signal },
        )
        if (!done.created)
          context.notices.push(`database "${database.name}" already exists, skipping`)
        return { command: 'CREATE DATABASE', revision: done.revision }
      }
      case 'dropDatabase': {
        const { database, ifExists, cascade } = statement
        const done = await catalog.dropDatabase(database.name, { ifExists, cascade, signal })
        if (done.dropped === undefined)
          context.notices.push(`database "${database.name}" does not exist, skipping`)
        return { command: 'DROP DATABASE', revision: done.revision }
      }
      case 'use':
        return this.#use(statement.database, context)
      case 'describeDatabase':
        return local(this.#listings.describeDatabase(statement.database.name, context))
      case 'createExternalTable':
        return this.#tables.create(statement, context)
      case 'dropTable':
      case 'dropView': {
        const name = statement.kind === 'dropTable' ? statement.table : statement.view
        const expect = statement.kind === 'dropTable' ? 'table' : 'view'
        const target = this.#tables.target(name, context)
        const done = await catalog.dropRelation(target, {
          expect,
          ifExists: statement.ifExists,
          signal,
        })
        if (done.dropped === undefined)
          context.notices.push(`${expect} "${name.name}" does not exist, skipping`)
        return { command: `DROP ${expect.toUpperCase()}`, revision: done.revision }
      }
      case 'renameTable':
      case 'renameView': {
        const kind = statement.kind === 'renameTable' ? 'table' : 'view'
        const from = this.#tables.target(
          statement.kind === 'renameTable' ? statement.table : statement.view,
          context,
        )
        const to = { database: statement.to.database ?? from.database, name: statement.to.name }
        const done = await catalog.renameRelation(from, to, { expect: kind, signal })
        return { command: `ALTER ${kind.toUpperCase()}`, revision: done.revision }
      }
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
      case 'dropStats': {
        const { database, name } = this.#tables.table(statement.table, context)
        const done = await catalog.updateTable(
          { database, name },
          (t) => ({ ...t, statistics: null }),
          { signal },
        )
        return { command: 'DROP STATS', revision: done.revision }
      }
      case 'showDatabases':
      case 'showTables':
      case 'showViews':
      case 'showFunctions':
        return local(await this.#listings.show(statement, context))
      case 'showCreateTable':
      case 'showCreateView':
      case 'showPartitions':
      case 'showTableStats':
      case 'showColumnStats':
      case 'showColumns':
        return local(await this.#listings.object(statement, context))
      case 'showFiles':
        return local(await this.#listings.files(statement, context))
      case 'describeTable':
        return local(await this.#listings.describe(statement, context))
      case 'set': {
        const { name } = settingOf(statement.name)
        const value = parseSetting(name, statement.value)
        return { command: 'SET', settings: { ...context.session.settings, [name]: value } }
      }
      case 'reset': {
        if (statement.name === undefined) return { command: 'RESET', settings: {} }
        const { name } = settingOf(statement.name)
        const rest = Object.entries(context.session.settings).filter(
          ([key]) => key.toLowerCase() !== name,
        )
        return { command: 'RESET', settings: Object.fromEntries(rest) }
      }
      case 'showSettings':
        return local(this.#listings.settings(context))
      case 'showSetting':
        return local(this.#listings.setting(statement.name, context))
      default:
        return unreachable(statement)
    }
  }

  #use(
    database: { readonly name: string; readonly at: number },
    context: StatementContext,
  ): Promise<StatementOutcome> {
    const found = context.catalog.database(database.name)
    if (found === undefined) {
      const names = context.catalog.databases().map((d) => d.record.name)
      throw new SqlError('undefined_database', `database "${database.name}" does not exist`, {
        position: positionAt(context.sql, database.at),
        hint: didYouMean(database.name, names) ?? 'SHOW DATABASES lists them',
      })
    }
    return Promise.resolve({ command: 'USE', database: found.record.name })
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
