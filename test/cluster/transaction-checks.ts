import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { connect, type Database } from '@nyala/client'
import type { Test } from 'tap'
import { errorOf } from './world.ts'

/** What transactions of several statements promise, on a cluster that runs. */
export async function checkTransactions(
  t: Test,
  db: Database,
  world: {
    /** Of two coordinators. */
    readonly urls: readonly string[]
    /** Of a managed table. */
    directoryOf(table: string): Promise<string>
  },
): Promise<void> {
  const { urls, directoryOf } = world
  await t.test('transfers between tables are seen whole, and none is lost', async (t) => {
    await db.execute('CREATE TABLE bank_a AS SELECT 100 AS n')
    await db.execute('CREATE TABLE bank_b AS SELECT 100 AS n')
    const total = 'SELECT (SELECT sum(n) FROM bank_a) + (SELECT sum(n) FROM bank_b) AS total'
    const databases = await Promise.all(
      urls.map((address) => connect(`nyala://${address}/default`)),
    )
    const each = 2
    await Promise.all(
      databases.map(async (one) => {
        for (let done = 0; done < each; done++) {
          const work: Parameters<Database['transaction']>[0] = async (transaction) => {
            await transaction.execute('UPDATE bank_a SET n = n - 1')
            t.same((await transaction.query(total)).rows, [{ total: 199n }], 'it sees its own part')
            await transaction.execute('UPDATE bank_b SET n = n + 1')
          }
          await one.transaction(work, { retries: 20 })
          t.same((await one.query(total)).rows, [{ total: 200n }])
        }
      }),
    )
    for (const one of databases) await one.close()
    const { rows } = await db.query('SELECT a.n AS a, b.n AS b FROM bank_a a, bank_b b')
    t.same(rows, [{ a: 100 - 2 * each, b: 100 + 2 * each }])
  })

  await t.test('a transaction that fails leaves nothing, and says why', async (t) => {
    await db.execute('CREATE TABLE left_out (a INT)')
    const failing = db.transaction(async (transaction) => {
      await transaction.execute('INSERT INTO left_out SELECT 1')
      await transaction.execute('SELECT nothing_like_that')
    })
    t.match(await errorOf(failing), { code: '42703' })
    const { rows } = await db.query('SELECT count(*) AS n FROM left_out')
    t.same(
      rows.map(({ n }) => Number(n)),
      [0],
    )
    const data = join(await directoryOf('left_out'), 'data')
    t.same(await readdir(data), [])
  })
}

/** What queries AS OF a time see of transactions. */
export async function checkTransactionTimes(t: Test, db: Database): Promise<void> {
  await t.test('no time between the statements of a transaction shows a part of it', async (t) => {
    await db.execute('CREATE TABLE then_a AS SELECT 0 AS n')
    await db.execute('CREATE TABLE then_b AS SELECT 0 AS n')
    const moment = async (one: Pick<Database, 'query'>): Promise<unknown> =>
      (await one.query('SELECT now() AS moment')).rows[0]?.['moment']
    const times: unknown[] = []
    await db.transaction(async (transaction) => {
      for (const change of [
        'INSERT INTO then_a SELECT 1',
        'INSERT INTO then_b SELECT 1',
        'CREATE TABLE then_c AS SELECT 1 AS n',
        'UPDATE then_a SET n = n + 10',
      ]) {
        await transaction.execute(change)
        times.push(await moment(transaction))
      }
      const { rows } = await transaction.query('DESCRIBE HISTORY then_a')
      t.same(
        rows.map((row) => row['committed_at'] === null),
        [true, true, false],
        'what is not committed has no time of it',
      )
      await transaction.execute('INSERT INTO then_a SELECT 2')
    })
    const sumOf = async (table: string, time: unknown): Promise<unknown> =>
      (
        await db.query(`SELECT sum(n)::BIGINT AS n FROM ${table} FOR SYSTEM_TIME AS OF $1`, [
          time as Date,
        ])
      ).rows[0]?.['n']
    for (const time of times) {
      t.equal(await sumOf('then_a', time), 0n)
      t.equal(await sumOf('then_b', time), 0n)
      t.match(await errorOf(sumOf('then_c', time)), { code: '42704' }, 'it was not there')
    }
    const after = await moment(db)
    t.equal(await sumOf('then_a', after), 23n)
    t.equal(await sumOf('then_b', after), 1n)
    t.equal(await sumOf('then_c', after), 1n)
    const committed = new Set<unknown>()
    for (const table of ['then_a', 'then_b', 'then_c']) {
      const { rows } = await db.query(`DESCRIBE HISTORY ${table}`)
      const own = table === 'then_c' ? rows : rows.slice(0, -1)
      for (const row of own) committed.add(row['committed_at'])
    }
    t.equal(committed.size, 1, 'all of it was committed at one time')
  })
}
