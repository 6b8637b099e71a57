import { type DuckDBConnection, DuckDBInstance } from '@duckdb/node-api'
import t from 'tap'
import { murmur3 } from './murmur3.ts'
import { keySql, parseKey } from './partition-sql.ts'
import {
  fieldNameOf,
  parseTransform,
  type PartitionValue,
  transformed,
  transformText,
  valueText,
} from './partition-transform.ts'
import { twosComplement } from './single-value.ts'

const instance = await DuckDBInstance.create(':memory:', { threads: '1' })
const kernel: DuckDBConnection = await instance.connect()
t.teardown(() => {
  kernel.closeSync()
  instance.closeSync()
})

async function cells(sql: string): Promise<readonly (string | null)[]> {
  const rows = (await kernel.runAndReadAll(sql)).getRowsJson()
  return rows.map(([cell]) => (cell === null || cell === undefined ? null : String(cell)))
}

const long = (value: bigint): Buffer => {
  const bytes = Buffer.alloc(8)
  bytes.writeBigInt64LE(value)
  return bytes
}

t.test('the hash has the values of the specification', async (t) => {
  const moment = BigInt(Date.UTC(2017, 10, 16, 22, 31, 8)) * 1000n
  t.equal(murmur3(long(34n)), 2017239379)
  t.equal(murmur3(twosComplement(1420n)), -500754589)
  t.equal(murmur3(long(moment / 86_400_000_000n)), -653330422)
  t.equal(murmur3(long(moment % 86_400_000_000n)), -662762989)
  t.equal(murmur3(long(moment)), -2047944441)
  t.equal(murmur3(Buffer.from('iceberg')), 1210000089)
  t.equal(murmur3(Buffer.from('f79c3e09677c4bbda4793f349cb785e7', 'hex')), 1488055340)
  t.equal(murmur3(Buffer.from([0, 1, 2, 3])), -188683207)
  t.equal(murmur3(Buffer.alloc(0)), 0)
})

t.test('transforms are written as they are read', async (t) => {
  const texts = ['identity', 'year', 'hour', 'void', 'bucket[16]', 'truncate[3]', 'zorder[2]']
  for (const text of texts) t.equal(transformText(parseTransform(text)), text)
  t.same(parseTransform('bucket[0]'), { kind: 'unknown', text: 'bucket[0]' })
  t.equal(fieldNameOf(parseTransform('bucket[16]'), 'a'), 'a_bucket')
  t.equal(fieldNameOf(parseTransform('identity'), 'a'), 'a')
})

/** Values of each type as the kernel's literals, and as the specification's numbers. */
const VALUES: Readonly<Record<string, readonly (readonly [string, PartitionValue])[]>> = {
  int: [
    ['34', 34n],
    ['-2147483648', -(2n ** 31n)],
    ['2147483647', 2n ** 31n - 1n],
    ['-1', -1n],
  ],
  long: [
    ['34', 34n],
    ['-9223372036854775000', -9223372036854775000n],
    ['9223372036854775807', 2n ** 63n - 1n],
  ],
  boolean: [
    ['true', 1n],
    ['false', 0n],
  ],
  date: [
    ["DATE '2017-11-16'", 17486n],
    ["DATE '1969-12-31'", -1n],
    ["DATE '0001-01-01'", -719162n],
  ],
  timestamp: [
    ["TIMESTAMP '2017-11-16 22:31:08.000001'", 1510871468000001n],
    ["TIMESTAMP '1969-12-31 23:59:59.999999'", -1n],
    ["TIMESTAMP '1900-02-28 00:00:00'", -2203977600000000n],
  ],
  timestamptz: [["make_timestamp(1510871468000001) AT TIME ZONE 'UTC'", 1510871468000001n]],
  string: [
    ["'iceberg'", 'iceberg'],
    ["''", ''],
    ["'héllo😀x'", 'héllo😀x'],
    ["'abcdefg'", 'abcdefg'],
    ["'12345678'", '12345678'],
  ],
  uuid: [["UUID 'f79c3e09-677c-4bbd-a479-3f349cb785e7'", 'f79c3e09677c4bbda4793f349cb785e7']],
  binary: [["'\\x00\\x01\\x02\\x03'::BLOB", '00010203']],
  'decimal(9, 2)': [
    ['14.20', 1420n],
    ['-0.05', -5n],
    ['-1.28', -128n],
    ['1.28', 128n],
    ['0.00', 0n],
    ['-655.36', -65536n],
  ],
  'decimal(38, 0)': [
    ['99999999999999999999999999999999999999', 10n ** 38n - 1n],
    ['-99999999999999999999999999999999999999', 1n - 10n ** 38n],
    ['-9223372036854775809', -(2n ** 63n) - 1n],
  ],
}

