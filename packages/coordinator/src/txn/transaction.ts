import { failpoint } from '@nyala/client/base'
import type { SessionTransaction } from '@nyala/client/protocol'
import { SqlError } from '@nyala/client/protocol'
import {
  type BegunWrite,
  type CatalogPlan,
  type CatalogSnapshot,
  type Operation,
  overlaid,
  type Patience,
  type PlanContext,
} from '@nyala/metastore'
import type { StatementContext, StatementOutcome } from '../server/statement-context.ts'
import type { TableChange } from '../write/change.ts'
import type { StatementIdentity } from '../write/committer.ts'
import type { Done, Executed, StagedRequest, StagedWrite, WriteRuns } from '../write/write-run.ts'
import {
  datedWrite,
  type DoneStep,
  replay,
  stagePlan,
  type Step,
  type StepContext,
  stageUpdate,
} from './steps.ts'
import {
  onTransaction,
  OPENED,
  type TransactionEffect,
  type TransactionEvent,
  type TransactionState,
} from './transaction-state.ts'

/** How long the record of a transaction that is rolled back is written for: nothing of it is seen in any case. */
const ROLLBACK_MS = 500
/** Statements of one transaction that change something. */
const STEPS_MAX = 999

export interface TransactionOptions {
  readonly runs: WriteRuns
  readonly id: string
  /** The coordinator that keeps it. */
  readonly coordinator: string
  /** What it reads, but for its own changes. */
  readonly snapshot: CatalogSnapshot
  /** Its statements change nothing. Default: they may. */
  readonly isReadOnly?: boolean | undefined
}

/**
 * Several statements that are committed together or not at all. Each reads the catalog as it was at BEGIN with what those
 * before it have changed; what they stage is named by heads that only this object knows, until COMMIT moves all heads of
 * the store in one commit. {@link onTransaction} decides what becomes of it; this carries it out.
 *
 * Statements of a transaction may run at once. A change takes its turn when it is staged: it goes on top of those that
 * came first, or conflicts with them, as with changes of others.
 */
