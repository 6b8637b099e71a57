import type { Column } from '@nyala/client/protocol'
import {
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
  readonly columns: string
  readonly files: readonly SketchedFile[]
}

/** In the shape of TPC-H, at about scale 10: sizes are what matters to plans. */
const TPCH: Readonly<Record<string, SketchedTable>> = {
  lineitem: {
    columns:
      'l_orderkey BIGINT, l_partkey BIGINT, l_suppkey BIGINT, l_linenumber INTEGER, l_quantity DECIMAL(15,2), l_extendedprice DECIMAL(15,2), l_discount DECIMAL(15,2), l_tax DECIMAL(15,2), l_returnflag VARCHAR, l_linestatus VARCHAR, l_shipdate DATE, l_commitdate DATE, l_receiptdate DATE, l_shipinstruct VARCHAR, l_shipmode VARCHAR, l_comment VARCHAR',
    files: files(12, 160, 5_000_000),
  },
  orders: {
    columns:
      'o_orderkey BIGINT, o_custkey BIGINT, o_orderstatus VARCHAR, o_totalprice DECIMAL(15,2), o_orderdate DATE, o_orderpriority VARCHAR, o_clerk VARCHAR, o_shippriority INTEGER, o_comment VARCHAR',
    files: files(4, 120, 3_750_000),
  },
  customer: {
    columns:
      'c_custkey BIGINT, c_name VARCHAR, c_address VARCHAR, c_nationkey INTEGER, c_phone VARCHAR, c_acctbal DECIMAL(15,2), c_mktsegment VARCHAR, c_comment VARCHAR',
    files: files(2, 60, 750_000),
  },
  part: {
    columns:
      'p_partkey BIGINT, p_name VARCHAR, p_mfgr VARCHAR, p_brand VARCHAR, p_type VARCHAR, p_size INTEGER, p_container VARCHAR, p_retailprice DECIMAL(15,2), p_comment VARCHAR',
    files: files(1, 60, 2_000_000),
  },
  partsupp: {
    columns:
      'ps_partkey BIGINT, ps_suppkey BIGINT, ps_availqty INTEGER, ps_supplycost DECIMAL(15,2), ps_comment VARCHAR',
    files: files(2, 200, 4_000_000),
  },
  supplier: {
    columns:
      's_suppkey BIGINT, s_name VARCHAR, s_address VARCHAR, s_nationkey INTEGER, s_phone VARCHAR, s_acctbal DECIMAL(15,2), s_comment VARCHAR',
    files: files(1, 8, 100_000),
  },
  nation: {
    columns: 'n_nationkey INTEGER, n_name VARCHAR, n_regionkey INTEGER, n_comment VARCHAR',
    files: [{ path: 'nation.parquet', rows: 25, bytes: 3000 }],
  },
  region: {
    columns: 'r_regionkey INTEGER, r_name VARCHAR, r_comment VARCHAR',
    files: [{ path: 'region.parquet', rows: 5, bytes: 1200 }],
  },
}

const REGIONS = ['east', 'north%2C%20far', '__HIVE_DEFAULT_PARTITION__']
const DAYS = ['2024-01-01', '2024-01-02', '2024-02-01', '2024-03-15']

/** A table of each kind that plans tell apart. */
export async function fillCatalog(world: PlanningWorld): Promise<void> {
  for (const [name, table] of Object.entries(TPCH)) {
    await world.addTable({
      name,
      listing: sketchListing(`/data/tpch/${name}`, [sketchColumns(table.columns)], table.files),
    })
  }
  await addTrips(world)
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

/** Hive-partitioned by region and day. */
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
