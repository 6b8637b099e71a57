import type { Column } from '@nyala/client/protocol'
import {
  type NewWorldTable,
  type PlanningWorld,
  sketchColumns,
  type SketchedFile,
  sketchListing,
} from '@nyala/coordinator/testing'

const MEGABYTE = 1_000_000

/** Files of equal size, each of row groups of about 16 MB. */
const files = (count: number, megabytes: number, rows: number): readonly SketchedFile[] =>
  Array.from({ length: count }, (_, i) => {
    const groups = Math.max(1, Math.round(megabytes / 16))
    return {
      path: `part-${i}.parquet`,
      bytes: megabytes * MEGABYTE,
      rowGroups: Array.from({ length: groups }, () => Math.floor(rows / groups)),
    }
  })

interface SketchedTable {
  /** A line for each column: its name, type, distinct values, and where it matters least, greatest, bytes, NULLs. */
  readonly columns: string
  readonly files: readonly SketchedFile[]
}

/** TPC-H at scale 10 after COMPUTE STATS: sizes and numbers of values are what matters to plans. */
const TPCH: Readonly<Record<string, SketchedTable>> = {
  lineitem: {
    columns: `
      l_orderkey BIGINT | 15000000 | 1 | 60000000
      l_partkey BIGINT | 2000000 | 1 | 2000000
      l_suppkey BIGINT | 100000 | 1 | 100000
      l_linenumber INTEGER | 7 | 1 | 7
      l_quantity DECIMAL(15,2) | 50 | 1.00 | 50.00
      l_extendedprice DECIMAL(15,2) | 1350000 | 900.91 | 104949.50
      l_discount DECIMAL(15,2) | 11 | 0.00 | 0.10
      l_tax DECIMAL(15,2) | 9 | 0.00 | 0.08
      l_returnflag VARCHAR | 3 | A | R | 1
      l_linestatus VARCHAR | 2 | F | O | 1
      l_shipdate DATE | 2526 | 1992-01-02 | 1998-12-01
      l_commitdate DATE | 2466 | 1992-01-31 | 1998-10-31
      l_receiptdate DATE | 2554 | 1992-01-03 | 1998-12-31
      l_shipinstruct VARCHAR | 4 | COLLECT COD | TAKE BACK RETURN | 12
      l_shipmode VARCHAR | 7 | AIR | TRUCK | 4.3
      l_comment VARCHAR | 33000000 |  Tiresias  | zzle? special accounts | 26.5`,
    files: files(12, 160, 5_000_000),
  },
  orders: {
    columns: `
      o_orderkey BIGINT | 15000000 | 1 | 60000000
      o_custkey BIGINT | 1000000 | 1 | 1499999
      o_orderstatus VARCHAR | 3 | F | P | 1
      o_totalprice DECIMAL(15,2) | 11000000 | 838.05 | 558822.56
      o_orderdate DATE | 2406 | 1992-01-01 | 1998-08-02
      o_orderpriority VARCHAR | 5 | 1-URGENT | 5-LOW | 8.4
      o_clerk VARCHAR | 10000 | Clerk#000000001 | Clerk#000010000 | 15
      o_shippriority INTEGER | 1 | 0 | 0
      o_comment VARCHAR | 14500000 |  Tiresias about the | zzle. carefully enticing | 48.5`,
    files: files(4, 120, 3_750_000),
  },
  customer: {
    columns: `
      c_custkey BIGINT | 1500000 | 1 | 1500000
      c_name VARCHAR | 1500000 | Customer#000000001 | Customer#001500000 | 18
      c_address VARCHAR | 1500000 |   2uZwVhQvwA | zzzyK7nXgiZ8 | 25
      c_nationkey INTEGER | 25 | 0 | 24
      c_phone VARCHAR | 1500000 | 10-100-106-1617 | 34-999-999-2351 | 15
      c_acctbal DECIMAL(15,2) | 820000 | -999.99 | 9999.99
      c_mktsegment VARCHAR | 5 | AUTOMOBILE | MACHINERY | 9
      c_comment VARCHAR | 1500000 |  Tiresias according to | zzle: slyly ironic | 72.5`,
    files: files(2, 60, 750_000),
  },
  part: {
    columns: `
      p_partkey BIGINT | 2000000 | 1 | 2000000
      p_name VARCHAR | 2000000 | almond antique aquamarine | yellow white wheat | 33
      p_mfgr VARCHAR | 5 | Manufacturer#1 | Manufacturer#5 | 14
      p_brand VARCHAR | 25 | Brand#11 | Brand#55 | 8
      p_type VARCHAR | 150 | ECONOMY ANODIZED BRASS | STANDARD POLISHED TIN | 20.6
      p_size INTEGER | 50 | 1 | 50
      p_container VARCHAR | 40 | JUMBO BAG | WRAP PKG | 7.6
      p_retailprice DECIMAL(15,2) | 31000 | 900.91 | 2098.99
      p_comment VARCHAR | 810000 |  Tires | zzle. | 13.5`,
    files: files(1, 60, 2_000_000),
  },
  partsupp: {
    columns: `
      ps_partkey BIGINT | 2000000 | 1 | 2000000
      ps_suppkey BIGINT | 100000 | 1 | 100000
      ps_availqty INTEGER | 9999 | 1 | 9999
      ps_supplycost DECIMAL(15,2) | 99901 | 1.00 | 1000.00
      ps_comment VARCHAR | 8000000 |  Tiresias about | zzle? ironic | 123.5`,
    files: files(2, 200, 4_000_000),
  },
  supplier: {
    columns: `
      s_suppkey BIGINT | 100000 | 1 | 100000
      s_name VARCHAR | 100000 | Supplier#000000001 | Supplier#000100000 | 18
      s_address VARCHAR | 100000 |   9aW1wwnBJJPnCx | zzfDhdtZcvmVzA8rNFU | 25
      s_nationkey INTEGER | 25 | 0 | 24
      s_phone VARCHAR | 100000 | 10-100-166-6237 | 34-999-618-6881 | 15
      s_acctbal DECIMAL(15,2) | 95000 | -999.95 | 9999.93
      s_comment VARCHAR | 100000 |  about the blithely | zzle furiously | 62.5`,
    files: files(1, 8, 100_000),
  },
  nation: {
    columns: `
      n_nationkey INTEGER | 25 | 0 | 24
      n_name VARCHAR | 25 | ALGERIA | VIETNAM | 7
      n_regionkey INTEGER | 5 | 0 | 4
      n_comment VARCHAR | 25 |  haggle. | y final packages | 74`,
    files: [{ path: 'nation.parquet', rows: 25, bytes: 3000 }],
  },
  region: {
    columns: `
      r_regionkey INTEGER | 5 | 0 | 4
      r_name VARCHAR | 5 | AFRICA | MIDDLE EAST | 7
      r_comment VARCHAR | 5 | ges. thinly | uickly special | 66`,
    files: [{ path: 'region.parquet', rows: 5, bytes: 1200 }],
  },
  /** Of all its rows most are of few pages, a third of no user; so that keys are many, NULL and skewed. */
  clicks: {
    columns: `
      click_id BIGINT | 80000000 | 1 | 80000000
      page VARCHAR | 2000 | /a | /z | 20
      user_id BIGINT | 4000000 | 1 | 9000000 | | 26000000
      seconds DOUBLE | 50000000 | 0.0 | 3600.0`,
    files: files(8, 150, 10_000_000),
  },
}

