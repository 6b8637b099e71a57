import { createRequire } from 'node:module'
import * as arrow from 'apache-arrow'
import { Table, tableFromIPC } from 'apache-arrow'
import t from 'tap'
import type { Column } from '../protocol/messages.ts'
import { ownTable } from './foreign-arrow.ts'
import type { InsertRow } from './insert.ts'
import { type ArrowPart, partsOf } from './insert-parts.ts'

const COLUMNS: readonly Column[] = [
  { name: 'name', type: 'VARCHAR' },
  { name: '1', type: 'BIGINT' },
  { name: 'ratio', type: 'DOUBLE' },
  { name: 'ok', type: 'BOOLEAN' },
  { name: 'price', type: 'DECIMAL(9,2)' },
  { name: 'pairs', type: 'STRUCT(a INTEGER, "b c" VARCHAR[])[]' },
  { name: 'by', type: 'MAP(VARCHAR, STRUCT("x" DECIMAL(5,1)))' },
]

async function parts(
  rows: Iterable<InsertRow | readonly InsertRow[]>,
  batchRows = 65_536,
): Promise<readonly ArrowPart[]> {
  const found: ArrowPart[] = []
  const options = { batchRows, rowName: (row: number) => `row ${row}` }
  for await (const part of partsOf(rows, COLUMNS, options)) found.push(part)
  return found
}

const valuesOf = (part: ArrowPart): readonly (readonly unknown[])[] =>
  tableFromIPC(part.stream)
    .toArray()
    .map((row) => [...(row as Iterable<readonly [string, unknown]>)].map(([, value]) => value))

t.test('rows become columns in the order of the table, with each value as it was', async (t) => {
  const texts = ['', 'plain', 'ö€😀', null, 'x'.repeat(7000), '\ud83d', '\ude00', 'a\u0000b']
  const wholes: readonly unknown[] = [
    ...[0, -0, -1, 2 ** 31, -(2 ** 31) - 1, Number.MAX_SAFE_INTEGER, Number.MIN_SAFE_INTEGER],
    ...[2n ** 63n - 1n, -(2n ** 63n), ' +7 ', '-90071992547409931', null],
  ]
  const ratios: readonly unknown[] = [1.5, '-2e300', Number.NaN, -Infinity, 3n, null, -0]
  const rows = Array.from({ length: 3000 }, (_, i) => ({
    name: texts[i % texts.length],
    1: wholes[i % wholes.length],
    ratio: ratios[i % ratios.length],
    ok: [true, false, undefined][i % 3],
    price: ['12.50', 7n, null, 0.25][i % 4],
  }))
  const [part, ...others] = await parts(rows)
  t.equal(others.length, 0)
  t.strictSame(part?.columns, ['name', '1', 'ratio', 'ok', 'price', 'pairs', 'by'])
  const whole = (value: unknown): unknown =>
    value === null ? null : BigInt(typeof value === 'string' ? value.trim() : (value as number))
  const expected = rows.map(({ name, 1: id, ratio, ok, price }) => [
    // Half a character is none in UTF-8.
    name === '\ud83d' || name === '\ude00' ? '\ufffd' : (name ?? null),
    whole(id),
    ratio === null ? null : Number(ratio),
    ok ?? null,
    price === null ? null : String(price),
    null,
    null,
  ])
  t.strictSame(part === undefined ? [] : valuesOf(part), expected)
})

t.test('a part ends at its rows or at its bytes, and no row is lost between two', async (t) => {
  const few = await parts(
    Array.from({ length: 1000 }, (_, i) => ({ 1: i })),
    300,
  )
  t.strictSame(
    few.map(({ rows }) => rows),
    [300, 300, 300, 100],
  )
  t.strictSame(
    few.flatMap((part) => valuesOf(part).map((values) => values[1])),
    Array.from({ length: 1000 }, (_, i) => BigInt(i)),
  )
  const long = 'x'.repeat(40_000)
  const wide = await parts([Array.from({ length: 1000 }, () => ({ name: long }))])
  t.strictSame(
    wide.map(({ rows }) => rows),
    [512, 488],
  )
})

t.test(
  'a value that is none of its column is told with its row, however many came before',
  async (t) => {
    const good = Array.from({ length: 700 }, (_, i) => ({ 1: i }))
    const wrong: readonly (readonly [InsertRow, RegExp])[] = [
      [{ 1: '12x' }, /^row 701, column "1": '12x' is no BIGINT$/],
      [{ 1: 2n ** 63n }, /^row 701, column "1": 9223372036854775808 is no BIGINT$/],
      [{ 1: 0.5 }, /^row 701, column "1": 0.5 is no BIGINT$/],
      [{ ratio: 'many' }, /^row 701, column "ratio": 'many' is no DOUBLE$/],
      [{ ok: 't' }, /^row 701, column "ok": 't' is no BOOLEAN$/],
      [{ price: Number.NaN }, /^row 701, column "price": NaN is no DECIMAL\(9,2\)$/],
      [{ nmae: 'x' }, /^row 701 has "nmae", which is no column$/],
      [null as never, /^row 701 is no object$/],
      [5 as never, /^row 701 is no object$/],
    ]
    for (const [row, message] of wrong) {
      await t.rejects(parts([good, row, ...good], 65_536), { message })
      await t.rejects(parts([...good, row], 64), { message })
    }
  },
)

