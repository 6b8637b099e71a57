import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { SqlError } from '../../protocol/errors.ts'
import { type FakeCall, FakeCoordinator, type FakeOptions } from '../../testing/fake-coordinator.ts'
import { FakeShell } from '../../testing/fake-shell.ts'
import { numbersAnswer } from '../../testing/sample-results.ts'
import { runCommand } from '../commands.ts'
import { HISTORY_LINES_MAX, HistoryFile } from './history-file.ts'
import { parseMeta, parseWordCommand } from './meta-commands.ts'
import { summaryText } from './profile-text.ts'
import { interpolate } from './variables.ts'

const STATUS = {
  cluster: 'fake',
  leader: 'c1',
  epoch: 7,
  members: [
    {
      id: 'c1',
      role: 'coordinator',
      address: '127.0.0.1:7701',
      host: 'vm',
      pid: 12,
      incarnation: 5,
      state: 'alive',
      load: {},
    },
  ],
  etcd: [],
  queries: [
    {
      id: `q${'1'.repeat(24)}`,
      coordinator: 'c1',
      state: 'running',
      database: 'default',
      sql: 'select  slow',
      startedAt: 0,
      elapsedMs: 1234,
      rows: 0,
      tasksDone: 1,
      tasksTotal: 2,
    },
  ],
  transactions: [],
}

const CTRL = { c: '\u0003', d: '\u0004' } as const