/** A table as it is after COMPUTE STATS. */
function withStatistics(name: string, { columns, files }: SketchedTable): NewWorldTable {
  const lines = columns.trim().split('\n')
  const rows = files.reduce((sum, f) => sum + (f.rows ?? sumOf(f.rowGroups ?? [])), 0)
  const found = lines.map((line) => {
    const [declared = '', distinct = '0', min = '', max = '', size = '', nulls = ''] = line
      .split('|')
      .map((cell) => cell.trim())
    const [column = '', ...type] = declared.split(' ')
    return {
      name: column,
      type: type.join(' '),
      distinct: Number(distinct),
      nulls: Number(nulls),
      min: min === '' ? null : min,
      max: max === '' ? null : max,
      sizeMax: size === '' ? -1 : Math.ceil(Number(size) * 2),
      sizeAverage: size === '' ? -1 : Number(size),
    }
  })
  const schema = found.map(({ name, type }): Column => ({ name, type }))
  return {
    name,
    listing: sketchListing(`/data/tpch/${name}`, [schema], files),
    statistics: { rows, columns: found },
  }
}

const sumOf = (numbers: readonly number[]): number => numbers.reduce((a, b) => a + b, 0)

/** A table of each kind that plans tell apart. */
export async function fillCatalog(world: PlanningWorld): Promise<void> {
  for (const [name, table] of Object.entries(TPCH)) {
    await world.addTable(withStatistics(name, table))
  }
  await addTrips(world)
  await addEvents(world)
  await addDrift(world)
  await world.addTable({
    name: 'nothing',
    listing: sketchListing('/data/nothing', [], []),
    columns: sketchColumns('a INTEGER, b VARCHAR'),
  })
  await world.addTable({
    name: 'oddities',
    listing: sketchListing(
      '/data/oddities',
      [
        sketchColumns(
          'id BIGINT, seconds TIMESTAMP_S, clock TIME WITH TIME ZONE, bits BIT, triple INTEGER[3], wide HUGEINT, words VARCHAR[], key_0 INTEGER',
        ),
      ],
      files(3, 64, 1_000_000),
    ),
  })
  await world.addView(
    'revenue',
    'SELECT l_suppkey AS supplier, l_extendedprice * (1 - l_discount) AS amount, l_shipdate AS day FROM lineitem',
  )
  await world.addView(
    'yearly',
    'SELECT year(day) AS y, sum(amount) AS total FROM revenue GROUP BY y',
  )
}

