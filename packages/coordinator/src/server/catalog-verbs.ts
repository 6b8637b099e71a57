import { positionAt, SqlError } from '@nyala/client/protocol'
import { didYouMean } from '../bind/nearest.ts'
import { parseSetting, settingOf } from '../bind/settings.ts'
import type {
  CreateDatabase,
  DropView,
  RenameTable,
  RenameView,
  ResetSetting,
  SetSetting,
  UseDatabase,
} from '../sql/statement.ts'
import type { Services } from './services.ts'
import type { StatementContext, StatementOutcome } from './statement-context.ts'
import type { TableVerbs } from './table-verbs.ts'

/** Statements that only change what the catalog or the session says; each change is one guarded write. */
export class CatalogVerbs {
  readonly #services: Services
  readonly #tables: TableVerbs

  constructor(services: Services, tables: TableVerbs) {
    this.#services = services
    this.#tables = tables
  }

  async createDatabase(
    { database, ifNotExists, comment, location }: CreateDatabase,
    context: StatementContext,
  ): Promise<StatementOutcome> {
    const done = await this.#services.catalog.createDatabase(
      {
        name: database.name,
        ...(comment === undefined ? {} : { comment }),
        ...(location === undefined ? {} : { location }),
      },
      { ifNotExists, signal: context.signal },
    )
    if (!done.created) context.notices.push(`database "${database.name}" already exists, skipping`)
    return { command: 'CREATE DATABASE', revision: done.revision }
  }

  use({ database }: UseDatabase, context: StatementContext): StatementOutcome {
    const found = context.catalog.database(database.name)
    if (found !== undefined) return { command: 'USE', database: found.record.name }
    const names = context.catalog.databases().map((d) => d.record.name)
    throw new SqlError('undefined_database', `database "${database.name}" does not exist`, {
      position: positionAt(context.sql, database.at),
      hint: didYouMean(database.name, names) ?? 'SHOW DATABASES lists them',
    })
  }

  async dropView(
    { view, ifExists }: DropView,
    context: StatementContext,
  ): Promise<StatementOutcome> {
    const done = await this.#services.catalog.dropRelation(this.#tables.target(view, context), {
      expect: 'view',
      ifExists,
      signal: context.signal,
    })
    if (done.dropped === undefined) {
      context.notices.push(`view "${view.name}" does not exist, skipping`)
    }
    return { command: 'DROP VIEW', revision: done.revision }
  }

  async rename(
    statement: RenameTable | RenameView,
    context: StatementContext,
  ): Promise<StatementOutcome> {
    const [name, expect] =
      statement.kind === 'renameTable'
        ? ([statement.table, 'table'] as const)
        : ([statement.view, 'view'] as const)
    const from = this.#tables.target(name, context)
    const to = { database: statement.to.database ?? from.database, name: statement.to.name }
    const options = { expect, signal: context.signal }
    const done = await this.#services.catalog.renameRelation(from, to, options)
    return { command: `ALTER ${expect.toUpperCase()}`, revision: done.revision }
  }
}

/** SET: the session's settings with one of them changed. */
export function setSetting(statement: SetSetting, context: StatementContext): StatementOutcome {
  const { name } = settingOf(statement.name)
  const value = parseSetting(name, statement.value)
  return { command: 'SET', settings: { ...context.session.settings, [name]: value } }
}

/** RESET of one setting, or of all. */
export function resetSetting(statement: ResetSetting, context: StatementContext): StatementOutcome {
  if (statement.name === undefined) return { command: 'RESET', settings: {} }
  const { name } = settingOf(statement.name)
  const rest = Object.entries(context.session.settings).filter(([key]) => key !== name)
  return { command: 'RESET', settings: Object.fromEntries(rest) }
}
