import { DecodeError, type Schema } from '@nyala/client/base'
import { SqlError } from '@nyala/client/protocol'
import type { Versioned } from './catalog-guard.ts'
import { foldName, type Keys, parseCatalogKey } from './keys.ts'
import type { KeyValue, Operation } from './kv.ts'
import {
  type CatalogRootRecord,
  catalogRootRecord,
  type DatabaseRecord,
  databaseRecord,
  decodeRecord,
  nameRecord,
  type RelationRecord,
  relationRecord,
} from './records.ts'
import type { ViewChange } from './prefix-view.ts'

export type Database = Versioned<DatabaseRecord>
export type Relation = Versioned<RelationRecord>

/** A record that is there but cannot be understood: it takes its name, and using it is an error. */
export interface Unreadable {
  readonly unreadable: string
}

export interface DatabaseEntry {
  readonly database: Database | Unreadable
  readonly relations: ReadonlyMap<string, Relation | Unreadable>
}

/** The catalog as it was at one revision of the store. Immutable. Names are looked up whatever their case. */
export class CatalogSnapshot {
  readonly revision: number
  readonly root: Versioned<CatalogRootRecord> | undefined
  readonly #databases: ReadonlyMap<string, DatabaseEntry>

  constructor(
    revision: number,
    root: Versioned<CatalogRootRecord> | undefined,
    databases: ReadonlyMap<string, DatabaseEntry>,
  ) {
    this.revision = revision
    this.root = root
    this.#databases = databases
  }

  /** All databases that can be read, by name. */
  databases(): readonly Database[] {
    const found: Database[] = []
    for (const { database } of this.#databases.values()) {
      if ('record' in database) found.push(database)
    }
    return found.sort((a, b) => compareText(a.record.name, b.record.name))
  }

  /** Fails with `data_corrupted` where its record cannot be read. */
  database(name: string): Database | undefined {
    return readable(this.#databases.get(foldName(name))?.database, `database "${name}"`)
  }

  /** Fails with `data_corrupted` where its record cannot be read. */
  relation(database: string, name: string): Relation | undefined {
    const entry = this.#databases.get(foldName(database))
    return readable(entry?.relations.get(foldName(name)), `relation "${database}"."${name}"`)
  }

  /** All relations of a database that can be read, by name; none where there is no such database. */
  relations(database: string): readonly Relation[] {
    const found: Relation[] = []
    for (const relation of this.#databases.get(foldName(database))?.relations.values() ?? []) {
      if ('record' in relation) found.push(relation)
    }
    return found.sort((a, b) => compareText(a.record.name, b.record.name))
  }

  /** All of it, by folded name, for whoever makes another snapshot of it. */
  entries(): ReadonlyMap<string, DatabaseEntry> {
    return this.#databases
  }

  /** How many names a database has, unreadable ones included. */
  countNames(database: string): number {
    return this.#databases.get(foldName(database))?.relations.size ?? 0
  }
}

interface DatabaseState {
  database: Database | Unreadable | undefined
  /** Folded name to id. */
  readonly names: Map<string, string | Unreadable>
  /** Id to head. */
  readonly heads: Map<string, Relation | Unreadable>
  entry: DatabaseEntry | undefined
}

/**
 * Folds the changes of a view into snapshots. A record is decoded once, when it arrives; a snapshot rebuilds only the
 * databases that changed since the one before, and shares the others with it.
 */
export class CatalogState {
  readonly #keys: Keys
  readonly #states = new Map<string, DatabaseState>()
  #root: Versioned<CatalogRootRecord> | Unreadable | undefined
  #snapshot: CatalogSnapshot | undefined

  constructor(keys: Keys) {
    this.#keys = keys
  }

  /** What a snapshot was made of, to go on from there. */
  static of(keys: Keys, snapshot: CatalogSnapshot): CatalogState {
    const state = new CatalogState(keys)
    state.#root = snapshot.root
    for (const [name, { database, relations }] of snapshot.entries()) {
      const copied = state.#touch(name)
      copied.database = database
      for (const [relation, found] of relations) {
        copied.names.set(relation, 'record' in found ? found.record.id : found)
        if ('record' in found) copied.heads.set(found.record.id, found)
      }
    }
    return state
  }