export class Transaction {
  readonly id: string
  readonly #options: TransactionOptions
  #state: TransactionState = OPENED
  #done: readonly DoneStep[] = []
  #snapshot: CatalogSnapshot
  #record: BegunWrite | undefined
  /** That the record has been written, as far as is known here. */
  #isRecorded = false
  #writes = 0
  #committing: Promise<StatementOutcome> | undefined
  /** Settles when the last change has been staged, or was not; and the same of all statements that may stage one. */
  #turn: Promise<unknown> = Promise.resolve()
  readonly #staging = new Set<Promise<unknown>>()
  readonly #queries: {
    readonly writeId: string
    readonly request: StagedRequest
    readonly ran: Ran
  }[] = []

  constructor(options: TransactionOptions) {
    this.#options = options
    this.id = options.id
    this.#snapshot = options.snapshot
  }

  get state(): TransactionState {
    return this.#state
  }

  /** What the session is told of it; undefined once it is known how it ended. */
  get inSession(): SessionTransaction | undefined {
    if (this.isOver && !this.#isUnknown) return undefined
    const { id, coordinator } = this.#options
    return { id, coordinator, failed: this.#state.kind === 'failed' || this.#isUnknown }
  }

  /** Nothing can be done in it any more; how a COMMIT ended that nobody knows of is in the store. */
  get isOver(): boolean {
    return this.#state.kind === 'ended'
  }

  get #isUnknown(): boolean {
    return this.#state.kind === 'ended' && this.#state.how === 'unknown'
  }

  /** The revision of the catalog that it reads, but for its own changes. */
  get readsAt(): number {
    return this.#options.snapshot.revision
  }

  /** The catalog that it reads, without its own changes. */
  get before(): CatalogSnapshot {
    return this.#options.snapshot
  }

  /** The catalog as the next statement reads it. */
  get catalog(): CatalogSnapshot {
    return this.#snapshot
  }

  get isReadOnly(): boolean {
    return this.#options.isReadOnly === true
  }

  /** Fails with `in_failed_sql_transaction` where a statement has failed before. */
  checkOpen(): void {
    const { kind } = this.#state
    if (kind === 'open') return
    if (kind === 'failed') throw inFailed()
    throw new SqlError('serialization_failure', 'the transaction has ended', {
      hint: 'nothing was written by this statement: run the transaction again',
    })
  }

  statementFailed(reason: string): void {
    void this.#on({ kind: 'statementFailed', reason })
  }

  /** Runs a statement that stages files. Nobody else sees what it does. */
  async stage(
    request: StagedRequest,
    work: (write: StagedWrite) => Promise<Done | Executed<unknown>>,
  ): Promise<StatementOutcome> {
    this.checkOpen()
    const writeId = request.id ?? this.#newWriteId()
    const own = request.id === undefined ? [] : request.locations
    const staged = new StagedInTransaction(this, request, writeId)
    const done = await this.#awaited(async () => {
      await this.#inTurn(() => this.#cover(request, own))
      const result = await work(staged)
      if (staged.query !== undefined) this.#queries.push({ writeId, request, ran: staged.query })
      return result
    })
    const { query } = staged
    const more = query === undefined ? {} : { statistics: query.statistics, profile: query.profile }
    const rows = 'outcome' in done ? done.outcome.rows : null
    return { command: request.command, ...(rows === null ? {} : { rows }), ...more }
  }

  /** Does a plan of the catalog, seen by this transaction alone. */
  async execute<T>(
    plan: (context: PlanContext) => CatalogPlan<T>,
    how: {
      readonly context: Pick<StatementContext, 'signal' | 'patience'>
      readonly writeId?: string | undefined
      readonly more?: ((value: T, writeId: string) => readonly Operation[]) | undefined
    },
  ): Promise<{ readonly value: T }> {
    const { context, writeId = this.#newWriteId(), more } = how
    const executing = async (): Promise<{ readonly value: T }> => {
      await this.#cover({ context, locations: [] }, [])
      const step = { writeId, plan, more: (value: T) => more?.(value, writeId) ?? [] }
      const { value, done } = stagePlan(step, this.#snapshot, this.#stepContext())
      if (done !== undefined) this.#add(done)
      return { value }
    }
    return this.#awaited(() => this.#inTurn(executing))
  }

  update(change: TableChange, writeId: string): Promise<void> {
    return this.#inTurn(async () => {
      this.checkOpen()
      const done = await stageUpdate({ writeId, change }, this.#snapshot, this.#stepContext())
      this.checkOpen()
      this.#add(done)
    })
  }

  /**
   * COMMIT. Resolves with the command tag, which is that of ROLLBACK where a statement had failed. Fails with
   * `serialization_failure`, and the transaction is over; or with `commit_outcome_unknown`, when asking again under the
   * same statement id tells.
   */
  commit(identity: StatementIdentity, context: StatementContext): Promise<StatementOutcome> {
    // Asked twice at once, it is done once, and both are told the same.
    this.#committing ??= this.#commit(identity, context).finally(() => {
      // Cancelled before it began, it can be asked for again.
      if (!this.isOver) this.#committing = undefined
    })
    return this.#committing
  }

  async #commit(identity: StatementIdentity, context: StatementContext): Promise<StatementOutcome> {
    while (this.#staging.size > 0) await Promise.allSettled([...this.#staging])
    context.signal.throwIfAborted()
    const { patience } = context
    const effects = await this.#on({ kind: 'commitAsked' })
    if (effects.every(({ kind }) => kind !== 'decide')) {
      if (this.#state.kind === 'ended' && this.#state.how === 'rolledBack') {
        return { command: 'ROLLBACK' }
      }
      throw new SqlError('serialization_failure', 'the transaction has ended already')
    }
    context.commit.begun = true
    failpoint('transaction.committing')
    try {
      const revision = await this.#decide(identity, patience)
      await this.#on({ kind: 'commitEnded', how: 'committed', reason: 'COMMIT' })
      return { command: 'COMMIT', ...(revision === undefined ? {} : { revision }) }
    } catch (error) {
      const isUnknown = error instanceof SqlError && error.error === 'commit_outcome_unknown'
      const how = isUnknown ? 'unknown' : 'rolledBack'
      await this.#on({ kind: 'commitEnded', how, reason: String((error as Error).message) })
      throw error
    }
  }

  /** Ends it without an effect, unless it is being committed. Never rejects: what is left is done later. */
  async rollback(reason: string): Promise<void> {
    await this.#on({ kind: 'rollbackAsked', reason })
  }

  async #decide(identity: StatementIdentity, patience: Patience): Promise<number | undefined> {
    const { runs } = this.#options
    const record = this.#record
    if (record === undefined) return undefined
    let steps: readonly Step[] = this.#done.map(({ step }) => step)
    const outcome = { command: 'COMMIT', rows: null, notices: [] }
    const request = {
      ...{ statement: identity, writeId: this.id, write: record, outcome },
      ...{ also: [this.id], patience },
    }
    // No statement of it has that number.
    const dating = { writeId: `${this.id}s000`, dateCommit: runs.dateCommit }
    let attempts = 0
    const work = (): Promise<Done> =>
      runs.committer.commit(request, tablesOf(steps), async (snapshot) => {
        const context = this.#stepContext()
        const again = await replay(steps, snapshot, context)
        steps = again.steps
        const dated = { ...dating, ...context, attempt: attempts++ }
        const { write, locations } = await datedWrite(again, snapshot, dated)
        // Before it is decided: with that goes the record by which others would find these files.
        const { writeId } = dating
        const more = locations.map((location) => ({ location, writeId, attempts }))
        await this.#dropAttempts([...attemptsOf(steps), ...more])
        return write
      })
    const done = await runs.settled(record, identity, {
      work: async () => {
        await this.#dropLostTasks()
        return work()
      },
      ...{ tidy: () => this.#dropLostTasks(), patience },
    })
    return done.revision
  }

  async #on(event: TransactionEvent): Promise<readonly TransactionEffect[]> {
    const [state, effects] = onTransaction(this.#state, event)
    this.#state = state
    for (const effect of effects) {
      if (effect.kind !== 'abort') continue
      // Where its BEGIN was not answered the record may be there all the same.
      if (this.#isRecorded) {
        await this.#options.runs.giveUpRecord(this.id, effect.reason, { budgetMs: ROLLBACK_MS })
      }
    }
    return effects
  }

  #add(done: DoneStep): void {
    const { keys } = this.#options.runs
    const steps = [...this.#done, done]
    this.#snapshot = overlaid(
      this.#options.snapshot,
      keys,
      steps.map(({ write }) => write),
    )
    this.#done = steps
    const [state] = onTransaction(this.#state, { kind: 'staged' })
    this.#state = state
    failpoint('transaction.staged')
  }

  /** What COMMIT waits for. Where it fails so has the transaction, and COMMIT finds it so. */
  async #awaited<T>(work: () => Promise<T>): Promise<T> {
    const running = work().catch((error: unknown) => {
      this.statementFailed(String((error as Error).message))
      throw error
    })
    this.#staging.add(running)
    try {
      return await running
    } finally {
      this.#staging.delete(running)
    }
  }

  /** Before the first file is there its directory is in the record of the transaction. */
  async #cover(what: Covered, own: readonly string[]): Promise<void> {
    this.checkOpen()
    this.#isRecorded = true
    try {
      await this.#writeRecord(what, own)
    } finally {
      // Rolled back meanwhile, when the record was not there yet, or became another one.
      if (this.isOver) {
        const reason = 'the transaction has ended'
        await this.#options.runs.giveUpRecord(this.id, reason, { budgetMs: ROLLBACK_MS })
      }
    }
    this.checkOpen()
  }

  async #writeRecord({ context, locations }: Covered, own: readonly string[]): Promise<void> {
    const { runs } = this.#options
    const { signal, patience } = context
    this.#record ??= await runs.beginTransaction(this.id, {
      ...{ signal, patience, locations, own },
    })
    const { record } = this.#record
    const all = [...new Set([...record.locations, ...locations])]
    if (all.length === record.locations.length) return
    const more = { locations: all, own: [...(record.own ?? []), ...own] }
    this.#record = await runs.writeLog.extend(this.#record, more, { signal, patience })
  }

  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const mine = this.#turn.then(work)
    this.#turn = mine.catch(() => undefined)
    return mine
  }

  #newWriteId(): string {
    if (++this.#writes > STEPS_MAX) {
      throw new SqlError(
        'program_limit_exceeded',
        `a transaction has at most ${STEPS_MAX} statements that change something`,
      )
    }
    return `${this.id}s${String(this.#writes).padStart(3, '0')}`
  }

  #stepContext(): StepContext {
    const { keys, committer, clock } = this.#options.runs
    return { keys, liveFiles: committer.liveFiles, now: clock.wall() }
  }

  /** Removes what tasks have staged that ran again elsewhere. Never rejects. */
  async #dropLostTasks(): Promise<void> {
    const { files, log } = this.#options.runs
    try {
      for (const { writeId, request, ran } of this.#queries) {
        if (!ran.repeated) continue
        const paths = ran.files.map((file) => file.path)
        for (const location of request.locations)
          await files.removeUncommitted(location, writeId, paths)
      }
    } catch (error) {
      log.warn('stagedFilesNotRemoved', { write: this.id, error })
    }
  }

  /** Removes what was staged and overtaken. Never rejects. */
  async #dropAttempts(staged: readonly Staged[]): Promise<void> {
    const { files, log } = this.#options.runs
    try {
      for (const { location, writeId, attempts } of staged) {
        if (attempts > 1) await files.removeAttempts(location, writeId, attempts - 1)
      }
    } catch (error) {
      log.warn('stagedFilesNotRemoved', { write: this.id, error })
    }
  }
}