const SQL_TYPES: Readonly<Record<string, string>> = {
  int: 'INTEGER',
  long: 'BIGINT',
  string: 'VARCHAR',
  binary: 'BLOB',
}

const TRANSFORMS: Readonly<Record<string, readonly string[]>> = {
  int: ['identity', 'bucket[16]', 'truncate[10]'],
  long: ['identity', 'bucket[7]', 'truncate[100]'],
  boolean: ['identity'],
  date: ['identity', 'year', 'month', 'day', 'bucket[5]'],
  timestamp: ['identity', 'year', 'month', 'day', 'hour', 'bucket[5]'],
  timestamptz: ['identity', 'year', 'month', 'day', 'hour', 'bucket[5]'],
  string: ['identity', 'bucket[2147483]', 'truncate[3]', 'truncate[6]'],
  uuid: ['bucket[1000]'],
  binary: ['bucket[1000]'],
  'decimal(9, 2)': ['identity', 'bucket[1000]', 'truncate[50]'],
  'decimal(38, 0)': ['identity', 'bucket[1000]'],
}

t.test('the kernel comes to the same partition as the planner', async (t) => {
  for (const [type, transforms] of Object.entries(TRANSFORMS)) {
    const values = VALUES[type] ?? []
    for (const text of transforms) {
      const transform = parseTransform(text)
      const key = keySql(transform, { id: 1, name: 'a b"c', required: false, type })
      const sqlType = SQL_TYPES[type] ?? type
      const list = values.map(([sql], i) => `(${i}, CAST(${sql} AS ${sqlType}))`).join(', ')
      const found = await cells(
        `SELECT ${key} FROM (VALUES ${list}, (${values.length}, NULL)) AS t(i, "a b""c") ORDER BY i`,
      )
      const result = type === 'string' && transform.kind !== 'bucket' ? 'string' : 'long'
      const wanted = [...values.map(([, value]) => value), null].map((value) =>
        transformed(transform, type, value),
      )
      t.same(
        found.map((cell) => parseKey(result, cell)),
        wanted,
        `${text} of ${type}`,
      )
    }
  }
})

t.test('a date or a timestamp without end has no partition', async (t) => {
  const key = keySql(parseTransform('month'), { id: 1, name: 'd', required: false, type: 'date' })
  await t.rejects(kernel.run(`SELECT ${key} FROM (SELECT DATE 'infinity' AS d)`), /infinity/)
})

t.test('partitions are told as people write them', async (t) => {
  const text = (transform: string, type: string, value: PartitionValue): string | null =>
    valueText(parseTransform(transform), type, value)
  t.equal(text('year', 'date', 50n), '2020')
  t.equal(text('month', 'date', 602n), '2020-03')
  t.equal(text('month', 'date', -1n), '1969-12')
  t.equal(text('day', 'timestamp', -1n), '1969-12-31')
  t.equal(text('hour', 'timestamp', 17486n * 24n + 22n), '2017-11-16-22')
  t.equal(text('identity', 'date', 17486n), '2017-11-16')
  t.equal(text('identity', 'timestamp', 1510871468000001n), '2017-11-16 22:31:08.000001')
  t.equal(text('identity', 'boolean', 1n), 'true')
  t.equal(text('truncate[50]', 'decimal(9, 2)', -5n), '-0.05')
  t.equal(text('bucket[4]', 'string', 3n), '3')
  t.equal(text('identity', 'string', null), null)
})
