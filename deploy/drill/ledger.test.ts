import { type Database, SqlError } from '@nyala/client'
import { deferred, Prng } from '@nyala/client/base'
import t from 'tap'
import { Ledger } from './ledger.ts'

/** A database that keeps rows as it is told to, and transfers money in one way or another. */
class FakeDatabase {
  readonly appended: number[] = []
  readonly balances = new Map<string, number>()
  /** What becomes of the next row: kept once by default. */
  next: { readonly copies?: number; readonly error?: SqlError } = {}
  /** A transaction does its first statement only. */
  tears = false

  async execute(sql: string): Promise<void> {
    const id = /^INSERT INTO appended VALUES \((\d+),/.exec(sql)?.[1]
    const made = /^CREATE TABLE (accounts_.) /.exec(sql)?.[1]
    if (made !== undefined) for (let i = 0; i < 8; i++) this.balances.set(`${made} ${i}`, 100)
    const moved = /^UPDATE (\w+) SET balance = balance ([-+]) (\d+) WHERE id = (\d+)$/.exec(sql)
    if (moved !== null) {
      const [, table = '', sign = '', amount = '', account = ''] = moved
      const key = `${table} ${account}`
      this.balances.set(key, (this.balances.get(key) ?? 0) + Number(`${sign}${amount}`))
    }
    if (id === undefined) return
    const { copies = 1, error } = this.next
    this.next = {}
    for (let i = 0; i < copies; i++) this.appended.push(Number(id))
    if (error !== undefined) throw error
  }

  async transaction(work: (transaction: { execute(sql: string): Promise<void> }) => Promise<void>) {
    let done = 0
    await work({
      execute: async (sql) => (this.tears && done++ > 0 ? undefined : this.execute(sql)),
    })
  }

  async query(sql: string): Promise<{ readonly rows: readonly object[] }> {
    if (!/FROM appended/.test(sql)) {
      const total = [...this.balances.values()].reduce((sum, one) => sum + one, 0)
      return { rows: [{ n: BigInt(this.balances.size), total: BigInt(total) }] }
    }
    const ids = [...new Set(this.appended)]
    const count = (id: number): number => this.appended.filter((one) => one === id).length
    return { rows: ids.map((id) => ({ id: BigInt(id), n: BigInt(count(id)) })) }
  }
}

const UNKNOWN = new SqlError('commit_outcome_unknown', 'nobody knows')
const REFUSED = new SqlError('serialization_failure', 'nothing was done')

/** What a ledger says after five rows, of which the third meets with what is asked for. */
async function afterFive(next: FakeDatabase['next'], tears = false): Promise<string | undefined> {
  const fake = new FakeDatabase()
  const db = fake as unknown as Database
  const ledger = new Ledger()
  await ledger.makeTables(db)
  for (let i = 1; i <= 5; i++) {
    if (i === 3) fake.next = next
    await ledger.append(db, 'c').catch(() => undefined)
  }
  fake.tears = tears
  const { wrong } = await ledger.transfer(db, new Prng(7))
  if (!tears) t.equal(wrong, undefined)
  return ledger.check(db)
}

t.test('a ledger says what is not as clients were told', async (t) => {
  t.equal(await afterFive({}), undefined)
  t.match(await afterFive({ copies: 0 }), /row 3 was acknowledged, and is lost/)
  t.match(await afterFive({ copies: 2 }), /row 3 was written once, and is there 2 times/)
  t.match(await afterFive({ error: REFUSED }), /row 3 is there, and its client was told/)
  t.equal(await afterFive({ copies: 0, error: REFUSED }), undefined)
  t.equal(await afterFive({ copies: 0, error: UNKNOWN }), undefined, 'nobody said that it is there')
  t.equal(await afterFive({ error: UNKNOWN }), undefined, 'nor that it is not')
  t.match(await afterFive({ copies: 2, error: UNKNOWN }), /there 2 times/)
  t.match(await afterFive({}, true), /accounts hold/)
})

t.test('a transfer that has lost to others often is let go first', async (t) => {
  const fake = new FakeDatabase()
  const ledger = new Ledger()
  await ledger.makeTables(fake as unknown as Database)
  const winning = deferred<void>()
  const losing = Object.assign(Object.create(fake) as FakeDatabase, {
    transaction: async (work: (db: FakeDatabase) => Promise<void>) => {
      const undone = { execute: () => Promise.resolve() } as unknown as FakeDatabase
      for (let loss = 1; loss <= 3; loss++) await work(undone)
      t.equal(await begins(), true, 'three times it has no precedence')
      await work(fake)
      await winning.promise
    },
  })
  const move = (db: FakeDatabase) => ledger.transfer(db as unknown as Database, new Prng(1))
  const begins = async (): Promise<boolean> => {
    let hasBegun = false
    const other = Object.assign(Object.create(fake) as FakeDatabase, {
      transaction: (work: (db: FakeDatabase) => Promise<void>) => {
        hasBegun = true
        return work(fake)
      },
    })
    others.push(move(other))
    await Promise.resolve()
    return hasBegun
  }
  const others: Promise<unknown>[] = []
  const lost = move(losing)
  await new Promise(setImmediate)
  t.equal(await begins(), false, 'then others wait')
  winning.resolve()
  t.strictSame(await lost, {})
  await Promise.all(others)
  t.equal(await begins(), true, 'until it has ended')
  await Promise.all(others)
  t.equal(await ledger.check(fake as unknown as Database), undefined)
})
