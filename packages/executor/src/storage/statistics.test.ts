import { copyFile, mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import { fileStatistics } from '../protocol/index.ts'
import { KernelWorld } from '../testing/kernel-world.ts'
import { columnBounds, statisticsSize, wholeFile } from './column-statistics.ts'
import { Inspector } from './inspector.ts'
import { Roots } from './roots.ts'

const world = await KernelWorld.start()
t.teardown(() => world[Symbol.asyncDispose]())
const roots = await Roots.open([world.data])

let made = 0
/** The listing of a table with one file of the query's rows. */
async function listed(sql: string): Promise<{
  readonly path: string
  readonly listing: Awaited<ReturnType<Inspector['location']>>
}> {
  const directory = join(world.data, `made${made}`)
  const outcome = await world.run(sql, {
    output: { kind: 'exchange', directory, partitions: 1, keys: [] },
  })
  if (outcome.error !== undefined) throw outcome.error
  const table = join(world.data, `table${made++}`)
  await mkdir(table)
  const path = join(table, 'a.parquet')
  await copyFile(outcome.result?.files[0]?.path ?? '', path)
  const inspector = new Inspector({ roots, describe: (p) => world.kernels.describe(p) })
  return { path, listing: await inspector.location([table]) }
}

/** Values whose smallest and largest are known, by type: from SQL to what a listing says of them. */
const TYPES: readonly (readonly [
  type: string,
  values: readonly string[],
  min: number | string | null,
  max: number | string | null,
])[] = [
  ['BOOLEAN', ['true', 'false'], 0, 1],
  ['TINYINT', ['-128', '127'], -128, 127],
  ['SMALLINT', ['-5', '32767'], -5, 32767],
  ['INTEGER', ['-2147483648', '7'], -2147483648, 7],
  [
    'BIGINT',
    ['-9223372036854775808', '9007199254740991'],
    '-9223372036854775808',
    9007199254740991,
  ],
  ['UTINYINT', ['1', '255'], 1, 255],
  ['USMALLINT', ['0', '65535'], 0, 65535],
  ['UINTEGER', ['3', '4294967295'], 3, 4294967295],
  ['UBIGINT', ['1', '18446744073709551615'], 1, '18446744073709551615'],
  ['DATE', ["'1969-12-31'", "'2024-02-29'"], -1, 19782],
  ['TIMESTAMP', ["'1969-12-31 23:59:59.999999'", "'2024-01-01 00:00:00.5'"], -1, 1704067200500000],
  [
    'TIMESTAMP WITH TIME ZONE',
    ["'2024-01-01 00:00:00+00'", "'2024-01-01 00:00:00+01'"],
    1704063600000000,
    1704067200000000,
  ],
  [
    'TIMESTAMP_NS',
    ["'1970-01-01 00:00:00.000000001'", "'2024-01-01 00:00:00.123456789'"],
    1,
    '1704067200123456789',
  ],
  ['DECIMAL(4,2)', ['-99.99', '12.30'], -9999, 1230],
  ['DECIMAL(9,1)', ['-0.1', '99999999.9'], -1, 999999999],
  ['DECIMAL(18,6)', ['0.000001', '999999999999.999999'], 1, '999999999999999999'],
  [
    'DECIMAL(38,4)',
    ['-1.0001', '1234567890123456789012345678901234.5678'],
    -10001,
    '12345678901234567890123456789012345678',
  ],
  ['VARCHAR', ["'apple'", "'zoë'"], 'apple', 'zoë'],
]

t.test('bounds and NULLs of every type are those of its values', async (t) => {
  const items = TYPES.map(
    ([type, [low, high]], i) =>
      `CASE i WHEN 0 THEN CAST(${high} AS ${type}) WHEN 1 THEN CAST(${low} AS ${type}) END AS c${i}`,
  )
  const { listing } = await listed(`SELECT ${items.join(', ')} FROM range(5) t(i)`)
  const [file] = listing.files
  t.same(
    listing.schemas[0]?.map((column) => column.type),
    TYPES.map(([type]) => type),
  )
  TYPES.forEach(([type, , min, max], i) => {
    const column = file?.statistics?.[i]
    t.same([column?.nulls, column?.min, column?.max], [[3], [min], [max]], type)
  })
})

t.test('what cannot be trusted has no bounds, but its NULLs are counted', async (t) => {
  const { listing } = await listed(`
    SELECT CASE i WHEN 0 THEN 'nan'::DOUBLE WHEN 1 THEN 1.5 END AS d, NULL::FLOAT AS f,
      encode('x') AS b, repeat('x', 100) AS long, [i] AS list, {a: i} AS struct,
      uuid() AS u, TIME '10:00:00' AS t, NULL::INTEGER AS none
    FROM range(3) t(i)`)
  const [file] = listing.files
  const bounds = listing.schemas[0]?.map((c, i) => {
    const s = file?.statistics?.[i]
    return [c.name, s === null || s === undefined ? null : [s.nulls, s.min, s.max]]
  })
  const unknown = (name: string, nulls: number): unknown => [name, [[nulls], [null], [null]]]
  t.same(bounds, [
    unknown('d', 1),
    unknown('f', 3),
    unknown('b', 0),
    unknown('long', 0),
    ['list', null],
    ['struct', null],
    unknown('u', 0),
    unknown('t', 0),
    unknown('none', 3),
  ])
})

t.test('each row group has its own, as the kernel counts them', async (t) => {
  const { path, listing } = await listed(`
    SELECT i, CASE WHEN i % 7 = 0 THEN NULL ELSE (i * 7919) % 100003 END AS v,
      'k' || lpad((i // 1000)::VARCHAR, 5, '0') AS s
    FROM range(400000) t(i)`)
  const [file] = listing.files
  const groups = file?.rowGroups ?? []
  t.ok(groups.length > 1, `${groups.length} row groups`)
  let first = 0
  for (const [g, { rows }] of groups.entries()) {
    const found = await world.table(`
      SELECT min(i)::VARCHAR, max(i)::VARCHAR, min(v)::VARCHAR, max(v)::VARCHAR,
        (count(*) - count(v))::VARCHAR, min(s), max(s)
      FROM read_parquet('${path}', file_row_number=true)
      WHERE file_row_number BETWEEN ${first} AND ${first + rows - 1}`)
    const cells = Array.from({ length: 7 }, (_, c): unknown => found.getChildAt(c)?.get(0))
    const [i, v, s] = file?.statistics ?? []
    const text = (value: unknown): string => String(value)
    t.same(
      [i?.min[g], i?.max[g], v?.min[g], v?.max[g], v?.nulls[g], s?.min[g], s?.max[g]].map(text),
      cells,
    )
    first += rows
  }
})

t.test('distinct values are those that the writer of the file has counted', async (t) => {
  const { listing } = await listed(`
    SELECT i % 7 AS n, 'k' || (i % 3) AS s, (i % 2)::DOUBLE AS d, i AS many FROM range(20000) t(i)`)
  const found = listing.files[0]?.statistics?.map((column) => column?.distinct)
  t.same(found, [[7], [3], [2], undefined])
})

t.test('statistics that do not fit are told of whole files, or not at all', (t) => {
  const chunk = (nulls: number, min: number | null, max: number | null, distinct = -1) => ({
    nulls,
    min,
    max,
    exact: true,
    distinct,
  })
  const column = columnBounds([chunk(1, -5, 3), chunk(0, 7, 900)])
  t.same(wholeFile([column, null]), [{ nulls: [1], min: [-5], max: [900] }, null])
  const unsaid = columnBounds([chunk(-1, -5, 3), chunk(0, null, null)])
  t.same(wholeFile([unsaid]), [{ nulls: [-1], min: [null], max: [null] }])
  t.equal(columnBounds([chunk(-1, null, null)]), null)
  const counted = columnBounds([chunk(0, 1, 9, 5), chunk(0, 2, 3, 2)])
  t.same(counted?.distinct, [5, 2])
  t.same(wholeFile([counted])[0]?.distinct, [5], 'a file has at least those of one row group')
  const partly = columnBounds([chunk(0, 1, 9, 5), chunk(0, 2, 3)])
  t.same([partly?.distinct, wholeFile([partly])[0]?.distinct], [[5, -1], [-1]])
  const size = JSON.stringify([column, unsaid, null]).length
  t.ok(Math.abs(statisticsSize([column, unsaid, null]) - size) < size / 4)
  t.end()
})

t.test('statistics of another shape are refused', (t) => {
  const good = [{ nulls: [0], min: [1], max: ['2'] }, null]
  t.same(fileStatistics.decode(JSON.parse(JSON.stringify(good)), 'x'), good)
  for (const bad of [
    {},
    [1],
    [{ nulls: [0], min: [1] }],
    [{ nulls: [0], min: [1, 2], max: [1, 2] }],
    [{ nulls: [0.5], min: [1], max: [1] }],
    [{ nulls: [0], min: [1.5], max: [2] }],
    [{ nulls: [0], min: [{}], max: [2] }],
    [{ nulls: [0], min: [1], max: [2], distinct: 1 }],
    [{ nulls: [0], min: [1], max: [2], distinct: [1, 1] }],
    [{ nulls: [0], min: [1], max: [2], distinct: [0.5] }],
  ]) {
    t.throws(() => fileStatistics.decode(bad, 'x'), /x: expected statistics/)
  }
  t.end()
})
