import { type Clock, isMutant } from '@nyala/client/base'
import { SqlError } from '@nyala/client/protocol'
import {
  type Catalog,
  type CatalogSnapshot,
  type NewestRevision,
  type Patience,
} from '@nyala/metastore'
import type { SessionSettings } from '../bind/settings.ts'
import type { ReadHolds } from '../write/read-holds.ts'

/** How long a statement waits for etcd before it reads what was seen. */
const WAIT_MS = 1_000
/** And where etcd has been silent for longer: it may answer again. */
const LEAST_WAIT_MS = 50

export interface ReadParts {
  readonly catalog: Catalog
  readonly newest: NewestRevision
  readonly holds: Pick<ReadHolds, 'hold'>
  readonly clock: Clock
}

/**
 * Whether a text may be one that needs no snapshot, as rows that are written out go on top of whatever there is. It is
 * tried so first, and then with the newest one.
 */
export const isPerhapsBlind = (sql: string): boolean => /^\s*insert\b/i.test(sql)

interface Reading {
  readonly settings: Pick<SessionSettings, 'readConsistency'>
  /** What its session has seen. */
  readonly revision: number
  readonly signal: AbortSignal
  readonly patience: Patience
  readonly notices: string[]
}

/**
 * The snapshot that a statement reads: what its coordinator has seen, and from {@link newest} on what its setting
 * `read_consistency` asks for. Its files stay until it is released, as do those of a newer one that takes its place.
 */
export class StatementRead {
  readonly #parts: ReadParts
  readonly #reading: Reading
  readonly #own: CatalogSnapshot | undefined
  #catalog: CatalogSnapshot | undefined
  /** What etcd says; undefined where it did not say it in time. */
  #told: Promise<number | undefined> | undefined
  #newest: Promise<CatalogSnapshot> | undefined
  #release: () => void = () => undefined
  #isReleased = false

  /** `own`: what the statement's transaction reads, which stays as it is. */
  constructor(parts: ReadParts, reading: Reading, own: CatalogSnapshot | undefined) {
    this.#parts = parts
    this.#reading = reading
    this.#own = own
  }

  /** Takes what this coordinator has seen, and at the least what the session has. Asks etcd nothing. */
  async open(): Promise<void> {
    this.#take(this.#own ?? (await this.#atLeast(this.#reading.revision)))
  }

  get catalog(): CatalogSnapshot {
    if (this.#catalog === undefined) throw new Error('a statement reads what was opened')
    return this.#catalog
  }

  /** Asks etcd, for a statement that will want the newest soon. {@link catalog} stays as it is. */
  ask(): void {
    // Who wants the newest hears of it.
    this.#tell()?.catch(() => undefined)
  }

  /**
   * All that was committed before the statement came, by its setting; {@link catalog} is that from then on. It stays the one
   * that it was where that is new enough. Fails with `metastore_unavailable` when the statement's
   * patience is over.
   */
  newest(): Promise<CatalogSnapshot> {
    this.#newest ??= this.#toNewest()
    return this.#newest
  }

  release(): void {
    this.#isReleased = true
    this.#release()
  }

  async #toNewest(): Promise<CatalogSnapshot> {
    const told = this.#tell()
    if (told === undefined) return this.catalog
    const found = await told
    if (found === undefined) this.#notTold()
    else if (found > this.catalog.revision) this.#take(await this.#atLeast(found))
    return this.catalog
  }

  /** Undefined where etcd is not asked. */
  #tell(): Promise<number | undefined> | undefined {
    const { readConsistency } = this.#reading.settings
    if (this.#own !== undefined || readConsistency === 'session') return undefined
    if (isMutant('old-snapshots')) return undefined
    const { newest, clock } = this.#parts
    const { signal, patience } = this.#reading
    const silentSince = newest.silentSince ?? clock.now()
    const waitMs =
      readConsistency === 'strong'
        ? Infinity
        : Math.max(LEAST_WAIT_MS, silentSince + WAIT_MS - clock.now())
    if (this.#told !== undefined) return this.#told
    const limitMs = Math.min(waitMs, patience.asked() - clock.now())
    // Begun after the statement came: what was asked for before says nothing of what was committed in between.
    this.#told = within(newest.read(), { limitMs, signal, clock }).then((found) => {
      if (found !== undefined) patience.answered()
      return found
    })
    return this.#told
  }

  #notTold(): void {
    const { settings, notices } = this.#reading
    if (settings.readConsistency === 'strong') {
      throw new SqlError(
        'metastore_unavailable',
        'etcd does not say whether this coordinator has seen all that was committed',
        {
          hint: 'check that a majority of the etcd members is running and reachable; SET read_consistency = session reads what was seen',
        },
      )
    }
    notices.push(
      `etcd does not answer: what others have committed after revision ${this.catalog.revision} may be missing`,
    )
  }

  #atLeast(revision: number): Promise<CatalogSnapshot> {
    const { signal, patience } = this.#reading
    return this.#parts.catalog.atLeast(revision, { signal, patience })
  }

  #take(snapshot: CatalogSnapshot): void {
    this.#release()
    // A statement that was cancelled meanwhile holds nothing any more.
    if (!this.#isReleased) this.#release = this.#parts.holds.hold(snapshot.revision)
    this.#catalog = snapshot
  }
}

/** Undefined where it fails, or takes longer. Fails with the signal's reason. */
async function within(
  read: Promise<number>,
  {
    limitMs,
    signal,
    clock,
  }: { readonly limitMs: number; readonly signal: AbortSignal; readonly clock: Clock },
): Promise<number | undefined> {
  signal.throwIfAborted()
  return new Promise((resolve, reject) => {
    const end = (settle: () => void): void => {
      stopTimer()
      signal.removeEventListener('abort', onAbort)
      settle()
    }
    const onAbort = (): void => end(() => reject(signal.reason as Error))
    const stopTimer =
      limitMs === Infinity
        ? () => undefined
        : clock.after(limitMs, () => end(() => resolve(undefined)))
    signal.addEventListener('abort', onAbort, { once: true })
    read.then(
      (revision) => end(() => resolve(revision)),
      () => end(() => resolve(undefined)),
    )
  })
}
