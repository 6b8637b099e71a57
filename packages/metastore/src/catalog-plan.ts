import { SqlError } from '@nyala/client/protocol'
import { type Guard, guardOf, isUnchanged, remember, type Versioned } from './catalog-guard.ts'
import type { CatalogSnapshot, Database, Relation } from './catalog-snapshot.ts'
import { DEFAULT_DATABASE } from './cluster.ts'
import { foldName, type Keys } from './keys.ts'
import type { Compare, Operation } from './kv.ts'
import {
  catalogRootRecord,
  databaseRecord,
  type DatabaseRecord,
  encodeRecord,
  NAME_LENGTH_MAX,
  nameRecord,
  type RelationRecord,
  relationRecord,
  type TableRecord,
  type ViewRecord,
} from './records.ts'

/**
 * What a DDL statement does to the catalog, decided on one snapshot. Pure.
 *
 * Every DDL in a database compares the mod revision of the database's record and writes that record again; every
 * CREATE and DROP DATABASE does so with the root record. Hence
 *  - a decision holds exactly if nothing else changed that set of names since the snapshot;
 *  - a table cannot be created in a database that is being dropped, nor a database be dropped under a new table;
 *  - a write can be applied once at most, even if the network delivers it twice or much later;
 *  - its id in the record's `recentWrites` tells its sender that it was applied though the reply was lost.
 */
export type CatalogPlan<T> =
  | {
      readonly kind: 'write'
      readonly compares: readonly Compare[]
      readonly operations: readonly Operation[]
      /** Where the write leaves its id. */
      readonly guards: readonly Guard[]
      readonly value: T
    }
  /** Nothing to do, as IF EXISTS says; `compares` prove that this is still so. */
  | { readonly kind: 'nothing'; readonly compares: readonly Compare[]; readonly value: T }
  /** An error; `compares` prove that it is not due to a stale snapshot. */
  | { readonly kind: 'refuse'; readonly compares: readonly Compare[]; readonly error: SqlError }

export interface PlanContext {
  readonly keys: Keys
  readonly snapshot: CatalogSnapshot
  /** Unique to the statement's execution; the same over all its attempts. */
  readonly writeId: string
  /** Milliseconds since 1970-01-01 UTC. */
  readonly now: number
}

export interface NewDatabase {
  readonly name: string
  readonly comment?: string | undefined
  readonly location?: string | undefined
}

type Made = 'id' | 'createdAt' | 'recentWrites'
export type NewTable = Omit<TableRecord, Made>
export type NewView = Omit<ViewRecord, Made>
export type NewRelation = NewTable | NewView

export interface RelationName {
  readonly database: string
  readonly name: string
}

export type RelationKind = 'table' | 'view'

export function planCreateDatabase(
  context: PlanContext,
  database: NewDatabase,
  options: { readonly ifNotExists?: boolean | undefined },
): CatalogPlan<{ readonly created: boolean; readonly record: DatabaseRecord }> {
  const { keys, snapshot, writeId, now } = context
  checkName('database', database.name)
  const existing = snapshot.database(database.name)
  if (existing !== undefined) {
    const compares = [isUnchanged(existing)]
    if (options.ifNotExists === true) {
      return { kind: 'nothing', compares, value: { created: false, record: existing.record } }
    }
    const message = `database "${existing.record.name}" already exists`
    return { kind: 'refuse', compares, error: new SqlError('duplicate_database', message) }
  }
  const root = touchRoot(context)
  const record: DatabaseRecord = {
    id: writeId,
    name: database.name,
    createdAt: now,
    recentWrites: [],
    ...(database.comment === undefined ? {} : { comment: database.comment }),
    ...(database.location === undefined ? {} : { location: database.location }),
  }
  const key = keys.database(database.name)
  return {
    kind: 'write',
    compares: [root.compare, { kind: 'absent', key }],
    operations: [
      root.put,
      { kind: 'put', key, value: encodeRecord(databaseRecord, record) },
      // Nothing can lie there; a database must begin empty whatever went wrong before.
      { kind: 'deletePrefix', prefix: keys.names(database.name) },
      { kind: 'deletePrefix', prefix: keys.tables(database.name) },
    ],
    guards: [root.guard],
    value: { created: true, record },
  }
}

