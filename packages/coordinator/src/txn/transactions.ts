import type { Clock, Log } from '@nyala/client/base'
import type { SessionTransaction } from '@nyala/client/protocol'
import type { StatementContext, StatementOutcome } from '../server/statement-context.ts'
import type { TransactionStatement } from '../sql/statement.ts'
import { newWriteId } from '../write/write-ids.ts'
import type { WriteRuns } from '../write/write-run.ts'
import { LostTransaction } from './lost-transaction.ts'
import { Transaction } from './transaction.ts'

export interface TransactionsOptions {
  readonly runs: WriteRuns
  readonly coordinator: string
  readonly clock: Clock
  readonly log: Log
  /** Makes ids of writes; default: random ones. */
  readonly newId?: (() => string) | undefined
}

/** A transaction that is open here, and who may go on with it. */
interface Kept {
  readonly transaction: Transaction
  /** The connection that began it. */
  readonly sender: string
  readonly idleMs: number
  /** Statements of it that are under way. */
  running: number
  stopTimer: () => void
}

/**
 * The open transactions of this coordinator. One belongs to the connection that began it, and is rolled back when that
 * closes, or when no statement of it runs for the setting `idle_in_transaction_timeout_s`.
 */
export class Transactions {
  readonly #options: TransactionsOptions
  readonly #kept = new Map<string, Kept>()

  constructor(options: TransactionsOptions) {
    this.#options = options
  }

  get size(): number {
    return this.#kept.size
  }

  /** The oldest revision of the catalog that one of them reads; undefined where none is open. */
  get oldestRead(): number | undefined {
    const revisions = [...this.#kept.values()].map(({ transaction }) => transaction.readsAt)
    return revisions.length === 0 ? undefined : Math.min(...revisions)
  }

  /** The transaction that a statement says it is part of. */
  find(session: SessionTransaction, sender: string): Transaction | LostTransaction {
    const kept = this.#kept.get(session.id)
    if (kept?.sender === sender) return kept.transaction
    return new LostTransaction(session, this.#options.runs)
  }

  /** A statement of a transaction begins; the returned function tells that it has ended. */
  enter(id: string): () => void {
    const kept = this.#kept.get(id)
    if (kept === undefined) return () => undefined
    kept.running++
    kept.stopTimer()
    return () => {
      kept.running--
      if (kept.transaction.isOver) this.#kept.delete(id)
      else if (kept.running === 0) this.#watch(kept)
    }
  }

  /** BEGIN, COMMIT and ROLLBACK. What has none to end is told in a notice, as in PostgreSQL. */
  async run(statement: TransactionStatement, context: StatementContext): Promise<StatementOutcome> {
    const { transaction, notices } = context
    const { current } = transaction
    switch (statement.kind) {
      case 'begin': {
        if (current === undefined) return this.#begin(context, statement.isReadOnly === true)
        current.checkOpen()
        notices.push('there is already a transaction in progress')
        return { command: 'BEGIN' }
      }
      case 'commit': {
        if (current === undefined) {
          notices.push('there is no transaction in progress')
          return { command: 'COMMIT' }
        }
        const { id } = context.session.transaction ?? { id: '' }
        const identity = { id: context.statementId, fingerprint: `commit of ${id}` }
        return current.commit(identity, context)
      }
      case 'rollback':
        if (current === undefined) notices.push('there is no transaction in progress')
        else await current.rollback('its client has rolled it back', context.patience)
        return { command: 'ROLLBACK' }
    }
  }

  /** Rolls back what a connection has left open. */
  clientGone(sender: string): void {
    for (const [id, kept] of this.#kept) {
      if (kept.sender === sender) this.#giveUp(id, kept, 'its client has gone')
    }
  }

  /** Rolls back what is open. Resolves when that is written, or cannot be. */
  async close(): Promise<void> {
    const all = [...this.#kept.values()]
    this.#kept.clear()
    for (const { stopTimer } of all) stopTimer()
    await Promise.all(
      all.map(({ transaction }) => transaction.rollback('its coordinator is shutting down')),
    )
  }

  #begin(context: StatementContext, isReadOnly: boolean): StatementOutcome {
    // A client that has gone by now has left nothing open: nobody would roll back what is begun after that.
    context.signal.throwIfAborted()
    const { runs, coordinator } = this.#options
    const id = (this.#options.newId ?? newWriteId)()
    const transaction = new Transaction({
      ...{ runs, id, coordinator, snapshot: context.catalog, isReadOnly },
    })
    const idleMs = context.settings.number('idle_in_transaction_timeout_s') * 1000
    const kept: Kept = {
      ...{ transaction, sender: context.sender, idleMs },
      ...{ running: 0, stopTimer: () => undefined },
    }
    this.#kept.set(id, kept)
    context.transaction.current = transaction
    this.#watch(kept)
    return { command: 'BEGIN' }
  }

  #watch(kept: Kept): void {
    if (kept.idleMs === 0) return
    kept.stopTimer = this.#options.clock.after(
      kept.idleMs,
      () => this.#giveUp(kept.transaction.id, kept, 'it was idle for too long'),
      { background: true },
    )
  }

  #giveUp(id: string, kept: Kept, reason: string): void {
    this.#kept.delete(id)
    kept.stopTimer()
    this.#options.log.info('transactionGivenUp', { transaction: id, reason })
    void kept.transaction.rollback(reason)
  }
}
