import type { Abortable, Catalog, Committed } from '../catalog.ts'
import {
  type NewDatabase,
  type NewRelation,
  type NewView,
  planCreateDatabase,
  planCreateRelation,
  planDropDatabase,
  planDropRelation,
  planRenameRelation,
  planReplaceView,
  type RelationKind,
  type RelationName,
} from '../catalog-plan.ts'
import type { DatabaseRecord, RelationRecord } from '../records.ts'

// The verbs of the catalog by themselves, for tests: statements execute the same plans together with their outcome.

/** Fails with `duplicate_database`. */
export function createDatabase(
  catalog: Catalog,
  database: NewDatabase,
  options: Abortable & { readonly ifNotExists?: boolean | undefined } = {},
): Promise<Committed<{ readonly created: boolean; readonly record: DatabaseRecord }>> {
  return catalog.execute((context) => planCreateDatabase(context, database, options), options)
}

/** Fails with `undefined_database`, or with `database_not_empty` unless `cascade`. */
export function dropDatabase(
  catalog: Catalog,
  name: string,
  options: Abortable & {
    readonly ifExists?: boolean | undefined
    readonly cascade?: boolean | undefined
  } = {},
): Promise<Committed<{ readonly dropped: readonly RelationRecord[] | undefined }>> {
  return catalog.execute((context) => planDropDatabase(context, name, options), options)
}

/** Fails with `undefined_database` or `duplicate_table`. */
export function createRelation(
  catalog: Catalog,
  relation: NewRelation,
  options: Abortable & { readonly ifNotExists?: boolean | undefined } = {},
): Promise<Committed<{ readonly created: boolean; readonly record: RelationRecord }>> {
  return catalog.execute((context) => planCreateRelation(context, relation, options), options)
}

/** CREATE OR REPLACE VIEW. Fails with `undefined_database`, or `duplicate_table` where a table has the name. */
export function replaceView(
  catalog: Catalog,
  view: NewView,
  options: Abortable = {},
): Promise<Committed<{ readonly created: boolean; readonly record: RelationRecord }>> {
  return catalog.execute((context) => planReplaceView(context, view), options)
}

/** Fails with `undefined_database`, or `undefined_table` where the name is absent or of the other kind. */
export function dropRelation(
  catalog: Catalog,
  target: RelationName,
  options: Abortable & {
    readonly expect: RelationKind
    readonly ifExists?: boolean | undefined
  },
): Promise<Committed<{ readonly dropped: RelationRecord | undefined }>> {
  return catalog.execute((context) => planDropRelation(context, target, options), options)
}

/** Renames, also into another database. Fails with `undefined_database`, `undefined_table` or `duplicate_table`. */
export function renameRelation(
  catalog: Catalog,
  from: RelationName,
  to: RelationName,
  options: Abortable & { readonly expect: RelationKind },
): Promise<Committed<{ readonly record: RelationRecord }>> {
  return catalog.execute((context) => planRenameRelation(context, from, to, options), options)
}
