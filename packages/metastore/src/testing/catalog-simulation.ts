import { Prng } from '@nyala/client/base'
import { SqlError } from '@nyala/client/protocol'
import { Catalog } from '../catalog.ts'
import type { RelationName } from '../catalog-plan.ts'
import { openCluster } from '../cluster.ts'
import { foldName, parseCatalogKey } from '../keys.ts'
import type { KeyValue, WatchEvent } from '../kv.ts'
import type { Fate, MemoryKv } from '../memory-kv.ts'
import {
  catalogRootRecord,
  databaseRecord,
  decodeRecord,
  nameRecord,
  relationRecord,
  type TableRecord,
} from '../records.ts'
import { tableOf, viewOf, World } from './world.ts'
import {
  createDatabase,
  createRelation,
  dropDatabase,
  dropRelation,
  renameRelation,
  replaceView,
} from './catalog-verbs.ts'

const CATALOGS = 3
const CLIENTS = 6
const STATEMENTS = 30
/** Few names, so that statements meet. */
const DATABASES = ['default', 'd1', 'd2']
const NAMES = ['t1', 't2', 'v1']
const PAUSE_MAX_MS = 40

/** What became of one statement; `writeId` is how its traces in the store are found. */
export interface Outcome {
  readonly writeId: string
  readonly statement: string
  readonly result: 'done' | 'nothing' | 'unknown' | 'refused'
  readonly revision: number
}

export interface SimulationReport {
  readonly outcomes: readonly Outcome[]
  /** Sentences that say what went wrong; empty when all invariants held. */
  readonly violations: readonly string[]
}

/**
 * Several catalogs on one store, each with clients that run random DDL, while requests and replies are lost, refused
 * or late, connections break and history is compacted. The same seed gives the same run.
 */
export class CatalogSimulation {
  readonly #prng: Prng
  readonly #world = new World()
  readonly #violations: string[] = []
  readonly #outcomes: Outcome[] = []
  /** Each state that the store had, as text, by revision. */
  readonly #states = new Map<number, string>()
  /** How often a write with this id was applied. */
  readonly #applied = new Map<string, number>()
  /** Ids of the statements that may drop what is in a database. */
  readonly #cascades = new Set<string>()
  #currentId = ''
  #statements = 0

  constructor(seed: number) {
    this.#prng = new Prng(seed)
  }

  run(): Promise<SimulationReport> {
    return this.#world.clock.run(this.#run(), 10_000_000)
  }

