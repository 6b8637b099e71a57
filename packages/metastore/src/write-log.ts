import {
  assert,
  type Clock,
  DecodeError,
  failpoint,
  isMutant,
  type Schema,
} from '@nyala/client/base'
import { SqlError } from '@nyala/client/protocol'
import type { Keys } from './keys.ts'
import type { CommitResult, Compare, KeyValue, Kv, Operation } from './kv.ts'
import { marked } from './newest-revision.ts'
import { type Heard, Patience } from './patience.ts'
import type { Owner } from './query-log.ts'
import { decodeRecord, encodeRecord } from './records.ts'
import { repeatCommit, repeatRead } from './retry.ts'
import {
  type PendingWrite,
  type StatementRecord,
  statementRecord,
  type TransactionRecord,
  transactionRecord,
} from './write-records.ts'

/** Keys that one commit deletes; etcd takes 128 operations. */
const DELETES_MAX = 100
/** Writes that {@link WriteLog.ended} is asked of at once. */
export const ENDED_MAX = 100
/**
 * Outcomes that are read at once. There are 90,000 where a hundred statements a second write, and whoever forgets some of
 * them leads, and must not stop for long; etcd counts the rest of the range for each page.
 */
const OUTCOMES_PAGE = 2_000

export interface WriteLogOptions {
  readonly kv: Kv
  readonly keys: Keys
  readonly clock: Clock
}

/** On whose behalf the store is asked. */
export interface Asking {
  readonly signal?: AbortSignal | undefined
  /** Absent: each call is repeated for 4.5 s. */
  readonly patience?: Patience | undefined
  /** In its place: each call is repeated for so long. */
  readonly budgetMs?: number | undefined
}

/** A write that was begun, as its record stands. */
export interface BegunWrite {
  readonly record: PendingWrite
  readonly modRevision: number
}

export interface LoggedTransaction {
  readonly record: TransactionRecord
  readonly key: string
  readonly modRevision: number
}

/** What one commit does to the catalog, and what the clients of its statements are to be told. */
export interface DecideRequest {
  /** The records of the staged files; none where nothing was staged. */
  readonly writes: readonly BegunWrite[]
  /** Statements that are done by this commit, all or none. */
  readonly statements: readonly DoneStatement[]
  /** That what was decided on is still so: heads of tables at their base. */
  readonly compares: readonly Compare[]
  readonly operations: readonly Operation[]
}

/** A statement, by the id that its client gave it, and what came of it. */
export interface DoneStatement {
  readonly id: string
  readonly outcome: StatementRecord
}

/** What came of a statement, as it is stored; what it did is visible from `revision` on. */
export type FoundOutcome = StatementRecord & { readonly revision: number }

export type Decision =
  /** Visible from `revision` on. */
  | { readonly kind: 'committed'; readonly revision: number }
  /**
   * Other executions of these statements were first, and are visible from `revision` on: this commit has done nothing,
   * also not for its other statements, which may be decided again without these.
   */
  | {
      readonly kind: 'repeated'
      readonly revision: number
      readonly done: readonly [DoneStatement, ...DoneStatement[]]
    }
  /** Something that was compared is no longer so; nothing was done, and it may be decided again on what is. */
  | { readonly kind: 'moved'; readonly revision: number }
  /** These writes are not pending any more: they were aborted by another, or never begun. Nothing was done. */
  | { readonly kind: 'aborted'; readonly writes: readonly BegunWrite[] }

/**
 * The records of writes and of what became of statements.
 *
 * ```
 *   begin ──► pending ──decide──► gone, with the statement's outcome and the new heads at one revision
 *                │
 *                └──abort (its owner, or the leader once that is gone)──► aborted ──janitor──► gone
 * ```
 *
 * All that makes it safe are the compares of one commit: its writes are pending ∧ its statements have no outcome ∧ all
 * heads are at their base. So a coordinator that was paused finds its write aborted, a statement that is sent twice is done
 * once, and a decision that arrives late or twice is refused. What it did is known again by the outcome's `write`.
 */
export class WriteLog {
  readonly #options: WriteLogOptions
  readonly #heard: Heard = { lastMs: -Infinity }

  constructor(options: WriteLogOptions) {
    this.#options = options
  }

