import { readdir, utimes, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { connect } from '@nyala/client'
import type { Test } from 'tap'
import { directoryOf, readElsewhere } from './iceberg-reader.ts'
import { EVENT_ROWS, until, type World } from './world.ts'

/** Which files of tables go, and when, on a cluster that runs. `second`: the address of another coordinator than `db` uses. */
export async function checkCleaning(t: Test, world: World, second: string): Promise<void> {
  const { db } = world
  await t.test('files go that only forgotten snapshots and nobody at all needs', async (t) => {
    await db.execute('CREATE TABLE old AS SELECT 1 AS a')
    await db.execute('INSERT OVERWRITE old SELECT 2')
    const directory = await directoryOf(world, 'old')
    const [stray = '', young = ''] = ['data/stray.parquet', 'metadata/young.avro'].map((name) =>
      join(directory, name),
    )
    await Promise.all([stray, young].map((path) => writeFile(path, 'x')))
    await utimes(stray, 1, 1)
    const before = await readdir(join(directory, 'data'))
    await db.execute(`ALTER TABLE old EXECUTE expire_snapshots(retention_threshold => '0s')`)
    t.equal((await db.query('DESCRIBE HISTORY old')).rows.length, 1)
    for (const name of before) await utimes(join(directory, 'data', name), 1, 1)
    const removed = await db.execute(`ALTER TABLE old EXECUTE remove_orphan_files('2020-01-01')`)
    t.same(removed.notices, ['1 files of table "old" were removed'])
    const left = await readdir(join(directory, 'data'))
    t.same(left.length, 2, 'what a query may be reading that began before stays for a while')
    t.ok((await readdir(join(directory, 'metadata'))).includes('young.avro'))
    t.same(
      (await readElsewhere(directory)).map(({ a }) => a),
      [2],
    )
  })

  await t.test('files stay that a statement reads at another coordinator', async (t) => {
    await db.execute('CREATE TABLE long AS SELECT id FROM events')
    const directory = join(await directoryOf(world, 'long'), 'data')
    const before = await readdir(directory)
    const reader = await connect(`nyala://${second}/default`)
    // More than all buffers on its way hold: it goes on as long as nobody reads.
    const copies = 10
    const stream = reader.stream(`SELECT hash(id, n) AS h FROM long, range(${copies}) r(n)`)
    const batches = stream.columnBatches()[Symbol.asyncIterator]()
    let batch = await batches.next()
    const clean = async (): Promise<readonly string[]> => {
      const names = await readdir(directory)
      // What goes meanwhile is what is wanted.
      for (const name of names) await utimes(join(directory, name), 1, 1).catch(() => undefined)
      await db.execute(`ALTER TABLE long EXECUTE remove_orphan_files('2020-01-01')`)
      return (await readdir(directory)).filter((name) => before.includes(name))
    }
    await db.execute('INSERT OVERWRITE long SELECT 1')
    await db.execute(`ALTER TABLE long EXECUTE expire_snapshots(retention_threshold => '0s')`)
    t.same(await clean(), before)
    let rows = 0
    for (; batch.done !== true; batch = await batches.next()) rows += batch.value.length
    t.equal(rows, EVENT_ROWS * copies)
    await reader.close()
    await until('its files go', async () => (await clean()).length === 0, 60_000)
    t.match((await db.query('SELECT id FROM long')).rows, [{ id: 1n }])
  })
}