  async #run(): Promise<SimulationReport> {
    const world = this.#world
    await openCluster(world.on(world.connect()))
    this.#inspect()
    world.etcd.store.onRevision(() => this.#inspect())
    const kvs = Array.from({ length: CATALOGS }, () => world.connect())
    const catalogs = await Promise.all(kvs.map((kv) => this.#open(kv)))
    for (const kv of kvs) kv.faults = this.#faults()
    const trouble = { over: false }
    const troubles = this.#troubles(kvs, trouble)
    const clients = Array.from({ length: CLIENTS }, (_, i) => this.#client(catalogs, i))
    await Promise.all(clients)
    trouble.over = true
    await troubles
    for (const kv of kvs) {
      kv.faults = {}
      kv.heal()
    }
    // Longer than the latest request that is still under way.
    await world.clock.sleep(20_000)
    for (const catalog of catalogs) {
      const snapshot = await catalog.atLeast(world.etcd.store.revision)
      this.#expectState(snapshot.revision, textOfSnapshot(catalog), 'at the end')
    }
    await Promise.all(catalogs.map((catalog) => catalog.close()))
    this.#judgeOutcomes()
    return { outcomes: this.#outcomes, violations: this.#violations }
  }

  async #open(kv: MemoryKv): Promise<Catalog> {
    // The id of a statement is taken when its verb is called, which happens at once.
    const catalog = await Catalog.open({ ...this.#world.on(kv), newId: () => this.#currentId })
    catalog.onChange(() => {
      const snapshot = catalog.snapshot()
      this.#expectState(snapshot.revision, textOfSnapshot(catalog), 'in a view')
    })
    return catalog
  }

  #faults(): MemoryKv['faults'] {
    const prng = this.#prng
    const bad = prng.next() * 0.3
    return {
      latencyMs: () => (prng.chance(0.02) ? 2000 : prng.below(15)),
      repeatEvents: prng.chance(0.3),
      fate: () => (prng.chance(bad) ? this.#badFate() : 'pass'),
    }
  }

  #badFate(): Fate {
    const late: Fate = { kind: 'late', afterMs: this.#prng.below(12_000) }
    return this.#prng.pick<Fate>(['unavailable', 'loseRequest', 'loseReply', late])
  }

  async #troubles(kvs: readonly MemoryKv[], trouble: { readonly over: boolean }): Promise<void> {
    const prng = this.#prng
    while (!trouble.over) {
      await this.#world.clock.sleep(prng.below(400))
      const kv = prng.pick(kvs)
      if (prng.chance(0.3)) kv.dropConnections()
      if (prng.chance(0.1)) {
        kv.cut()
        await this.#world.clock.sleep(prng.below(4000))
        kv.heal()
      }
      if (prng.chance(0.1)) this.#world.etcd.compact()
    }
  }

  async #client(catalogs: readonly Catalog[], number: number): Promise<void> {
    for (let i = 0; i < STATEMENTS; i++) {
      await this.#world.clock.sleep(this.#prng.below(PAUSE_MAX_MS))
      const catalog = this.#prng.pick(catalogs)
      await this.#statement(catalog, `${number}.${i}`)
    }
  }

  async #statement(catalog: Catalog, name: string): Promise<void> {
    const writeId = `w${this.#statements++}`
    this.#currentId = writeId
    const { statement, result } = this.#start(catalog, writeId)
    const outcome = { writeId, statement: `${name} ${statement}` }
    try {
      const { revision, wrote } = await result
      this.#outcomes.push({ ...outcome, result: wrote ? 'done' : 'nothing', revision })
    } catch (error) {
      if (!(error instanceof SqlError)) throw error
      const unknown = error.error === 'commit_outcome_unknown'
      if (error.category === 'internal') this.#violations.push(`${statement}: ${error.message}`)
      this.#outcomes.push({ ...outcome, result: unknown ? 'unknown' : 'refused', revision: 0 })
    }
  }

  #start(catalog: Catalog, writeId: string): Started {
    return this.#prng.chance(0.25)
      ? this.#startOnDatabase(catalog, writeId)
      : this.#startOnRelation(catalog)
  }

  #startOnDatabase(catalog: Catalog, writeId: string): Started {
    const prng = this.#prng
    const name = prng.pick(DATABASES)
    const [some, cascade] = [prng.chance(0.5), prng.chance(0.5)]
    if (prng.chance(0.5)) {
      const result = createDatabase(catalog, { name }, { ifNotExists: some })
      return started(`create database ${name}`, result, ({ created }) => created)
    }
    if (cascade) this.#cascades.add(writeId)
    const result = dropDatabase(catalog, name, { cascade, ifExists: some })
    return started(`drop database ${name}`, result, ({ dropped }) => dropped !== undefined)
  }

