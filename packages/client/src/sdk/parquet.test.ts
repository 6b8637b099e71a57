import { readFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import {
  Bool,
  DateDay,
  Float64,
  Int64,
  List,
  Field,
  Table,
  tableFromIPC,
  tableToIPC,
  TimestampMicrosecond,
  Utf8,
  vectorFromArray,
} from 'apache-arrow'
import t from 'tap'
import { FakeCoordinator } from '../testing/fake-coordinator.ts'
import { numbersAnswer } from '../testing/sample-results.ts'
import { connect, type ParquetCompression, parquetToTable, tableToParquet } from './index.ts'
import { codecOf } from './parquet.ts'

const TABLE = new Table({
  id: vectorFromArray([1n, -(2n ** 63n), null], new Int64()),
  name: vectorFromArray(['grün', null, ''], new Utf8()),
  ratio: vectorFromArray([0.5, NaN, null], new Float64()),
  flag: vectorFromArray([true, null, false], new Bool()),
  day: vectorFromArray([new Date('1998-09-02'), null, new Date(0)], new DateDay()),
  at: vectorFromArray(
    [new Date('2026-11-22T10:00:00Z'), null, new Date(0)],
    new TimestampMicrosecond(),
  ),
  tags: vectorFromArray([['a', 'b'], null, []], new List(new Field('item', new Utf8(), true))),
})

const rowsOf = (table: Table): unknown[] =>
  table
    .toArray()
    .map((row) =>
      JSON.stringify(row, (_key, value) =>
        typeof value === 'bigint' ? `${value}n` : (value as unknown),
      ),
    )

t.test('a table survives the way to Parquet and back, in every compression', async (t) => {
  const compressions: readonly ParquetCompression[] = [
    'uncompressed',
    'snappy',
    'gzip',
    'brotli',
    'lz4_raw',
    'zstd',
  ]
  for (const compression of compressions) {
    const file = await tableToParquet(TABLE, { compression })
    t.equal(Buffer.from(file.subarray(0, 4)).toString(), 'PAR1', compression)
    const back = await parquetToTable(file)
    t.strictSame(rowsOf(back), rowsOf(TABLE), compression)
  }
})

t.test('a result can be taken as a Parquet file', async (t) => {
  await using fake = await FakeCoordinator.start({
    onStatement: (call) => call.answer(numbersAnswer(1000, 100)),
  })
  await using db = await connect(fake.url)
  const file = await db.stream('select 1').parquet({ compression: 'zstd', rowGroupRows: 300 })
  const table = await parquetToTable(file)
  t.equal(table.numRows, 1000)
  t.strictSame(table.get(999)?.toJSON(), { n: 999n, text: 'row 999' })
})

t.test('the build of the codec for browsers does the same', async (t) => {
  const wasm = await import('parquet-wasm/esm')
  const path = createRequire(import.meta.url).resolve('parquet-wasm/esm/parquet_wasm_bg.wasm')
  wasm.initSync({ module: await readFile(path) })
  const codec = codecOf(wasm)
  const back = tableFromIPC(codec.toIpc(codec.fromIpc(tableToIPC(TABLE, 'stream'), {})))
  t.strictSame(rowsOf(back), rowsOf(TABLE))
})

t.test('what is not Parquet is refused', async (t) => {
  await t.rejects(parquetToTable(Uint8Array.of(1, 2, 3)), { code: '22000' })
})
