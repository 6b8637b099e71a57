import { existsSync } from 'node:fs'
import { mkdir } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import duckdb from '@duckdb/node-bindings'
import { ArrowEncoder } from './arrow-encoder.ts'
import { type WireField, wireTypeOf } from './wire-type.ts'

/**
 * Rows per CPU second from Parquet to Arrow frames, in one process and without sockets.
 *
 *   node --expose-gc dist/kernel/encode.bench.js [rounds]
 */
const FRAME_BYTES = 1024 * 1024
const COLLECT_EVERY_CHUNKS = 16
const ROWS = 1_000_000

const GENERATE = `
  SELECT (i // 4)::BIGINT AS l_orderkey, (hash(i) % 200000)::BIGINT AS l_partkey,
    (hash(i + 1) % 10000)::BIGINT AS l_suppkey, (i % 7)::BIGINT AS l_linenumber,
    (1 + hash(i + 2) % 50)::DECIMAL(15, 2) AS l_quantity,
    ((hash(i + 3) % 10000000) / 100)::DECIMAL(15, 2) AS l_extendedprice,
    ((hash(i + 4) % 11) / 100)::DECIMAL(15, 2) AS l_discount,
    ((hash(i + 5) % 9) / 100)::DECIMAL(15, 2) AS l_tax,
    ['A', 'N', 'R'][(1 + hash(i + 6) % 3)::BIGINT] AS l_returnflag,
    ['F', 'O'][(1 + hash(i + 7) % 2)::BIGINT] AS l_linestatus,
    DATE '1992-01-02' + (hash(i + 8) % 2500)::INTEGER AS l_shipdate,
    DATE '1992-01-02' + (hash(i + 9) % 2500)::INTEGER AS l_commitdate,
    DATE '1992-01-02' + (hash(i + 10) % 2500)::INTEGER AS l_receiptdate,
    ['DELIVER IN PERSON', 'COLLECT COD', 'NONE', 'TAKE BACK RETURN'][(1 + hash(i + 11) % 4)::BIGINT]
      AS l_shipinstruct,
    ['AIR', 'FOB', 'MAIL', 'RAIL', 'REG AIR', 'SHIP', 'TRUCK'][(1 + hash(i + 12) % 7)::BIGINT] AS l_shipmode,
    left(md5(i::VARCHAR) || md5((i + 1)::VARCHAR), 10 + (hash(i + 13) % 34)::INTEGER) AS l_comment
  FROM range(${ROWS}) t(i)`

async function main(): Promise<void> {
  const directory = join(tmpdir(), 'nyala-encode-bench')
  await mkdir(directory, { recursive: true })
  const path = process.argv[3] ?? join(directory, 'lineitem.parquet')
  const config = duckdb.create_config()
  duckdb.set_config(config, 'threads', '2')
  const database = await duckdb.open(':memory:', config)
  const connection = await duckdb.connect(database)
  if (!existsSync(path) && !path.includes('*'))
    await duckdb.query(connection, `COPY (${GENERATE}) TO '${path}'`)
  const numbers = 'l_orderkey, l_partkey, l_suppkey, l_linenumber'
  for (let round = 0; round < Number(process.argv[2] ?? 3); round++) {
    for (const columns of ['*', numbers, 'l_comment']) {
      await measure(connection, { columns, sql: `SELECT ${columns} FROM read_parquet('${path}')` })
    }
  }
}

async function measure(
  connection: Awaited<ReturnType<typeof duckdb.connect>>,
  query: { readonly columns: string; readonly sql: string },
): Promise<void> {
  const before = process.cpuUsage()
  const started = performance.now()
  const prepared = await duckdb.prepare(connection, query.sql)
  const columns: WireField[] = []
  for (let i = 0; i < duckdb.prepared_statement_column_count(prepared); i++) {
    const type = wireTypeOf(duckdb.prepared_statement_column_logical_type(prepared, i))
    if (type !== undefined) columns.push({ name: `c${i}`, type })
  }
  const encoder = new ArrowEncoder(columns)
  const buffer = new Uint8Array(4 * FRAME_BYTES)
  const result = await duckdb.execute_prepared_streaming(prepared)
  let rows = 0
  let bytes = 0
  let plainBytes = 0
  let chunks = 0
  let next = duckdb.fetch_chunk(result)
  for (;;) {
    const chunk = await next
    if (chunk === null) break
    const count = duckdb.data_chunk_get_size(chunk)
    if (count === 0) break
    next = duckdb.fetch_chunk(result)
    encoder.append(encoder.open(chunk, count), 0, count)
    rows += count
    if (encoder.batchBytes >= FRAME_BYTES) {
      plainBytes += encoder.batchBytes
      bytes += encoder.finishBatch(32, () => buffer).bytes.byteLength
    }
    if (++chunks % COLLECT_EVERY_CHUNKS === 0) globalThis.gc?.({ type: 'minor' })
  }
  const cpu = process.cpuUsage(before)
  const seconds = (cpu.user + cpu.system) / 1e6
  const wall = (performance.now() - started) / 1e3
  const rate = (rows / seconds / 1e6).toFixed(2)
  const rss = (process.memoryUsage().rss / 1024 / 1024).toFixed(0)
  process.stdout.write(
    `${query.columns}: ${rows} rows, ${(bytes / 1e6).toFixed(0)} of ${(plainBytes / 1e6).toFixed(0)} MB, ${seconds.toFixed(2)} CPU s, ` +
      `${wall.toFixed(2)} s, ${rate} M rows per CPU s, RSS ${rss} MiB\n`,
  )
}

await main()
