import type { SessionTransaction } from '@nyala/client/protocol'
import { SqlError } from '@nyala/client/protocol'
import type { StatementContext, StatementOutcome } from '../server/statement-context.ts'
import { checkFingerprint, type StatementIdentity } from '../write/committer.ts'
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
   * The outcome of a COMMIT that was sent before under the same id; where it has none, makes sure by a guarded write that
   * it never will have. Fails with `serialization_failure`, and the transaction is over.
   */
  async commit(identity: StatementIdentity, context: StatementContext): Promise<StatementOutcome> {
    const { writeLog } = this.#runs
    context.commit.begun = true
    const found = await writeLog.transaction(this.#session.id)
    if (found?.record.kind === 'pending') {
      await writeLog.abort({ ...found, record: found.record }, 'its coordinator is gone')
    }
    // A record that is not pending any more comes with the outcome or has none for ever: one commit takes the one and
    // writes the other. So what is read after it is the truth.
    const outcome = await writeLog.outcomeOf(identity.id)
    this.#isOver = true
    if (outcome === undefined) throw lost(this.#session)
    checkFingerprint(outcome, identity)
    return { command: outcome.command, revision: outcome.revision }
  }

  async rollback(): Promise<void> {
    this.#isOver = true
    const { writeLog } = this.#runs
    const found = await writeLog.transaction(this.#session.id)
    if (found?.record.kind !== 'pending') return
    await writeLog.abort({ ...found, record: found.record }, 'its client has rolled it back')
  }
}

const lost = ({ coordinator }: SessionTransaction): SqlError =>
  new SqlError(
    'serialization_failure',
    `the transaction was lost with its connection to coordinator ${coordinator}, or its time was over`,
    { hint: 'nothing of it was written: run it again' },
  )
