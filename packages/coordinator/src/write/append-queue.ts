import { type Clock, failpoint } from '@nyala/client/base'
import { SqlError } from '@nyala/client/protocol'
import {
  type BegunWrite,
  type Catalog,
  type Keys,
  mostPatient,
  type Owner,
  type Patience,
  planTableUpdate,
  type TableRecord,
  type Versioned,
  type WriteLog,
} from '@nyala/metastore'
import { type Append, takeGroup } from './append-group.ts'
import type { ConstantRowsText } from './append-encoder.ts'
import {
  type AppendEnd,
  type AppendSteps,
  notKnown,
  othersThan,
  repeated,
  type Waiting,
} from './append-waiting.ts'
import { rememberForgotten, type StagedHead } from './change.ts'
import {
  askOutcome,
  ATTEMPTS_MAX,
  headOf,
  overtakenTooOften,
  shownSoon,
  waitedInVain,
} from './committer.ts'
import type { TableTurns, Turn } from './table-turns.ts'
import type { WriteRuns } from './write-run.ts'

/** After its patience a statement that is being committed is told what is known by then. */
const TOLD_MS = 300
/** A write that was begun ahead and is not needed for so long is forgotten. */
const IDLE_MS = 1_000

/** Where a write stages what it adds to a table. */
export interface StagePlace {
  readonly writeId: string
  readonly attempt: number
}

/** Rows of a group of statements that are ready to be staged. */
export interface StageableRows {
  /** Stages them on top of `current`; what the head then is. Called again with each newer head. */
  stage(current: TableRecord, place: StagePlace): Promise<StagedHead>
  /** Removes what was staged last and would be staged anew: no head names it, nor ever will. Never rejects. */
  dropAttempt(): Promise<void>
}

export interface AppendQueueOptions {
  readonly catalog: Catalog
  readonly keys: Keys
  readonly writeLog: WriteLog
  readonly decisions: Pick<WriteLog, 'decide'>
  readonly writes: Pick<WriteRuns, 'giveUp' | 'mayHaveBegun'>
  readonly owner: Owner
  readonly clock: Clock
  readonly turns: Pick<TableTurns, 'begin'>
  readonly newWriteId: () => string
  /** Computes rows; fails with an SqlError where a value does not fit its column. */
  readonly encode: (
    table: TableRecord,
    texts: readonly ConstantRowsText[],
  ) => Promise<StageableRows>
  /** Nothing waits, nothing was begun ahead, and no timer of the queue is left: it may be dropped. */
  readonly onIdle: () => void
}

/**
 * Small appends to one table, by one coordinator: those that arrive while a commit is on its way go into the next one
 * together, as one file, one snapshot and one commit in the metastore, with an outcome for each.
 *
 * ```
 *   append ─► waiting ─► taken ─► encoded ─► staged ─► decided ─┬─ committed ─► all are done
 *                │         │         ▲          ▲               ├─ repeated: these were done before; the others again
 *                │         └─ does not fit      └───────────────┼─ moved: on top of the newer head
 *                └─ cancelled                                   └─ aborted: under another write
 * ```
 *
 * The commit of one group begins the write of the next, which saves a round. What makes it safe are the compares of the
 * commit, as for any other write; that several statements share it changes nothing of them.
 */
export class AppendQueue {
  readonly #options: AppendQueueOptions
  readonly #table: Pick<TableRecord, 'id' | 'database' | 'name' | 'location'>
  #waiting: readonly Waiting[] = []
  #draining: Promise<void> | undefined
  /** As this queue's last commit has left it; the catalog may not show that yet. */
  #head: Versioned<TableRecord> | undefined
  #ahead: BegunWrite | undefined
  /** What was begun ahead and is not needed is being forgotten. */
  #forgetting: Promise<unknown> = Promise.resolve()
  /** Begun by the commit that is being decided; where nobody tells how that ended it may be there. */
  #maybeAhead: string | undefined
  #stopIdling: () => void = () => undefined
  /** The group that was taken waits for the metastore, and so do those that wait for their turn. */
  #isAsking = false

  constructor(table: TableRecord, options: AppendQueueOptions) {
    this.#table = table
    this.#options = options
  }

