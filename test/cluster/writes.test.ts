import { once } from 'node:events'
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import type { Database } from '@nyala/client'
import { newStatementId, PROTOCOL_VERSION } from '@nyala/client/protocol'
import { connect } from '@nyala/client'
import t from 'tap'
import WebSocket from 'ws'
import { checkCleaning } from './cleaning-checks.ts'
import { checkElsewhere } from './iceberg-checks.ts'
import { directoryOf, readElsewhere, warehouse } from './iceberg-reader.ts'
import { checkCopies } from './copy-checks.ts'
import { checkTransactions, checkTransactionTimes } from './transaction-checks.ts'
import { errorOf, openWorld, type World } from './world.ts'

interface Ended {
  readonly kind: 'finished' | 'failed'
  readonly command?: string
  readonly rows?: number
  readonly error?: { readonly error: string; readonly message: string }
}

/** Sends one statement under an id of the caller's choice, as a client does that did not hear the first answer. */
async function send(address: string, sql: string, statementId: string): Promise<Ended> {
  const socket = new WebSocket(`ws://${address}/client`, { perMessageDeflate: false })
  try {
    await once(socket, 'open')
    const ended = new Promise<Ended>((resolve, reject) => {
      socket.on('message', (data, isBinary) => {
        if (isBinary) return
        const message = JSON.parse((data as Buffer).toString('utf8')) as Ended
        if (message.kind === 'finished' || message.kind === 'failed') resolve(message)
      })
      socket.on('close', (code) => reject(new Error(`closed with ${code}`)))
    })
    const session = { database: 'default', settings: {}, revision: 0 }
    socket.send(JSON.stringify({ kind: 'hello', protocol: PROTOCOL_VERSION, client: 'test' }))
    socket.send(
      JSON.stringify({
        ...{ kind: 'statement', call: 1, statementId, sql, parameters: [], session },
        ...{ creditBytes: 1 << 20, progress: false },
      }),
    )
    return await ended
  } finally {
    socket.terminate()
  }
}

const coordinators = (world: World): readonly string[] =>
  world.cluster.processes.filter((p) => p.role === 'coordinator').map((p) => p.address)

