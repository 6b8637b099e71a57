import { DuckDBInstance } from '@duckdb/node-api'
import { Prng } from '@nyala/client/base'
import t from 'tap'
import { type PartitionField, summaryOf } from '../iceberg/partition-field.ts'
import {
  parseTransform,
  type PartitionValue,
  resultType,
  transformed,
} from '../iceberg/partition-transform.ts'
import { sqlTypeOf } from '../iceberg/types.ts'
import { domainOf, parseBound } from '../plan/estimate/bounds.ts'
import { SqlFrontEnd } from '../sql/front-end.ts'
import { typeText } from '../sql/sql-types.ts'
import { manifestTest } from './manifest-test.ts'

interface TestColumn {
  readonly type: string
  readonly transforms: readonly string[]
  readonly values: readonly string[]
}

const TIMES = ['identity', 'year', 'month', 'day', 'hour', 'bucket[3]', 'void']
const COLUMNS: Readonly<Record<string, TestColumn>> = {
  i: {
    type: 'int',
    transforms: ['identity', 'truncate[10]', 'bucket[4]', 'zorder[2]'],
    values: ['-11', '-10', '-1', '0', '1', '9', '10', '42'],
  },
  l: {
    type: 'long',
    transforms: ['identity', 'truncate[100]', 'bucket[4]'],
    values: ['-9007199254740993', '-1', '0', '7', '100', '9007199254740993'],
  },
  m: {
    type: 'decimal(6, 2)',
    transforms: ['identity', 'truncate[50]', 'bucket[4]'],
    values: ['-1.50', '0.00', '0.49', '0.50', '2.00', '12.30'],
  },
  d: {
    type: 'date',
    transforms: ['identity', 'year', 'month', 'day', 'bucket[4]'],
    values: ['1969-12-31', '1970-01-01', '2023-12-31', '2024-01-31', '2024-02-29', '2024-03-01'],
  },
  s: {
    type: 'string',
    transforms: ['identity', 'truncate[2]', 'truncate[1]', 'bucket[4]'],
    values: ['', 'a', 'ab', 'abc', 'b', 'ü', '\ud7ff', '\uffff', '😀', '10', '9', '7'],
  },
  ts: {
    type: 'timestamp',
    transforms: TIMES,
    values: [
      '1969-12-31 23:59:59.5',
      '2024-01-31 00:00:00',
      '2024-01-31 05:30:00',
      '2024-02-29 12:00:00',
    ],
  },
  tz: {
    type: 'timestamptz',
    transforms: TIMES,
    values: [
      '1969-12-31 23:59:59.5+00',
      '2024-03-10 06:59:59+00',
      '2024-03-10 07:00:00+00',
      '2024-11-03 05:30:00+00',
    ],
  },
  b: { type: 'boolean', transforms: ['identity'], values: ['false', 'true'] },
}
const NAMES = Object.keys(COLUMNS)
const sqlType = (name: string): ReturnType<typeof sqlTypeOf> => sqlTypeOf(COLUMNS[name]?.type ?? '')

function partitionValue(name: string, text: string | null): PartitionValue {
  const domain = domainOf(sqlType(name))
  if (text === null || domain === undefined) return null
  return parseBound(text, domain) ?? t.bailout(`"${text}" is no value of ${name}`) ?? null
}

/** Constants of all kinds, now and then of another type than the column's. */
function literal(random: Prng, column: string): string {
  const of = random.below(8) === 0 ? pick(random, NAMES) : column
  if (random.below(12) === 0) return 'NULL'
  const text = `'${pick(random, COLUMNS[of]?.values ?? [])}'`
  const isNumber = ['i', 'l', 'm'].includes(of)
  switch (random.below(isNumber ? 4 : 3)) {
    case 0:
      return text
    case 1:
      return of === 'd' && random.below(2) === 0
        ? `DATE ${text} ${random.below(2) === 0 ? '+' : '-'} INTERVAL 1 MONTH`
        : `CAST(${text} AS ${typeText(sqlType(of))})`
    default:
      return isNumber ? text.slice(1, -1) : text
  }
}

