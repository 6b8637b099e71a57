import { type Database, SqlError } from '@nyala/client'
import type { Prng } from '@nyala/client/base'

const ACCOUNTS = 8
const BALANCE = 100
const TABLES = ['accounts_a', 'accounts_b'] as const
const TOTAL = TABLES.length * ACCOUNTS * BALANCE
/** Of a transfer that another one was faster than, or whose coordinator was lost. */
const RETRIES = 50

/** What a client was told of a row that it wrote. */
type Fate = 'written' | 'refused' | 'unknown'

/**
 * What clients have written to managed tables, and whether that is what is there: numbered rows, of which each that was
 * acknowledged must be there once, and none that was refused; and two tables of accounts, between which transactions
 * move money, so that their total never changes, whoever looks.
 */
export class Ledger {
  readonly #fates = new Map<number, Fate>()
  #next = 0

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
    const id = ++this.#next
    // Should the client be closed in the midst of it, nobody knows.
    this.#fates.set(id, 'unknown')
    try {
      await db.execute(`INSERT INTO appended VALUES (${id}, '${client}')`)
      this.#fates.set(id, 'written')
    } catch (error) {
      if (error instanceof SqlError && isRefusal(error)) this.#fates.set(id, 'refused')
      throw error
    }
    return {}
  }

  /** Moves money between two tables in a transaction, then looks at the total. */
  async transfer(db: Database, prng: Prng): Promise<{ readonly wrong?: string }> {
    const [from, to] = prng.shuffle(TABLES)
    const [payer, payee] = [prng.below(ACCOUNTS), prng.below(ACCOUNTS)]
    const amount = 1 + prng.below(BALANCE)
    await db.transaction(
      async (transaction) => {
        await transaction.execute(
          `UPDATE ${from} SET balance = balance - ${amount} WHERE id = ${payer}`,
        )
        await transaction.execute(
          `UPDATE ${to} SET balance = balance + ${amount} WHERE id = ${payee}`,
        )
      },
      { retries: RETRIES },
    )
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
