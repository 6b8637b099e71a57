import type { Sizes } from './sizes.ts'
import { addressPool, POOL_LENGTH, sentencePool } from './text-pool.ts'
import {
  COLORS,
  CONTAINER_KINDS,
  CONTAINER_SIZES,
  NATIONS,
  PRIORITIES,
  REGIONS,
  SEGMENTS,
  SHIP_INSTRUCTIONS,
  SHIP_MODES,
  TYPE_FINISHES,
  TYPE_METALS,
  TYPE_SIZES,
} from './words.ts'

/**
 * The tables of TPC-H as queries: each row is a function of its key, made from hashes, so that any part of any table
 * can be written by itself, at once with others, and comes out the same every time.
 *
 * `random(key, stream, low, high)` is uniform over whole numbers from `low` to `high`; every column uses a stream of its
 * own. Streams are told apart by adding a multiple of a number larger than any key: a hash of several values would not
 * do, as DuckDB combines their hashes by xor, and two streams of it would determine one another.
 */
const STREAM_DISTANCE = 2 ** 44
/** A piece of text may begin anywhere but in the last characters of its pool. */
const TEXT_LENGTH_MAX = 200

/** The day that divides what is shipped or returned from what is not. */
const CURRENT_DATE = `DATE '1995-06-17'`
const FIRST_ORDER_DATE = `DATE '1992-01-01'`
/** The last order is of 1998-08-02, so that its last line is received within 1998. */
const ORDER_DATE_DAYS = 2405
const LINES_PER_ORDER_MAX = 7
export const SUPPLIERS_PER_PART = 4

/** A run of row numbers, the first included, the last not. */
export interface Range {
  readonly from: number
  readonly to: number
}

/** Statements that a connection runs before any of the queries. */
export function setUp(sizes: Sizes): readonly string[] {
  const shift = sizes.supplierShift ? `(part - 1) // ${sizes.suppliers}` : '0'
  const macros = {
    'random(key, stream, low, high)': `low + (hash(key + stream * ${STREAM_DISTANCE}) % (high - low + 1)::UBIGINT)::BIGINT`,
    // Uses two streams, this one and the next.
    'piece(pool, key, stream, low, high)': `substr(pool, random(key, stream, 1, ${POOL_LENGTH - TEXT_LENGTH_MAX}), random(key, stream + 1, low, high))`,
    'sentence(key, stream, low, high)': `piece(getvariable('sentences'), key, stream, low, high)`,
    'address(key, stream)': `piece(getvariable('addresses'), key, stream, 10, 40)`,
    'money(cents)': `(cents::INTEGER * 0.01)::DECIMAL(15,2)`,
    'retail_cents(part)': `90000 + (part // 10) % 20001 + 100 * (part % 1000)`,
    // The i-th supplier of a part, i from 0 to 3.
    'supplier_of(part, i)': `(part + i * (${sizes.supplierStep} + ${shift})) % ${sizes.suppliers} + 1`,
    // The first eight of every 32 numbers are order keys.
    'order_key(number)': `(number // 8) * 32 + number % 8`,
    // Uses three streams.
    'phone(key, stream, nation)': `(nation + 10) || '-' || random(key, stream, 100, 999) || '-' || random(key, stream + 1, 100, 999) || '-' || random(key, stream + 2, 1000, 9999)`,
    'numbered(prefix, number)': `prefix || lpad(number::VARCHAR, 9, '0')`,
  }
  return [
    `SET VARIABLE sentences = ${quoted(sentencePool())}`,
    `SET VARIABLE addresses = ${quoted(addressPool())}`,
    ...Object.entries(macros).map(
      ([head, body]) => `CREATE OR REPLACE TEMP MACRO ${head} AS (${body})`,
    ),
  ]
}

export const regionQuery = (): string => `
  SELECT key::INTEGER AS r_regionkey, ${wordAt(REGIONS, 'key')} AS r_name,
         sentence(key, 1, 31, 115) AS r_comment
  FROM range(${REGIONS.length}) t(key)`