const pick = <T>(random: Prng, list: readonly T[]): T => {
  const found = list[random.below(list.length)]
  if (found === undefined) throw new Error('nothing to pick from')
  return found
}

const OPERATORS = ['=', '<>', '<', '<=', '>', '>=', 'IS DISTINCT FROM', 'IS NOT DISTINCT FROM']

function predicate(random: Prng, depth: number): string {
  const name = pick(random, NAMES)
  const column = pick(random, [name, `t.${name}`, name.toUpperCase(), `"${name}"`])
  const constant = (): string => literal(random, name)
  const not = random.below(4) === 0 ? 'NOT ' : ''
  switch (random.below(depth > 0 ? 12 : 9)) {
    case 0:
      return `${column} IS ${not}NULL`
    case 1:
      return `${column} ${not}IN (${constant()}, ${constant()}, ${constant()})`
    case 2:
      return `${column} ${not}BETWEEN ${constant()} AND ${constant()}`
    case 3:
      return `s ${not}LIKE '${pick(random, ['', 'a', 'ab', 'ü', 'a_', '9'])}%'`
    case 4:
      return `${constant()} ${pick(random, OPERATORS)} ${column}`
    case 9:
      return `NOT (${predicate(random, depth - 1)})`
    case 10:
      return `(${predicate(random, depth - 1)}) IS ${not}TRUE`
    case 11:
      return `(${predicate(random, depth - 1)}) ${pick(random, ['AND', 'OR'])} (${predicate(random, depth - 1)})`
    default:
      return `${column} ${pick(random, OPERATORS)} ${constant()}`
  }
}

/** Rows of some manifests, each with few different values, so that its partitions say something. */
function randomRows(random: Prng): readonly (readonly (readonly (string | null)[])[])[] {
  return Array.from({ length: 6 }, () => {
    const few = NAMES.map((name) => {
      const values = COLUMNS[name]?.values ?? []
      const some: (string | null)[] = [pick(random, values), pick(random, values)]
      return random.below(3) === 0 ? [null] : random.below(3) === 0 ? [...some, null] : some
    })
    return Array.from({ length: 3 }, () => few.map((values) => pick(random, values)))
  })
}

const SEED = Number(process.env['NYALA_SEED'] ?? Math.floor(Math.random() * 2 ** 31))
const RUNS = Number(process.env['NYALA_RUNS'] ?? 12)

