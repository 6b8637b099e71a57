import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type DuckDBConnection } from '@duckdb/node-api'
import { COST_NS } from '@nyala/coordinator/testing'
import type { Bench, PartResult } from './bench.ts'
import { median, round } from './measurement.ts'
import { openKernel, openWorld } from './world.ts'

const RUNS = 3
const STAGE_RUNS = 41
const NS_PER_MS = 1e6

/** An operator's cost: what one statement takes more than another, for each of a number of things. */
interface Probe {
  readonly cost: keyof typeof COST_NS
  readonly what: string
  readonly sql: string
  /** The same without the operator; absent where nothing is to be taken off. */
  readonly without?: string
  /** How many values, rows or bytes the operator had to do with, as a query. */
  readonly count: string
}

const PREPARE = [
  // What is measured is the operator that is named, not one that the optimizer puts in its place.
  `SET disabled_optimizers = 'build_side_probe_side, join_filter_pushdown, statistics_propagation, compressed_materialization, join_order'`,
  `CREATE TEMP TABLE lines AS SELECT l_orderkey AS k, l_partkey AS p, l_suppkey AS s, l_quantity AS q, l_extendedprice AS e,
     l_discount AS d, l_shipmode AS m FROM lineitem`,
  `CREATE TEMP TABLE heads AS SELECT o_orderkey AS k, o_custkey AS c FROM orders`,
  `CREATE TEMP TABLE few AS SELECT s_suppkey AS s, s_nationkey AS n FROM supplier`,
]

const FORMAT =
  'FORMAT parquet, PARQUET_VERSION v2, COMPRESSION uncompressed, DICTIONARY_SIZE_LIMIT 256'
const LINES = 'SELECT count(*) FROM lines'

/** Reading files, and what is done row by row. */
const ROWS: readonly Probe[] = [
  {
    cost: 'scanValue',
    what: 'number in a file',
    sql: 'SELECT bit_xor(l_orderkey), bit_xor(l_partkey), bit_xor(l_suppkey), sum(l_extendedprice) FROM lineitem',
    without: 'SELECT bit_xor(l_orderkey) FROM lineitem',
    count: `SELECT 3 * count(*) FROM lineitem`,
  },
  {
    cost: 'scanValue',
    what: 'text of a few values in a file',
    sql: 'SELECT bit_xor(l_orderkey), max(strlen(l_shipmode)), max(strlen(l_shipinstruct)) FROM lineitem',
    without: 'SELECT bit_xor(l_orderkey) FROM lineitem',
    count: `SELECT 2 * count(*) FROM lineitem`,
  },
  {
    cost: 'scanText',
    what: 'text of as many values as rows in a file',
    sql: 'SELECT bit_xor(o_orderkey), max(strlen(o_comment)) FROM orders',
    without: 'SELECT bit_xor(o_orderkey) FROM orders',
    count: `SELECT count(*) FROM orders`,
  },
  {
    cost: 'pattern',
    what: 'row and LIKE with two pieces',
    sql: `SELECT bit_xor(o_orderkey), max(strlen(o_comment)) FROM orders WHERE o_comment NOT LIKE '%special%requests%'`,
    without: 'SELECT bit_xor(o_orderkey), max(strlen(o_comment)) FROM orders',
    count: `SELECT count(*) FROM orders`,
  },
  {
    cost: 'filter',
    what: 'row and condition',
    sql: 'SELECT bit_xor(k) FROM lines WHERE q + 1 < 26 AND e - 1 > 20000',
    without: 'SELECT bit_xor(k) FROM lines WHERE q + 1 < 26',
    count: 'SELECT count(*) FROM lines WHERE q < 25',
  },
  {
    cost: 'project',
    what: 'row, e * (1 - d)',
    sql: 'SELECT sum(e * (1 - d)) FROM lines',
    without: 'SELECT sum(e), bit_xor(k) FROM lines',
    count: LINES,
  },
]

/** Joins of tables in memory. */
const JOINS: readonly Probe[] = [
  {
    cost: 'build',
    what: 'row of a large table',
    sql: 'SELECT bit_xor(h.c) FROM (FROM lines LIMIT 1) l JOIN heads h USING (k)',
    without: 'SELECT bit_xor(c), bit_xor(k) FROM heads',
    count: 'SELECT count(*) FROM heads',
  },
  {
    cost: 'probe',
    what: 'row, small table',
    sql: 'SELECT bit_xor(l.k), bit_xor(f.n) FROM lines l JOIN few f USING (s)',
    without: 'SELECT bit_xor(k), bit_xor(s) FROM lines',
    count: LINES,
  },
  {
    cost: 'probe',
    what: 'row, large table in the order of its keys (its build taken off)',
    sql: 'SELECT bit_xor(l.p), bit_xor(h.c) FROM lines l JOIN heads h USING (k)',
    without: 'SELECT bit_xor(h.c) FROM (FROM lines LIMIT 1) l JOIN heads h USING (k)',
    count: LINES,
  },
]

