import type { SessionTransaction } from '@nyala/client/protocol'
import { SqlError } from '@nyala/client/protocol'
import type { FoundOutcome, Patience } from '@nyala/metastore'
import type { StatementContext, StatementOutcome } from '../server/statement-context.ts'
import { askOutcome, checkFingerprint, type StatementIdentity } from '../write/committer.ts'
import type { WriteRuns } from '../write/write-run.ts'

/**
 * A transaction that this coordinator does not keep: its own is gone, or has given it up because the client's connection
 * or its time was over. It can be ended, and what became of its COMMIT can be asked for.
 */
export class LostTransaction {
  readonly #session: SessionTransaction
  readonly #runs: WriteRuns
  #isOver = false

  constructor(session: SessionTransaction, runs: WriteRuns) {
    this.#session = session
    this.#runs = runs
  }

  get inSession(): SessionTransaction | undefined {
    return this.#isOver ? undefined : { ...this.#session, failed: true }
  }

  /** It is told to be lost, whatever is sent. */
  get isReadOnly(): boolean {
    return false
  }

  get before(): never {
    throw lost(this.#session)
  }

  checkOpen(): never {
    throw lost(this.#session)
  }

  stage(): never {
    throw lost(this.#session)
  }

  execute(): never {
    throw lost(this.#session)
  }

  statementFailed(): void {
    // It has failed as a whole.
  }

  /**
   * The outcome of a COMMIT that was sent before, under whatever id; where it has none, makes sure by a guarded write that
   * it never will have. Fails with `serialization_failure`, and the transaction is over; with `commit_outcome_unknown` where
   * etcd does not say.
   */
  async commit(identity: StatementIdentity, context: StatementContext): Promise<StatementOutcome> {
    context.commit.begun = true
    const { patience } = context
    const outcome = await askOutcome(() => this.#end('its coordinator is gone', patience))
    if (outcome === undefined) throw lost(this.#session)
    checkFingerprint(outcome, identity)
    return { command: outcome.command, revision: outcome.revision }
  }

  /** Fails with `no_active_sql_transaction` where it turns out to have been committed. */
  async rollback(reason: string, patience?: Patience): Promise<void> {
    const outcome = await this.#end(reason, patience)
    if (outcome === undefined) return
    throw new SqlError('no_active_sql_transaction', 'the transaction was committed before', {
      hint: 'what it wrote is there; its COMMIT had gone through although its answer was lost',
    })
  }

  /** What became of its COMMIT; undefined where there is none, and never will be. */
  async #end(reason: string, patience: Patience | undefined): Promise<FoundOutcome | undefined> {
    const { writeLog } = this.#runs
    const { id } = this.#session
    const found = await writeLog.transaction(id, { patience })
    if (found?.record.kind === 'pending') {
      await writeLog.abort({ ...found, record: found.record }, reason, [], { patience })
    }
    // A record that is not pending any more comes with the outcome or has none for ever: one commit takes the one and
    // writes the other, under the transaction's own id too. So what is read after it is the truth.
    const outcome = await writeLog.outcomeOf(id, { patience })
    this.#isOver = true
    return outcome
  }
}

const lost = ({ coordinator }: SessionTransaction): SqlError =>
  new SqlError(
    'serialization_failure',
    `the transaction was lost with its connection to coordinator ${coordinator}, or its time was over`,
    { hint: 'nothing of it was written: run it again' },
  )
