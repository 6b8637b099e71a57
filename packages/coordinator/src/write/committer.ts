import type { Clock } from '@nyala/client/base'
import { SqlError } from '@nyala/client/protocol'
import {
  type BegunWrite,
  type Catalog,
  type CatalogPlan,
  type CatalogSnapshot,
  type Keys,
  type Operation,
  type Patience,
  planTableUpdate,
  SHOWN_MS,
  type PlanContext,
  type Relation,
  type StagedWrite,
  type StatementRecord,
  type TableRecord,
  type Versioned,
  type WriteLog,
} from '@nyala/metastore'
import { checkRebase, type LiveFiles, rememberForgotten, type TableChange } from './change.ts'
import type { TableTurns, Turn } from './table-turns.ts'

/** Attempts of one commit before it is called a conflict; each lost one means that another commit got through. */
export const ATTEMPTS_MAX = 64

export interface CommitterOptions {
  readonly catalog: Catalog
  readonly writeLog: Pick<WriteLog, 'holds'>
  readonly decisions: Pick<WriteLog, 'decide'>
  readonly keys: Keys
  readonly clock: Clock
  readonly turns: Pick<TableTurns, 'begin'>
  readonly liveFiles: LiveFiles
}

/** Whose statement is being committed. */
export interface StatementIdentity {
  readonly id: string
  /** Of its text and parameters. */
  readonly fingerprint: string
}

export interface CommitRequest {
  readonly statement: StatementIdentity
  readonly writeId: string
  /** The record of the staged files; absent where there are none. */
  readonly write?: BegunWrite | undefined
  readonly outcome: Pick<StatementRecord, 'command' | 'rows' | 'notices'>
  /** More ids that the outcome is kept under. */
  readonly also?: readonly string[] | undefined
  /** More to be done in the same commit. */
  readonly operations?: readonly Operation[] | undefined
  /** Of its statement. */
  readonly patience?: Patience | undefined
}

export interface CommitDone {
  readonly outcome: StatementRecord
  readonly revision: number
  /** True where another execution of the statement did it: the files of this one are litter. */
  readonly repeated: boolean
}

/**
 * Commits writes: decides on the newest snapshot of the catalog, prepares what takes files, and tries until what was
 * decided on is still so at the commit. Commits of one table take turns here, so that only other coordinators are in
 * the way of each other.
 */
export class Committer {
  readonly #options: CommitterOptions
  readonly #turns = new Map<string, Promise<unknown>>()

  constructor(options: CommitterOptions) {
    this.#options = options
  }