const REGIONS = ['east', 'north%2C%20far', '__HIVE_DEFAULT_PARTITION__']
const DAYS = ['2024-01-01', '2024-01-02', '2024-02-01', '2024-03-15']

/** Hive-partitioned by region and day; nobody has computed statistics, and its footers say nothing. */
async function addTrips(world: PlanningWorld): Promise<void> {
  const paths = REGIONS.flatMap((region) => DAYS.map((day) => `region=${region}/day=${day}`))
  await world.addTable({
    name: 'trips',
    listing: sketchListing(
      '/data/trips',
      [sketchColumns('id BIGINT, driver BIGINT, fare DECIMAL(8,2), note VARCHAR')],
      paths.map((path) => ({ path: `${path}/f.parquet`, bytes: 40 * MEGABYTE, rows: 400_000 })),
    ),
    partitionColumns: sketchColumns('region VARCHAR, day DATE'),
  })
}

const EVENT_FILES = 8
const EVENT_GROUPS = 4
const EVENT_GROUP_ROWS = 1_000_000
/** Microseconds of a day, and of 2024-01-01. */
const DAY_US = 86_400_000_000
const EVENTS_FROM_US = 19_723 * DAY_US

/**
 * Written in the order of their time, with footers and without computed statistics: a row group for each day, four in
 * a file. `level` is NULL in the first half of the files and never in the others, of `body` footers say nothing.
 */
async function addEvents(world: PlanningWorld): Promise<void> {
  const groups = Array.from({ length: EVENT_GROUPS }, (_, g) => g)
  await world.addTable({
    name: 'events',
    listing: sketchListing(
      '/data/events',
      [sketchColumns('id BIGINT, happened TIMESTAMP, level INTEGER, body VARCHAR')],
      Array.from({ length: EVENT_FILES }, (_, file) => {
        const first = groups.map((g) => file * EVENT_GROUPS + g)
        const isOld = file < EVENT_FILES / 2
        return {
          path: `part-${file}.parquet`,
          bytes: 120 * MEGABYTE,
          rowGroups: groups.map(() => EVENT_GROUP_ROWS),
          bounds: {
            id: {
              min: first.map((n) => n * EVENT_GROUP_ROWS + 1),
              max: first.map((n) => (n + 1) * EVENT_GROUP_ROWS),
            },
            happened: {
              min: first.map((n) => EVENTS_FROM_US + n * DAY_US),
              max: first.map((n) => EVENTS_FROM_US + (n + 1) * DAY_US - 1),
            },
            level: {
              min: groups.map(() => (isOld ? null : 1)),
              max: groups.map(() => (isOld ? null : 5)),
              nulls: groups.map(() => (isOld ? EVENT_GROUP_ROWS : 0)),
            },
          },
        }
      }),
    ),
  })
}

/** Three physical schemas for one declared. */
async function addDrift(world: PlanningWorld): Promise<void> {
  const schemas: readonly (readonly Column[])[] = [
    sketchColumns('id INTEGER, price DECIMAL(9,2)'),
    sketchColumns('ID BIGINT, price DECIMAL(12,2), note VARCHAR'),
    sketchColumns('note BLOB, id BIGINT'),
  ]
  await world.addTable({
    name: 'drift',
    listing: sketchListing(
      '/data/drift',
      schemas,
      schemas.flatMap((_, schema) => [
        { path: `v${schema}-a.parquet`, schema, bytes: 30 * MEGABYTE, rows: 300_000 },
        { path: `v${schema}-b.parquet`, schema, bytes: 30 * MEGABYTE, rows: 300_000 },
      ]),
    ),
    columns: sketchColumns('id BIGINT, price DECIMAL(12,2), note VARCHAR'),
  })
}
