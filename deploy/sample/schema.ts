export interface SampleColumn {
  readonly name: string
  readonly type: string
}

/** A table of the sample: a directory of Parquet files of the same name. */
export interface SampleTable {
  readonly name: string
  readonly columns: readonly SampleColumn[]
  /** Columns that are in the path, as `name=value`, and not in the files. */
  readonly partitionColumns: readonly SampleColumn[]
}

const KEY = 'BIGINT'
const MONEY = 'DECIMAL(15,2)'

/** The eight tables of TPC-H, with the types that DuckDB's own generator gives them. */
export const TPCH_TABLES: readonly SampleTable[] = [
  table('region', { r_regionkey: 'INTEGER', r_name: 'VARCHAR', r_comment: 'VARCHAR' }),
  table('nation', {
    n_nationkey: 'INTEGER',
    n_name: 'VARCHAR',
    n_regionkey: 'INTEGER',
    n_comment: 'VARCHAR',
  }),
  table('supplier', {
    s_suppkey: KEY,
    s_name: 'VARCHAR',
    s_address: 'VARCHAR',
    s_nationkey: 'INTEGER',
    s_phone: 'VARCHAR',
    s_acctbal: MONEY,
    s_comment: 'VARCHAR',
  }),
  table('customer', {
    c_custkey: KEY,
    c_name: 'VARCHAR',
    c_address: 'VARCHAR',
    c_nationkey: 'INTEGER',
    c_phone: 'VARCHAR',
    c_acctbal: MONEY,
    c_mktsegment: 'VARCHAR',
    c_comment: 'VARCHAR',
  }),
  table('part', {
    p_partkey: KEY,
    p_name: 'VARCHAR',
    p_mfgr: 'VARCHAR',
    p_brand: 'VARCHAR',
    p_type: 'VARCHAR',
    p_size: 'INTEGER',
    p_container: 'VARCHAR',
    p_retailprice: MONEY,
    p_comment: 'VARCHAR',
  }),
  table('partsupp', {
    ps_partkey: KEY,
    ps_suppkey: KEY,
    ps_availqty: 'BIGINT',
    ps_supplycost: MONEY,
    ps_comment: 'VARCHAR',
  }),
  table('orders', {
    o_orderkey: KEY,
    o_custkey: KEY,
    o_orderstatus: 'VARCHAR',
    o_totalprice: MONEY,
    o_orderdate: 'DATE',
    o_orderpriority: 'VARCHAR',
    o_clerk: 'VARCHAR',
    o_shippriority: 'INTEGER',
    o_comment: 'VARCHAR',
  }),
  table('lineitem', {
    l_orderkey: KEY,
    l_partkey: KEY,
    l_suppkey: KEY,
    l_linenumber: 'BIGINT',
    l_quantity: MONEY,
    l_extendedprice: MONEY,
    l_discount: MONEY,
    l_tax: MONEY,
    l_returnflag: 'VARCHAR',
    l_linestatus: 'VARCHAR',
    l_shipdate: 'DATE',
    l_commitdate: 'DATE',
    l_receiptdate: 'DATE',
    l_shipinstruct: 'VARCHAR',
    l_shipmode: 'VARCHAR',
    l_comment: 'VARCHAR',
  }),
]

/** A small table with Hive partitions: `trips/year=2024/month=1/part-0.parquet`. */
export const TRIPS_TABLE: SampleTable = {
  ...table('trips', {
    trip_id: 'BIGINT',
    city: 'VARCHAR',
    started_at: 'TIMESTAMP',
    ended_at: 'TIMESTAMP',
    distance_km: 'DOUBLE',
    passengers: 'INTEGER',
    fare: 'DECIMAL(10,2)',
    tip: 'DECIMAL(10,2)',
  }),
  partitionColumns: columnsOf({ year: 'INTEGER', month: 'INTEGER' }),
}

export const SAMPLE_TABLES: readonly SampleTable[] = [...TPCH_TABLES, TRIPS_TABLE]

function table(name: string, columns: Readonly<Record<string, string>>): SampleTable {
  return { name, columns: columnsOf(columns), partitionColumns: [] }
}

function columnsOf(columns: Readonly<Record<string, string>>): readonly SampleColumn[] {
  return Object.entries(columns).map(([name, type]) => ({ name, type }))
}