t.test('arrays, objects and maps are texts, in which each value is one in quotes', async (t) => {
  const [part] = await parts([
    { pairs: [{ a: 1, 'b c': ["'", null] }, null, {}] },
    { pairs: '[{a: 1}]', by: new Map([['k', { x: '1.5' }]]) },
    { pairs: [{ a: '7', 'b c': undefined }], by: { k: { x: 2n }, l: null } },
  ])
  const first = String.raw`['{\'a\': \'1\', \'b c\': \'[\\\'\\\\\\\'\\\', NULL]\'}', NULL, '{\'a\': NULL, \'b c\': NULL}']`
  t.strictSame(part === undefined ? [] : valuesOf(part).map((values) => values.slice(5)), [
    [first, null],
    ['[{a: 1}]', String.raw`{'k'='{\'x\': \'1.5\'}'}`],
    [String.raw`['{\'a\': \'7\', \'b c\': NULL}']`, String.raw`{'k'='{\'x\': \'2\'}', 'l'=NULL}`],
  ])
})

t.test('what is wrong in a nested value is told with its row, column and place', async (t) => {
  const wrong: readonly (readonly [InsertRow, string, RegExp])[] = [
    [{ pairs: 5 }, '22P02', /^row 2, column "pairs": 5 is no LIST$/],
    [
      { pairs: [{ a: 1 }, 'x', [1]] },
      '22P02',
      /^row 2, column "pairs"\[3\]: an array is no STRUCT$/,
    ],
    [{ pairs: [{ a: 'x' }] }, '22P02', /^row 2, column "pairs"\[1\]\.a: 'x' is no INTEGER$/],
    [
      { pairs: [{ 'b c': [{}] }] },
      '22P02',
      /^row 2, column "pairs"\[1\]\.b c\[1\]: an object is no VARCHAR$/,
    ],
    [{ pairs: [{ a: 1, b: 2 }] }, '42804', /^row 2, column "pairs"\[1\]: there is no field "b"$/],
    [
      { by: { k: { x: 1 }, l: { y: 1 } } },
      '42804',
      /^row 2, column "by"\['l'\]: there is no field "y"$/,
    ],
    [
      { by: new Map([[1, { x: 'q' }]]) },
      '22P02',
      /^row 2, column "by"\[1\]\.x: 'q' is no DECIMAL\(5,1\)$/,
    ],
    [{ name: { a: 1 } }, '22P02', /^row 2, column "name": an object is no VARCHAR$/],
  ]
  for (const [row, code, message] of wrong) {
    await t.rejects(parts([{ 1: 1 }, row]), { code, message }, String(message))
  }
})

t.test('a table of another copy of the Arrow library has its rows', async (t) => {
  const other = createRequire(import.meta.url)('apache-arrow') as typeof import('apache-arrow')
  const { Dictionary, Int32, Utf8, Struct, Field, List, vectorFromArray } = other
  const pair = new Struct([
    new Field('x', new Int32()),
    new Field('ys', new List(new Field('y', new Utf8()))),
  ])
  const table = new other.Table({
    n: vectorFromArray([1, null, 3], new Int32()),
    s: vectorFromArray(['a', 'b', 'a'], new Dictionary(new Utf8(), new Int32())),
    p: vectorFromArray([{ x: 1, ys: ['q'] }, null, { x: 3, ys: [] }], pair),
  })
  t.not(other.Table, Table, 'it is another copy')
  const rows = table.toArray().map((row) => JSON.stringify(row))
  for (const source of [table, table.batches[0], [table]]) {
    const found: ArrowPart[] = []
    const options = { batchRows: 2, rowName: (row: number) => `row ${row}` }
    for await (const part of partsOf(source as never, COLUMNS, options)) found.push(part)
    t.strictSame(
      found.map((part) => part.rows),
      [2, 1],
    )
    const read = found.flatMap((part) => tableFromIPC(part.stream).toArray())
    t.strictSame(
      read.map((row) => JSON.stringify(row)),
      rows,
    )
  }
  const empty = ownTable(arrow, new other.Table({ n: vectorFromArray([], new Int32()) }) as never)
  t.equal(
    tableFromIPC(arrow.tableToIPC(empty, 'stream')).schema.toString(),
    'Schema<{ 0: n: Int32 }>',
  )
})
