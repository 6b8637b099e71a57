import { SqlError } from '@nyala/client/protocol'
import type { TableRecord } from '@nyala/metastore'
import { TARGET_SCHEMA, type TableVersion } from '../bind/resolve.ts'
import { PLACE_COLUMNS } from '../plan/scan.ts'
import type { StatementContext } from '../server/statement-context.ts'
import type { TableVerbs } from '../server/table-verbs.ts'
import { quoteIdentifier } from '../sql/escape.ts'
import type { ObjectName } from '../sql/statement.ts'

/**
 * A managed table as the statement's own query reads it, which may be older than the newest: a change of rows that it has
 * not seen must be found out at the commit. Fails with `undefined_table`, and where its files are not ours to change.
 */
export function managedTable(
  tables: TableVerbs,
  name: ObjectName,
  context: StatementContext,
): TableRecord {
  const newest = tables.table(name, context)
  const target = tables.target(name, context)
  const read = context.catalog.relation(target.database, target.name)?.record
  const table = read === undefined || read.kind === 'view' ? newest : read
  if (table.kind === 'managed') return table
  throw new SqlError(
    'feature_not_supported',
    `table "${table.name}" is external: its files are written by other programs`,
    { hint: 'make a managed table with CREATE TABLE, and insert into that' },
  )
}

/** The names in `$target` of some files of a table, and of all of them. */
export const PART = `${quoteIdentifier(TARGET_SCHEMA)}."part"`
export const WHOLE = `${quoteIdentifier(TARGET_SCHEMA)}."whole"`

/** The context of a query of ours in which `$target` has these files of a table, with the places of their rows. */
export function withTarget(
  context: StatementContext,
  table: TableRecord,
  files?: ReadonlySet<string>,
): StatementContext {
  const columns = [...table.columns, ...PLACE_COLUMNS]
  const target: TableVersion = { table: { ...table, columns }, files, places: true }
  const whole = { ...target, files: undefined }
  return {
    ...context,
    targets: new Map([
      ['part', target],
      ['whole', whole],
    ]),
  }
}
