import type { Table } from 'apache-arrow'
import t from 'tap'
import { KernelWorld } from '../testing/kernel-world.ts'

const world = await KernelWorld.start()
t.teardown(() => world[Symbol.asyncDispose]())

/** Values of a column as plain data: bytes as hexadecimal, words of a decimal joined to a bigint. */
function column(table: Table, index = 0): readonly unknown[] {
  const vector = table.getChildAt(index)
  return Array.from({ length: table.numRows }, (_, row) => plain(vector?.get(row)))
}

function plain(value: unknown): unknown {
  if (value === null || value === undefined) return null
  if (value instanceof Uint8Array) return Buffer.from(value).toString('hex')
  if (value instanceof Uint32Array) return joinWords(value)
  if (value instanceof Int32Array) return [...value]
  if (typeof value !== 'object') return value
  const { toJSON } = value as { toJSON?: () => unknown }
  if (toJSON === undefined) return value
  return deepPlain(toJSON.call(value))
}

function deepPlain(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(plain)
  if (typeof value !== 'object' || value === null) return plain(value)
  if (Object.getPrototypeOf(value) !== Object.prototype) return plain(value)
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, plain(inner)]))
}

const joinWords = (words: Uint32Array): bigint =>
  BigInt.asIntN(
    128,
    words.reduceRight((sum, word) => (sum << 32n) | BigInt(word), 0n),
  )

interface Case {
  readonly type: string
  readonly arrow: string
  /** SQL expressions and what they must come back as. */
  readonly values: Readonly<Record<string, unknown>>
}