export function planDropDatabase(
  context: PlanContext,
  name: string,
  options: { readonly ifExists?: boolean | undefined; readonly cascade?: boolean | undefined },
): CatalogPlan<{ readonly dropped: readonly RelationRecord[] | undefined }> {
  const { keys, snapshot } = context
  checkName('database', name)
  const database = snapshot.database(name)
  if (database === undefined) {
    return absentDatabase(context, name, options.ifExists === true, { dropped: undefined })
  }
  if (foldName(name) === DEFAULT_DATABASE) {
    const message = `database "${DEFAULT_DATABASE}" cannot be dropped`
    return { kind: 'refuse', compares: [], error: new SqlError('invalid_parameter_value', message) }
  }
  const count = snapshot.countNames(name)
  if (count > 0 && options.cascade !== true) {
    const message = `database "${database.record.name}" has ${count} tables and views`
    const error = new SqlError('database_not_empty', message, {
      hint: 'drop them first, or use DROP DATABASE ... CASCADE',
    })
    return { kind: 'refuse', compares: [isUnchanged(database)], error }
  }
  const root = touchRoot(context)
  return {
    kind: 'write',
    compares: [root.compare, isUnchanged(database)],
    operations: [
      root.put,
      { kind: 'delete', key: database.key },
      { kind: 'deletePrefix', prefix: keys.names(name) },
      { kind: 'deletePrefix', prefix: keys.tables(name) },
    ],
    guards: [root.guard],
    value: { dropped: snapshot.relations(name).map((relation) => relation.record) },
  }
}

export function planCreateRelation(
  context: PlanContext,
  relation: NewRelation,
  options: { readonly ifNotExists?: boolean | undefined },
): CatalogPlan<{ readonly created: boolean; readonly record: RelationRecord }> {
  const { snapshot } = context
  checkName(kindOf(relation), relation.name)
  const database = snapshot.database(relation.database)
  if (database === undefined) return undefinedDatabase(context, relation.database)
  const existing = snapshot.relation(relation.database, relation.name)
  if (existing === undefined) return writeNewRelation(context, database, relation)
  const compares = [isUnchanged(database)]
  if (options.ifNotExists === true) {
    return { kind: 'nothing', compares, value: { created: false, record: existing.record } }
  }
  return { kind: 'refuse', compares, error: duplicate(existing) }
}

/** CREATE OR REPLACE VIEW: the view keeps its id. */
export function planReplaceView(
  context: PlanContext,
  view: NewView,
): CatalogPlan<{ readonly created: boolean; readonly record: RelationRecord }> {
  const { snapshot, writeId } = context
  checkName('view', view.name)
  const database = snapshot.database(view.database)
  if (database === undefined) return undefinedDatabase(context, view.database)
  const existing = snapshot.relation(view.database, view.name)
  if (existing === undefined) return writeNewRelation(context, database, view)
  if (existing.record.kind !== 'view') {
    return { kind: 'refuse', compares: [isUnchanged(database)], error: duplicate(existing) }
  }
  const { id, createdAt, recentWrites } = existing.record
  const record: ViewRecord = {
    ...view,
    database: database.record.name,
    id,
    createdAt,
    recentWrites: remember(recentWrites, writeId),
  }
  const touched = touchDatabase(context, database)
  return {
    kind: 'write',
    compares: [touched.compare, isUnchanged(existing)],
    operations: [
      touched.put,
      { kind: 'put', key: existing.key, value: encodeRecord(relationRecord, record) },
    ],
    guards: [touched.guard],
    value: { created: false, record },
  }
}