/** Metadata of a table, and how many times it was staged. */
interface Staged {
  readonly location: string
  readonly writeId: string
  readonly attempts: number
}

const attemptsOf = (steps: readonly Step[]): readonly Staged[] =>
  steps.flatMap((step) => {
    if (step.kind !== 'update') return []
    const { writeId, attempts, change } = step
    return [{ location: change.base.location, writeId, attempts }]
  })

const tablesOf = (steps: readonly Step[]): readonly string[] =>
  steps.flatMap((step) => (step.kind === 'update' ? [step.change.base.id] : []))

/** What is to be in the record, and on whose behalf. */
interface Covered {
  readonly context: Pick<StatementContext, 'signal' | 'patience'>
  readonly locations: readonly string[]
}

type Ran = Parameters<StagedWrite['ran']>[0]

/** A write of a statement in a transaction: its commits only stage. */
class StagedInTransaction implements StagedWrite {
  readonly id: string
  readonly #transaction: Transaction
  readonly #request: StagedRequest
  query: Ran | undefined

  constructor(transaction: Transaction, request: StagedRequest, id: string) {
    this.#transaction = transaction
    this.#request = request
    this.id = id
  }

  ran(query: Ran): void {
    this.query = query
  }

  async update(
    change: TableChange,
    { rows }: { readonly rows: number | null },
  ): ReturnType<StagedWrite['update']> {
    await this.#transaction.update(change, this.id)
    return this.#outcome(rows)
  }

  async execute<T>(
    plan: (context: PlanContext) => CatalogPlan<T>,
    { rows }: { readonly rows: number | null },
  ): Promise<Executed<T>> {
    const { context } = this.#request
    const { value } = await this.#transaction.execute(plan, { context, writeId: this.id })
    return { value, ...this.#outcome(rows) }
  }

  /** Not yet that of anything that is stored. */
  #outcome(rows: number | null): Awaited<ReturnType<StagedWrite['update']>> {
    const { command, context, identity } = this.#request
    const { fingerprint } = identity
    return {
      outcome: {
        ...{ fingerprint, write: this.id, command, rows },
        ...{ notices: context.notices, committedAt: 0 },
      },
      revision: 0,
      repeated: false,
    }
  }
}

const inFailed = (): SqlError =>
  new SqlError(
    'in_failed_sql_transaction',
    'a statement of the transaction has failed, so nothing more is done in it',
    { hint: 'end it with ROLLBACK' },
  )