const cases: readonly Case[] = [
  { type: 'BOOLEAN', arrow: 'Bool', values: { true: true, false: false } },
  { type: 'TINYINT', arrow: 'Int8', values: { '-128': -128, '127': 127 } },
  { type: 'SMALLINT', arrow: 'Int16', values: { '-32768': -32768, '32767': 32767 } },
  { type: 'INTEGER', arrow: 'Int32', values: { '-2147483648': -2147483648, '7': 7 } },
  { type: 'BIGINT', arrow: 'Int64', values: { '-9223372036854775808': -(2n ** 63n), '7': 7n } },
  { type: 'UTINYINT', arrow: 'Uint8', values: { '255': 255 } },
  { type: 'USMALLINT', arrow: 'Uint16', values: { '65535': 65535 } },
  { type: 'UINTEGER', arrow: 'Uint32', values: { '4294967295': 4294967295 } },
  { type: 'UBIGINT', arrow: 'Uint64', values: { '18446744073709551615': 2n ** 64n - 1n } },
  {
    type: 'HUGEINT',
    arrow: 'Utf8',
    values: {
      '170141183460469231731687303715884105727': '170141183460469231731687303715884105727',
      "'-170141183460469231731687303715884105728'": '-170141183460469231731687303715884105728',
      '-1': '-1',
    },
  },
  {
    type: 'UHUGEINT',
    arrow: 'Utf8',
    values: {
      "'340282366920938463463374607431768211455'": '340282366920938463463374607431768211455',
    },
  },
  { type: 'FLOAT', arrow: 'Float32', values: { '1.5': 1.5, "'-inf'": -Infinity } },
  {
    type: 'DOUBLE',
    arrow: 'Float64',
    values: { '1e308': 1e308, "'inf'": Infinity, "'-inf'": -Infinity, "'nan'": NaN, "'-0.0'": -0 },
  },
  { type: 'DECIMAL(4,1)', arrow: 'Decimal[4e+1]', values: { '-999.9': -9999n } },
  { type: 'DECIMAL(9,2)', arrow: 'Decimal[9e+2]', values: { '-1234567.89': -123456789n } },
  {
    type: 'DECIMAL(18,0)',
    arrow: 'Decimal[18e0]',
    values: { '-999999999999999999': -(10n ** 18n - 1n) },
  },
  {
    type: 'DECIMAL(38,3)',
    arrow: 'Decimal[38e+3]',
    values: { "'-99999999999999999999999999999999999.999'": -(10n ** 38n - 1n), '0.001': 1n },
  },
  {
    type: 'DATE',
    arrow: 'Date32<DAY>',
    values: { "'1969-12-31'": -86_400_000, "'2024-02-29'": Date.UTC(2024, 1, 29) },
  },
  { type: 'TIME', arrow: 'Time64<MICROSECOND>', values: { "'23:59:59.999999'": 86_399_999_999n } },
  { type: 'TIME_NS', arrow: 'Time64<NANOSECOND>', values: { "'00:00:00.000000001'": 1n } },
  {
    type: 'UUID',
    arrow: 'Utf8',
    values: { "'00112233-4455-6677-8899-aabbccddeeff'": '00112233-4455-6677-8899-aabbccddeeff' },
  },
  {
    type: 'VARCHAR',
    arrow: 'Utf8',
    values: {
      "''": '',
      "'twelve bytes'": 'twelve bytes',
      "'thirteen byte'": 'thirteen byte',
      "'ünïcödé 🦌 text'": 'ünïcödé 🦌 text',
    },
  },
  { type: 'JSON', arrow: 'Utf8', values: { '\'{"a": 1}\'': '{"a": 1}' } },
  { type: 'BLOB', arrow: 'Binary', values: { "'\\x00\\xFF'": '00ff', "''": '' } },
  {
    type: "ENUM('a', 'longer than an inline one')",
    arrow: 'Utf8',
    values: { "'a'": 'a', "'longer than an inline one'": 'longer than an inline one' },
  },
  {
    type: 'INTERVAL',
    arrow: 'Interval<MONTH_DAY_NANO>',
    values: { "'14 months 3 days 4 microseconds'": [14, 3, 4000, 0] },
  },
  { type: 'TIME WITH TIME ZONE', arrow: 'Utf8', values: { "'10:00:00+02'": '10:00:00+02' } },
  { type: 'BIT', arrow: 'Utf8', values: { "'10101'": '10101' } },
  {
    type: 'BIGNUM',
    arrow: 'Utf8',
    values: {
      "'123456789012345678901234567890123456789012345'":
        '123456789012345678901234567890123456789012345',
    },
  },
  { type: 'INTEGER[]', arrow: 'List<Int32>', values: { '[]': [], '[1, NULL, 3]': [1, null, 3] } },
  {
    type: 'VARCHAR[][]',
    arrow: 'List<List<Utf8>>',
    values: {
      "[['a'], NULL, ['b', 'a longer string than inline']]": [
        ['a'],
        null,
        ['b', 'a longer string than inline'],
      ],
    },
  },
  {
    type: 'INTEGER[2]',
    arrow: 'FixedSizeList[2]<Int32>',
    values: { '[1, 2]': [1, 2], '[NULL, 4]': [null, 4] },
  },
  {
    type: 'STRUCT(a INTEGER, b VARCHAR)',
    arrow: 'Struct<{a:Int32, b:Utf8}>',
    values: { "{a: 1, b: 'x'}": { a: 1, b: 'x' }, '{a: NULL, b: NULL}': { a: null, b: null } },
  },
  {
    type: 'MAP(VARCHAR, INTEGER)',
    arrow: 'Map<{key:Utf8, value:Int32}>',
    values: { "MAP {'k': 1, 'l': NULL}": { k: 1, l: null }, 'MAP {}': {} },
  },
  {
    type: 'STRUCT(t TIME WITH TIME ZONE[])',
    arrow: 'Struct<{t:List<Utf8>}>',
    values: { "{t: ['10:00:00+01']}": { t: ['10:00:00+01'] } },
  },
]

for (const { type, arrow, values } of cases) {
  t.test(`${type} keeps its values, and NULL between them`, async (t) => {
    const entries = Object.entries(values)
    const rows = entries.flatMap(([sql]) => [
      `(CAST(${sql} AS ${type}))`,
      `(CAST(NULL AS ${type}))`,
    ])
    const sql = `SELECT * FROM (VALUES ${rows.join(', ')}) AS v(x)`
    const outcome = await world.run(sql)
    t.equal(outcome.error, undefined)
    t.same(outcome.columns, [{ name: 'x', type }])
    const table = await world.table(sql)
    t.equal(String(table.schema.fields[0]?.type), arrow)
    t.strictSame(
      column(table),
      entries.flatMap(([, value]) => [value, null]),
    )
  })
}

t.test('a result that is run in one piece is the same', async (t) => {
  const sql = "SELECT i, 'text ' || i AS s, [i] AS l, '101'::BIT AS b FROM range(5000) t(i)"
  const small = { output: { kind: 'result', creditBytes: 10 ** 9, small: true } } as const
  const [whole, streamed] = [await world.table(sql, small), await world.table(sql)]
  t.equal(
    JSON.stringify(whole.toArray().map(String)),
    JSON.stringify(streamed.toArray().map(String)),
  )
  const { error } = await world.run("SELECT CAST('x' AS INTEGER)", small)
  t.match(error, { error: 'invalid_text_representation' })
})