/** What has to see many rows, over a table in memory. */
const GROUPS: readonly Probe[] = [
  {
    cost: 'aggregate',
    what: 'row, few groups, two sums',
    sql: 'SELECT m, sum(e), sum(q) FROM lines GROUP BY m',
    without: 'SELECT max(strlen(m)), bit_xor(k) FROM lines',
    count: LINES,
  },
  {
    cost: 'group',
    what: 'group of four rows',
    sql: 'SELECT bit_xor(n) FROM (SELECT k, count(*) AS n FROM lines GROUP BY k)',
    without: 'SELECT m, sum(e), sum(q) FROM lines GROUP BY m',
    count: 'SELECT count(DISTINCT k) FROM lines',
  },
  {
    cost: 'distinct',
    what: 'row',
    sql: 'SELECT bit_xor(p) FROM (SELECT DISTINCT p, s FROM lines)',
    without: 'SELECT bit_xor(p), bit_xor(s) FROM lines',
    count: LINES,
  },
  {
    cost: 'window',
    what: 'row',
    sql: 'SELECT bit_xor(n) FROM (SELECT row_number() OVER (PARTITION BY s ORDER BY e) AS n FROM lines)',
    without: 'SELECT bit_xor(k) FROM lines',
    count: LINES,
  },
  {
    cost: 'sort',
    what: 'row and doubling of the rows',
    sql: 'SELECT bit_xor(k) FROM (SELECT k FROM lines ORDER BY e OFFSET 1)',
    without: 'SELECT bit_xor(k), sum(e) FROM lines',
    count: 'SELECT count(*) * log2(count(*)) FROM lines',
  },
]

/** Writing segments into a directory, and reading them. */
function moving(directory: string): readonly Probe[] {
  const copy = (sql: string, name: string, more = ''): string =>
    `COPY (${sql}) TO '${join(directory, name)}' (${FORMAT}${more}, OVERWRITE_OR_IGNORE)`
  const numbers = 'SELECT k, p, s, q FROM lines'
  const bucket = 'SELECT k, p, s, q, (hash(k) % 8)::INTEGER AS bucket FROM lines'
  return [
    {
      cost: 'writeRow',
      what: 'row of one number into a segment',
      sql: copy('SELECT p FROM lines', 'one.parquet'),
      without: 'SELECT bit_xor(p) FROM lines',
      count: LINES,
    },
    {
      cost: 'writeByte',
      what: 'byte of further numbers',
      sql: copy(numbers, 'numbers.parquet'),
      without: copy('SELECT p FROM lines', 'one.parquet'),
      count: 'SELECT 24 * count(*) FROM lines',
    },
    {
      cost: 'writeByte',
      what: 'byte of further texts',
      sql: copy('SELECT o_orderkey, o_comment FROM orders', 'texts.parquet'),
      without: copy('SELECT o_orderkey FROM orders', 'keys.parquet'),
      count: 'SELECT sum(strlen(o_comment)) FROM orders',
    },
    {
      cost: 'bucket',
      what: 'row into one of eight buckets',
      sql: copy(bucket, 'buckets', ', PARTITION_BY (bucket)'),
      without: copy(numbers, 'numbers.parquet'),
      count: LINES,
    },
    {
      cost: 'readValue',
      what: 'number in a segment',
      sql: `SELECT bit_xor(k), bit_xor(p), bit_xor(s), sum(q) FROM read_parquet('${join(directory, 'numbers.parquet')}')`,
      without: `SELECT count(*) FROM read_parquet('${join(directory, 'numbers.parquet')}')`,
      count: 'SELECT 4 * count(*) FROM lines',
    },
  ]
}

/**
 * What operators take in DuckDB with one thread, each by itself, beside what the planner assumes of them; and what one
 * more stage takes. What counts for plans is the proportion of one to another.
 */
export async function measureCosts(bench: Bench): Promise<PartResult> {
  const directory = mkdtempSync(join(tmpdir(), 'nyala-costs-'))
  const kernel = await openKernel(bench.options.sample.dir, 1)
  const rows: (readonly string[])[] = []
  const note = (cost: keyof typeof COST_NS, what: string, ns: number): void => {
    const row = [cost, what, round(ns), round(COST_NS[cost])]
    rows.push(row)
    bench.options.print(`  ${row.join(' · ')}`)
  }
  try {
    for (const sql of PREPARE) await kernel.run(sql)
    for (const probe of [...ROWS, ...JOINS, ...GROUPS, ...moving(directory)]) {
      const whole = await cpuMs(kernel, probe.sql)
      const without = probe.without === undefined ? 0 : await cpuMs(kernel, probe.without)
      const count = Number((await kernel.runAndReadAll(probe.count)).getRows()[0]?.[0])
      note(probe.cost, probe.what, ((whole - without) * NS_PER_MS) / count)
    }
  } finally {
    kernel.closeSync()
    rmSync(directory, { recursive: true, force: true })
  }
  note('stage', 'stage of two tasks, by the clock', await stageNs(bench))
  return {
    measurements: [],
    table: { columns: ['cost', 'of each', 'measured ns', 'planner’s ns'], rows },
  }
}

/** The least processor time of some runs: what else the machine does only adds to it. */
async function cpuMs(kernel: DuckDBConnection, sql: string): Promise<number> {
  const samples: number[] = []
  for (let run = 0; run < RUNS; run++) {
    const before = process.cpuUsage()
    await kernel.run(sql)
    const { user, system } = process.cpuUsage(before)
    samples.push((user + system) / 1000)
  }
  return Math.min(...samples)
}

/** The same small query in one task, and in a stage of two tasks before the one that puts them together. */
async function stageNs({ options }: Bench): Promise<number> {
  await using world = await openWorld({ ...options, executors: 2, threads: 1 })
  const sql = 'SELECT s_nationkey, count(*) FROM supplier GROUP BY s_nationkey'
  await using single = await world.db.session({ set: { distribution: 'single' } })
  await using force = await world.db.session({ set: { distribution: 'force' } })
  const differences: number[] = []
  for (let run = 0; run < STAGE_RUNS; run++) {
    const start = options.clock.now()
    await single.query(sql)
    const between = options.clock.now()
    await force.query(sql)
    const end = options.clock.now()
    differences.push(end - between - (between - start))
  }
  return median(differences) * NS_PER_MS
}
