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
