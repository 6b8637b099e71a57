import { assert, type Clock, type Log } from '@nyala/client/base'
import { randomHex, SqlError } from '@nyala/client/protocol'
import {
  type CatalogPlan,
  kindOf,
  type PlanContext,
  planTableUpdate,
  type RelationName,
  undefinedRelation,
} from './catalog-plan.ts'
import { resolveWrite, type Versioned } from './catalog-guard.ts'
import { type CatalogSnapshot, CatalogState } from './catalog-snapshot.ts'
import type { Keys } from './keys.ts'
import type { CommitResult, Compare, KeyValue, Kv } from './kv.ts'
import { marked } from './newest-revision.ts'
import { PrefixView } from './prefix-view.ts'
import type { TableRecord } from './records.ts'
import { type Patience, SHOWN_MS } from './patience.ts'
import { repeatCommit } from './retry.ts'

/** Attempts of one DDL before it is called a conflict; each lost one means that another statement got through. */
const ATTEMPTS_MAX = 64
/** How long the catalog may take to show a revision that the store is known to have. */
const CATCH_UP_MS = 5000
/** A view that has not shown a revision for this long is listed anew, then after twice as long, and so on. */
const RELIST_AFTER_MS = 250

export interface CatalogOptions {
  readonly kv: Kv
  readonly keys: Keys
  readonly clock: Clock
  readonly log: Log
  /** Makes ids of relations and of writes; must never repeat. Default: 96 random bits. */
  readonly newId?: (() => string) | undefined
}

export interface Abortable {
  readonly signal?: AbortSignal | undefined
  /** Of the statement that asks. */
  readonly patience?: Patience | undefined
}

/** What a verb did. The change is in every snapshot from `revision` on; this catalog's shows it unless etcd lags. */
export type Committed<T> = T & { readonly revision: number }

/**
 * The catalog as one process sees it: a live view for binding statements, and verbs to change it, which
 * are plans ({@link CatalogPlan}).
 *
 * A verb decides on a snapshot and proves by its compares that the decision still holds when it is written, also
 * where the decision is an error or that there is nothing to do. So an answer is right as of the moment it is given,
 * however old the snapshot was. Lost replies are resolved by repeating the write.
 *
 * All verbs fail with `metastore_unavailable` when nothing was done for want of etcd, with `commit_outcome_unknown`
 * when that cannot be told, and with `concurrent_ddl` when other statements kept getting in between.
 */
export class Catalog implements AsyncDisposable {
  readonly #kv: Kv
  readonly #keys: Keys
  readonly #clock: Clock
  readonly #log: Log
  readonly #newId: () => string
  readonly #view: PrefixView
  readonly #state: CatalogState

  private constructor(options: CatalogOptions) {
    this.#kv = options.kv
    this.#keys = options.keys
    this.#clock = options.clock
    this.#log = options.log
    this.#newId = options.newId ?? (() => randomHex(12))
    this.#state = new CatalogState(options.keys)
    this.#view = new PrefixView({ ...options, prefix: options.keys.catalog })
    this.#view.onChange((change) => this.#state.apply(change, () => this.#view.items()))
  }

  /** Resolves when the catalog has been read. The cluster must have been opened by {@link openCluster} before. */
  static async open(options: CatalogOptions, { signal }: Abortable = {}): Promise<Catalog> {
    const catalog = new Catalog(options)
    await catalog.#view.start({ signal })
    return catalog
  }

