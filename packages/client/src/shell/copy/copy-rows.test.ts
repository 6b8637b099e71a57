import t from 'tap'
import { SqlError } from '../../protocol/errors.ts'
import type { Column } from '../../protocol/messages.ts'
import { copyRows, type CopyRow, type CopySource, refusedRow, RowLines } from './copy-rows.ts'

const COLUMNS: readonly Column[] = [
  { name: 'id', type: 'BIGINT' },
  { name: 'name', type: 'VARCHAR' },
  { name: 'ok', type: 'BOOLEAN' },
]
const CSV: CopySource = {
  ...{ format: 'csv', columns: COLUMNS },
  csv: { header: 'no', delimiter: ',', nullText: '' },
}
const JSON_LINES: CopySource = { ...CSV, format: 'jsonl' }

/** The rows of a text that comes in pieces of so many bytes. */
async function rowsOf(
  text: string,
  source: CopySource,
  pieceBytes = 1 << 16,
): Promise<readonly CopyRow[]> {
  const bytes = Buffer.from(text)
  async function* pieces(): AsyncGenerator<Uint8Array> {
    for (let at = 0; at < bytes.length; at += pieceBytes) yield bytes.subarray(at, at + pieceBytes)
  }
  const rows: CopyRow[] = []
  for await (const some of copyRows(pieces(), source)) rows.push(...some)
  return rows
}

t.test('CSV is the same rows however it is cut, and each knows its line', async (t) => {
  const text = '1,"a ""q"", and\nmore",t\r\n2,,f\n3,"",\n"4",ö€😀,no'
  const expected = [
    { line: 1, row: { id: '1', name: 'a "q", and\nmore', ok: true } },
    { line: 3, row: { id: '2', name: null, ok: false } },
    { line: 4, row: { id: '3', name: '', ok: null } },
    { line: 5, row: { id: '4', name: 'ö€😀', ok: false } },
  ]
  for (let bytes = 1; bytes <= text.length + 8; bytes++) {
    t.strictSame(await rowsOf(text, CSV, bytes), expected, `in pieces of ${bytes}`)
    t.strictSame(await rowsOf(`${text}\n`, CSV, bytes), expected, `ended, in pieces of ${bytes}`)
  }
  t.strictSame(await rowsOf('', CSV), [])
  t.strictSame(await rowsOf('\ufeff1,b,t', CSV), [
    { line: 1, row: { id: '1', name: 'b', ok: true } },
  ])
})

t.test('a header, a delimiter and a word for NULL are as they are said', async (t) => {
  const csv = { header: 'match', delimiter: '|', nullText: 'NULL' } as const
  const source = { ...CSV, csv }
  t.strictSame(await rowsOf('ID|name|OK\nNULL|"NULL"|', source), [
    { line: 2, row: { id: null, name: 'NULL', ok: '' } },
  ])
  await t.rejects(rowsOf('id|ok|name\n', source), {
    error: 'bad_copy_file_format',
    message: 'line 1: the names are id, ok, name, and not id, name, ok',
  })
})

t.test('a file that is no such CSV is told by its line', async (t) => {
  const wrong: readonly (readonly [string, RegExp])[] = [
    ['1,a,t\n2,b\n', /^line 2: 2 fields, where there are 3 columns/],
    ['1,a,t,x\n', /^line 1: 4 fields/],
    ['1,"a\nb",t\n\n', /^line 3: 1 field,/],
    ['1,a,t\n2,"b,t\n3,c,t\n', /^line 2: a quoted field does not end/],
    ['1,"a"b,t\n', /^line 1: field 2 goes on behind its closing quote/],
  ]
  for (const [text, message] of wrong) {
    for (const bytes of [1, 3, 1000]) {
      await t.rejects(rowsOf(text, CSV, bytes), { error: 'bad_copy_file_format', message }, text)
    }
  }
  async function* latin1(): AsyncGenerator<Uint8Array> {
    yield Buffer.from('1,a,t\n2,\xe9,t\n', 'latin1')
  }
  const read = async (): Promise<void> => {
    for await (const rows of copyRows(latin1(), CSV)) t.same(rows, [])
  }
  await t.rejects(read(), { message: /not UTF-8/ })
})

