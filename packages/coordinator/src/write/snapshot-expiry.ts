import type { Clock, Log } from '@nyala/client/base'
import type { CatalogSnapshot, TableRecord, Versioned } from '@nyala/metastore'
import { nextExpiryMs } from '../iceberg/expire.ts'
import type { TableMetadata } from '../iceberg/metadata.ts'
import { Rounds } from '../failover/rounds.ts'

/** How often tables are looked at. */
const ROUND_MS = 60_000
/** Metadata files that one round reads: those of tables that have changed since the one before. */
const READS_MAX = 500

/** When the next snapshot of a table expires, as its head was at a revision. */
interface Due {
  readonly modRevision: number
  /** Milliseconds since 1970-01-01 UTC. */
  readonly dueMs: number
}

export interface SnapshotExpiryOptions {
  readonly clock: Clock
  readonly log: Log
  readonly isLeader: () => boolean
  readonly catalog: { snapshot(): CatalogSnapshot }
  readonly metadata: (table: TableRecord) => Promise<TableMetadata>
  /** Makes a table forget what its properties let go by now: one commit, which any number may try. */
  readonly expire: (table: TableRecord) => Promise<void>
}

/**
 * Makes tables forget snapshots by themselves, when their properties say so, while this coordinator leads. It is not needed
 * for safety that only one does: the commit of each decides anew, on what the table is by then.
 */
export class SnapshotExpiry {
  readonly #options: SnapshotExpiryOptions
  #known: ReadonlyMap<string, Due> = new Map()
  readonly #rounds: Rounds

  constructor(options: SnapshotExpiryOptions) {
    this.#options = options
    const { clock, log } = options
    this.#rounds = new Rounds({
      clock,
      everyMs: ROUND_MS,
      round: () => this.round(),
      onError: (error) => log.warn('snapshotsNotExpired', { error }),
    })
  }

  start(): void {
    this.#rounds.start()
  }

  stop(): void {
    this.#rounds.stop()
  }

  /** Never rejects for one table: that one is tried again in the next round. */
  async round(): Promise<void> {
    const { clock, log, isLeader, catalog, metadata, expire } = this.#options
    const known = new Map<string, Due>()
    let reads = 0
    for (const { record, modRevision } of managedTables(catalog.snapshot())) {
      if (!isLeader() || this.#rounds.stopped) return
      const before = this.#known.get(record.id)
      try {
        let due = before?.modRevision === modRevision ? before : undefined
        if (due === undefined && reads < READS_MAX) {
          reads++
          due = { modRevision, dueMs: nextExpiryMs(await metadata(record)) }
        }
        if (due === undefined) continue
        if (due.dueMs > clock.wall()) known.set(record.id, due)
        else await expire(record)
      } catch (error) {
        log.warn('snapshotsNotExpired', { table: `${record.database}.${record.name}`, error })
      }
    }
    this.#known = known
  }
}

/** All managed tables that have metadata. */
export const managedTables = (snapshot: CatalogSnapshot): readonly Versioned<TableRecord>[] =>
  snapshot
    .databases()
    .flatMap(({ record }) => snapshot.relations(record.name))
    .flatMap((one) =>
      one.record.kind === 'managed' && one.record.manifest !== null
        ? [{ ...one, record: one.record }]
        : [],
    )