  /**
   * Changes a table, on top of what came since its statement has read it where the kind of the change allows. Fails with
   * `serialization_failure` where it does not, and with `undefined_table` where the table is gone.
   */
  async update(change: TableChange, request: CommitRequest): Promise<CommitDone> {
    return this.#inTurn(change.base.id, request.patience, () =>
      this.#commit(request, [change.base.id], async (snapshot, attempt) => {
        const head = headOf(snapshot, change.base)
        await checkRebase(change, head.record, this.#options.liveFiles)
        const staged = await change.apply(head.record, attempt)
        const { writeId } = request
        const update = planTableUpdate(head, staged.record, writeId)
        const { keys, clock } = this.#options
        const forgotten = { before: head.record, staged, writeId, nowMs: clock.wall() }
        const more = rememberForgotten(keys, forgotten)
        return { compares: [update.compare], operations: [update.put, ...more] }
      }),
    )
  }

  get liveFiles(): LiveFiles {
    return this.#options.liveFiles
  }

  /**
   * Commits what `prepare` stages on the newest snapshot, again with each newer one; it may throw to give up. `tables`: ids
   * of those that it changes.
   */
  async commit(
    request: CommitRequest,
    tables: readonly string[],
    prepare: (snapshot: CatalogSnapshot) => Promise<StagedWrite>,
  ): Promise<CommitDone> {
    return this.#commit(request, tables, prepare)
  }

  /** Does what a plan of the catalog says. `onNothing` is the answer where there is nothing to do. */
  async execute<T>(
    request: CommitRequest,
    plan: (context: PlanContext) => CatalogPlan<T>,
    more: (value: T, writeId: string) => readonly Operation[] = () => [],
  ): Promise<{ readonly value: T } & (CommitDone | { readonly revision?: undefined })> {
    const { keys, clock, writeLog } = this.#options
    const { patience } = request
    let value: { readonly value: T } | undefined
    let isNothing = false
    const done = await this.#commit(request, [], async (snapshot) => {
      const planned = plan({ keys, snapshot, writeId: request.writeId, now: clock.wall() })
      if (planned.kind !== 'write' && !(await writeLog.holds(planned.compares, { patience })))
        return 'again'
      if (planned.kind === 'refuse') throw planned.error
      value = { value: planned.value }
      if (planned.kind === 'write') {
        const operations = [...planned.operations, ...more(planned.value, request.writeId)]
        return { compares: planned.compares, operations }
      }
      isNothing = true
      return 'nothing'
    })
    if (value === undefined) throw new Error('a commit has a plan')
    if (isNothing || done === undefined) return value
    return { ...value, ...done }
  }

  /** Whose patience ends before its turn comes does not take it. */
  #inTurn<T>(key: string, patience: Patience | undefined, work: () => Promise<T>): Promise<T> {
    const before = this.#turns.get(key) ?? Promise.resolve()
    let waiting: 'here' | 'gone' | 'over' = 'here'
    return new Promise((resolve, reject) => {
      patience?.asked()
      const stop = patience?.watch(() => {
        if (waiting !== 'here') return
        waiting = 'gone'
        reject(waitedInVain())
      })
      const settled = before
        .then(async () => {
          stop?.()
          if (waiting === 'gone') return
          waiting = 'over'
          await work().then(resolve, reject)
        })
        .finally(() => {
          if (this.#turns.get(key) === settled) this.#turns.delete(key)
        })
      this.#turns.set(key, settled)
    })
  }

  #commit(
    request: CommitRequest,
    tables: readonly string[],
    prepare: Prepare<never>,
  ): Promise<CommitDone>
  #commit(
    request: CommitRequest,
    tables: readonly string[],
    prepare: Prepare<'nothing' | 'again'>,
  ): Promise<CommitDone | undefined>
  async #commit(
    request: CommitRequest,
    tables: readonly string[],
    prepare: Prepare<'nothing' | 'again'>,
  ): Promise<CommitDone | undefined> {
    const turn = this.#options.turns.begin(tables)
    try {
      for (let attempt = 0; attempt < ATTEMPTS_MAX; attempt++) {
        const done = await this.#attempt(request, { turn, attempt, prepare })
        if (done === 'nothing') return undefined
        if (done !== 'again') return done
      }
    } finally {
      turn.end()
    }
    throw overtakenTooOften()
  }

  /** `again`: it was overtaken, and the catalog is newer now. */
  async #attempt(
    request: CommitRequest,
    one: {
      readonly turn: Turn
      readonly attempt: number
      readonly prepare: Prepare<'nothing' | 'again'>
    },
  ): Promise<CommitDone | 'nothing' | 'again'> {
    const { catalog, decisions, clock } = this.#options
    const { statement, writeId, write, also = [], operations: more = [], patience } = request
    const { turn, attempt, prepare } = one
    const newest = await turn.come(() => patience)
    // Whether or not it is seen here in time: the commit tells.
    if (catalog.snapshot().revision < newest) {
      patience?.asked()
      await shownSoon(catalog, newest)
    }
    const sinceMs = clock.now()
    const snapshot = catalog.snapshot()
    const prepared = await prepare(snapshot, attempt)
    if (prepared === 'nothing') return 'nothing'
    if (prepared !== 'again') {
      const outcome: StatementRecord = {
        ...request.outcome,
        fingerprint: statement.fingerprint,
        write: writeId,
        committedAt: clock.wall(),
      }
      const commit = {
        writes: write === undefined ? [] : [write],
        statements: [statement.id, ...also].map((id) => ({ id, outcome })),
        compares: prepared.compares,
        operations: [...prepared.operations, ...more],
      }
      const decision = await decisions.decide(commit, { patience })
      switch (decision.kind) {
        case 'committed':
          // Whoever waits is not to wait until this coordinator sees it, too.
          turn.end(decision.revision)
          return this.#done({ ...decision, outcome, repeated: false }, statement)
        case 'repeated':
          turn.end()
          return this.#done({ ...decision, ...decision.done[0], repeated: true }, statement)
        case 'aborted':
          throw new SqlError(
            'serialization_failure',
            'the write was given up while this coordinator was thought to be gone',
            { hint: 'nothing was written: send the statement again' },
          )
        case 'moved':
          await catalog.atLeast(decision.revision, { patience })
      }
    }
    await turn.overtaken(clock.now() - sinceMs)
    if (catalog.snapshot() === snapshot) {
      await catalog.atLeast(snapshot.revision + 1, { patience })
    }
    return 'again'
  }

  async #done(done: CommitDone, statement: StatementIdentity): Promise<CommitDone> {
    const { outcome, revision, repeated } = done
    checkFingerprint(outcome, statement)
    // What is committed is committed, whether this coordinator's own view shows it soon or not.
    await shownSoon(this.#options.catalog, revision)
    return { outcome, revision, repeated }
  }
}

