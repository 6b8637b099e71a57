import { join } from 'node:path'
import type { Sizes } from './sizes.ts'
import {
  customerQuery,
  lineitemQuery,
  nationQuery,
  ordersQuery,
  partQuery,
  partsuppQuery,
  type Range,
  regionQuery,
  supplierQuery,
} from './tpch-sql.ts'
import { TRIP_MONTHS, tripsQuery } from './trips-sql.ts'

/** One file to be written. */
export interface SampleFile {
  readonly table: string
  readonly path: string
  readonly query: string
}

/** Files that one connection writes, one after another, because later ones read earlier ones. */
export type SampleJob = readonly SampleFile[]

/** Rows of a table that a file holds at most, about; several files even of small tables, so that tasks can share them. */
const ORDERS_PER_FILE = 250_000
const PARTS_PER_FILE = 100_000
const SUPPLIED_PARTS_PER_FILE = 50_000
const CUSTOMERS_PER_FILE = 75_000
const SUPPLIERS_PER_FILE = 100_000
const ORDER_FILES_MIN = 6

/** All files of the sample in `dir`, the ones that take longest first. */
export function planSample(dir: string, sizes: Sizes): readonly SampleJob[] {
  const file = (table: string, index: number, query: string): SampleFile => ({
    table,
    path: join(dir, table, `part-${String(index).padStart(3, '0')}.parquet`),
    query,
  })
  const files = (
    table: string,
    ranges: readonly Range[],
    query: (range: Range) => string,
  ): readonly SampleJob[] => ranges.map((range, i) => [file(table, i, query(range))])
  const orders = split(sizes.orders, ORDERS_PER_FILE, ORDER_FILES_MIN)
  return [
    ...orders.map((range, i) => {
      const lines = file('lineitem', i, lineitemQuery(range, sizes))
      return [lines, file('orders', i, ordersQuery(range, sizes, lines.path))]
    }),
    ...files('partsupp', split(sizes.parts, SUPPLIED_PARTS_PER_FILE, 2), partsuppQuery),
    ...files('part', split(sizes.parts, PARTS_PER_FILE, 2), partQuery),
    ...files('customer', split(sizes.customers, CUSTOMERS_PER_FILE, 2), customerQuery),
    ...files('supplier', split(sizes.suppliers, SUPPLIERS_PER_FILE, 1), supplierQuery),
    [file('nation', 0, nationQuery())],
    [file('region', 0, regionQuery())],
    ...tripFiles(dir),
  ]
}

const tripFiles = (dir: string): readonly SampleJob[] =>
  TRIP_MONTHS.map((month) => [
    {
      table: 'trips',
      path: join(dir, 'trips', `year=${month.year}`, `month=${month.month}`, 'part-0.parquet'),
      query: tripsQuery(month),
    },
  ])

/** Row numbers from 1 to `rows` in runs of about the same length. */
function split(rows: number, rowsPerFile: number, filesMin: number): readonly Range[] {
  const files = Math.min(rows, Math.max(filesMin, Math.ceil(rows / rowsPerFile)))
  const start = (i: number): number => 1 + Math.floor((i * rows) / files)
  return Array.from({ length: files }, (_, i) => ({ from: start(i), to: start(i + 1) }))
}
