import { rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { type Clock, failpoint, isMutant, type Log } from '@nyala/client/base'
import {
  type CatalogSnapshot,
  type Compare,
  ENDED_MAX,
  type LoggedTransaction,
  type TableRecord,
  type Versioned,
  type WriteLog,
} from '@nyala/metastore'
import { Rounds } from '../failover/rounds.ts'
import type { IcebergStore } from '../iceberg/iceberg-store.ts'
import { reachableFiles } from '../iceberg/reachable.ts'
import { entriesOf, litterOf, namedAnyhow, stampOf, unfinished, writesIn } from './litter.ts'
import { managedTables } from './snapshot-expiry.ts'
import type { Reads } from './write-janitor.ts'

/** How often tables are looked at whose directories have changed. */
export const LITTER_ROUND_MS = 20_000
/** A table is let be for so many times as long as it took to look at it. */
const LET_BE = 100
/** What is named after all, though not by the head, is doubted again after this. */
const KEPT_MS = 300_000
/** Times that a head is proved to be the newest, where others move it meanwhile. */
const PROOFS_MAX = 3

export interface LitterSweepOptions {
  readonly writeLog: WriteLog
  readonly clock: Clock
  readonly log: Log
  readonly catalog: { snapshot(): CatalogSnapshot }
  readonly store: IcebergStore
  /** Undefined while another one leads. */
  readonly leadership: () => { fence(): Compare } | undefined
  readonly reads: () => Promise<Reads>
  /** When this process began; milliseconds since 1970-01-01 UTC. */
  readonly startedAt: number
  /** Times that it looks more often than elsewhere; default 1. */
  readonly haste?: number
}

/** What was found of a table when it was looked at last. */
interface Looked {
  readonly stamp: string
  /** Entries of ended writes that the head did not name. */
  readonly doubted: ReadonlySet<string>
  /** Nothing is there that has to be looked at again while the directories do not change. */
  readonly isSettled: boolean
  /** Not before this, on the clock's own scale. */
  readonly dueMs: number
}

/**
 * Removes, while this coordinator leads, files of writes that have ended which nothing names, however late they came: of
 * an executor or coordinator that was paused or cut off until nobody thought of it any more, and then went on. No record
 * tells of them, so tables are looked at, those whose directories have changed.
 *
 * ```
 *   changed ──► entries ──named by the head, or of writes under way──► nothing to do
 *                  └─others, in two rounds──► proved: no record of their writes ∧ the head is the newest ─┬─► named after all
 *                                                                                                        └─► removed
 * ```
 *
 * A write has its record before its first file, and loses it with the commit that names its files, or once it is aborted
 * for good. So an entry that was seen before a revision at which its write has no record will never be named, but by the
 * head of then or by what came before. Nothing of it is told by a clock, and a deposed leader removes what is nobody's.
 */
export class LitterSweep {
  readonly #options: LitterSweepOptions
  readonly #haste: number
  readonly #rounds: Rounds
  #looked: ReadonlyMap<string, Looked> = new Map()

  constructor(options: LitterSweepOptions) {
    this.#options = options
    const { clock, log, haste = 1 } = options
    this.#haste = haste
    this.#rounds = new Rounds({
      clock,
      everyMs: LITTER_ROUND_MS / haste,
      round: () => this.round(),
      onError: (error) => log.warn('litterNotSwept', { error }),
    })
  }

  start(): void {
    this.#rounds.start()
  }

  stop(): void {
    this.#rounds.stop()
  }

  /** Never rejects for one table: that one is looked at again in the next round. */
  async round(): Promise<void> {
    const { catalog, leadership, writeLog, log } = this.#options
    const looked = new Map<string, Looked>()
    let records: Promise<readonly LoggedTransaction[]> | undefined
    // Read once for all tables: writes that have begun since are doubted, and then proved not to have ended.
    const running = async () => unfinished(await (records ??= writeLog.transactions()))
    for (const { record } of managedTables(catalog.snapshot())) {
      if (this.#rounds.stopped) return
      if (leadership() === undefined || isOff()) break
      try {
        looked.set(record.id, await this.#look(record, this.#looked.get(record.id), running))
      } catch (error) {
        if (this.#headOf(record) === undefined) continue
        log.warn('litterNotSwept', { table: `${record.database}.${record.name}`, error })
      }
    }
    this.#looked = looked
  }

  /** As this coordinator knows it; undefined where the table was dropped. */
  #headOf({ id, database, name }: TableRecord): Versioned<TableRecord> | undefined {
    const found = this.#options.catalog.snapshot().relation(database, name)
    if (found?.record.kind !== 'managed' || found.record.id !== id) return undefined
    return { ...found, record: found.record }
  }

  async #look(
    table: TableRecord,
    before: Looked | undefined,
    unfinishedNow: () => Promise<ReadonlySet<string>>,
  ): Promise<Looked> {
    const { clock, store } = this.#options
    if (before !== undefined && clock.now() < before.dueMs) return before
    const stamp = await stampOf(table.location)
    const isSame = before?.stamp === stamp
    if (isSame && before.isSettled) return before
    const sinceMs = clock.now()
    const entries = await entriesOf(table.location)
    const running = await unfinishedNow()
    const record = this.#headOf(table)?.record ?? table
    const metadata = await store.metadata(record)
    const named = await reachableFiles(store, metadata, record.manifest?.path ?? '')
    const doubted = litterOf(entries, { unfinished: running, named })
    // One that was not there before may be that of a commit which this coordinator has not seen yet.
    const again = doubted.filter((entry) => before?.doubted.has(entry) === true)
    const isKept = again.length > 0 && (await this.#remove(record, again)) === 'kept'
    const isQuiet = !entries.some((entry) => writesIn(entry).some((id) => running.has(id)))
    const pauseMs = isKept ? KEPT_MS / this.#haste : 0
    const tookMs = clock.now() - sinceMs
    return {
      ...{ stamp, doubted: new Set(doubted) },
      isSettled: isSame && isQuiet && doubted.length === 0,
      dueMs: clock.now() + Math.max(pauseMs, (LET_BE * tookMs) / this.#haste),
    }
  }

  /** `kept`: some of it is named after all. */
  async #remove(
    table: TableRecord,
    doubted: readonly string[],
  ): Promise<'removed' | 'kept' | 'unproved'> {
    const { log, store, writeLog, reads } = this.#options
    const writes = [...new Set(doubted.flatMap(writesIn))].slice(0, ENDED_MAX)
    const entries = doubted.filter((entry) => writesIn(entry).every((id) => writes.includes(id)))
    const proof = await this.#prove(table, writes)
    if (proof === undefined) return 'unproved'
    const { head, revision } = proof
    const named = await namedAnyhow(head, entries, {
      store,
      records: () => writeLog.transactions({ notBefore: revision }),
      reads,
    })
    const litter = await this.#ofNow(table, litterOf(entries, { unfinished: new Set(), named }))
    failpoint('janitor.removing')
    for (const entry of litter) {
      await rm(join(table.location, entry), { recursive: true, force: true })
    }
    if (litter.length > 0) {
      log.info('litterRemoved', { table: `${table.database}.${table.name}`, files: litter })
    }
    return litter.length < entries.length ? 'kept' : 'removed'
  }

  /** The head of a table as it was at a revision at which none of these writes had a record. */
  async #prove(
    table: TableRecord,
    writes: readonly string[],
  ): Promise<{ readonly head: Versioned<TableRecord>; readonly revision: number } | undefined> {
    const { leadership, writeLog } = this.#options
    for (let proof = 0; proof < PROOFS_MAX; proof++) {
      const head = this.#headOf(table)
      const leader = leadership()
      if (head === undefined || leader === undefined) return undefined
      const { key, modRevision } = head
      const isNewest = { kind: 'modRevision', key, equals: modRevision } as const
      const revision = await writeLog.ended(writes, [leader.fence(), isNewest])
      if (revision !== undefined) return { head, revision }
    }
    return undefined
  }

  /**
   * Metadata goes only where it was written while this process ran: what is older, and named by nothing, may be all that
   * knows of commits which etcd was set back before. {@link removeOrphans} removes it.
   */
  async #ofNow({ location }: TableRecord, litter: readonly string[]): Promise<readonly string[]> {
    const isOfNow = async (entry: string): Promise<boolean> => {
      if (entry.startsWith('data/')) return true
      const found = await stat(join(location, entry)).catch(() => undefined)
      return found !== undefined && found.mtimeMs > this.#options.startedAt
    }
    const tests = await Promise.all(litter.map(isOfNow))
    return litter.filter((_, i) => tests[i])
  }
}

/** Where nobody removes what came to nothing it would be found here, and that mutant be no other than none. */
const isOff = (): boolean => isMutant('no-litter-sweep') || isMutant('no-staged-removal')
