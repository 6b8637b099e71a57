import { type Clock, isMutant } from '@nyala/client/base'
import { SqlError } from '@nyala/client/protocol'
import type { Catalog, CatalogSnapshot, NewestRevision } from '@nyala/metastore'
import type { ReadConsistency, SessionSettings } from '../bind/settings.ts'
import type { ReadHolds } from '../write/read-holds.ts'

/** How long a statement waits for etcd before it reads what was seen. */
const WAIT_MS = 1_000
/** And where etcd has been silent for longer: it may answer again. */
const LEAST_WAIT_MS = 50
/** How long this coordinator may take to see what etcd is known to have. */
const CATCH_UP_MS = 5_000

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

/** Texts that read nothing of what others have written: what they change is the session, or decided by a compare. */
const READS_NOTHING =
  /^(?:\s|--[^\n]*(?:\n|$)|\/\*[\s\S]*?\*\/)*(?:set|reset|use|commit|end|rollback|abort|kill)\b/i

interface Reading {
  readonly sql: string
  readonly settings: Pick<SessionSettings, 'readConsistency'>
  /** What its session has seen. */
  readonly revision: number
  readonly signal: AbortSignal
  readonly notices: string[]
}

/** The snapshot that a statement reads. Its files stay until it is released, as does a newer one's that takes its place. */
export class StatementRead {
  readonly #parts: ReadParts
  readonly #reading: Reading
  readonly #own: CatalogSnapshot | undefined
  #catalog: CatalogSnapshot | undefined
  #release: () => void = () => undefined
  #isReleased = false

  /** `own`: what the statement's transaction reads, which stays as it is. */
  constructor(parts: ReadParts, reading: Reading, own: CatalogSnapshot | undefined) {
    this.#parts = parts
    this.#reading = reading
    this.#own = own
  }

  async open(): Promise<void> {
    const { sql, settings } = this.#reading
    await this.#read(isPerhapsBlind(sql) ? 'session' : settings.readConsistency)
  }

  get catalog(): CatalogSnapshot {
    if (this.#catalog === undefined) throw new Error('a statement reads what was opened')
    return this.#catalog
  }

  newest(): Promise<CatalogSnapshot> {
    return this.#read(this.#reading.settings.readConsistency)
  }

  release(): void {
    this.#isReleased = true
    this.#release()
  }

  async #read(consistency: ReadConsistency): Promise<CatalogSnapshot> {
    const snapshot = this.#own ?? (await snapshotToRead(this.#parts, this.#reading, consistency))
    this.#release()
    // A statement that was cancelled meanwhile holds nothing any more.
    if (!this.#isReleased) this.#release = this.#parts.holds.hold(snapshot.revision)
    this.#catalog = snapshot
    return snapshot
  }
}

/**
 * The snapshot of the catalog that a statement reads, not older than what its session has seen. Fails with
 * `metastore_unavailable` after about 5 s.
 */
async function snapshotToRead(
  { catalog, newest, clock }: ReadParts,
  reading: Reading,
  consistency: ReadConsistency,
): Promise<CatalogSnapshot> {
  const { sql, revision, signal, notices } = reading
  const wait = { signal, timeoutMs: CATCH_UP_MS }
  if (consistency === 'session' || READS_NOTHING.test(sql) || isMutant('old-snapshots')) {
    return catalog.atLeast(revision, wait)
  }
  const silentSince = newest.silentSince ?? clock.now()
  const limitMs =
    consistency === 'strong'
      ? Infinity
      : Math.max(LEAST_WAIT_MS, silentSince + WAIT_MS - clock.now())
  const found = await within(newest.read(), { limitMs, signal, clock })
  if (found !== undefined) return catalog.atLeast(Math.max(revision, found), wait)
  if (consistency === 'strong') {
    throw new SqlError(
      'metastore_unavailable',
      'etcd does not say whether this coordinator has seen all that was committed',
      {
        hint: 'check that a majority of the etcd members is running and reachable; SET read_consistency = session reads what was seen',
      },
    )
  }
  const snapshot = await catalog.atLeast(revision, wait)
  notices.push(
    `etcd does not answer: what others have committed after revision ${snapshot.revision} may be missing`,
  )
  return snapshot
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