t.test(`a manifest that has a row for a predicate is read (seed ${SEED})`, async (t) => {
  const instance = await DuckDBInstance.create(':memory:', { threads: '1' })
  const kernel = await instance.connect()
  const frontEnd = await SqlFrontEnd.open()
  t.teardown(() => {
    kernel.closeSync()
    instance.closeSync()
    frontEnd.close()
  })
  const random = new Prng(SEED)
  const columns = NAMES.map((name) => ({ name, type: typeText(sqlType(name)) }))
  const types = columns.map(({ name, type }) => `${name} ${type}`).join(', ')
  let [asked, skipped] = [0, 0]
  for (let run = 0; run < RUNS; run++) {
    await kernel.run(`SET TimeZone = '${pick(random, ['UTC', 'America/New_York'])}'`)
    const manifests = randomRows(random)
    const fields = NAMES.filter(() => random.below(4) > 0).map((name, i): PartitionField => {
      const { type, transforms } = COLUMNS[name] ?? { type: '', transforms: [] }
      const transform = parseTransform(pick(random, transforms))
      const source = { id: i, name, required: false, type }
      return { id: 1000 + i, name, transform, source, type: resultType(transform, type) }
    })
    const summaries = manifests.map((rows) =>
      fields.map((field) => {
        const values = rows.map((row) => {
          const text = row[NAMES.indexOf(field.name)] ?? null
          const value = partitionValue(field.name, text)
          return transformed(field.transform, field.source?.type ?? '', value) ?? null
        })
        return summaryOf(field.type, values)
      }),
    )
    await kernel.run(`CREATE OR REPLACE TABLE t (manifest INTEGER, ${types})`)
    const tuples = manifests.flatMap((rows, i) =>
      rows.map((row) => `(${[i, ...row.map((v) => (v === null ? 'NULL' : `'${v}'`))].join(', ')})`),
    )
    await kernel.run(`INSERT INTO t VALUES ${tuples.join(', ')}`)
    for (let i = 0; i < 40; i++) {
      const sql = predicate(random, 2)
      const rows = await kernel
        .runAndReadAll(`SELECT DISTINCT manifest FROM t WHERE ${sql}`)
        .catch(() => undefined)
      // What the kernel refuses fails whatever is read.
      if (rows === undefined) continue
      const expression = await frontEnd.parseExpression(sql)
      const canMatter = manifestTest([{ expression, isMerged: false }], { alias: 'T', columns })
      const wanted = new Set(rows.getRows().map(([manifest]) => Number(manifest)))
      summaries.forEach((summary, manifest) => {
        asked++
        if (canMatter === undefined || canMatter(fields, summary)) return
        skipped++
        const by = fields.map(({ name, transform }) => `${name} ${JSON.stringify(transform)}`)
        if (wanted.has(manifest))
          t.fail(`${sql} by ${by.join(', ')}: ${String(tuples[manifest * 3])}`)
      })
    }
  }
  t.ok(skipped > asked / 12, `${skipped} of ${asked} were not read`)
})

t.test('only what a predicate says of the table’s own columns counts', async (t) => {
  const frontEnd = await SqlFrontEnd.open()
  t.teardown(() => frontEnd.close())
  const source = { id: 1, name: 'd', required: false, type: 'date' }
  const transform = parseTransform('month')
  const fields = [{ id: 1000, name: 'd_month', transform, source, type: 'int' }]
  const january = [summaryOf('int', [648n])]
  const reads = async (sql: string, isMerged = false, alias = 't'): Promise<boolean> => {
    const expression = await frontEnd.parseExpression(sql)
    const columns = [
      { name: 'd', type: 'DATE' },
      { name: 's', type: 'STRUCT(d DATE)' },
    ]
    return manifestTest([{ expression, isMerged }], { alias, columns })?.(fields, january) ?? true
  }
  const cases: readonly (readonly [sql: string, isRead: boolean])[] = [
    ["d = '2024-01-31'", true],
    ["d = '2024-02-01'", false],
    ["t.d >= DATE '2024-02-01'", false],
    ["d < DATE '2024-01-01' AND random() < 2", false],
    ["d < DATE '2024-01-01' OR random() < 2", true],
    ["other.d = '2030-01-01'", true],
    ["a.t.d = '2030-01-01'", true],
    ["d::VARCHAR = '2030-01-01'", true],
    ["d = (SELECT DATE '2030-01-01')", true],
    ["d IN ('2024-01-31', CAST('2030-01-01' AS TIMESTAMP))", true],
    ['d > current_date', true],
  ]
  for (const [sql, isRead] of cases) t.equal(await reads(sql), isRead, sql)
  t.equal(await reads("d = '2030-01-01'", true), true, 'a column that a join has merged')
  t.equal(await reads("t.d = '2030-01-01'", true), false)
  t.equal(await reads("s.d = '2030-01-01'", false, 's'), true, 'a field of a struct')
  const two = [...january, ...january]
  const expression = await frontEnd.parseExpression("d = '2030-01-01'")
  const test = manifestTest([{ expression, isMerged: false }], {
    alias: 't',
    columns: [{ name: 'd', type: 'DATE' }],
  })
  t.equal(test?.(fields, two), true, 'a list that tells of other fields')
})