export function planDropRelation(
  context: PlanContext,
  target: RelationName,
  options: { readonly expect: RelationKind; readonly ifExists?: boolean | undefined },
): CatalogPlan<{ readonly dropped: RelationRecord | undefined }> {
  const { keys, snapshot } = context
  const database = snapshot.database(target.database)
  const ifExists = options.ifExists === true
  if (database === undefined) {
    return absentDatabase(context, target.database, ifExists, { dropped: undefined })
  }
  const relation = snapshot.relation(target.database, target.name)
  if (relation === undefined) {
    const compares = [isUnchanged(database)]
    if (ifExists) return { kind: 'nothing', compares, value: { dropped: undefined } }
    return { kind: 'refuse', compares, error: undefinedRelation(options.expect, target) }
  }
  if (kindOf(relation.record) !== options.expect) {
    const error = wrongKind(relation, options.expect, 'DROP')
    return { kind: 'refuse', compares: [isUnchanged(database)], error }
  }
  const touched = touchDatabase(context, database)
  return {
    kind: 'write',
    // The head is not compared: a drop wins over data written meanwhile.
    compares: [touched.compare],
    operations: [
      touched.put,
      { kind: 'delete', key: keys.name(target.database, target.name) },
      { kind: 'delete', key: relation.key },
    ],
    guards: [touched.guard],
    value: { dropped: relation.record },
  }
}

export function planRenameRelation(
  context: PlanContext,
  from: RelationName,
  to: RelationName,
  options: { readonly expect: RelationKind },
): CatalogPlan<{ readonly record: RelationRecord }> {
  const { snapshot } = context
  checkName(options.expect, to.name)
  const source = snapshot.database(from.database)
  if (source === undefined) return undefinedDatabase(context, from.database)
  const target = snapshot.database(to.database)
  if (target === undefined) return undefinedDatabase(context, to.database)
  const compares = [isUnchanged(source), isUnchanged(target)]
  const relation = snapshot.relation(from.database, from.name)
  if (relation === undefined) {
    return { kind: 'refuse', compares, error: undefinedRelation(options.expect, from) }
  }
  if (kindOf(relation.record) !== options.expect) {
    return { kind: 'refuse', compares, error: wrongKind(relation, options.expect, 'ALTER') }
  }
  const taken = snapshot.relation(to.database, to.name)
  // A change of case only is a rename onto itself.
  if (taken !== undefined && taken.key !== relation.key) {
    return { kind: 'refuse', compares, error: duplicate(taken) }
  }
  return writeRename(context, { source, target, relation, name: to.name })
}

/** New contents of a table's head, as of `table`; for whoever moves heads in a commit of its own. */
export function planTableUpdate(
  table: Versioned<TableRecord>,
  next: TableRecord,
  writeId: string,
): {
  readonly compare: Compare
  readonly put: Operation
  readonly guard: Guard
  readonly record: TableRecord
} {
  const { id, kind, database, name, createdAt, recentWrites } = table.record
  const record: TableRecord = {
    ...next,
    // Identity and name are not the updater's to change.
    ...{ id, kind, database, name, createdAt },
    recentWrites: remember(recentWrites, writeId),
  }
  const value = encodeRecord(relationRecord, record)
  return {
    compare: isUnchanged(table),
    put: { kind: 'put', key: table.key, value },
    guard: guardOf(table),
    record,
  }
}

export const kindOf = (record: { readonly kind: RelationRecord['kind'] }): RelationKind =>
  record.kind === 'view' ? 'view' : 'table'

export function undefinedRelation(kind: RelationKind, { database, name }: RelationName): SqlError {
  return new SqlError('undefined_table', `${kind} "${name}" not found in database "${database}"`)
}

function writeNewRelation(
  context: PlanContext,
  database: Database,
  relation: NewRelation,
): CatalogPlan<{ readonly created: boolean; readonly record: RelationRecord }> {
  const { keys, writeId, now } = context
  const made = { id: writeId, database: database.record.name, createdAt: now, recentWrites: [] }
  const record: RelationRecord = { ...relation, ...made }
  const touched = touchDatabase(context, database)
  const name = keys.name(relation.database, relation.name)
  const head = keys.table(relation.database, record.id)
  return {
    kind: 'write',
    compares: [touched.compare, { kind: 'absent', key: name }, { kind: 'absent', key: head }],
    operations: [
      touched.put,
      { kind: 'put', key: name, value: encodeRecord(nameRecord, { id: record.id }) },
      { kind: 'put', key: head, value: encodeRecord(relationRecord, record) },
    ],
    guards: [touched.guard],
    value: { created: true, record },
  }
}