/** Gives this coordinator's own view a moment to show a revision, whether it then does or not. */
export async function shownSoon(
  catalog: Pick<Catalog, 'atLeast'>,
  revision: number,
): Promise<void> {
  await catalog.atLeast(revision, { timeoutMs: SHOWN_MS }).catch(() => undefined)
}

/** Of a commit that was tried {@link ATTEMPTS_MAX} times. */
export const overtakenTooOften = (): SqlError =>
  new SqlError(
    'serialization_failure',
    `other statements changed the table ${ATTEMPTS_MAX} times meanwhile`,
    { hint: 'nothing was written: send the statement again' },
  )

/** Of a statement that waited behind others until its patience was over; its commit was not sent. */
export const waitedInVain = (): SqlError =>
  new SqlError(
    'metastore_unavailable',
    'the commits that the statement waited behind did not end, as the metastore does not answer',
    {
      hint: 'nothing was written: send the statement again once a majority of the etcd members answers',
    },
  )

type Prepare<Other> = (snapshot: CatalogSnapshot, attempt: number) => Promise<Other | StagedWrite>

/**
 * Asks what became of a commit that may have gone through. Where nobody answers that is not known, and must not be told as
 * if nothing had been done: fails with `commit_outcome_unknown`.
 */
export async function askOutcome<T>(ask: () => Promise<T>): Promise<T> {
  try {
    return await ask()
  } catch (error) {
    if (!(error instanceof SqlError) || error.error !== 'metastore_unavailable') throw error
    throw new SqlError('commit_outcome_unknown', `it is not known how it ended: ${error.message}`, {
      hint: 'what was written may be there, all of it or nothing; ask again under the same id',
      cause: error,
    })
  }
}

/** Fails with `invalid_parameter_value` where the outcome is that of another statement. */
export function checkFingerprint(outcome: StatementRecord, statement: StatementIdentity): void {
  if (outcome.fingerprint === statement.fingerprint) return
  throw new SqlError(
    'invalid_parameter_value',
    `statement id "${statement.id}" was used for another statement`,
    { hint: 'every statement needs an id of its own; nothing was done' },
  )
}

/** The head of a table, which may have been renamed meanwhile. Fails with `undefined_table` where it is gone. */
export function headOf(
  snapshot: CatalogSnapshot,
  table: Pick<TableRecord, 'id' | 'database' | 'name'>,
): Versioned<TableRecord> {
  const isIt = ({ record }: Relation): boolean => record.id === table.id
  const named = snapshot.relation(table.database, table.name)
  // A table that was renamed meanwhile is still the same.
  const found =
    named !== undefined && isIt(named)
      ? named
      : snapshot
          .databases()
          .flatMap(({ record }) => snapshot.relations(record.name))
          .find(isIt)
  if (found !== undefined && found.record.kind !== 'view') return { ...found, record: found.record }
  throw new SqlError('undefined_table', `table "${table.name}" was dropped meanwhile`, {
    hint: 'nothing was written',
  })
}