  append(append: Append): Promise<AppendEnd> {
    return new Promise((resolve, reject) => {
      const stop = append.patience.watch(() => this.#timeUp(one))
      const ended =
        <T>(settle: (how: T) => void) =>
        (how: T): void => {
          stop()
          settle(how)
        }
      const one: Waiting = {
        append,
        state: 'waiting',
        resolve: ended(resolve),
        reject: ended(reject),
      }
      if (this.#isAsking) append.patience.asked()
      this.#waiting = [...this.#waiting, one]
      this.#stopIdling()
      this.#draining ??= this.#drain()
    })
  }

  /** Others may have more patience left, so the commit goes on: without it, or with nobody to tell. */
  #timeUp(one: Waiting): void {
    if (one.state === 'deciding') {
      this.#options.clock.after(TOLD_MS, () => one.reject(notKnown()))
      return
    }
    one.state = 'left'
    this.#waiting = this.#waiting.filter((other) => other !== one)
    one.reject(waitedInVain())
  }

  /** How long the metastore is asked for this group. */
  #ask(group: readonly Waiting[]): Patience | undefined {
    this.#isAsking = true
    for (const { append } of this.#waiting) append.patience.asked()
    return mostPatient(group.map(({ append }) => append.patience))
  }

  /** From now on files are written. */
  #work(group: readonly Waiting[]): void {
    this.#isAsking = false
    for (const { append } of [...this.#waiting, ...group]) append.patience.working()
  }

  /** Forgets what was begun ahead, once all that waits is done. */
  async close(): Promise<void> {
    await this.#draining
    this.#stopIdling()
    this.#forgetAhead()
    await this.#forgetting
    // What was appended meanwhile looks after its own end.
    if (this.#draining !== undefined || this.#ahead !== undefined) return
    this.#stopIdling()
    this.#options.onIdle()
  }

  #forgetAhead(): void {
    const ahead = this.#ahead
    if (ahead === undefined) return
    this.#ahead = undefined
    const { writeLog, writes } = this.#options
    const forgotten = writeLog
      .forgetUnused(ahead)
      .catch(() => writes.giveUp(ahead, 'it was not needed'))
    this.#forgetting = Promise.all([this.#forgetting, forgotten])
  }

  async #drain(): Promise<void> {
    // Those that arrive in the same turn of the loop go together.
    await Promise.resolve()
    while (this.#waiting.length > 0) {
      const turn = this.#options.turns.begin([this.#table.id])
      // Those that come meanwhile go with them.
      await this.#itsTurn(turn, () => this.#ask([]))
      const { taken, cancelled, waiting } = takeGroup(this.#waiting)
      this.#waiting = waiting
      for (const { append, reject } of cancelled) reject(append.signal.reason)
      // What is sent to the metastore may be done: a client is told how it ended, not that it was cancelled.
      for (const { append } of taken) append.commit.begun = true
      if (taken.length > 0) failpoint('group.taken')
      this.#work(taken)
      try {
        await this.#commit(taken, turn)
      } catch (error) {
        for (const one of taken) one.reject(error)
      } finally {
        turn.end()
      }
    }
    this.#draining = undefined
    this.#stopIdling = this.#options.clock.after(IDLE_MS, () => void this.close(), {
      background: true,
    })
  }

  /** Whether or not this coordinator sees in time what those ahead have committed: the commit tells. */
  async #itsTurn(turn: Turn, asked: () => Patience | undefined): Promise<void> {
    const newest = await turn.come(asked)
    if (this.#newestRevision < newest) {
      asked()
      await shownSoon(this.#options.catalog, newest)
    }
  }

