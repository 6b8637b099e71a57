import { SqlError } from '@nyala/client/protocol'
import { type ColumnRecord, foldName, type TableRecord } from '@nyala/metastore'
import type { IcebergStore } from '../iceberg/iceberg-store.ts'
import { currentSchema, type TableMetadata } from '../iceberg/metadata.ts'
import { columnOf, evolveSchema, type SchemaChange } from '../iceberg/schema-evolution.ts'
import { isForgetful, withFormerFile } from '../iceberg/snapshot.ts'
import { toUri } from '../iceberg/table-files.ts'
import { type IcebergField, type NewColumn, sqlTypeOf } from '../iceberg/types.ts'
import { typeText } from '../sql/sql-types.ts'
import type { StatementContext, StatementOutcome } from '../server/statement-context.ts'
import type { AlterTable, ColumnDefinition, TableAlteration } from '../sql/statement.ts'
import { parseType } from '../sql/type-text.ts'
import { storableColumns } from './new-table.ts'
import type { StagedHead } from './change.ts'
import { stageMetadata } from './table-change.ts'
import type { WriteRuns } from './write-run.ts'

/** Properties that say what the files are, and are not for a statement to say. */
const OWN_PROPERTY = /^(?:write\.format\.default|format-version)$/i

/**
 * The metadata of a table as ALTER TABLE leaves it; the same where there is nothing to do. Pure but for `notices`. Fails
 * with `undefined_column`, `duplicate_column`, `invalid_parameter_value` or `feature_not_supported`.
 */
export function alteredMetadata(
  metadata: TableMetadata,
  alteration: TableAlteration,
  notices: string[],
): TableMetadata {
  switch (alteration.kind) {
    case 'setProperties':
      return withProperties(metadata, new Map(alteration.properties.map((p) => [p.key, p.value])))
    case 'unsetProperties':
      return withProperties(metadata, new Map(alteration.keys.map((key) => [key, undefined])))
    case 'comment':
      return withProperties(metadata, new Map([['comment', alteration.text]]))
    default:
      return evolveSchema(
        metadata,
        schemaChanges(currentSchema(metadata).fields, alteration, notices),
      )
  }
}

function withProperties(
  metadata: TableMetadata,
  changes: ReadonlyMap<string, string | undefined>,
): TableMetadata {
  const properties = new Map(Object.entries(metadata.properties ?? {}))
  for (const [key, value] of changes) {
    if (OWN_PROPERTY.test(key)) {
      throw new SqlError('invalid_parameter_value', `the property "${key}" cannot be changed`)
    }
    if (value === undefined) properties.delete(key)
    else properties.set(key, value)
  }
  return { ...metadata, properties: Object.fromEntries(properties) }
}

type ColumnAlteration = Exclude<
  TableAlteration,
  { readonly kind: 'setProperties' | 'unsetProperties' | 'comment' }
>

function schemaChanges(
  fields: readonly IcebergField[],
  alteration: ColumnAlteration,
  notices: string[],
): readonly SchemaChange[] {
  const has = (name: string): boolean => fields.some((f) => foldName(f.name) === foldName(name))
  const skip = (name: string, what: string): void => {
    notices.push(`column "${name}" ${what}, skipping`)
  }
  switch (alteration.kind) {
    case 'add': {
      const { ifNotExists } = alteration
      const wanted = alteration.columns.filter(({ name }) => {
        const isThere = ifNotExists && has(name)
        if (isThere) skip(name, 'exists already')
        return !isThere
      })
      return [{ kind: 'add', columns: newColumns(wanted, notices) }]
    }
    case 'drop':
      return alteration.columns.flatMap((column): readonly SchemaChange[] => {
        if (!alteration.ifExists || has(column)) return [{ kind: 'drop', column }]
        skip(column, 'does not exist')
        return []
      })
    case 'rename': {
      const { column, to, ifExists } = alteration
      if (!ifExists || has(column)) return [{ kind: 'rename', column, to }]
      skip(column, 'does not exist')
      return []
    }
    case 'retype':
      return [{ kind: 'retype', column: alteration.column, type: alteration.type }]
    case 'dropNotNull':
      return [{ kind: 'nullable', column: alteration.column }]
    case 'columnComment':
      return [{ kind: 'comment', column: alteration.column, text: alteration.text }]
    case 'change': {
      const { column, to } = alteration
      const [kept = to] = newColumns([to], notices)
      const before = columnOf(fields, column)
      const comment = to.comment ?? before.doc
      return [
        { kind: 'rename', column, to: to.name },
        { kind: 'retype', column: to.name, type: kept.type },
        { kind: 'comment', column: to.name, text: comment === '' ? undefined : comment },
      ]
    }
  }
}

/** Columns as they can be kept, with a notice where that is another type. */
const newColumns = (
  columns: readonly ColumnDefinition[],
  notices: string[],
): readonly NewColumn[] =>
  storableColumns(columns, notices).map((column) => ({ ...column, type: parseType(column.type) }))

/** The columns of the head that stands for this metadata. */
export const columnRecords = (metadata: TableMetadata): readonly ColumnRecord[] =>
  currentSchema(metadata).fields.map(({ name, type, doc, required }) => ({
    name,
    type: typeText(sqlTypeOf(type)),
    ...(doc === undefined ? {} : { comment: doc }),
    ...(required ? { notNull: true } : {}),
  }))

/** ALTER TABLE of a managed table: its metadata alone is written anew. */
export function alterTable(
  {
    statement,
    table,
    context,
  }: {
    readonly statement: AlterTable
    readonly table: TableRecord
    readonly context: StatementContext
  },
  runs: WriteRuns,
  store: IcebergStore,
): Promise<StatementOutcome> {
  const { alteration } = statement
  const command = 'ALTER TABLE'
  return runs.once(context, async (identity) => {
    const before = await store.metadata(table)
    // What is wrong with it, and what is to be said of it, is told once, however often the commit is tried.
    if (alteredMetadata(before, alteration, context.notices) === before) return { command }
    const request = { identity, context, command, locations: [table.location] }
    return runs.staged(request, (write) => {
      const change = { kind: 'schema' } as const
      const apply = (current: TableRecord, attempt: number): Promise<StagedHead> =>
        stageAlteration(current, alteration, {
          store,
          name: `${write.id}-${attempt}`,
          nowMs: runs.clock.wall(),
        })
      return write.update({ base: table, change, apply }, { rows: null })
    })
  })
}

/** Stages the metadata of a table as ALTER TABLE leaves it; the head that names it. */
async function stageAlteration(
  current: TableRecord,
  alteration: TableAlteration,
  options: {
    readonly store: IcebergStore
    readonly name: string
    readonly nowMs: number
  },
): Promise<StagedHead> {
  const before = await options.store.metadata(current)
  const changed = alteredMetadata(before, alteration, [])
  const isOther = changed['current-schema-id'] !== before['current-schema-id']
  const file = current.manifest === null ? undefined : toUri(current.manifest.path)
  const next = withFormerFile(changed, file, options.nowMs)
  const manifest = await stageMetadata(current.location, next, options.name)
  const { comment: _, ...rest } = current
  const comment = changed.properties?.['comment']
  const record = {
    ...rest,
    ...(comment === undefined ? {} : { comment }),
    columns: columnRecords(changed),
    schemaVersion: current.schemaVersion + (isOther ? 1 : 0),
    manifest,
  }
  return { record, forgets: isForgetful(before, next) }
}