export function nationQuery(): string {
  const names = NATIONS.map(([name]) => name)
  const regions = NATIONS.map(([, region]) => region)
  return `
  SELECT key::INTEGER AS n_nationkey, ${wordAt(names, 'key')} AS n_name,
         [${regions.join(', ')}][key + 1]::INTEGER AS n_regionkey,
         sentence(key, 11, 31, 114) AS n_comment
  FROM range(${NATIONS.length}) t(key)`
}

/** Five suppliers in ten thousand are complained about, and as many recommended. */
export function supplierQuery(range: Range): string {
  const opinion = (word: string): string =>
    `sentence(key, 26, 5, 30) || 'Customer' || sentence(key, 18, 1, 20) || '${word}'`
  return `
  SELECT key AS s_suppkey, numbered('Supplier#', key) AS s_name, address(key, 20) AS s_address,
         nation AS s_nationkey, phone(key, 22, nation) AS s_phone,
         money(random(key, 25, -99999, 999999)) AS s_acctbal,
         CASE key % 2000 WHEN 7 THEN ${opinion('Complaints')} WHEN 1007 THEN ${opinion('Recommends')}
              ELSE sentence(key, 26, 25, 100) END AS s_comment
  FROM (SELECT key, random(key, 28, 0, ${NATIONS.length - 1})::INTEGER AS nation FROM ${numbers(range, 'key')})`
}

export const customerQuery = (range: Range): string => `
  SELECT key AS c_custkey, numbered('Customer#', key) AS c_name, address(key, 31) AS c_address,
         nation AS c_nationkey, phone(key, 33, nation) AS c_phone,
         money(random(key, 36, -99999, 999999)) AS c_acctbal,
         ${oneOf(SEGMENTS, 'key', 37)} AS c_mktsegment, sentence(key, 38, 29, 116) AS c_comment
  FROM (SELECT key, random(key, 30, 0, ${NATIONS.length - 1})::INTEGER AS nation FROM ${numbers(range, 'key')})`

export function partQuery(range: Range): string {
  // A step of at most a fifth of the colours never comes back to one within five.
  const stepMax = Math.floor((COLORS.length - 1) / 4)
  const color = (i: number): string => wordAt(COLORS, `(first + ${i} * step) % ${COLORS.length}`)
  return `
  SELECT key AS p_partkey, ${[0, 1, 2, 3, 4].map(color).join(` || ' ' || `)} AS p_name,
         'Manufacturer#' || maker AS p_mfgr, 'Brand#' || maker || random(key, 41, 1, 5) AS p_brand,
         ${oneOf(TYPE_SIZES, 'key', 42)} || ' ' || ${oneOf(TYPE_FINISHES, 'key', 43)} || ' ' || ${oneOf(TYPE_METALS, 'key', 44)} AS p_type,
         random(key, 45, 1, 50)::INTEGER AS p_size,
         ${oneOf(CONTAINER_SIZES, 'key', 46)} || ' ' || ${oneOf(CONTAINER_KINDS, 'key', 47)} AS p_container,
         money(retail_cents(key)) AS p_retailprice, sentence(key, 48, 5, 22) AS p_comment
  FROM (SELECT key, random(key, 40, 1, 5) AS maker, random(key, 51, 0, ${COLORS.length - 1}) AS first,
               random(key, 52, 1, ${stepMax}) AS step
        FROM ${numbers(range, 'key')})`
}

/** The suppliers of a run of parts. */
export const partsuppQuery = (parts: Range): string => `
  SELECT part AS ps_partkey, supplier_of(part, i) AS ps_suppkey,
         random(key, 60, 1, 9999) AS ps_availqty, money(random(key, 61, 100, 100000)) AS ps_supplycost,
         sentence(key, 62, 49, 198) AS ps_comment
  FROM (SELECT part, i, part * ${SUPPLIERS_PER_PART} + i AS key
        FROM (SELECT part, unnest(range(${SUPPLIERS_PER_PART})) AS i FROM ${numbers(parts, 'part')}))`