t.test('managed tables', { timeout: 120_000 }, async (t) => {
  await using world = await openWorld({ coordinators: 2, executors: 2 })
  const { db } = world
  const [first = '', second = ''] = coordinators(world)

  await t.test('another reader of Iceberg', (t) => checkElsewhere(t, world))

  await t.test('appends of many writers at both coordinators are all there, once', async (t) => {
    await db.execute('CREATE TABLE log (writer INT, n INT)')
    const writers = 4
    const each = 6
    const databases: Database[] = []
    for (let i = 0; i < writers; i++) {
      databases.push(await connect(`nyala://${i % 2 === 0 ? first : second}/default`))
    }
    await Promise.all(
      databases.map(async (one, writer) => {
        for (let n = 0; n < each; n++) {
          await one.execute(`INSERT INTO log VALUES (${writer}, ${n})`)
          const seen = await one.query(`SELECT count(*) AS c FROM log WHERE writer = ${writer}`)
          t.match(seen.rows, [{ c: BigInt(n + 1) }], `writer ${writer} sees its ${n + 1}`)
        }
      }),
    )
    for (const one of databases) await one.close()
    const all = await db.query('SELECT count(*) AS c, count(DISTINCT (writer, n)) AS d FROM log')
    t.match(all.rows, [{ c: BigInt(writers * each), d: BigInt(writers * each) }])
    const directory = await directoryOf(world, 'log')
    t.equal((await readElsewhere(directory)).length, writers * each)
    const versions = (await readdir(join(directory, 'metadata'))).filter((name) =>
      name.endsWith('.metadata.json'),
    )
    // Those that had to wait for the other coordinator may share a commit.
    const { rows: commits } = await db.query('DESCRIBE HISTORY log')
    t.equal(versions.length, 1 + commits.length, 'what was overtaken left no metadata')
  })

  await t.test('of changes that overlap one is done, and none is lost', async (t) => {
    await db.execute('CREATE TABLE counter AS SELECT 0 AS n')
    const databases = await Promise.all(
      [first, second].map((address) => connect(`nyala://${address}/default`)),
    )
    const each = 4
    let conflicts = 0
    await Promise.all(
      databases.map(async (one) => {
        for (let done = 0; done < each;) {
          try {
            await one.execute('UPDATE counter SET n = n + 1')
            done++
          } catch (error) {
            t.equal((error as { readonly code?: string }).code, '40001')
            conflicts++
          }
        }
      }),
    )
    for (const one of databases) await one.close()
    const { rows } = await db.query('SELECT n FROM counter')
    t.same(rows, [{ n: 2 * each }], `${conflicts} conflicts`)
  })

  await t.test('transactions', (t) =>
    checkTransactions(t, db, {
      urls: [first, second],
      directoryOf: (name) => directoryOf(world, name),
    }),
  )

  await t.test('times of transactions', (t) => checkTransactionTimes(t, db))

  await t.test('copies', (t) => checkCopies(t, db, { urls: [first, second], dir: world.dir }))

  await t.test('a statement that is sent again is done once, wherever it is sent', async (t) => {
    await db.execute('CREATE TABLE once (a INT)')
    const id = newStatementId()
    const sql = 'INSERT INTO once SELECT i FROM range(3) r(i)'
    const answers = await Promise.all([
      send(first, sql, id),
      send(second, sql, id),
      send(first, sql, id),
    ])
    const later = await send(second, sql, id)
    for (const answer of [...answers, later]) {
      t.match(answer, { kind: 'finished', command: 'INSERT', rows: 3 })
    }
    const count = await db.query('SELECT count(*) AS c FROM once')
    t.match(count.rows, [{ c: 3n }])
    const data = await readdir(join(await directoryOf(world, 'once'), 'data'))
    t.equal(data.length, 1, 'files of the executions that came to nothing are gone')
    t.match(await send(first, 'INSERT INTO once VALUES (7)', id), {
      kind: 'failed',
      error: { error: 'invalid_parameter_value', message: /used for another statement/ },
    })
    const made = newStatementId()
    for (const address of [first, second]) {
      t.match(await send(address, 'CREATE TABLE made AS SELECT 1 AS x', made), {
        kind: 'finished',
        rows: 1,
      })
      t.match(await send(address, 'DROP TABLE once', `${made}-drop`), { kind: 'finished' })
    }
  })

  await t.test(
    'INSERTs that share a commit have their own errors, and hurt no other',
    async (t) => {
      await db.execute('CREATE TABLE shared (a BIGINT, b STRING)')
      const sent = Array.from({ length: 40 }, (_, i) =>
        db.execute(`INSERT INTO shared VALUES (${i % 20 === 7 ? "'none'" : i}, 'row ${i}')`),
      )
      const ends = await Promise.allSettled(sent)
      const failed = ends.flatMap((end, i) => (end.status === 'rejected' ? [i] : []))
      t.same(failed, [7, 27])
      const { reason } = ends[7] as PromiseRejectedResult
      t.match((reason as Error).message, /'none'/)
      const { rows } = await db.query('SELECT count(*) AS n, count(DISTINCT a) AS d FROM shared')
      t.match(rows, [{ n: 38, d: 38 }])
      const { rows: history } = await db.query('DESCRIBE HISTORY shared')
      t.ok(history.length < 38, `${history.length} commits`)
      const found = await readElsewhere(await directoryOf(world, 'shared'))
      t.equal(found.length, 38)
    },
  )

  await t.test('rows of files that are no table are inserted', async (t) => {
    await db.execute('CREATE TABLE from_files (id BIGINT, city STRING)')
    const files = join(world.data, 'events', 'part-0.parquet')
    const sql = `INSERT INTO from_files SELECT id, city FROM read_parquet('${files}') WHERE id < 100`
    t.match(await db.execute(sql), { rowCount: 100 })
    const made = `CREATE TABLE from_written2 AS SELECT * FROM read_parquet('${files}') WHERE id < 10`
    await db.execute(made)
    const properties = `TBLPROPERTIES ('write.target-file-size-bytes' = '65536')`
    await db.execute(`CREATE TABLE small_files (id BIGINT, city STRING) ${properties}`)
    await db.execute('INSERT INTO small_files SELECT id + i, city FROM events, range(3) r(i)')
    const { rows: written } = await db.query('SHOW FILES IN small_files')
    t.ok(written.length > 4, `${written.length} files`)
    const { rows } = await db.query('SELECT count(*) AS n, sum(id) AS s FROM from_written2')
    t.match(rows, [{ n: 10, s: 45n }])
  })

  await t.test(
    'db.insert adds rows, streams and Arrow in one commit each, or nothing',
    async (t) => {
      await db.execute(
        'CREATE TABLE bulk (a BIGINT, b STRING, c DECIMAL(12,2), d DATE, e DOUBLE, f BOOLEAN)',
      )
      const row = (i: number): Record<string, unknown> => ({
        ...{
          a: i,
          b: `it's ${i}`,
          c: `${i}.25`,
          d: new Date('2026-11-22'),
          e: i / 2,
          f: i % 2 === 0,
        },
      })
      const array = await db.insert('bulk', [row(0), { a: 1n }, { ...row(2), b: null }])
      t.match(array, { command: 'INSERT', rowCount: 3 })
      const seen: number[] = []
      async function* stream(): AsyncGenerator<Record<string, unknown>> {
        for (let i = 3; i < 1_000; i++) yield row(i)
      }
      const options = { batchRows: 100, onProgress: (p: { rows: number }) => seen.push(p.rows) }
      t.match(await db.insert('default.bulk', stream(), options), { rowCount: 997 })
      t.same([seen.length, seen.at(-1)], [10, 997])
      const arrow = await db.stream('SELECT a + 1000 AS a, b FROM bulk').table()
      t.match(await db.insert('bulk', arrow), { rowCount: 1_000 })
      const totals = `SELECT count(*) AS n, count(DISTINCT a) AS k, sum(a) AS a, count(c) AS c, min(d) AS d FROM bulk`
      const { rows } = await db.query(totals)
      t.match(rows, [{ n: 2_000, k: 2_000, a: 1_999_000n, c: 999 }])
      await t.rejects(db.insert('bulk', [row(1), { a: 'many' }]), {
        error: 'invalid_text_representation',
        message: `row 2, column "a": 'many' is no BIGINT`,
      })
      t.equal((await errorOf(db.insert('bulk', [{ A1: 1 }]))).error, 'undefined_column')
      t.match((await errorOf(db.insert('bulk', [{ d: 'yesterday' }]))).message, /yesterday/)
      t.equal((await errorOf(db.insert('nothing', [{ a: 1 }]))).error, 'undefined_table')
      const cancel = new AbortController()
      async function* endless(): AsyncGenerator<Record<string, unknown>> {
        for (let i = 0; ; i++) {
          if (i === 250) cancel.abort()
          yield row(i)
        }
      }
      const cut = db.insert('bulk', endless(), { batchRows: 100, signal: cancel.signal })
      t.equal((await errorOf(cut)).error, 'query_canceled')
      t.match((await db.query('SELECT count(*) AS n FROM bulk')).rows, [{ n: 2_000 }])
      const left = await readdir(join(warehouse(world), '..', 'uploads'))
      t.same(left, [], 'no rows are left on their way')
    },
  )

  await t.test(
    'db.insert takes arrays, objects and maps, and tells row and column of what does not fit',
    async (t) => {
      await db.execute(
        'CREATE TABLE nested (a INT NOT NULL, s STRUCT<x: INT, y: STRING>, l ARRAY<STRUCT<z: ARRAY<STRING>>>, m MAP<STRING, DATE>)',
      )
      const given = [
        { a: 1, s: { x: 1, y: `it's "}" \\` }, l: [{ z: ["']", null] }, null], m: new Map() },
        { a: 2, s: { y: 'NULL' }, l: [], m: { k: new Date('2026-11-23'), n: null } },
        { a: 3, s: '{x: 3}', m: new Map([['k', '2026-11-22']]) },
      ]
      t.match(await db.insert('nested', given), { rowCount: 3 })
      const { rows } = await db.query('SELECT * FROM nested ORDER BY a')
      t.strictSame(rows, [
        { ...given[0], m: new Map() },
        {
          a: 2,
          s: { x: null, y: 'NULL' },
          l: [],
          m: new Map([
            ['k', new Date('2026-11-23')],
            ['n', null],
          ]),
        },
        { a: 3, s: { x: 3, y: null }, l: null, m: new Map([['k', new Date('2026-11-22')]]) },
      ])
      const wrong: readonly (readonly [Record<string, unknown>, string, RegExp])[] = [
        [{ a: 1, s: { x: 1, q: 2 } }, '42804', /^row 7, column "s": there is no field "q"$/],
        [{ a: 1, l: [{ z: 5 }] }, '22P02', /^row 7, column "l"\[1\]\.z: 5 is no LIST$/],
        [
          { a: 3_000_000_000 },
          '22003',
          /^row 7, column "a" of type INTEGER cannot hold "3000000000"$/,
        ],
        [{ a: null }, '23502', /^row 7, column "a" of type INTEGER must not be NULL$/],
        [
          { s: { x: 2n ** 40n }, a: 1 },
          '22P02',
          /^row 7, column "s" of type STRUCT.*: .*1099511627776/,
        ],
        [{ a: 1, m: { k: 'yesterday' } }, '22P02', /^row 7, column "m" of type MAP.*: .*yesterday/],
      ]
      const good = Array.from({ length: 6 }, (_, a) => ({ a }))
      for (const [row, code, message] of wrong) {
        const told = { code, message, position: undefined }
        await t.rejects(db.insert('nested', [...good, row, ...good], { batchRows: 4 }), told)
      }
      const named = db.insert('nested', [{ s: null }], { rowName: (row) => `line ${row + 10}` })
      await t.rejects(named, { message: /^line 11, column "a"/ })
      const arrow = await db.stream(`SELECT a, {'x': 1, 'zz': a} AS s FROM nested`).table()
      await t.rejects(db.insert('nested', arrow), { code: '42804', message: /has no field "zz"/ })
      t.match((await db.query('SELECT count(*) AS n FROM nested')).rows, [{ n: 3 }])
    },
  )

  await t.test('a statement that fails leaves nothing behind', async (t) => {
    await db.execute('CREATE TABLE strict (a INT)')
    const failing = `INSERT INTO strict SELECT CASE WHEN id = 399999 THEN 'x' ELSE '1' END FROM events`
    const error = await errorOf(db.execute(failing))
    t.match(error, { error: 'invalid_text_representation', message: /column "a"/ })
    const directory = await directoryOf(world, 'strict')
    t.same(await readdir(join(directory, 'data')), [])
    t.equal((await readdir(join(directory, 'metadata'))).length, 1)
    await errorOf(db.execute(`CREATE TABLE never AS SELECT CAST(city AS INT) AS c FROM events`))
    t.notOk((await readdir(warehouse(world))).some((name) => name.startsWith('never')))
  })

  await t.test('a table is read as it was at each of its snapshots', async (t) => {
    await db.execute('CREATE TABLE past AS SELECT 1 AS a')
    await db.execute('INSERT INTO past VALUES (2)')
    await db.execute('DELETE FROM past WHERE a = 1')
    const history = await db.query('DESCRIBE HISTORY past')
    const snapshots = history.rows.map((row) => String(row['snapshot'])).toReversed()
    const times = history.rows.map((row) => String(row['committed_at'])).toReversed()
    const read = async (asOf: string): Promise<unknown> => {
      const { rows } = await db.query(`SELECT list(a ORDER BY a) AS l FROM past FOR ${asOf}`)
      return rows[0]?.['l']
    }
    for (const [i, expected] of [[1], [1, 2], [2]].entries()) {
      t.same(await read(`SYSTEM_VERSION AS OF ${snapshots[i]}`), expected)
      t.same(await read(`SYSTEM_TIME AS OF TIMESTAMPTZ '${times[i]}'`), expected)
    }
    const both = await db.query(
      `SELECT a.a FROM past FOR VERSION AS OF ${snapshots[1]} a
       ANTI JOIN past FOR VERSION AS OF ${snapshots[2]} b ON a.a = b.a`,
    )
    t.same(both.rows, [{ a: 1 }])
    await db.execute(`ALTER TABLE past EXECUTE rollback(${snapshots[1]})`)
    t.same(
      await read(`SYSTEM_VERSION AS OF ${snapshots[2]}`),
      [2],
      'what came later is still there',
    )
    await db.execute('INSERT INTO past VALUES (3)')
    const { rows } = await db.query('SELECT a FROM past ORDER BY a')
    t.same(rows, [{ a: 1 }, { a: 2 }, { a: 3 }])
    await db.execute('OPTIMIZE TABLE past')
    t.same(
      (await readElsewhere(await directoryOf(world, 'past')))
        .map(({ a }) => a)
        .toSorted((a, b) => Number(a) - Number(b)),
      [...[1, 2, 3]],
    )
  })

  await t.test('a change of rows writes only the files anew that hold such rows', async (t) => {
    await db.execute('CREATE TABLE parts (id INT, v STRING)')
    for (const n of [0, 10, 20]) {
      await db.execute(`INSERT INTO parts SELECT i, 'v' || i FROM range(${n}, ${n + 4}) r(i)`)
    }
    const files = async (): Promise<readonly string[]> => {
      const { rows } = await db.query('SHOW FILES IN parts')
      return rows.map((row) => String(row['path'])).toSorted()
    }
    const before = await files()
    t.match(await db.execute('UPDATE parts SET v = upper(v) WHERE id IN (11, 12)'), { rowCount: 2 })
    const updated = await files()
    t.equal(updated.filter((path) => before.includes(path)).length, 2)
    t.match(await db.execute('DELETE FROM parts WHERE id < 10 OR id = 23'), { rowCount: 5 })
    const left = await files()
    t.equal(left.length, 2, 'a file without rows is gone, and nothing is in its place')
    t.equal(left.filter((path) => updated.includes(path)).length, 1)
    const rows = await readElsewhere(await directoryOf(world, 'parts'))
    t.same(rows.map(({ id, v }) => `${String(id)} ${String(v)}`).toSorted(), [
      ...['10 v10', '11 V11', '12 V12', '13 v13', '20 v20', '21 v21', '22 v22'],
    ])
    const [operation] = (await db.query('DESCRIBE HISTORY parts')).rows
    t.match(operation, { operation: 'overwrite', rows_added: 3n, rows_removed: 8n, rows: 7n })
    t.match(await db.execute('DELETE FROM parts WHERE id = 99'), { rowCount: 0 })
    t.match(await db.execute('DELETE FROM parts WHERE id >= 20'), { rowCount: 3 })
    t.match((await db.query('DESCRIBE HISTORY parts')).rows[0], { operation: 'delete', files: 1n })
  })

  await t.test('changes of rows in different files are no conflict', async (t) => {
    await db.execute('CREATE TABLE apart AS SELECT 1 AS id, 0 AS n')
    await db.execute('INSERT INTO apart VALUES (2, 0)')
    const databases = await Promise.all(
      [first, second].map((address) => connect(`nyala://${address}/default`)),
    )
    const each = 4
    await Promise.all(
      databases.map(async (one, i) => {
        for (let k = 0; k < each; k++) {
          await one.execute(`UPDATE apart SET n = n + 1 WHERE id = ${i + 1}`)
        }
      }),
    )
    for (const one of databases) await one.close()
    const { rows } = await db.query('SELECT id, n FROM apart ORDER BY id')
    t.same(rows, [
      { id: 1, n: each },
      { id: 2, n: each },
    ])
  })

  await t.test('files that nobody needs', (t) => checkCleaning(t, world, second))

  await t.test('a table that another catalog keeps is read by its metadata', async (t) => {
    await db.execute(`CREATE TABLE theirs AS SELECT i AS a, 'x' || i AS b FROM range(5) r(i)`)
    await db.execute('DELETE FROM theirs WHERE a = 3')
    const directory = await directoryOf(world, 'theirs')
    const metadata = (await readdir(join(directory, 'metadata')))
      .filter((name) => name.endsWith('.metadata.json'))
      .toSorted()
      .map((name) => join(directory, 'metadata', name))
    await db.execute(`CREATE EXTERNAL TABLE seen STORED AS ICEBERG LOCATION '${directory}'`)
    await db.execute(`CREATE EXTERNAL TABLE before STORED AS ICEBERG
      TBLPROPERTIES ('metadata_location' = 'file://${metadata[0]}')`)
    const count = async (table: string): Promise<unknown> =>
      (await db.query(`SELECT count(*) AS c, max(b) AS b FROM ${table}`)).rows[0]
    t.match(await count('seen'), { c: 4n, b: 'x4' })
    t.match(await count('before'), { c: 5n })
    t.match(await count(`seen FOR SYSTEM_TIME AS OF '2100-01-01'`), { c: 4n })
    await db.execute('INSERT INTO theirs VALUES (7, NULL)')
    t.match(await count('seen'), { c: 4n }, 'as it was when it was registered')
    const [made] = (await db.query('SHOW CREATE TABLE before')).rows
    t.match(String(made?.['result']), /STORED AS ICEBERG\nTBLPROPERTIES \('metadata_location' = /)
    await db.execute('REFRESH seen')
    t.match(await count('seen'), { c: 5n })
    const error = await errorOf(db.execute('INSERT INTO seen VALUES (1, NULL)'))
    t.match(error, { error: 'feature_not_supported', message: /is external/ })
    const outside = await errorOf(
      db.execute(`CREATE EXTERNAL TABLE no STORED AS ICEBERG
        TBLPROPERTIES ('metadata_location' = '/etc/passwd')`),
    )
    t.match(outside, { error: 'insufficient_privilege' })
    await db.execute('DROP TABLE seen')
    t.match(await count('theirs'), { c: 5n }, 'its files are not ours to remove')
  })
})
