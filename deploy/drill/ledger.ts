import { type Database, type Session, SqlError } from '@nyala/client'
import { deferred, type Deferred, type Prng } from '@nyala/client/base'

const ACCOUNTS = 8
const BALANCE = 100
const TABLES = ['accounts_a', 'accounts_b'] as const
const TOTAL = TABLES.length * ACCOUNTS * BALANCE
/** Of a transfer that another one was faster than, or whose coordinator was lost. */
const RETRIES = 50

/** So often a transfer may lose to others; then they let it go first. */
const LOSSES = 3

/** Rows of a statement that executors write. */
const FILL_ROWS = 500

/** What a client was told of a row that it wrote. */
type Fate = 'written' | 'refused' | 'unknown'

/** A statement of which nobody could say what became of it. */
interface Unresolved {
  readonly sql: string
  readonly statementId: string
  readonly ids: readonly number[]
}

/**
 * What clients have written to managed tables, and whether that is what is there: numbered rows, of which each that was
 * acknowledged must be there once, and none that was refused; and two tables of accounts, between which transactions
 * move money, so that their total never changes, whoever looks.
 */
export class Ledger {
  readonly #fates = new Map<number, Fate>()
  #unresolved: Unresolved[] = []
  #next = 0
  /** Of a transfer that has lost so often that others let it go first. */
  #goesFirst: Deferred<void> | undefined

  /** Makes the tables that clients write to. */
  async makeTables(db: Database): Promise<void> {
    await db.execute('CREATE TABLE appended (id BIGINT, client VARCHAR)')
    for (const table of TABLES) {
      await db.execute(
        `CREATE TABLE ${table} AS SELECT i AS id, ${BALANCE} AS balance FROM range(${ACCOUNTS}) t(i)`,
      )
    }
  }

  /** Writes one row in a statement of its own. */
  async append(db: Database, client: string): Promise<{ readonly wrong?: string }> {
    const ids = this.#ids(1)
    const sql = `INSERT INTO appended VALUES (${ids[0]}, '${client}')`
    await this.#writing(ids, () => db.execute(sql), sql)
    return {}
  }

  /** Writes many rows in one statement, which executors run. */
  async fill(db: Database, client: string): Promise<{ readonly wrong?: string }> {
    const ids = this.#ids(FILL_ROWS)
    const [first = 0] = ids
    const sql = `INSERT INTO appended SELECT i, '${client}' FROM range(${first}, ${first + FILL_ROWS}) t(i)`
    await this.#writing(ids, () => db.execute(sql), sql)
    return {}
  }