/** The lines of a run of orders. */
export const lineitemQuery = (orders: Range, sizes: Sizes): string => `
  SELECT orderkey AS l_orderkey, part AS l_partkey, supplier_of(part, ith) AS l_suppkey, line AS l_linenumber,
         quantity::DECIMAL(15,2) AS l_quantity, money(quantity * retail_cents(part)) AS l_extendedprice,
         money(random(key, 74, 0, 10)) AS l_discount, money(random(key, 75, 0, 8)) AS l_tax,
         CASE WHEN received > ${CURRENT_DATE} THEN 'N' WHEN random(key, 76, 0, 1) = 0 THEN 'A' ELSE 'R' END AS l_returnflag,
         CASE WHEN shipped > ${CURRENT_DATE} THEN 'O' ELSE 'F' END AS l_linestatus,
         shipped AS l_shipdate, ordered + random(key, 77, 30, 90)::INTEGER AS l_commitdate, received AS l_receiptdate,
         ${oneOf(SHIP_INSTRUCTIONS, 'key', 78)} AS l_shipinstruct, ${oneOf(SHIP_MODES, 'key', 79)} AS l_shipmode,
         sentence(key, 80, 10, 43) AS l_comment
  FROM (SELECT *, shipped + random(key, 82, 1, 30)::INTEGER AS received
        FROM (SELECT *, ordered + random(key, 73, 1, 121)::INTEGER AS shipped,
                     random(key, 70, 1, ${sizes.parts}) AS part, random(key, 71, 0, ${SUPPLIERS_PER_PART - 1}) AS ith,
                     random(key, 72, 1, 50) AS quantity
              FROM (SELECT *, orderkey * ${LINES_PER_ORDER_MAX + 1} + line AS key
                    FROM (SELECT orderkey, ordered, unnest(range(1, random(orderkey, 90, 1, ${LINES_PER_ORDER_MAX}) + 1)) AS line
                          FROM (${orderKeys(orders)})))))`

/** A run of orders, whose lines are in the file `lines`. A third of the customers, those of keys 3, 6, 9 …, order nothing. */
export const ordersQuery = (orders: Range, sizes: Sizes, lines: string): string => `
  SELECT orderkey AS o_orderkey, buyer // 2 * 3 + buyer % 2 + 1 AS o_custkey,
         CASE filled WHEN lines THEN 'F' WHEN 0 THEN 'O' ELSE 'P' END AS o_orderstatus,
         money(cents) AS o_totalprice, ordered AS o_orderdate, ${oneOf(PRIORITIES, 'orderkey', 93)} AS o_orderpriority,
         numbered('Clerk#', random(orderkey, 94, 1, ${sizes.clerks})) AS o_clerk, 0::INTEGER AS o_shippriority,
         sentence(orderkey, 95, 19, 78) AS o_comment
  FROM (SELECT *, random(orderkey, 92, 0, ${sizes.customers - Math.floor(sizes.customers / 3) - 1}) AS buyer
        FROM (${orderKeys(orders)}))
  JOIN (SELECT l_orderkey, count(*) AS lines, count(*) FILTER (l_linestatus = 'F') AS filled,
               sum(((l_extendedprice * 100)::BIGINT * (100 - (l_discount * 100)::BIGINT) // 100)
                   * (100 + (l_tax * 100)::BIGINT) // 100)::BIGINT AS cents
        FROM read_parquet(${quoted(lines)}) GROUP BY l_orderkey) ON l_orderkey = orderkey
  ORDER BY o_orderkey`

const orderKeys = (orders: Range): string => `
  SELECT orderkey, ${FIRST_ORDER_DATE} + random(orderkey, 91, 0, ${ORDER_DATE_DAYS})::INTEGER AS ordered
  FROM (SELECT order_key(number) AS orderkey FROM ${numbers(orders, 'number')})`

const numbers = (range: Range, name: string): string =>
  `range(${range.from}, ${range.to}) t(${name})`

const oneOf = (words: readonly string[], key: string, stream: number): string =>
  wordAt(words, `random(${key}, ${stream}, 0, ${words.length - 1})`)

const wordAt = (words: readonly string[], index: string): string =>
  `[${words.map(quoted).join(', ')}][(${index}) + 1]`

export const quoted = (text: string): string => `'${text.replaceAll(`'`, `''`)}'`
