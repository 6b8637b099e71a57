import { type Database, type Session, SqlError } from '@nyala/client'
import type { Clock } from '@nyala/client/base'
import type { End, Operation, Transaction } from './history.ts'

/** Times that the SDK runs a transaction again which another one was faster than. */
const RETRIES = 20

/** Thrown by a transaction that is to be rolled back. */
export class WantsRollback extends Error {}

type Work = (session: Session, operations: Operation[]) => Promise<void>

interface Open {
  readonly kind: string
  readonly began: number
  readonly token: number
  readonly operations: Operation[]
}

/**
 * What one client does, as the client knows it. Its session goes from connection to connection by nothing but the
 * revision that the SDK tells.
 */
export class Recorder {
  readonly #session: string
  readonly #clock: Clock
  readonly #tell: (transaction: Transaction) => void
  readonly #onAttempt: () => void
  #token: number
  #count = 0

  constructor(
    session: string,
    parts: {
      readonly clock: Clock
      readonly tell: (transaction: Transaction) => void
      /** A transaction begins once more. */
      readonly onAttempt?: () => void
      /** The revision that it goes on from. */
      readonly token?: number
    },
  ) {
    this.#session = session
    this.#clock = parts.clock
    this.#tell = parts.tell
    this.#onAttempt = parts.onAttempt ?? (() => undefined)
    this.#token = parts.token ?? 0
  }

  get token(): number {
    return this.#token
  }

  /** A statement of its own, or BEGIN … COMMIT by hand. */
  async run(db: Database, kind: string, work: Work): Promise<End> {
    const session = await db.session({ revision: this.#token })
    const open = this.#open(kind, session.revision)
    try {
      await work(session, open.operations)
      return this.#close(db, open, { end: 'committed', revision: session.revision })
    } catch (error) {
      if (session.transactionState !== 'none') {
        await session.execute('ROLLBACK').catch(() => undefined)
      }
      return this.#failed(db, open, error)
    } finally {
      await session.close()
    }
  }

  /** A transaction of the SDK, of which each attempt is one of the history. */
  async transaction(db: Database, kind: string, work: Work): Promise<End> {
    const began = this.#clock.now()
    let open: Open | undefined
    try {
      await db.transaction(
        async (session) => {
          if (open !== undefined) {
            this.#close(db, open, { end: 'aborted', error: '40001' })
            this.#onAttempt()
          }
          open = { ...this.#open(kind, session.revision), ...(open === undefined ? { began } : {}) }
          await work(session, open.operations)
        },
        { retries: RETRIES, revision: this.#token },
      )
      if (open === undefined) throw new Error('a transaction has run')
      return this.#close(db, open, { end: 'committed', revision: db.revision })
    } catch (error) {
      return this.#failed(db, open ?? this.#open(kind, this.#token), error)
    }
  }

  #open(kind: string, token: number): Open {
    return { kind, began: this.#clock.now(), token, operations: [] }
  }

  #failed(db: Database, open: Open, error: unknown): End {
    if (error instanceof WantsRollback) return this.#close(db, open, { end: 'aborted' })
    if (!(error instanceof SqlError)) throw error
    const isUnknown = error.error === 'commit_outcome_unknown' || error.code.startsWith('08')
    const end = isUnknown ? 'unknown' : 'aborted'
    return this.#close(db, open, { end, error: `${error.code} ${error.message}` })
  }

  #close(
    db: Database,
    { token, ...open }: Open,
    how: Pick<Transaction, 'end' | 'error'> & { readonly revision?: number },
  ): End {
    const { coordinator } = db
    this.#tell({
      ...{ id: `${this.#session}.${++this.#count}`, session: this.#session },
      ...(coordinator === undefined ? {} : { coordinator }),
      ...open,
      ...{ ended: this.#clock.now(), token, revision: token },
      ...how,
    })
    // What was read by one that failed was seen, too.
    this.#token = Math.max(this.#token, token, how.revision ?? 0)
    return how.end
  }
}