  /** Applies an operation that is not stored yet; what it puts has this revision. */
  applyStaged(operation: Operation, revision: number): void {
    this.#snapshot = undefined
    switch (operation.kind) {
      case 'get':
        return
      case 'put': {
        const { key, value } = operation
        const revisions = { createRevision: revision, modRevision: revision }
        return this.#put({ key, value, ...revisions, lease: undefined })
      }
      case 'delete':
        return this.#delete(operation.key)
      case 'deletePrefix':
        for (const name of [...this.#states.keys()]) {
          const { prefix } = operation
          if (prefix === this.#keys.names(name)) this.#touch(name).names.clear()
          if (prefix === this.#keys.tables(name)) this.#touch(name).heads.clear()
        }
    }
  }

  apply(change: ViewChange, items: () => Iterable<KeyValue>): void {
    this.#snapshot = undefined
    if (change.kind === 'reset') {
      this.#states.clear()
      this.#root = undefined
      for (const item of items()) this.#put(item)
      return
    }
    for (const event of change.events) {
      if (event.kind === 'put') this.#put(event.item)
      else this.#delete(event.key)
    }
  }

  snapshot(revision: number): CatalogSnapshot {
    if (this.#snapshot?.revision === revision) return this.#snapshot
    const databases = new Map<string, DatabaseEntry>()
    for (const [name, state] of this.#states) {
      const entry = (state.entry ??= toEntry(state))
      if (entry !== undefined) databases.set(name, entry)
    }
    const root = readable(this.#root, 'the catalog root')
    this.#snapshot = new CatalogSnapshot(revision, root, databases)
    return this.#snapshot
  }

  #put(item: KeyValue): void {
    const key = parseCatalogKey(this.#keys, item.key)
    switch (key?.kind) {
      case undefined:
        return
      case 'root':
        this.#root = decode(catalogRootRecord, item)
        return
      case 'database':
        this.#touch(key.database).database = decode(databaseRecord, item)
        return
      case 'name': {
        const name = decode(nameRecord, item)
        this.#touch(key.database).names.set(key.name, 'record' in name ? name.record.id : name)
        return
      }
      case 'table':
        this.#touch(key.database).heads.set(key.id, decode(relationRecord, item))
        return
    }
  }

  #delete(deleted: string): void {
    const key = parseCatalogKey(this.#keys, deleted)
    switch (key?.kind) {
      case undefined:
        return
      case 'root':
        this.#root = undefined
        return
      case 'database':
        this.#touch(key.database).database = undefined
        return
      case 'name':
        this.#touch(key.database).names.delete(key.name)
        return
      case 'table':
        this.#touch(key.database).heads.delete(key.id)
        return
    }
  }

  #touch(database: string): DatabaseState {
    let state = this.#states.get(database)
    if (state === undefined) {
      state = { database: undefined, names: new Map(), heads: new Map(), entry: undefined }
      this.#states.set(database, state)
    }
    state.entry = undefined
    return state
  }
}

function toEntry(state: DatabaseState): DatabaseEntry | undefined {
  if (state.database === undefined) return undefined
  const relations = new Map<string, Relation | Unreadable>()
  for (const [name, id] of state.names) relations.set(name, resolve(state, name, id))
  return { database: state.database, relations }
}

function resolve(
  state: DatabaseState,
  name: string,
  id: string | Unreadable,
): Relation | Unreadable {
  if (typeof id !== 'string') return id
  const head = state.heads.get(id)
  if (head === undefined) return { unreadable: `name refers to id "${id}", which has no head` }
  if ('record' in head && foldName(head.record.name) !== name) {
    return { unreadable: `name refers to id "${id}", whose head is named "${head.record.name}"` }
  }
  return head
}

function decode<T>(schema: Schema<T>, item: KeyValue): Versioned<T> | Unreadable {
  try {
    const record = decodeRecord(schema, item.value, item.key)
    const { key, createRevision, modRevision } = item
    return { record, key, createRevision, modRevision }
  } catch (error) {
    if (!(error instanceof DecodeError)) throw error
    return { unreadable: error.message }
  }
}

function readable<T>(
  entry: Versioned<T> | Unreadable | undefined,
  what: string,
): Versioned<T> | undefined {
  if (entry === undefined || 'record' in entry) return entry
  throw new SqlError(
    'data_corrupted',
    `the record of ${what} cannot be read: ${entry.unreadable}`,
    {
      hint: 'all coordinators must run the same version; see which one wrote it',
    },
  )
}

const compareText = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0)
