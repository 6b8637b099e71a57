import type { Database, Session } from '@nyala/client'
import type { Ledger } from './ledger.ts'

/** Statements, one a call, so that each is measured by itself. */
const STEPS = ['begin', 'insert', 'rollback', 'create', 'drop'] as const

/**
 * What a client does that goes through all kinds of statements of a session: a transaction that is rolled back, of which
 * nobody may ever see a row, and a table that is made and dropped.
 */
export class Steps {
  readonly #ledger: Ledger
  readonly #client: string
  #session: Session | undefined
  #next = 0

  constructor(ledger: Ledger, client: string) {
    this.#ledger = ledger
    this.#client = client
  }

  /** Fails as the statement does; the next one begins anew. */
  async next(db: Database): Promise<object> {
    const session = (this.#session ??= await db.session())
    const step = STEPS[this.#next++ % STEPS.length] ?? 'begin'
    try {
      await session.execute(this.#sql(step))
    } catch (error) {
      // A transaction that has failed is rolled back next, what has not begun is left out.
      const isOpen = session.transactionState !== 'none'
      if (step === 'begin' || isOpen) this.#next = STEPS.indexOf(isOpen ? 'rollback' : 'create')
      throw error
    }
    return {}
  }

  #sql(step: (typeof STEPS)[number]): string {
    const table = `made_by_${this.#client}`
    switch (step) {
      case 'begin':
        return 'BEGIN'
      case 'insert':
        return `INSERT INTO appended VALUES (${this.#ledger.neverWritten()}, '${this.#client}')`
      case 'rollback':
        return 'ROLLBACK'
      case 'create':
        return `CREATE TABLE IF NOT EXISTS ${table} (id BIGINT)`
      case 'drop':
        return `DROP TABLE IF EXISTS ${table}`
    }
  }
}