  #startOnRelation(catalog: Catalog): Started {
    const prng = this.#prng
    const target: RelationName = { database: prng.pick(DATABASES), name: prng.pick(NAMES) }
    const other: RelationName = { database: prng.pick(DATABASES), name: prng.pick(NAMES) }
    const { database, name } = target
    const isView = name.startsWith('v')
    const expect = isView ? 'view' : 'table'
    const some = prng.chance(0.5)
    const text = `${database}.${name}`
    switch (prng.below(6)) {
      case 0: {
        const result = renameRelation(catalog, target, other, { expect })
        return started(`rename ${text} to ${other.database}.${other.name}`, result)
      }
      case 1: {
        const result = dropRelation(catalog, target, { expect, ifExists: some })
        return started(`drop ${text}`, result, ({ dropped }) => dropped !== undefined)
      }
      case 2: {
        const next = (table: TableRecord): TableRecord => ({
          ...table,
          snapshotId: table.snapshotId + 1,
        })
        return started(`update ${text}`, catalog.updateTable(target, next))
      }
      case 3: {
        const view = viewOf(database, name, `SELECT ${prng.below(9)}`)
        return started(`replace view ${text}`, replaceView(catalog, view))
      }
      default: {
        const relation = isView ? viewOf(database, name) : tableOf(database, name)
        const result = createRelation(catalog, relation, { ifNotExists: some })
        return started(`create ${text}`, result, ({ created }) => created)
      }
    }
  }

  /** Checks the state that the store has just got, and whose write made it. */
  #inspect(): void {
    const { store } = this.#world.etcd
    const { keys } = this.#world
    const items = store.range(keys.catalog)
    this.#states.set(store.revision, textOfItems(this.#world, items, this.#violations))
    const events = store.eventsAt(store.revision, keys.catalog)
    const writers = new Set(events.flatMap((event) => this.#writerOf(event)))
    for (const id of writers) this.#applied.set(id, (this.#applied.get(id) ?? 0) + 1)
    const deleted = events.flatMap((event) =>
      event.kind === 'delete' ? [parseCatalogKey(keys, event.key)?.kind] : [],
    )
    if (!deleted.includes('database') || !deleted.includes('name')) return
    if (![...writers].some((id) => this.#cascades.has(id))) {
      this.#violations.push(`${[...writers].join()} dropped a database that was not empty`)
    }
  }

  /** The newest write that a guard remembers is the one that changed it. */
  #writerOf(event: WatchEvent): readonly string[] {
    if (event.kind === 'delete') return []
    const { key, value, createRevision, modRevision } = event.item
    if (createRevision === modRevision) return []
    const parsed = parseCatalogKey(this.#world.keys, key)
    const newest = (recentWrites: readonly string[]): readonly string[] => recentWrites.slice(0, 1)
    if (parsed?.kind === 'root') {
      return newest(decodeRecord(catalogRootRecord, value, key).recentWrites)
    }
    if (parsed?.kind === 'database') {
      return newest(decodeRecord(databaseRecord, value, key).recentWrites)
    }
    if (parsed?.kind !== 'table') return []
    return newest(decodeRecord(relationRecord, value, key).recentWrites)
  }

  #expectState(revision: number, text: string, where: string): void {
    const expected = this.#states.get(revision)
    if (expected !== text) {
      this.#violations.push(`${where}: revision ${revision} is ${text}, the store had ${expected}`)
    }
  }

  #judgeOutcomes(): void {
    for (const { writeId, statement, result } of this.#outcomes) {
      const applied = this.#applied.get(writeId) ?? 0
      const allowed = { done: [1], nothing: [0], refused: [0], unknown: [0, 1] }[result]
      if (!allowed.includes(applied)) {
        this.#violations.push(`${statement} (${writeId}): ${result}, but applied ${applied} times`)
      }
    }
  }
}

interface Started {
  readonly statement: string
  readonly result: Promise<{ readonly revision: number; readonly wrote: boolean }>
}

function started<T extends { readonly revision: number }>(
  statement: string,
  call: Promise<T>,
  wrote: (result: T) => boolean = () => true,
): Started {
  const result = call.then((value) => ({ revision: value.revision, wrote: wrote(value) }))
  return { statement, result }
}

function textOfSnapshot(catalog: Catalog): string {
  const snapshot = catalog.snapshot()
  const lines = snapshot
    .databases()
    .flatMap(({ record }) => [
      `${record.name}#${record.id}`,
      ...snapshot.relations(record.name).map((relation) => textOfRelation(relation.record)),
    ])
  return lines.sort().join(' ')
}

/** The same text from the keys themselves; records what breaks the layout's invariants. */
function textOfItems(world: World, items: readonly KeyValue[], violations: string[]): string {
  const lines: string[] = []
  const databases = new Set<string>()
  const names = new Map<string, string>()
  const heads = new Map<string, string>()
  for (const { key, value } of items) {
    const parsed = parseCatalogKey(world.keys, key)
    if (parsed?.kind === 'database') {
      const record = decodeRecord(databaseRecord, value, key)
      databases.add(parsed.database)
      lines.push(`${record.name}#${record.id}`)
    } else if (parsed?.kind === 'name') {
      const { id } = decodeRecord(nameRecord, value, key)
      names.set(`${parsed.database}/${id}`, parsed.name)
    } else if (parsed?.kind === 'table') {
      const record = decodeRecord(relationRecord, value, key)
      heads.set(`${parsed.database}/${record.id}`, foldName(record.name))
      lines.push(textOfRelation(record))
    }
  }
  const bad = (what: string): unknown =>
    violations.push(`revision ${world.etcd.store.revision}: ${what}`)
  for (const [place, name] of names) {
    if (heads.get(place) !== name) bad(`name ${name} has no head at ${place}`)
  }
  for (const place of heads.keys()) {
    if (!names.has(place)) bad(`head ${place} has no name`)
    if (!databases.has(place.split('/')[0] ?? '')) bad(`head ${place} has no database`)
  }
  return lines.sort().join(' ')
}

function textOfRelation(record: ReturnType<typeof relationRecord.decode>): string {
  const content = record.kind === 'view' ? record.sql.replace(' ', '_') : record.snapshotId
  return `${record.database}.${record.name}#${record.id}=${content}`
}
