import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import {
  Bool,
  DateDay,
  Field,
  Float64,
  Int32,
  Int64,
  List,
  Struct,
  Table,
  tableFromIPC,
  TimestampMicrosecond,
  Utf8,
  vectorFromArray,
} from 'apache-arrow'
import t from 'tap'
import { messagesOf } from '../../testing/arrow-messages.ts'
import { type FakeAnswer, type FakeCall, FakeCoordinator } from '../../testing/fake-coordinator.ts'
import { FakeShell } from '../../testing/fake-shell.ts'
import { numbers, run } from '../../testing/run-program.ts'
import { runCommand } from '../commands.ts'

const struct = new Struct([new Field('x', new Int64(), true), new Field('y', new Utf8(), true)])

/** One column of each kind that is printed in its own way; two rows, the second all null. */
const KINDS: FakeAnswer = {
  columns: [
    { name: 'n', type: 'BIGINT' },
    { name: 'big', type: 'BIGINT' },
    { name: 'text', type: 'VARCHAR' },
    { name: 'ratio', type: 'DOUBLE' },
    { name: 'flag', type: 'BOOLEAN' },
    { name: 'day', type: 'DATE' },
    { name: 'at', type: 'TIMESTAMP' },
    { name: 'list', type: 'VARCHAR[]' },
    { name: 'struct', type: 'STRUCT(x BIGINT, y VARCHAR)' },
  ],
  messages: messagesOf(
    new Table({
      n: vectorFromArray([1n, null], new Int64()),
      big: vectorFromArray([2n ** 53n + 1n, null], new Int64()),
      text: vectorFromArray(['a "b", c\nd', null], new Utf8()),
      ratio: vectorFromArray([1, null], new Float64()),
      flag: vectorFromArray([true, null], new Bool()),
      day: vectorFromArray([new Date('1998-09-02'), null], new DateDay()),
      at: vectorFromArray([new Date('1998-09-02T01:02:03Z'), null], new TimestampMicrosecond()),
      list: vectorFromArray([['p', 'q'], null], new List(new Field('item', new Utf8(), true))),
      struct: vectorFromArray([{ x: 5n, y: 'z' }, null], struct),
    }),
  ),
}

const kinds = (call: FakeCall): Promise<void> => call.answer(KINDS)

t.test('jsonl is one object a line with every digit kept', async (t) => {
  const { code, out } = await run(t, ['sql', '-e', 'select 1', '--format', 'jsonl'], kinds)
  t.equal(code, 0)
  t.equal(
    out,
    '{"n":1,"big":"9007199254740993","text":"a \\"b\\", c\\nd","ratio":1,"flag":true,"day":"1998-09-02",' +
      '"at":"1998-09-02T01:02:03","list":["p","q"],"struct":{"x":5,"y":"z"}}\n' +
      '{"n":null,"big":null,"text":null,"ratio":null,"flag":null,"day":null,"at":null,"list":null,"struct":null}\n',
  )
})

t.test('json is one array a result, empty or not', async (t) => {
  const many = await run(t, ['sql', '-e', 'select 1', '--format', 'json'], numbers(3, 2))
  t.strictSame(JSON.parse(many.out), [
    { n: 0, text: 'row 0' },
    { n: 1, text: 'row 1' },
    { n: 2, text: 'row 2' },
  ])
  const none = await run(t, ['sql', '-e', 'select 1', '--format', 'json'], numbers(0))
  t.equal(none.out, '[]\n')
  const command = await run(t, ['sql', '-e', 'create x', '--format', 'json'], (call) =>
    call.answer({ command: 'CREATE TABLE' }),
  )
  t.equal(command.out, '', 'a statement without a result prints nothing')
})

t.test('csv quotes what needs it and leaves NULL empty', async (t) => {
  const { out } = await run(t, ['sql', '-e', 'select 1', '--format', 'csv'], kinds)
  t.equal(
    out,
    'n,big,text,ratio,flag,day,at,list,struct\n' +
      `1,9007199254740993,"a ""b"", c\nd",1.0,true,1998-09-02,1998-09-02 01:02:03,"[p, q]","{'x': 5, 'y': z}"\n` +
      ',,,,,,,,\n',
  )
  const batch = await run(t, ['sql', '-e', 'select 1'], numbers(1))
  t.equal(batch.out, 'n,text\n0,row 0\n', 'it is the default where nobody looks on')
})

t.test('a table has aligned columns and counts its rows', async (t) => {
  const { out } = await run(t, ['sql', '-e', 'select 1', '--format', 'table'], numbers(2))
  t.equal(
    out,
    '┌───┬───────┐\n│ n │ text  │\n├───┼───────┤\n│ 0 │ row 0 │\n│ 1 │ row 1 │\n└───┴───────┘\n(2 rows)\n',
  )
  const wide = await run(t, ['sql', '-e', 'select 1', '--format', 'table'], (call) =>
    call.answer({
      columns: [{ name: 'größe', type: 'VARCHAR' }],
      messages: messagesOf(new Table({ c: vectorFromArray(['日本', 'a\tb', null], new Utf8()) })),
    }),
  )
  t.equal(
    wide.out,
    '┌───────┐\n│ größe │\n├───────┤\n│ 日本  │\n│ a\\tb  │\n│ NULL  │\n└───────┘\n(3 rows)\n',
  )
  const lines = await run(t, ['sql', '-e', 'select 1', '--format', 'table'], (call) =>
    call.answer({
      columns: [
        { name: 'ddl', type: 'VARCHAR' },
        { name: 'n', type: 'INTEGER' },
      ],
      messages: messagesOf(
        new Table({
          ddl: vectorFromArray(['a (\nb\n)', 'c'], new Utf8()),
          n: vectorFromArray([1, null], new Int32()),
        }),
      ),
    }),
  )
  t.equal(
    lines.out,
    '┌─────┬──────┐\n│ ddl │    n │\n├─────┼──────┤\n' +
      '│ a (↵│    1 │\n│ b  ↵│      │\n│ )   │      │\n│ c   │ NULL │\n└─────┴──────┘\n(2 rows)\n',
    'a text of several lines takes as many',
  )
})

t.test('a table longer than its sample is printed whole', async (t) => {
  const { out } = await run(t, ['sql', '-e', 'select 1', '--format', 'table'], numbers(12_000))
  t.equal(out.split('\n').length, 12_000 + 6)
  t.match(out, /│ row 11999 │\n└─.*┘\n\(12000 rows\)\n$/)
})

t.test('vertical has one line a value', async (t) => {
  const { out } = await run(t, ['sql', '-e', 'select 1', '--format', 'vertical'], numbers(1))
  t.equal(out, '─── row 1 ───\n   n: 0\ntext: row 0\n(1 row)\n')
})

t.test('arrow is the IPC stream itself', async (t) => {
  const fake = await FakeCoordinator.start({ onStatement: numbers(2500) })
  t.teardown(() => fake.close())
  const dir = await mkdtemp(join(tmpdir(), 'nyala-sql-'))
  t.teardown(() => rm(dir, { recursive: true }))
  const file = join(dir, 'out.arrow')
  const shell = new FakeShell()
  const args = ['sql', '--url', fake.url, '-e', 'select 1', '--format', 'arrow', '-o', file]
  t.equal(await runCommand(args, shell.io), 0)
  const table = tableFromIPC(await readFile(file))
  t.equal(table.numRows, 2500)
  t.equal(shell.stdout.text, '')
})