t.test('the sign of zero survives', async (t) => {
  const table = await world.table("SELECT '-0.0'::DOUBLE AS d, '-0.0'::FLOAT AS f")
  t.ok([0, 1].every((i) => Object.is(table.getChildAt(i)?.get(0), -0)))
})

t.test('timestamps keep their unit', async (t) => {
  const table = await world.table(`
    SELECT TIMESTAMP '2024-01-02 03:04:05.678901' AS us, '2024-01-02 03:04:05'::TIMESTAMP_S AS s,
      '2024-01-02 03:04:05.678'::TIMESTAMP_MS AS ms, '2024-01-02 03:04:05.678901234'::TIMESTAMP_NS AS ns,
      TIMESTAMPTZ '2024-01-02 03:04:05+00' AS tz`)
  t.same(
    table.schema.fields.map((field) => String(field.type)),
    [
      'Timestamp<MICROSECOND>',
      'Timestamp<SECOND>',
      'Timestamp<MILLISECOND>',
      'Timestamp<NANOSECOND>',
      'Timestamp<MICROSECOND, UTC>',
    ],
  )
  const raw = table.schema.fields.map(
    (_, i) => (table.getChildAt(i)?.data[0]?.values as BigInt64Array | undefined)?.[0],
  )
  t.same(raw, [
    1704164645678901n,
    1704164645n,
    1704164645678n,
    1704164645678901234n,
    1704164645000000n,
  ])
})

t.test('a nested type is named as the kernel prints it', async (t) => {
  const sql = `SELECT {a: 1, "B c": [1.5], "select": MAP {'x': DATE '2024-01-01'}, "é": 1, "over": 'x'::ENUM('x', 'y''z')} AS s`
  const { columns } = await world.run(sql)
  const described = await world.table(`SELECT column_type FROM (DESCRIBE ${sql})`)
  t.equal(columns[0]?.type, described.get(0)?.toJSON()['column_type'])
})

t.test('a result without rows has its schema', async (t) => {
  const table = await world.table('SELECT 1 AS a, [1] AS b WHERE false')
  t.equal(table.numRows, 0)
  t.same(table.schema.names, ['a', 'b'])
})

t.test('columns of one name stay apart, also where they must be cast', async (t) => {
  const outcome = await world.run("SELECT 1 AS a, '101'::BIT AS a, 'x' AS a")
  t.same(outcome.columns, [
    { name: 'a', type: 'INTEGER' },
    { name: 'a', type: 'BIT' },
    { name: 'a', type: 'VARCHAR' },
  ])
  const table = await world.table("SELECT 1 AS a, '101'::BIT AS a, 'x' AS a")
  t.same(
    [0, 1, 2].map((i) => column(table, i)[0]),
    [1, '101', 'x'],
  )
})

t.test('an untyped NULL is an INTEGER', async (t) => {
  const table = await world.table('SELECT NULL AS n, [NULL] AS l')
  t.same([column(table, 0), column(table, 1)], [[null], [[null]]])
})

t.test('a string of 10 MB arrives whole', async (t) => {
  const table = await world.table("SELECT repeat('0123456789', 1000000) AS s, 1 AS n")
  t.equal((column(table)[0] as string).length, 10_000_000)
})

t.test('rows that are too wide for one message together come in several', async (t) => {
  const outcome = await world.run(
    "SELECT repeat('x', 3000000 + i::INTEGER) AS s FROM range(40) t(i)",
  )
  t.equal(outcome.error, undefined)
  t.ok(outcome.frames.every((frame) => frame.byteLength < 10 * 1024 * 1024))
  t.equal(outcome.result?.rows, 40)
})

t.test('a row that no message can hold is refused with its size', async (t) => {
  const { error } = await world.run("SELECT repeat('x', 70000000) AS s")
  t.match(error, {
    error: 'program_limit_exceeded',
    message: /70000\d\d\d bytes exceeds the limit/,
  })
})

t.test('a thousand columns arrive in their order', async (t) => {
  const columns = Array.from({ length: 1000 }, (_, i) => `i + ${i} AS c${i}`)
  const table = await world.table(`SELECT ${columns.join(', ')} FROM range(3000) t(i)`)
  t.equal(table.numRows, 3000)
  t.equal(table.numCols, 1000)
  t.same(column(table, 999).slice(-1), [2999n + 999n])
})

t.test('an interval that nanoseconds cannot hold is an error, not a wrong value', async (t) => {
  const { error } = await world.run("SELECT INTERVAL '9000000000000000000 microseconds' AS i")
  t.match(error, { error: 'numeric_value_out_of_range' })
})