t.test('what JSON has in a value is as the type of its column has it', async (t) => {
  const columns = [
    { name: 's', type: 'STRUCT(a BIGINT, b VARCHAR, m MAP(VARCHAR, VARCHAR))' },
    { name: 'l', type: 'VARCHAR[]' },
    { name: 'v', type: 'VARCHAR' },
  ]
  const text =
    '{"s":{"a":90071992547409931,"b":{"x":[1]},"m":{"k":[2]},"q":{}},"l":["a",{"x":1}],"v":[1]}'
  const [found] = await rowsOf(text, { ...JSON_LINES, columns })
  t.strictSame(found?.row, {
    s: { a: '90071992547409931', b: '{"x":[1]}', m: { k: '[2]' }, q: {} },
    l: ['a', '{"x":1}'],
    v: '[1]',
  })
})

t.test(
  'JSON is objects of an array or one behind the other, with all digits of numbers',
  async (t) => {
    const objects = [
      '{"ID": 90071992547409931, "name": "a } \\" {"}',
      '{"id":-1.5,\n"name":[1,{"x":2}]}',
    ]
    const expected = [
      { line: 1, row: { id: '90071992547409931', name: 'a } " {' } },
      { line: 2, row: { id: -1.5, name: '[1,{"x":2}]' } },
    ]
    for (const text of [objects.join('\n'), `[${objects.join(',\n')}]\n`]) {
      for (let bytes = 1; bytes <= text.length; bytes++) {
        t.strictSame(await rowsOf(text, JSON_LINES, bytes), expected, `in pieces of ${bytes}`)
      }
    }
    t.strictSame(await rowsOf('[]', JSON_LINES), [])
    const wrong: readonly (readonly [string, RegExp])[] = [
      ['[{"id":1},\n{"id":2}', /^line 2: the file ends before its array does/],
      ['{"id":1}\n{"id":', /^line 2: the file ends within an object/],
      ['{"id":1}\n17', /^line 2: there is no object at "17"/],
      ['[{"id":1}]\n{"id":2}', /^line 2: there is no object/],
      ['{"id":1}\n{"id":x}', /^line 2: Unexpected token/],
    ]
    for (const [text, message] of wrong) {
      await t.rejects(rowsOf(text, JSON_LINES), { error: 'bad_copy_file_format', message }, text)
    }
  },
)

t.test('the row of an error of the cluster is found by its column and value', async (t) => {
  const about = (message: string): ReturnType<typeof refusedRow> =>
    refusedRow(new SqlError('invalid_text_representation', message))
  const isValue = about('column "a ""b""" of type DECIMAL(5,2) cannot hold "x "y""')
  t.equal(isValue?.({ 'a "b"': 'x "y"' }), true)
  t.equal(isValue?.({ 'a "b"': 'x' }), false)
  t.equal(isValue?.({ 'a "b"': null }), false)
  const isNull = about('column "a" of type STRUCT("x" INTEGER) must not be NULL')
  t.equal(isNull?.({ a: null }), true)
  t.equal(isNull?.({ a: 0 }), false)
  t.equal(about('table "t" does not exist'), undefined)
})

t.test('lines are known of the rows that an insert still holds', async (t) => {
  const lines = new RowLines()
  const row = {}
  for (let first = 0; first < 500_000; first += 50_000) {
    lines.add(Array.from({ length: 50_000 }, (_, i) => ({ line: 2 * (first + i + 1), row })))
  }
  t.equal(lines.name(500_000), 'line 1000000')
  t.equal(lines.name(400_001), 'line 800002')
  t.equal(lines.name(1), 'row 1')
})