  /** That of a new statement. */
  patience(): Patience {
    return new Patience(this.#options.clock, this.#heard)
  }

  /** The first outcome of a statement, where it has one. A read: that it has none is proved only by `decide`. */
  async outcomeOf(statementId: string, options: Asking = {}): Promise<FoundOutcome | undefined> {
    const { kv, keys, clock } = this.#options
    const key = keys.statement(statementId)
    const { item } = await repeatRead({ kv, clock, ...options }, (call) => kv.get(key, call))
    if (isMutant('no-outcome-check')) return undefined
    return item === undefined ? undefined : foundOutcome(item)
  }

  /**
   * Makes a write known before its first file is; or tells what its statement has come to already, which makes sure that
   * a request which is delivered late does not bring the record of a committed write back. Fails with
   * `metastore_unavailable`: nothing will be decided, but the record may be there, or come late.
   */
  async begin(
    write: Omit<PendingWrite, 'kind' | 'owner' | 'ownerStartedAt'>,
    owner: Owner,
    options: Asking & { readonly statementId: string },
  ): Promise<
    | { readonly kind: 'begun'; readonly write: BegunWrite }
    | { readonly kind: 'done'; readonly outcome: FoundOutcome }
  > {
    const { kv, keys, clock } = this.#options
    const record: PendingWrite = {
      kind: 'pending',
      ...write,
      owner: owner.id,
      ownerStartedAt: owner.startedAt,
    }
    const key = keys.txn(write.id)
    const value = encodeRecord(transactionRecord, record)
    const statement = keys.statement(options.statementId)
    failpoint('write.beginning')
    const { result } = await repeatCommit(
      { kv, clock, signal: options.signal, patience: options.patience },
      {
        compares: [{ kind: 'absent', key }, ...absent([statement])],
        success: [{ kind: 'put', key, value }],
        failure: [
          { kind: 'get', key },
          { kind: 'get', key: statement },
        ],
      },
    ).catch((error: unknown) => {
      throw isUnknown(error) ? notBegun(error) : error
    })
    const begun = (modRevision: number): { kind: 'begun'; write: BegunWrite } => {
      failpoint('write.begun')
      return { kind: 'begun', write: { record, modRevision } }
    }
    if (result.succeeded) return begun(result.revision)
    // Ids are random: what is there is what an earlier attempt of this call has put.
    const item = itemAt(result, 0)
    if (item?.value === value) return begun(item.modRevision)
    const first = itemAt(result, 1)
    if (first !== undefined) return { kind: 'done', outcome: foundOutcome(first) }
    throw new SqlError('serialization_failure', 'the write was aborted before it began', {
      hint: 'send the statement again',
    })
  }

  /**
   * Makes known that a write that was begun puts files into more directories, before the first of them is there. Fails
   * with `serialization_failure` where the write was aborted by another.
   */
  async extend(
    write: BegunWrite,
    more: Pick<PendingWrite, 'locations' | 'own'>,
    options: Asking = {},
  ): Promise<BegunWrite> {
    const { kv, keys, clock } = this.#options
    const key = keys.txn(write.record.id)
    const record: PendingWrite = { ...write.record, ...more }
    const value = encodeRecord(transactionRecord, record)
    const { result } = await repeatCommit(
      { kv, clock, ...options },
      {
        compares: [{ kind: 'modRevision', key, equals: write.modRevision }],
        success: [{ kind: 'put', key, value }],
        failure: [{ kind: 'get', key }],
      },
    )
    if (result.succeeded) return { record, modRevision: result.revision }
    const item = itemAt(result, 0)
    if (item?.value === value) return { record, modRevision: item.modRevision }
    throw new SqlError('serialization_failure', 'the transaction was aborted meanwhile', {
      hint: 'nothing was written: run it again',
    })
  }

  /**
   * A write that the commit of another one begins: a round less for whoever writes again and again. It has begun at the
   * revision of that commit; should nothing come of it, it is forgotten.
   */
  beginWith(
    write: Omit<PendingWrite, 'kind' | 'owner' | 'ownerStartedAt'>,
    owner: Owner,
  ): { readonly operation: Operation; begunAt(revision: number): BegunWrite } {
    const { keys } = this.#options
    const record: PendingWrite = {
      kind: 'pending',
      ...write,
      owner: owner.id,
      ownerStartedAt: owner.startedAt,
    }
    const value = encodeRecord(transactionRecord, record)
    return {
      operation: { kind: 'put', key: keys.txn(write.id), value },
      begunAt: (modRevision) => ({ record, modRevision }),
    }
  }

  /** Removes the record of a write that has put no file anywhere. */
  async forgetUnused({ record, modRevision }: BegunWrite): Promise<void> {
    await this.forget({ key: this.#options.keys.txn(record.id), modRevision })
  }

  /**
   * One commit that does it all or nothing. Fails with `commit_outcome_unknown` where that cannot be told: asking for the
   * statement's outcome, or sending the statement again under the same id, tells it later.
   */
  async decide(request: DecideRequest, options: Asking = {}): Promise<Decision> {
    const { kv, keys, clock } = this.#options
    const { writes, statements, compares, operations } = request
    assert(statements.length > 0, 'a commit is that of a statement')
    const outcomes = statements.map(({ id }) => keys.statement(id))
    const pending = writes.map((write) => keys.txn(write.record.id))
    const guards = new Set(compares.map((compare) => compare.key))
    failpoint('write.deciding')
    const { result } = await repeatCommit(
      { kv, clock, ...options },
      {
        compares: [...absent(outcomes), ...pendingStill(writes, keys), ...compares],
        success: [
          ...statements.map(({ id, outcome }): Operation => {
            const value = encodeRecord(statementRecord, outcome)
            return { kind: 'put', key: keys.statement(id), value }
          }),
          ...pending.map((key): Operation => ({ kind: 'delete', key })),
          ...marked(keys, operations),
        ],
        failure: [...outcomes, ...pending, ...guards].map((key) => ({ kind: 'get', key })),
      },
    )
    if (!result.succeeded) return this.#refused(result, request)
    failpoint('write.decided')
    return { kind: 'committed', revision: result.revision }
  }

  #refused(result: CommitResult, { writes, statements }: DecideRequest): Decision {
    const found = statements.flatMap(({ id, outcome }, i) => {
      const item = itemAt(result, i)
      if (item === undefined) return []
      const first = decodeStored(statementRecord, item)
      return [{ id, outcome: first, revision: item.modRevision, own: outcome.write }]
    })
    const revision = Math.max(0, ...found.map((one) => one.revision))
    const [first, ...others] = found.filter(({ outcome, own }) => outcome.write !== own)
    if (first !== undefined) return { kind: 'repeated', revision, done: [first, ...others] }
    // They are written by one commit, so where there is one there were all, should some be forgotten by now.
    if (found.length > 0) return { kind: 'committed', revision }
    const at = statements.length
    const aborted = writes.filter(
      (write, i) => itemAt(result, at + i)?.modRevision !== write.modRevision,
    )
    if (aborted.length > 0 && !isMutant('no-record-check'))
      return { kind: 'aborted', writes: aborted }
    const heads = result.responses.slice(at + writes.length)
    const revisions = heads.map((_, i) => itemAt(result, at + writes.length + i)?.modRevision)
    // A key that is gone has no revision of its own: the store's is one at which it is.
    const isGone = revisions.includes(undefined)
    const newest = Math.max(0, ...revisions.map((one) => one ?? 0))
    return { kind: 'moved', revision: isGone ? result.revision : newest }
  }

  /** True where all of it is so: what an error or "nothing to do" was decided on. */
  async holds(compares: readonly Compare[], options: Asking = {}): Promise<boolean> {
    const { kv, clock } = this.#options
    const { result } = await repeatCommit({ kv, clock, ...options }, { compares, success: [] })
    return result.succeeded
  }

  /**
   * Says that a write will never be committed. True where that is so from now on; false where it was committed or its
   * record is another one by now. `fence`: what its caller wants compared too, such as its epoch. `budgetMs`: how long etcd
   * is asked, where not for as long as for any write.
   */
  async abort(
    write: Pick<LoggedTransaction, 'modRevision'> & { readonly record: PendingWrite },
    reason: string,
    fence: readonly Compare[] = [],
    options: Pick<Asking, 'patience' | 'budgetMs'> = {},
  ): Promise<boolean> {
    const { kv, keys, clock } = this.#options
    const { id, locations, own, startedAt } = write.record
    const key = keys.txn(id)
    const directories = own === undefined ? { locations } : { locations, own }
    const record = { kind: 'aborted' as const, id, ...directories, startedAt, reason }
    const value = encodeRecord(transactionRecord, record)
    const { result } = await repeatCommit(
      { kv, clock, ...options },
      {
        compares: [{ kind: 'modRevision', key, equals: write.modRevision }, ...fence],
        success: [{ kind: 'put', key, value }],
        failure: [{ kind: 'get', key }],
      },
    )
    return result.succeeded || itemAt(result, 0)?.value === value
  }

  /** The record of one write, as of now; undefined where it has none (any more). */
  async transaction(id: string, options: Asking = {}): Promise<LoggedTransaction | undefined> {
    const { kv, keys, clock } = this.#options
    const key = keys.txn(id)
    const { item } = await repeatRead({ kv, clock, ...options }, (call) => kv.get(key, call))
    if (item === undefined) return undefined
    return { record: decodeStored(transactionRecord, item), key, modRevision: item.modRevision }
  }

  /**
   * Proves that at one revision, which it tells, none of these writes has a record and all that is compared is so;
   * undefined where not. By a commit that writes: what a read finds may be old. 100 writes at the most.
   */
  async ended(ids: readonly string[], compares: readonly Compare[]): Promise<number | undefined> {
    const { kv, keys, clock } = this.#options
    assert(ids.length <= ENDED_MAX, 'etcd compares only so much at once')
    const { result } = await repeatCommit(
      { kv, clock },
      {
        compares: [
          ...ids.map((id): Compare => ({ kind: 'absent', key: keys.txn(id) })),
          ...compares,
        ],
        success: [{ kind: 'put', key: keys.sweepMark, value: '' }],
      },
    )
    return result.succeeded ? result.revision : undefined
  }

  /**
   * All records of writes, as of now. One that cannot be read is left out. `notBefore`: of this revision of the store or a
   * later one; fails with `metastore_unavailable` where what answers has not come so far.
   */
  async transactions(
    options: Asking & { readonly notBefore?: number } = {},
  ): Promise<readonly LoggedTransaction[]> {
    const { kv, keys, clock } = this.#options
    const { notBefore = 0 } = options
    const { items, revision } = await repeatRead({ kv, clock, ...options }, (call) =>
      kv.range(keys.txns, options.patience === undefined ? {} : call),
    )
    if (revision < notBefore) {
      const what = `what the metastore tells is of revision ${revision}, before ${notBefore}`
      throw new SqlError('metastore_unavailable', what, { hint: 'ask again' })
    }
    return items.flatMap((item) => {
      const record = tryDecode(transactionRecord, item)
      return record === undefined ? [] : [{ record, key: item.key, modRevision: item.modRevision }]
    })
  }

  /** Removes a record that is still as it was read. True where it is gone. `fence` as for {@link abort}. */
  async forget(
    record: { readonly key: string; readonly modRevision: number },
    fence: readonly Compare[] = [],
  ): Promise<boolean> {
    const { kv, clock } = this.#options
    const { key, modRevision } = record
    const { result } = await repeatCommit(
      { kv, clock },
      {
        compares: [{ kind: 'modRevision', key, equals: modRevision }, ...fence],
        success: [{ kind: 'delete', key }],
        failure: [{ kind: 'get', key }],
      },
    )
    return result.succeeded || itemAt(result, 0) === undefined
  }

  /**
   * Forgets the outcomes of statements that were recorded before this time (milliseconds since 1970-01-01 UTC), under
   * this fence, many at once. An outcome is written once, so what is deleted late or twice is gone already.
   */
  async forgetOutcomes(beforeMs: number, fence: readonly Compare[] = []): Promise<number> {
    const { kv, keys, clock } = this.#options
    let forgotten = 0
    let after: string | undefined
    for (;;) {
      const page = { after, limit: OUTCOMES_PAGE }
      const { items } = await repeatRead({ kv, clock }, () => kv.range(keys.statements, page))
      const due = items.filter((item) => {
        const record = tryDecode(statementRecord, item)
        return record !== undefined && record.committedAt < beforeMs
      })
      for (let first = 0; first < due.length; first += DELETES_MAX) {
        const part = due.slice(first, first + DELETES_MAX)
        const { result } = await repeatCommit(
          { kv, clock },
          { compares: fence, success: part.map(({ key }) => ({ kind: 'delete', key })) },
        )
        if (!result.succeeded) return forgotten
        forgotten += part.length
      }
      after = items.at(-1)?.key
      if (items.length < OUTCOMES_PAGE) return forgotten
    }
  }
}

const isUnknown = (error: unknown): error is SqlError =>
  error instanceof SqlError && error.error === 'commit_outcome_unknown'

/** A record alone does nothing. */
const notBegun = (cause: SqlError): SqlError =>
  new SqlError('metastore_unavailable', `the write could not begin: ${cause.message}`, {
    hint: 'nothing was written: send the statement again once a majority of the etcd members answers',
    cause,
  })

const foundOutcome = (item: KeyValue): FoundOutcome => ({
  ...decodeStored(statementRecord, item),
  revision: item.modRevision,
})

/** That statements have no outcome yet. */
const absent = (keys: readonly string[]): readonly Compare[] =>
  isMutant('no-outcome-check') ? [] : keys.map((key) => ({ kind: 'absent', key }))

/** That writes are what they were when they began: nobody has aborted them. */
const pendingStill = (writes: readonly BegunWrite[], keys: Keys): readonly Compare[] =>
  isMutant('no-record-check')
    ? []
    : writes.map(({ record, modRevision }) => {
        return { kind: 'modRevision', key: keys.txn(record.id), equals: modRevision }
      })

function itemAt(result: CommitResult, index: number): KeyValue | undefined {
  const response = result.responses[index]
  assert(response?.kind === 'get', 'the other branch reads')
  return response.item
}

function tryDecode<T>(schema: Schema<T>, item: KeyValue): T | undefined {
  try {
    return decodeRecord(schema, item.value, item.key)
  } catch (error) {
    if (error instanceof DecodeError) return undefined
    throw error
  }
}

function decodeStored<T>(schema: Schema<T>, item: KeyValue): T {
  const record = tryDecode(schema, item)
  if (record !== undefined) return record
  throw new SqlError('data_corrupted', `the record "${item.key}" cannot be read`, {
    hint: 'all coordinators must run the same version; see which one wrote it',
  })
}
