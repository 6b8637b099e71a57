import { positionAt, SqlError } from '@nyala/client/protocol'
import { planCreateDatabase, planDropRelation, planRenameRelation } from '@nyala/metastore'
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
import { changeCatalog } from '../write/catalog-change.ts'
import type { Services } from './services.ts'
import type { StatementContext, StatementOutcome } from './statement-context.ts'
import type { TableVerbs } from './table-verbs.ts'

/**
 * Statements that only change what the catalog or the session says; each change is one guarded write, done once by its
 * statement's id.
 */
export class CatalogVerbs {
  readonly #services: Pick<Services, 'writes'>
  readonly #tables: Pick<TableVerbs, 'target'>

  constructor(services: Pick<Services, 'writes'>, tables: Pick<TableVerbs, 'target'>) {
    this.#services = services
    this.#tables = tables
  }

  createDatabase(
    { database, ifNotExists, comment, location }: CreateDatabase,
    context: StatementContext,
  ): Promise<StatementOutcome> {
    const wanted = {
      name: database.name,
      ...(comment === undefined ? {} : { comment }),
      ...(location === undefined ? {} : { location }),
    }
    return changeCatalog({
      ...{ runs: this.#services.writes, context, command: 'CREATE DATABASE' },
      plan: (plan) => planCreateDatabase(plan, wanted, { ifNotExists }),
      notice: ({ created }) =>
        created ? undefined : `database "${database.name}" already exists, skipping`,
    })
  }

  /** A database that was made a moment ago may not have been seen here: etcd is asked before one is said to be missing. */
  async use({ database }: UseDatabase, context: StatementContext): Promise<StatementOutcome> {
    const { name } = database
    const seen = context.catalog.database(name)
    const catalog = seen === undefined ? await context.newest() : context.catalog
    const found = catalog.database(name)
    if (found !== undefined) return { command: 'USE', database: found.record.name }
    const names = catalog.databases().map((d) => d.record.name)
    throw new SqlError('undefined_database', `database "${database.name}" does not exist`, {
      position: positionAt(context.sql, database.at),
      hint: didYouMean(database.name, names) ?? 'SHOW DATABASES lists them',
    })
  }

  dropView({ view, ifExists }: DropView, context: StatementContext): Promise<StatementOutcome> {
    const target = this.#tables.target(view, context)
    return changeCatalog({
      ...{ runs: this.#services.writes, context, command: 'DROP VIEW' },
      plan: (plan) => planDropRelation(plan, target, { expect: 'view', ifExists }),
      notice: ({ dropped }) =>
        dropped === undefined ? `view "${view.name}" does not exist, skipping` : undefined,
    })
  }

  rename(
    statement: RenameTable | RenameView,
    context: StatementContext,
  ): Promise<StatementOutcome> {
    const [name, expect] =
      statement.kind === 'renameTable'
        ? ([statement.table, 'table'] as const)
        : ([statement.view, 'view'] as const)
    const from = this.#tables.target(name, context)
    const to = { database: statement.to.database ?? from.database, name: statement.to.name }
    return changeCatalog({
      ...{ runs: this.#services.writes, context, command: `ALTER ${expect.toUpperCase()}` },
      plan: (plan) => planRenameRelation(plan, from, to, { expect }),
    })
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
