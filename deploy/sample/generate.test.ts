import { spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { mkdir, readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { type DuckDBConnection, DuckDBInstance } from '@duckdb/node-api'
import { systemClock } from '@nyala/client/base'
import t from 'tap'
import { processBirth } from '../local/process-identity.ts'
import { temporaryDirectory } from '../local/testing/temporary-directory.ts'
import { generateSample } from './generate.ts'
import { SAMPLE_TABLES, TPCH_TABLES } from './schema.ts'
import { sizesAt } from './sizes.ts'
import { writeSample } from './writer.ts'

const SCALE_FACTOR = 0.02
const LAUNCHER = fileURLToPath(new URL('../local/testing/fake-launcher.js', import.meta.url))

async function open(dir: string): Promise<DuckDBConnection> {
  const connection = await (await DuckDBInstance.create(':memory:')).connect()
  for (const { name } of TPCH_TABLES) {
    await connection.run(`CREATE VIEW ${name} AS FROM read_parquet('${dir}/${name}/*.parquet')`)
  }
  return connection
}

async function contentsOf(dir: string): Promise<Readonly<Record<string, string>>> {
  const files = await readdir(dir, { recursive: true, withFileTypes: true })
  const entries = files
    .filter((file) => file.name.endsWith('.parquet'))
    .map(async (file) => {
      const path = join(file.parentPath, file.name)
      const digest = createHash('sha256')
        .update(await readFile(path))
        .digest('hex')
      return [path.slice(dir.length), digest] as const
    })
  return Object.fromEntries(await Promise.all(entries))
}

t.setTimeout(120_000)

t.test('the sample', async (t) => {
  const dir = await temporaryDirectory(t)
  const made = await generateSample({ dir, scaleFactor: SCALE_FACTOR, variables: process.env })
  const db = await open(dir)
  const value = async (sql: string): Promise<unknown> =>
    (await db.runAndReadAll(sql)).getRowsJson()[0]?.[0]

  t.test('has the rows that its scale factor asks for', async (t) => {
    const { lineitem, ...rest } = made.tables
    t.match(rest, {
      region: { rows: 5, files: 1 },
      nation: { rows: 25, files: 1 },
      supplier: { rows: 200 },
      customer: { rows: 3_000, files: 2 },
      part: { rows: 4_000 },
      partsupp: { rows: 16_000 },
      orders: { rows: 30_000, files: 6 },
    })
    // One to seven lines an order, four on average.
    t.ok(Math.abs((lineitem?.rows ?? 0) / 30_000 - 4) < 0.05)
  })

  t.test('has columns of the declared names and types', async (t) => {
    for (const { name, columns } of TPCH_TABLES) {
      const described = (await db.runAndReadAll(`DESCRIBE ${name}`)).getRowsJson()
      t.same(
        described.map((row) => [row[0], row[1]]),
        columns.map((column) => [column.name, column.type]),
        name,
      )
    }
  })

  t.test('has foreign keys that hold', async (t) => {
    for (const [from, to, condition] of [
      ['lineitem', 'orders', 'l_orderkey = o_orderkey'],
      ['lineitem', 'partsupp', 'l_partkey = ps_partkey AND l_suppkey = ps_suppkey'],
      ['partsupp', 'part', 'ps_partkey = p_partkey'],
      ['partsupp', 'supplier', 'ps_suppkey = s_suppkey'],
      ['orders', 'customer', 'o_custkey = c_custkey'],
      ['customer', 'nation', 'c_nationkey = n_nationkey'],
      ['supplier', 'nation', 's_nationkey = n_nationkey'],
      ['nation', 'region', 'n_regionkey = r_regionkey'],
    ] as const) {
      const orphans = await value(`SELECT count(*) FROM ${from} ANTI JOIN ${to} ON ${condition}`)
      t.equal(orphans, '0', `${from} → ${to}`)
    }
  })

  t.test('has primary keys that are unique', async (t) => {
    for (const [table, key] of [
      ['orders', 'o_orderkey'],
      ['lineitem', '(l_orderkey, l_linenumber)'],
      ['partsupp', '(ps_partkey, ps_suppkey)'],
      ['part', 'p_partkey'],
      ['customer', 'c_custkey'],
      ['supplier', 's_suppkey'],
    ] as const) {
      t.equal(await value(`SELECT count(*) - count(DISTINCT ${key}) FROM ${table}`), '0', table)
    }
  })

  t.test('keeps the rules between columns', async (t) => {
    const rules = {
      'an order is worth its lines': `
        SELECT count(*) FROM orders JOIN (SELECT l_orderkey, sum(l_extendedprice * (1 - l_discount) * (1 + l_tax)) AS total
          FROM lineitem GROUP BY l_orderkey) ON l_orderkey = o_orderkey WHERE abs(o_totalprice - total) > 0.15`,
      'the status of an order follows from its lines': `
        SELECT count(*) FROM orders JOIN (SELECT l_orderkey, string_agg(DISTINCT l_linestatus) AS states
          FROM lineitem GROUP BY l_orderkey) ON l_orderkey = o_orderkey
        WHERE o_orderstatus <> CASE WHEN len(states) > 1 THEN 'P' ELSE states END`,
      'every third customer orders nothing': `SELECT count(*) FROM orders WHERE o_custkey % 3 = 0`,
      'order keys are sparse': `SELECT count(*) FROM orders WHERE o_orderkey % 32 >= 8`,
      'dates follow one another': `
        SELECT count(*) FROM lineitem JOIN orders ON l_orderkey = o_orderkey
        WHERE l_shipdate - o_orderdate NOT BETWEEN 1 AND 121 OR l_commitdate - o_orderdate NOT BETWEEN 30 AND 90
           OR l_receiptdate - l_shipdate NOT BETWEEN 1 AND 30`,
      'flags follow from dates': `
        SELECT count(*) FROM lineitem WHERE (l_linestatus = 'O') <> (l_shipdate > DATE '1995-06-17')
           OR (l_returnflag = 'N') <> (l_receiptdate > DATE '1995-06-17')`,
      'a line costs its parts': `
        SELECT count(*) FROM lineitem JOIN part ON l_partkey = p_partkey WHERE l_extendedprice <> l_quantity * p_retailprice`,
      'the price of a part follows from its key': `
        SELECT count(*) FROM part WHERE p_retailprice <> (90000 + (p_partkey // 10) % 20001 + 100 * (p_partkey % 1000)) / 100`,
      'a phone number begins with its country': `
        SELECT count(*) FROM customer WHERE c_phone[:2]::INTEGER <> c_nationkey + 10`,
      'a part is named by five colours': `
        SELECT count(*) FROM part WHERE len(list_distinct(string_split(p_name, ' '))) <> 5`,
    }
    for (const [rule, violations] of Object.entries(rules)) {
      t.equal(await value(violations), '0', rule)
    }
    t.same(
      (
        await db.runAndReadAll('SELECT min(o_orderdate), max(o_orderdate) FROM orders')
      ).getRowsJson(),
      [['1992-01-01', '1998-08-02']],
    )
  })

  t.test('has what the queries of TPC-H look for', async (t) => {
    const wanted: Readonly<Record<string, string>> = {
      'count(DISTINCT c_mktsegment) FROM customer': '5',
      'count(DISTINCT o_orderpriority) FROM orders': '5',
      'count(DISTINCT l_shipmode) FROM lineitem': '7',
      'count(DISTINCT l_shipinstruct) FROM lineitem': '4',
      'count(DISTINCT p_brand) FROM part': '25',
      'count(DISTINCT p_type) FROM part': '150',
      'count(DISTINCT p_container) FROM part': '40',
      'count(DISTINCT p_size) FROM part': '50',
    }
    for (const [what, count] of Object.entries(wanted)) {
      t.equal(await value(`SELECT ${what}`), count, what)
    }
    for (const what of [
      "part WHERE p_name LIKE 'forest%'",
      "part WHERE p_name LIKE '%green%'",
      "orders WHERE o_comment LIKE '%special%requests%'",
      "supplier WHERE s_comment LIKE '%Customer%Complaints%'",
    ]) {
      t.not(await value(`SELECT count(*) FROM ${what}`), '0', what)
    }
  })

  t.test('has trips by year and month', async (t) => {
    const trips = `read_parquet('${dir}/trips/year=*/month=*/part-0.parquet', hive_partitioning = true)`
    t.equal(await value(`SELECT count(*) FROM ${trips} WHERE year = 2025 AND month = 12`), '2000')
    const misplaced = `SELECT count(*) FROM ${trips} WHERE (year, month) <> (year(started_at), month(started_at))`
    t.equal(await value(misplaced), '0')
  })

  t.test('comes with a statement for each table', async (t) => {
    const text = await readFile(join(dir, 'create-tables.sql'), 'utf8')
    t.equal(text, `${made.statements.join('\n\n')}\n`)
    t.equal(made.statements.length, SAMPLE_TABLES.length)
    t.match(
      made.statements.at(-1),
      /PARTITIONED BY \(year INTEGER, month INTEGER\)\nSTORED AS PARQUET\nLOCATION '.*\/trips';$/,
    )
  })

  t.test('is the same however many files are written at a time', async (t) => {
    const again = await temporaryDirectory(t)
    await writeSample({ dir: again, scaleFactor: SCALE_FACTOR, connections: 3 })
    t.same(await contentsOf(again), await contentsOf(dir))
  })

  t.test('is not made twice, and not over another one', async (t) => {
    const same = await generateSample({ dir, scaleFactor: SCALE_FACTOR, variables: process.env })
    t.match(same, { isNew: false, tables: made.tables })
    await t.rejects(generateSample({ dir, scaleFactor: 0.01, variables: process.env }), {
      exitCode: 3,
      message: /region" is already there, a sample of scale factor 0.02/,
    })
  })
})

t.test('a sample that is given up leaves nothing', async (t) => {
  const dir = await temporaryDirectory(t)
  const aborted = new AbortController()
  const made = generateSample({
    dir,
    scaleFactor: 1,
    variables: process.env,
    signal: aborted.signal,
  })
  const writing = async (): Promise<boolean> =>
    (await readdir(dir)).some((name) => existsSync(join(dir, name, 'lineitem')))
  while (!(await writing())) await new Promise(setImmediate)
  aborted.abort(new Error('enough'))
  await t.rejects(made, { message: 'enough' })
  t.same(await readdir(dir), [])
})

for (const signal of ['SIGTERM', 'SIGHUP', 'SIGINT'] as const) {
  t.test(`the command that is ended by ${signal} leaves no writer and no files`, async (t) => {
    const dir = await temporaryDirectory(t)
    const child = spawn(process.execPath, [LAUNCHER, 'sample', '--dir', dir, '--sf', '1'], {
      stdio: ['ignore', 'ignore', 'pipe'],
    })
    t.teardown(() => child.kill('SIGKILL'))
    const closed = once(child, 'close')
    const writing = async (): Promise<boolean> =>
      (await readdir(dir)).some((name) => existsSync(join(dir, name, 'lineitem')))
    while (!(await writing())) await systemClock.sleep(10)
    const writers = process.platform === 'linux' ? await childrenOf(child.pid ?? 0) : []
    if (process.platform === 'linux') t.equal(writers.length, 1)
    child.kill(signal)
    child.kill(signal)
    t.same(await closed, [130, null])
    t.same(await readdir(dir), [])
    for (const writer of writers) t.equal(await processBirth(writer), undefined)
  })
}

const childrenOf = async (pid: number): Promise<readonly number[]> =>
  (await readFile(`/proc/${pid}/task/${pid}/children`, 'utf8'))
    .split(' ')
    .filter((text) => text.trim() !== '')
    .map(Number)

t.test('another table of the same name is left alone', async (t) => {
  const dir = await temporaryDirectory(t)
  await mkdir(join(dir, 'orders'))
  await t.rejects(generateSample({ dir, scaleFactor: 0.01, variables: process.env }), {
    exitCode: 3,
    message: /orders" is already there/,
  })
  t.same(await readdir(dir), ['orders'])
})

t.test('four suppliers of a part differ at every scale factor', async (t) => {
  for (let scaleFactor = 0.001; scaleFactor < 0.05; scaleFactor += 0.0005) {
    const { suppliers, parts, supplierStep, supplierShift } = sizesAt(scaleFactor)
    for (let part = 1; part <= parts; part += 7) {
      const step = supplierStep + (supplierShift ? Math.floor((part - 1) / suppliers) : 0)
      const four = new Set([0, 1, 2, 3].map((i) => (part + i * step) % suppliers))
      if (four.size !== 4) t.fail(`part ${part} at scale factor ${scaleFactor}`)
    }
  }
  t.equal(sizesAt(1).supplierShift, true, 'as in the specification where that works')
  t.throws(() => sizesAt(0), {
    exitCode: 3,
    message: 'the scale factor is 0, expected 0.001 to 1000',
  })
})