  /** Writes two rows in two statements of one transaction, run anew under other numbers where it was given up. */
  async pair(db: Database, client: string): Promise<{ readonly wrong?: string }> {
    for (let attempt = 1; ; attempt++) {
      const ids = this.#ids(2)
      const insert = (session: Session, id: number): Promise<unknown> =>
        session.execute(`INSERT INTO appended VALUES (${id}, '${client}')`)
      try {
        await this.#writing(ids, () =>
          db.transaction(async (session) => {
            for (const id of ids) await insert(session, id)
          }),
        )
        return {}
      } catch (error) {
        const isGivenUp = error instanceof SqlError && error.code === '40001'
        if (!isGivenUp || attempt === RETRIES) throw error
      }
    }
  }

  /** The number of a row whose transaction is rolled back, whatever becomes of its statements. */
  neverWritten(): number {
    const [id = 0] = this.#ids(1)
    this.#fates.set(id, 'refused')
    return id
  }

  #ids(count: number): readonly number[] {
    return Array.from({ length: count }, () => ++this.#next)
  }

  /** Keeps what the client was told. `sql`: of one statement, of which it can be asked again what became of it. */
  async #writing(
    ids: readonly number[],
    write: () => Promise<unknown>,
    sql?: string,
  ): Promise<void> {
    const note = (fate: Fate): void => ids.forEach((id) => this.#fates.set(id, fate))
    // Should the client be closed in the midst of it, nobody knows.
    note('unknown')
    try {
      await write()
      note('written')
    } catch (error) {
      if (error instanceof SqlError) {
        const { statementId } = error
        if (isRefusal(error)) note('refused')
        else if (statementId !== undefined && sql !== undefined) {
          this.#unresolved.push({ sql, statementId, ids })
        }
      }
      throw error
    }
  }

  /** Asks again, by their ids, what became of statements of which nobody could say it. */
  async resolve(db: Database): Promise<void> {
    const asked = this.#unresolved
    this.#unresolved = []
    for (const { sql, statementId, ids } of asked) {
      await db.execute(sql, [], { statementId })
      for (const id of ids) this.#fates.set(id, 'written')
    }
  }

  /**
   * Moves money between two tables in a transaction, then looks at the total. All transfers conflict with each other, and
   * who loses waits longer each time: unless others let it go first, it would wait for them and not for what was struck.
   */
  async transfer(db: Database, prng: Prng): Promise<{ readonly wrong?: string }> {
    const [from, to] = prng.shuffle(TABLES)
    const [payer, payee] = [prng.below(ACCOUNTS), prng.below(ACCOUNTS)]
    const amount = 1 + prng.below(BALANCE)
    while (this.#goesFirst !== undefined) await this.#goesFirst.promise
    let attempts = 0
    const ended = deferred<void>()
    const move = async (transaction: Session): Promise<void> => {
      if (attempts++ >= LOSSES) this.#goesFirst ??= ended
      await transaction.execute(
        `UPDATE ${from} SET balance = balance - ${amount} WHERE id = ${payer}`,
      )
      await transaction.execute(
        `UPDATE ${to} SET balance = balance + ${amount} WHERE id = ${payee}`,
      )
    }
    try {
      await db.transaction(move, { retries: RETRIES })
    } finally {
      if (this.#goesFirst === ended) this.#goesFirst = undefined
      ended.resolve()
    }
    const wrong = await wrongTotal(db)
    return wrong === undefined ? {} : { wrong }
  }

  /** What is there that should not be, or is not there; undefined where all is as clients were told. */
  async check(db: Database): Promise<string | undefined> {
    const { rows } = await db.query<{ id: bigint; n: bigint }>(
      'SELECT id, count(*) AS n FROM appended GROUP BY id',
    )
    const found = new Map(rows.map(({ id, n }) => [Number(id), Number(n)]))
    for (const [id, n] of found) {
      const fate = this.#fates.get(id)
      if (fate === undefined) return `nobody has written row ${id}, which is there`
      if (fate === 'refused') return `row ${id} is there, and its client was told that it is not`
      if (n !== 1) return `row ${id} was written once, and is there ${n} times`
    }
    for (const [id, fate] of this.#fates) {
      if (fate === 'written' && !found.has(id)) return `row ${id} was acknowledged, and is lost`
    }
    return wrongTotal(db)
  }
}

async function wrongTotal(db: Database): Promise<string | undefined> {
  const both = TABLES.map((table) => `SELECT balance FROM ${table}`).join(' UNION ALL ')
  const { rows } = await db.query<{ n: bigint; total: bigint }>(
    `SELECT count(*) AS n, CAST(sum(balance) AS BIGINT) AS total FROM (${both}) t`,
  )
  const [{ n, total } = { n: 0n, total: 0n }] = rows
  if (Number(n) === TABLES.length * ACCOUNTS && Number(total) === TOTAL) return undefined
  return `${n} accounts hold ${total}, and not ${TABLES.length * ACCOUNTS} of them ${TOTAL}`
}

/** Nothing was done, for certain: neither is the outcome unknown, nor was the connection lost on the way. */
const isRefusal = ({ error, code }: SqlError): boolean =>
  error !== 'commit_outcome_unknown' && !code.startsWith('08')