  async close(): Promise<void> {
    await this.#view.stop()
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  /** The catalog as it was at the last revision seen. Does no I/O. */
  snapshot(): CatalogSnapshot {
    return this.#state.snapshot(this.#view.revision)
  }

  /** Called after each change of the catalog. The returned function ends it. */
  onChange(listener: () => void): () => void {
    return this.#view.onChange(() => listener())
  }

  /**
   * A snapshot not older than `revision`, for reading one's own writes across coordinators.
   * Fails with `metastore_unavailable` after `timeoutMs`, else when the `patience` is over, after 5 s at the latest.
   */
  async atLeast(
    revision: number,
    options: Abortable & { readonly timeoutMs?: number | undefined } = {},
  ): Promise<CatalogSnapshot> {
    await this.#until(`revision ${revision}`, () => this.#view.revision >= revision, options)
    return this.snapshot()
  }

  /**
   * Replaces what a table's head says of its data, schema or statistics. `change` is called with the current record,
   * and again with a newer one when another update came first; it may throw to give up. Identity and name stay.
   * Fails with `undefined_table`, or `concurrent_ddl` where the name came to stand for another table meanwhile.
   */
  updateTable(
    target: RelationName,
    change: (current: TableRecord) => TableRecord,
    options: Abortable = {},
  ): Promise<Committed<{ readonly record: TableRecord }>> {
    let id: string | undefined
    return this.execute((context) => {
      const table = findTable(context, target)
      if ('kind' in table) return table
      id ??= table.record.id
      if (id !== table.record.id) throw conflict(`table "${target.name}" was dropped and created`)
      const update = planTableUpdate(table, change(table.record), context.writeId)
      return {
        kind: 'write',
        compares: [update.compare],
        operations: [update.put],
        guards: [update.guard],
        value: { record: update.record },
      }
    }, options)
  }

  /** Does what `plan` says of the newest snapshot; it is asked again until the snapshot that it saw was current. */
  async execute<T extends object>(
    plan: (context: PlanContext) => CatalogPlan<T>,
    options: Abortable = {},
  ): Promise<Committed<T>> {
    const writeId = this.#newId()
    const now = this.#clock.wall()
    for (let attempt = 0; attempt < ATTEMPTS_MAX; attempt++) {
      const snapshot = this.snapshot()
      const planned = plan({ keys: this.#keys, snapshot, writeId, now })
      const outcome = await this.#commit(planned, writeId, options)
      if (outcome.kind === 'stale') {
        await this.#catchUp(outcome.found, options)
        continue
      }
      if (planned.kind === 'refuse') throw planned.error
      await this.#show(outcome.revision, options)
      return { ...planned.value, revision: outcome.revision }
    }
    throw conflict(`other statements changed the catalog ${ATTEMPTS_MAX} times meanwhile`)
  }

  /** Lets the change be seen here. What is committed is committed, so a view that lags or an abort is no failure. */
  async #show(revision: number, { signal, patience }: Abortable): Promise<void> {
    const timeoutMs = patience === undefined ? undefined : SHOWN_MS
    try {
      await this.atLeast(revision, { signal, timeoutMs })
    } catch (error) {
      if (!(error instanceof SqlError) && signal?.aborted !== true) throw error
      this.#log.warn('catalog does not show its own change yet', { revision, error })
    }
  }

  async #commit<T>(
    planned: CatalogPlan<T>,
    writeId: string,
    { signal, patience }: Abortable,
  ): Promise<
    | { readonly kind: 'done'; readonly revision: number }
    | { readonly kind: 'stale'; readonly found: ReadonlyMap<string, KeyValue | undefined> }
  > {
    const guards = [...new Set(planned.compares.map((compare: Compare) => compare.key))]
    const { result, ambiguous } = await repeatCommit(
      { kv: this.#kv, clock: this.#clock, signal, patience },
      {
        compares: planned.compares,
        success: planned.kind === 'write' ? marked(this.#keys, planned.operations) : [],
        failure: guards.map((key) => ({ kind: 'get', key })),
      },
    )
    if (result.succeeded) {
      // Where nothing was written, what was decided on is visible already.
      const revision = planned.kind === 'write' ? result.revision : this.#view.revision
      return { kind: 'done', revision }
    }
    const found = readGuards(guards, result)
    if (!ambiguous || planned.kind !== 'write') return { kind: 'stale', found }
    const resolution = resolveWrite(this.#keys, writeId, planned.guards, found)
    switch (resolution.kind) {
      case 'applied':
        return { kind: 'done', revision: resolution.revision }
      case 'notApplied':
        return { kind: 'stale', found }
      case 'unknown':
        throw new SqlError('commit_outcome_unknown', 'the reply to a catalog change was lost', {
          hint: 'look whether the change is there before trying again',
        })
    }
  }

  /** Waits until the view has what made the commit's compares fail, so that the next plan is made on it. */
  async #catchUp(
    found: ReadonlyMap<string, KeyValue | undefined>,
    options: Abortable,
  ): Promise<void> {
    const needed = Math.max(0, ...[...found.values()].map((item) => item?.modRevision ?? 0))
    const gone = [...found].filter(([, item]) => item === undefined).map(([key]) => key)
    const listings = this.#view.listings
    await this.#until(
      'the change that came in between',
      () =>
        this.#view.revision >= needed &&
        // A key that is absent in the store but present in the view: its deletion is still to come.
        (this.#view.listings > listings || gone.every((key) => this.#view.get(key) === undefined)),
      options,
    )
  }

  /** Waits for the view; where it lags behind, makes it list anew, since events may have been lost. */
  async #until(
    what: string,
    condition: () => boolean,
    options: Abortable & { readonly timeoutMs?: number | undefined },
  ): Promise<void> {
    if (condition()) return
    options.patience?.asked()
    const timeoutMs =
      options.timeoutMs ?? Math.min(CATCH_UP_MS, options.patience?.leftMs ?? Infinity)
    const end = this.#clock.now() + timeoutMs
    const timedOut = new AbortController()
    let cancelTimer = (): void => undefined
    const arm = (afterMs: number): void => {
      const wait = Math.min(afterMs, end - this.#clock.now())
      cancelTimer = this.#clock.after(Math.max(0, wait), () => {
        if (this.#clock.now() >= end) return timedOut.abort(this.#behind(what, timeoutMs))
        this.#view.relist()
        arm(2 * afterMs)
      })
    }
    arm(RELIST_AFTER_MS)
    const signals = [timedOut.signal, ...(options.signal === undefined ? [] : [options.signal])]
    try {
      await this.#view.waitFor(condition, { signal: AbortSignal.any(signals) })
    } finally {
      cancelTimer()
    }
  }

  #behind(what: string, timeoutMs: number): SqlError {
    const { revision } = this.#view
    return new SqlError(
      'metastore_unavailable',
      `the catalog is at revision ${revision} and did not reach ${what} within ${timeoutMs} ms`,
      { hint: 'check that etcd is reachable, then try again', cause: this.#view.lastError },
    )
  }
}

function readGuards(
  guards: readonly string[],
  result: CommitResult,
): ReadonlyMap<string, KeyValue | undefined> {
  const found = new Map<string, KeyValue | undefined>()
  for (const [i, key] of guards.entries()) {
    const response = result.responses[i]
    assert(response?.kind === 'get', 'one read for each guard')
    found.set(key, response.item)
  }
  return found
}

function findTable(
  { keys, snapshot }: PlanContext,
  target: RelationName,
): Versioned<TableRecord> | (CatalogPlan<never> & { readonly kind: 'refuse' }) {
  const relation = snapshot.relation(target.database, target.name)
  const { database, name } = target
  if (relation === undefined) {
    const compares: readonly Compare[] = [{ kind: 'absent', key: keys.name(database, name) }]
    return { kind: 'refuse', compares, error: undefinedRelation('table', target) }
  }
  const { record, key, modRevision } = relation
  if (record.kind !== 'view') return { ...relation, record }
  const compares: readonly Compare[] = [{ kind: 'modRevision', key, equals: modRevision }]
  const error = new SqlError('undefined_table', `"${name}" is a ${kindOf(record)}, not a table`)
  return { kind: 'refuse', compares, error }
}

const conflict = (message: string): SqlError =>
  new SqlError('concurrent_ddl', message, { hint: 'try the statement again' })