  async #commit(taken: readonly Waiting[], turn: Turn): Promise<void> {
    const table = this.#newest().record
    const group = this.#ofSchema(taken, table)
    const encoded = await this.#encode(table, group)
    if (encoded === undefined) return
    const begun = await this.#begin(encoded)
    if (begun === undefined) return
    let there: Begun | undefined
    try {
      there = await this.#thoseThere(begun)
    } catch (error) {
      return this.#settle(begun, error)
    }
    if (there === undefined) return
    this.#work(there.group)
    await this.#decide(there, turn)
  }

  /** The same without statements whose clients were told meanwhile that nothing was written. From here on none leaves. */
  async #thoseThere(begun: Begun): Promise<Begun | undefined> {
    const there = begun.group.filter(({ state }) => state !== 'left')
    if (there.length === begun.group.length) {
      for (const one of there) one.state = 'deciding'
      return begun
    }
    const encoded = await this.#encode(this.#newest().record, there)
    if (encoded !== undefined) return this.#thoseThere({ ...encoded, write: begun.write })
    const patience = this.#ask(begun.group)
    await this.#options.writes.giveUp(begun.write, 'its statements were given up', { patience })
    return undefined
  }

  /** Those that were rendered for another schema of the table are told so. */
  #ofSchema(taken: readonly Waiting[], { schemaVersion, name }: TableRecord): readonly Waiting[] {
    return taken.filter(({ append, reject }) => {
      if (append.schemaVersion === schemaVersion) return true
      reject(
        new SqlError('serialization_failure', `table "${name}" was altered meanwhile`, {
          hint: 'nothing was written: send the statement again',
        }),
      )
      return false
    })
  }

  /** The rows of all statements that fit; the others are told so. */
  async #encode(table: TableRecord, group: readonly Waiting[]): Promise<Encoded | undefined> {
    if (group.length === 0) return undefined
    const { clock, encode } = this.#options
    const since = clock.now()
    try {
      const texts = group.map(({ append }) => append.text)
      const rows = await encode(table, texts)
      return { group, rows, encodeMs: clock.now() - since }
    } catch (error) {
      if (!(error instanceof SqlError)) throw error
    }
    const [first] = group
    if (group.length === 1) {
      first?.resolve({ kind: 'unfit' })
      return undefined
    }
    const half = group.length >> 1
    const fitting = [
      await this.#encode(table, group.slice(0, half)),
      await this.#encode(table, group.slice(half)),
    ]
    const [left, right] = fitting
    if (left === undefined || right === undefined) return left ?? right
    return this.#encode(table, [...left.group, ...right.group])
  }

  /** A write for the group: the one that the commit before has begun, or a new one. */
  async #begin(encoded: Encoded): Promise<Begun | undefined> {
    const ahead = this.#ahead
    this.#ahead = undefined
    if (ahead !== undefined) return { ...encoded, write: ahead }
    const { writeLog, writes, owner, clock, newWriteId } = this.#options
    const [first, ...others] = encoded.group
    if (first === undefined) return undefined
    const start = { id: newWriteId(), locations: [this.#table.location], startedAt: clock.wall() }
    const { id: statementId } = first.append.identity
    const options = { statementId, patience: this.#ask(encoded.group) }
    const begun = await writeLog.begin(start, owner, options).catch((error: unknown) => {
      writes.mayHaveBegun(start.id)
      throw error
    })
    if (begun.kind === 'begun') return { ...encoded, write: begun.write }
    repeated(first, begun.outcome, begun.outcome.revision)
    const again = await this.#encode(this.#newest().record, others)
    return again === undefined ? undefined : this.#begin(again)
  }

  async #decide(begun: Begun, turn: Turn): Promise<void> {
    let current = begun
    for (let attempt = 1; attempt <= ATTEMPTS_MAX; attempt++) {
      try {
        const next = await this.#attempt(current, { attempt, turn })
        if (next === undefined) return
        current = next
      } catch (error) {
        return this.#settle(current, error)
      }
    }
    const { writes } = this.#options
    const patience = this.#ask(current.group)
    await writes.giveUp(current.write, 'it was overtaken too often', { patience })
    throw overtakenTooOften()
  }

  /** One try; what is to be tried next, if anything. */
  async #attempt(
    begun: Begun,
    { attempt, turn }: { readonly attempt: number; readonly turn: Turn },
  ): Promise<Begun | undefined> {
    const { writeLog, decisions, catalog, clock, owner, newWriteId, keys } = this.#options
    const { group, rows, write } = begun
    if (attempt > 1) {
      await this.#itsTurn(turn, () => this.#ask(group))
      this.#work(group)
    }
    const head = this.#newest()
    const stillFit = this.#ofSchema(group, head.record)
    if (stillFit.length < group.length) return this.#without(begun, stillFit)
    const writeId = write.record.id
    const since = clock.now()
    failpoint('group.staging')
    const staged = await rows.stage(head.record, { writeId, attempt })
    const stagedAt = clock.now()
    const update = planTableUpdate(head, staged.record, writeId)
    const { location } = staged.record
    const committedAt = clock.wall()
    const start = { id: newWriteId(), locations: [location], startedAt: committedAt }
    const ahead = writeLog.beginWith(start, owner)
    this.#maybeAhead = start.id
    const forgotten = { before: head.record, staged, writeId, nowMs: committedAt }
    const patience = this.#ask(group)
    const decision = await decisions.decide(
      {
        writes: [write],
        statements: group.map(({ append: { identity, text, notices } }) => ({
          id: identity.id,
          outcome: {
            ...{ command: 'INSERT', rows: text.rows.length, notices: [...notices] },
            ...{ fingerprint: identity.fingerprint, write: writeId, committedAt },
          },
        })),
        compares: [update.compare],
        operations: [update.put, ahead.operation, ...rememberForgotten(keys, forgotten)],
      },
      { patience },
    )
    this.#maybeAhead = undefined
    switch (decision.kind) {
      case 'committed': {
        failpoint('group.decided')
        const { revision } = decision
        this.#ahead = ahead.begunAt(revision)
        this.#head = { ...head, record: update.record, modRevision: revision }
        turn.end(revision)
        const [stageMs, decideMs] = [stagedAt - since, clock.now() - stagedAt]
        const steps = { statements: group.length, encodeMs: begun.encodeMs, stageMs, decideMs }
        for (const one of group) this.#tell(one, { revision, steps })
        return undefined
      }
      case 'repeated':
        return this.#without(begun, othersThan(decision, group))
      case 'moved':
        this.#head = undefined
        await catalog.atLeast(decision.revision, { patience })
        this.#work(group)
        // Before another attempt is decided: with that goes the record by which others would find these files.
        await rows.dropAttempt()
        await turn.overtaken(clock.now() - since)
        return begun
      case 'aborted':
        // A leader took this coordinator for gone: what was staged is being removed.
        return this.#begin(begun)
    }
  }

  /** The same without some of its statements, whose rows are staged already: under a new write, as another file. */
  async #without(begun: Begun, others: readonly Waiting[]): Promise<Begun | undefined> {
    const patience = this.#ask(begun.group)
    const reason = 'some of its statements are done or refused'
    await this.#options.writes.giveUp(begun.write, reason, { patience })
    this.#work(others)
    const encoded = await this.#encode(this.#newest().record, others)
    return encoded === undefined ? undefined : this.#begin(encoded)
  }

  /** After a failure: nothing was done, or the statements' outcomes are there. */
  async #settle({ write, group }: Begun, error: unknown): Promise<void> {
    const { writes, writeLog } = this.#options
    const isUnknown = error instanceof SqlError && error.error === 'commit_outcome_unknown'
    const patience = this.#ask(group)
    const how = { failure: error, patience }
    const aborted = await writes.giveUp(write, String((error as Error).message), how)
    if (isUnknown && this.#maybeAhead !== undefined) writes.mayHaveBegun(this.#maybeAhead)
    this.#maybeAhead = undefined
    if (!isUnknown || aborted === 'unsettled') throw error
    if (aborted === 'aborted') {
      throw new SqlError('serialization_failure', 'the metastore did not answer in time', {
        hint: 'the write was given up, and nothing was written: send the statement again',
        cause: error,
      })
    }
    this.#head = undefined
    for (const one of group) {
      const outcome = await askOutcome(() =>
        writeLog.outcomeOf(one.append.identity.id, { patience }),
      )
      if (outcome === undefined) one.reject(error)
      else repeated(one, outcome, outcome.revision)
    }
  }

  /** Once this coordinator's own view shows it; what is committed is committed, whether that is soon or not. */
  #tell(
    { append, resolve }: Waiting,
    done: { readonly revision: number; readonly steps: AppendSteps },
  ): void {
    const end = { kind: 'done', rows: append.text.rows.length, ...done } as const
    void shownSoon(this.#options.catalog, done.revision).then(() => resolve(end))
  }

  get #newestRevision(): number {
    return Math.max(this.#options.catalog.snapshot().revision, this.#head?.modRevision ?? 0)
  }

  #newest(): Versioned<TableRecord> {
    const snapshot = this.#options.catalog.snapshot()
    if (this.#head !== undefined && snapshot.revision < this.#head.modRevision) return this.#head
    return headOf(snapshot, this.#table)
  }
}

interface Encoded {
  readonly group: readonly Waiting[]
  readonly rows: StageableRows
  readonly encodeMs: number
}

interface Begun extends Encoded {
  readonly write: BegunWrite
}