function writeRename(
  context: PlanContext,
  rename: {
    readonly source: Database
    readonly target: Database
    readonly relation: Relation
    readonly name: string
  },
): CatalogPlan<{ readonly record: RelationRecord }> {
  const { keys } = context
  const { source, target, relation, name } = rename
  const touched = touchDatabase(context, source)
  const recentWrites = remember(relation.record.recentWrites, context.writeId)
  const record = { ...relation.record, database: target.record.name, name, recentWrites }
  const value = encodeRecord(relationRecord, record)
  const compares: Compare[] = [touched.compare, isUnchanged(relation)]
  const operations: Operation[] = [touched.put]
  const guards = [touched.guard]
  const head = keys.table(target.record.name, record.id)
  if (target.key !== source.key) {
    const other = touchDatabase(context, target)
    compares.push(other.compare)
    guards.push(other.guard)
    operations.push(other.put, { kind: 'delete', key: relation.key })
  }
  operations.push({ kind: 'put', key: head, value })
  const oldName = keys.name(source.record.name, relation.record.name)
  const newName = keys.name(target.record.name, name)
  if (newName !== oldName) {
    compares.push({ kind: 'absent', key: newName })
    operations.push(
      { kind: 'delete', key: oldName },
      { kind: 'put', key: newName, value: encodeRecord(nameRecord, { id: record.id }) },
    )
  }
  return { kind: 'write', compares, operations, guards, value: { record } }
}

interface Touched {
  readonly compare: Compare
  readonly put: Operation
  readonly guard: Guard
}

function touchDatabase({ writeId }: PlanContext, database: Database): Touched {
  const { record, key } = database
  const next = { ...record, recentWrites: remember(record.recentWrites, writeId) }
  return {
    compare: isUnchanged(database),
    put: { kind: 'put', key, value: encodeRecord(databaseRecord, next) },
    guard: guardOf(database),
  }
}

function touchRoot({ snapshot, writeId }: PlanContext): Touched {
  const { root } = snapshot
  if (root === undefined) {
    throw new SqlError('metastore_unavailable', 'the catalog has not been initialised', {
      hint: 'start a coordinator of this cluster first',
    })
  }
  const next = { recentWrites: remember(root.record.recentWrites, writeId) }
  return {
    compare: isUnchanged(root),
    put: { kind: 'put', key: root.key, value: encodeRecord(catalogRootRecord, next) },
    guard: guardOf(root),
  }
}

function undefinedDatabase(context: PlanContext, name: string): CatalogPlan<never> {
  checkName('database', name)
  const compares: readonly Compare[] = [{ kind: 'absent', key: context.keys.database(name) }]
  return { kind: 'refuse', compares, error: databaseNotFound(name) }
}

function absentDatabase<T>(
  context: PlanContext,
  name: string,
  ifExists: boolean,
  value: T,
): CatalogPlan<T> {
  const refusal = undefinedDatabase(context, name)
  return ifExists ? { kind: 'nothing', compares: refusal.compares, value } : refusal
}

const databaseNotFound = (name: string): SqlError =>
  new SqlError('undefined_database', `database "${name}" not found`)

function duplicate({ record }: Relation): SqlError {
  const message = `${kindOf(record)} "${record.name}" already exists in database "${record.database}"`
  return new SqlError('duplicate_table', message)
}

function wrongKind({ record }: Relation, expected: RelationKind, verb: 'DROP' | 'ALTER'): SqlError {
  const actual = kindOf(record)
  return new SqlError('undefined_table', `"${record.name}" is a ${actual}, not a ${expected}`, {
    hint: `use ${verb} ${actual.toUpperCase()}`,
  })
}

function checkName(what: string, name: string): void {
  if (name.length > 0 && name.length <= NAME_LENGTH_MAX && !UNFIT.test(name)) return
  const shown = name.length > NAME_LENGTH_MAX ? `${name.slice(0, 20)}…` : name
  throw new SqlError('invalid_parameter_value', `invalid ${what} name ${JSON.stringify(shown)}`, {
    hint: `names have 1 to ${NAME_LENGTH_MAX} characters and no control characters`,
  })
}

/** Control characters, and halves of surrogate pairs, which have no UTF-8. */
const UNFIT = /[\p{Cc}\p{Cs}]/u