/** A person at an interactive shell, whose coordinator plays `onStatement`. */
async function sitDown(test: Test, options: FakeOptions = {}) {
  const fake = await FakeCoordinator.start({
    onStatement: (call) => call.answer(numbersAnswer(1, 1)),
    onRequest: (request) => (request.kind === 'status' ? STATUS : null),
    ...options,
  })
  const home = await mkdtemp(join(tmpdir(), 'nyala-home-'))
  const shell = new FakeShell({
    home,
    terminal: true,
    environment: { NYALA_URL: fake.url, NO_COLOR: '1' },
  })
  const ended = runCommand(['sql'], shell.io)
  test.teardown(async () => {
    shell.stdin.end()
    await ended
    await fake.close()
    await rm(home, { recursive: true })
  })
  await shell.stdout.until('nyala> ')
  /** Types a line and waits until the next prompt of this kind, or another text, has come. */
  const type = async (line: string, wanted: string | RegExp = 'nyala> '): Promise<string> => {
    const from = shell.stdout.text.length
    shell.stdin.write(`${line}\n`)
    // The echo of the line repaints the present prompt: the wanted one comes after the line's end.
    const end = (): number => shell.stdout.text.indexOf('\n', from)
    await shell.stdout.until('\n', from)
    await shell.stdout.until(wanted, end())
    return shell.stdout.text.slice(end() + 1).replace(/\u001b\[[0-9;]*[A-Za-z]/g, '')
  }
  const statements = (): string[] => fake.receivedOf('statement').map(({ sql }) => sql)
  return { fake, home, shell, ended, type, statements }
}

t.test('a statement runs when its semicolon comes, over as many lines as it takes', async (t) => {
  const { type, statements } = await sitDown(t)
  await type('select 1,', '    -> ')
  await type("  'a", "    '> ")
  await type("b' /* x", '    *> ')
  t.match(await type('*/; select 2; select 3', '    -> '), /row 0/)
  await type(';')
  t.strictSame(statements(), ["select 1,\n  'a\nb' /* x\n*/", 'select 2', 'select 3'])
})

t.test('Ctrl-D and \\q and exit; quit', async (t) => {
  for (const way of [CTRL.d, '\\q\n', 'exit;\n', 'QUIT\n']) {
    const { shell, ended } = await sitDown(t)
    shell.stdin.write(way)
    t.equal(await ended, 0, JSON.stringify(way))
  }
})

t.test('Ctrl-C forgets what was typed, and at an empty prompt tells how to quit', async (t) => {
  const { shell, type, statements } = await sitDown(t)
  await type('select 1,', '    -> ')
  let from = shell.stdout.text.length
  shell.stdin.write(`half a line${CTRL.c}`)
  await shell.stdout.until('nyala> ', from)
  t.notMatch(shell.stdout.text.slice(from), /quits/)
  from = shell.stdout.text.length
  shell.stdin.write(CTRL.c)
  await shell.stdout.until('\\q quits', from)
  await type('select 2;')
  t.strictSame(statements(), ['select 2'])
})

t.test('Ctrl-C cancels the statement that runs, and the shell goes on', async (t) => {
  const { fake, shell, type } = await sitDown(t, {
    async onStatement(call: FakeCall) {
      if (call.sql !== 'slow') return call.answer(numbersAnswer(1, 1))
      call.accept()
      call.progress(1, 4)
      await call.untilStopped()
      return undefined
    },
  })
  const typed = type('slow;')
  await shell.stderr.until('25 %')
  shell.interrupt()
  await typed
  t.match(
    shell.stderr.text,
    /\u001b\[2K.*25 %.*\r\u001b\[2KERROR 57014/s,
    'the progress line is erased',
  )
  t.match(await type('select 1;'), /row 0/)
  t.equal(fake.receivedOf('cancel').length, 1)
})

t.test('an error leaves the shell as it was', async (t) => {
  const { shell, type } = await sitDown(t, {
    onStatement() {
      throw new SqlError('undefined_table', 'table "x" not found')
    },
  })
  await type('select 1;')
  t.match(shell.stderr.text, /ERROR 42P01: table "x" not found/)
  await type('\\kill nonsense')
  t.match(shell.stderr.text, /ERROR 22023: "nonsense" is not the id of a query/)
  await type('\\nonsense')
  t.match(shell.stderr.text, /\\nonsense is not a command/)
})

t.test('backslash commands ask in SQL', async (t) => {
  const { type, statements } = await sitDown(t)
  for (const line of ['\\d', '\\d orders', '\\dt', "\\dt o'x*", '\\dv', '\\df', '\\dn', '\\l']) {
    t.match(await type(line), /row 0/)
  }
  t.strictSame(statements(), [
    'SHOW TABLES',
    'DESCRIBE orders',
    'SHOW TABLES',
    "SHOW TABLES LIKE 'o''x*'",
    'SHOW VIEWS',
    'SHOW FUNCTIONS',
    'SHOW DATABASES',
    'SHOW DATABASES',
  ])
})

t.test('\\c changes the database, which the prompt shows', async (t) => {
  const { shell, statements, type } = await sitDown(t, {
    onStatement: (call) =>
      call.answer({ command: 'USE', session: { ...call.statement.session, database: 'sales' } }),
  })
  t.match(await type('\\c'), /database "default", coordinator c1/)
  await type('\\c sales', 'nyala:sales> ')
  await type('\\c "my sales"', 'nyala:sales> ')
  t.strictSame(statements(), ['USE `sales`', 'USE `my sales`'])
  t.match(shell.plain, /database is now "sales"/)
})

t.test('connect goes to another cluster', async (t) => {
  const other = await FakeCoordinator.start({ id: 'c9', onStatement: (call) => call.answer({}) })
  t.teardown(() => other.close())
  const { type, statements } = await sitDown(t)
  t.match(await type(`connect ${other.address};`), /connected to coordinator c9/)
  await type('select 1;')
  t.strictSame(statements(), [])
  t.equal(other.receivedOf('statement').length, 1)
})

t.test('the display can be changed', async (t) => {
  const { type } = await sitDown(t)
  t.match(await type('\\x'), /expanded display is on/)
  t.match(await type('select 1;'), /─── row 1 ───/)
  await type('\\x off')
  t.match(await type('\\pset format jsonl'), /format is jsonl/)
  t.match(await type('select 1;'), /^\{"n":0,"text":"row 0"\}/)
  t.match(await type('\\gx'), /─── row 1 ───/)
  t.match(await type('\\pset'), /format jsonl, expanded off/)
})

t.test('\\timing, \\watch and \\g run the last statement again', async (t) => {
  const { shell, type, statements } = await sitDown(t)
  t.match(await type('\\timing'), /timing is on/)
  await type('select 1;')
  await shell.stderr.until(/Time: .* ms/)
  await type('\\g')
  const watching = type('\\watch 0.01')
  while (statements().length < 5) await shell.io.clock.sleep(5)
  shell.interrupt()
  await watching
  t.ok(statements().every((sql) => sql === 'select 1'))
})

t.test('\\o writes results to a file and back to the screen', async (t) => {
  const { home, shell, type } = await sitDown(t)
  const file = join(home, 'out.txt')
  await type(`\\o ${file}`)
  t.notMatch(await type('select 1;'), /row 0/)
  await type('\\o')
  t.match(await readFile(file, 'utf8'), /row 0/)
  await type(`\\o ${home}/none/x`)
  t.match(shell.stderr.text, /cannot write ".*none\/x"/)
  t.match(await type('select 1;'), /row 0/)
})

t.test('\\i runs a file and stops at the first error', async (t) => {
  const { home, shell, type, statements } = await sitDown(t, {
    onStatement(call) {
      if (call.sql === 'bad') throw new SqlError('syntax_error', 'bad')
      return call.answer({})
    },
  })
  const file = join(home, 'a.sql')
  await writeFile(file, 'select 1;\nbad;\nselect 2')
  await type(`\\i ${file}`)
  t.strictSame(statements(), ['select 1', 'bad'])
  await type('\\i /nowhere/x.sql')
  t.match(shell.stderr.text, /cannot read "\/nowhere\/x.sql"/)
})

t.test(
  'of several statements on a line each runs, whatever became of those before it',
  async (t) => {
    const { shell, type, statements } = await sitDown(t, {
      onStatement(call) {
        if (call.sql === 'bad') throw new SqlError('syntax_error', 'bad')
        return call.answer(numbersAnswer(1, 1))
      },
    })
    t.match(await type('select 1; bad; select 2; bad; select', '    -> '), /row 0.*row 0/s)
    await type('3;')
    t.strictSame(statements(), ['select 1', 'bad', 'select 2', 'bad', 'select\n3'])
    t.equal(shell.stderr.text.match(/ERROR 42601: bad/g)?.length, 2)
  },
)

t.test('Ctrl-C drops the statements that stand after the one it cancels', async (t) => {
  const { shell, type, statements } = await sitDown(t, {
    async onStatement(call: FakeCall) {
      if (call.sql !== 'slow') return call.answer(numbersAnswer(1, 1))
      call.accept()
      call.progress(1, 4)
      await call.untilStopped()
      return undefined
    },
  })
  const typed = type('select 1; slow; select 2; select')
  await shell.stderr.until('25 %')
  shell.interrupt()
  await typed
  await type('select 3;')
  t.strictSame(statements(), ['select 1', 'slow', 'select 3'])
})

/** Answers SET as a coordinator does, and everything else with a row. */
const withSettings = (call: FakeCall): void | Promise<void> => {
  const [, name, value] = /^set (\w+) = (\w+)$/.exec(call.sql) ?? []
  if (name === undefined || value === undefined) return call.answer(numbersAnswer(1, 1))
  const { session } = call.statement
  const settings = { ...session.settings, [name]: value }
  return call.answer({ command: 'SET', session: { ...session, settings } })
}

t.test('text is cut and filled in as the dialect of the session reads it', async (t) => {
  const { home, type, statements } = await sitDown(t, { onStatement: withSettings })
  await type("select '\\'; set sql_dialect = impala; select 'it\\'s;';")
  await type('select "a', "    '> ")
  await type('b";')
  await type('\\set x 1')
  await type('select "\\":x", :x;')
  await type('\\dt a\\')
  const file = join(home, 'a.sql')
  await writeFile(file, "select ';\\';'; set sql_dialect = ansi; select '\\'; select 2")
  await type(`\\i ${file}`)
  t.strictSame(statements(), [
    "select '\\'",
    'set sql_dialect = impala',
    "select 'it\\'s;'",
    'select "a\nb"',
    'select "\\":x", 1',
    "SHOW TABLES LIKE 'a\\\\'",
    "select ';\\';'",
    'set sql_dialect = ansi',
    "select '\\'",
    'select 2',
  ])
})

t.test('variables are put in for their names', async (t) => {
  const { type, statements } = await sitDown(t)
  await type('\\set day 1998-09-02')
  t.match(await type('\\set'), /day = 1998-09-02/)
  await type("select ':day', :day, x::day;")
  t.strictSame(statements(), ["select ':day', 1998-09-02, x::day"])
  t.equal(interpolate('"a:b" :b -- :b', new Map([['b', '1']]), 'ansi'), '"a:b" 1 -- :b')
})

t.test('the cluster is shown, and a query killed', async (t) => {
  const { fake, type } = await sitDown(t, {
    onRequest: (request) => (request.kind === 'status' ? STATUS : { canceled: true }),
  })
  t.match(await type('\\nodes'), /c1 {2}coordinator {2}127.0.0.1:7701/)
  t.match(await type('\\leader'), /c1 {6}7 {6}127.0.0.1:7701 {2}alive/)
  t.match(await type('\\queries'), /q1{24} {2}c1 .* running {2}1.2 s .* 1\/2 .* select slow/)
  await type(`\\kill q${'1'.repeat(24)}`)
  t.equal(fake.receivedOf('cancelQuery')[0]?.queryId, `q${'1'.repeat(24)}`)
})

t.test('profile; and summary; are of the last query', async (t) => {
  const profile = {
    reason: 'one fragment',
    planMs: 1.5,
    stages: [
      {
        fragment: 0,
        tasks: [
          {
            task: 0,
            attempt: 1,
            executor: 'e2',
            elapsedMs: 12,
            cpuMs: 10.25,
            rows: 1234567,
            peakMemoryBytes: 1000,
            spillBytes: 0,
          },
        ],
      },
    ],
  }
  const { fake, shell, type } = await sitDown(t, { onRequest: () => profile })
  await type('profile;')
  t.match(shell.stderr.text, /no query has run yet/)
  await type('select 1;')
  t.match(await type('profile;'), /"reason": "one fragment"/)
  const summary = await type('summary;')
  t.match(summary, /planned in 1.5 ms: one fragment\nstage +task +attempt/)
  t.match(summary, /0 +0 +1 +e2 +12.0 ms +10.3 ms +1.23M +1.00kB +0B/)
  t.match(fake.receivedOf('profile')[0]?.queryId, /^q/)
  t.equal(summaryText([1]), '[\n  1\n]\n', 'a profile of another form is shown as it is')
})

t.test('Tab asks the coordinator, and falls back on keywords', async (t) => {
  const { fake, shell, statements, type } = await sitDown(t, {
    onRequest(request) {
      if (request.kind !== 'complete') return null
      if (request.sql.endsWith('o'))
        return { start: request.offset - 1, items: [{ text: 'orders', kind: 'table' }] }
      throw new SqlError('internal_error', 'no completion')
    },
  })
  shell.stdin.write('select * from o\t')
  await shell.stdout.until('orders')
  await type(';')
  shell.stdin.write('descr\t')
  await shell.stdout.until('describe')
  await type(' t;')
  shell.stdin.write('\\tim\t')
  await shell.stdout.until('\\timing')
  await type('')
  t.strictSame(statements(), ['select * from orders', 'describe t'])
  t.match(fake.receivedOf('complete')[0], { sql: 'select * from o', offset: 15 })
})

t.test('history is kept in a file of its owner, and listed', async (t) => {
  const { home, shell, ended, type } = await sitDown(t)
  await type('select 1;')
  t.match(await type('history;'), /\[1\]: select 1;\n\[2\]: history;/)
  shell.stdin.write(CTRL.d)
  await ended
  t.equal(await readFile(join(home, '.nyala_history'), 'utf8'), 'select 1;\nhistory;\n')
})

t.test('the history file is bounded, and what is wrong with it is said once', async (t) => {
  const dir = await mkdtemp(join(tmpdir(), 'nyala-history-'))
  t.teardown(() => rm(dir, { recursive: true }))
  const path = join(dir, 'history')
  const lines = Array.from({ length: HISTORY_LINES_MAX * 2 + 1 }, (_, i) => `line ${i}`)
  await writeFile(path, lines.join('\n'))
  const problems: string[] = []
  const history = new HistoryFile(path, (problem) => problems.push(problem))
  t.strictSame(await history.load(), lines.slice(-HISTORY_LINES_MAX))
  history.add('one more')
  history.add('  ')
  await history.flushed()
  t.equal((await readFile(path, 'utf8')).trimEnd().split('\n').length, HISTORY_LINES_MAX + 1)
  t.strictSame(problems, [])
  const unwritable = new HistoryFile(join(dir, 'none', 'history'), (problem) =>
    problems.push(problem),
  )
  t.strictSame(await unwritable.load(), [])
  unwritable.add('x')
  await unwritable.flushed()
  t.match(problems, [/cannot write history/])
})

t.test('\\e takes what the editor saved', async (t) => {
  const fake = await FakeCoordinator.start({ onStatement: (call) => call.answer({}) })
  t.teardown(() => fake.close())
  const home = await mkdtemp(join(tmpdir(), 'nyala-home-'))
  t.teardown(() => rm(home, { recursive: true }))
  const editor = join(home, 'editor.sh')
  await writeFile(editor, '#!/bin/sh\necho "select 42;" > "$1"\n', { mode: 0o755 })
  const shell = new FakeShell({
    home,
    terminal: true,
    environment: { NYALA_URL: fake.url, EDITOR: editor },
  })
  const ended = runCommand(['sql'], shell.io)
  await shell.stdout.until('nyala> ')
  shell.stdin.write('\\e\n')
  while (fake.receivedOf('statement').length === 0) await shell.io.clock.sleep(5)
  t.equal(fake.receivedOf('statement')[0]?.sql, 'select 42')
  shell.stdin.end()
  await ended
})

t.test('\\copy writes a file on this machine and says how many rows', async (t) => {
  const { home, type, shell, statements } = await sitDown(t)
  const file = join(home, 'rows.csv')
  t.match(await type(`\\copy (select ';' as x) to '${file}' csv header`), /^COPY 1$/m)
  t.match(await readFile(file, 'utf8'), /^n,text\n0,row 0\n$/)
  t.strictSame(statements(), ["select ';' as x"])
  await type('\\copy t from nowhere.csv.gz')
  await shell.stderr.until('\\copy: it is not said what is in the file')
})

t.test('command lines are read as written', async (t) => {
  t.strictSame(parseMeta("\\i 'a b.sql' ;"), {
    ...{ name: '\\i', words: ['a b.sql'], line: "\\i 'a b.sql' ;" },
  })
  t.strictSame(parseMeta('\\d sales."my table"'), {
    ...{ name: '\\d', words: ['sales."my table"'], line: '\\d sales."my table"' },
  })
  t.match(parseMeta('\\zzz'), /is not a command/)
  t.strictSame(parseWordCommand(' Profile ; '), { name: 'profile' })
  t.strictSame(parseWordCommand('connect h:1;'), { name: 'connect', target: 'h:1' })
  t.equal(parseWordCommand('profile x'), undefined)
  t.equal(parseWordCommand('toString'), undefined)
})
