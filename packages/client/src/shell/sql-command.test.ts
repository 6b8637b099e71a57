import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { positionAt, SqlError } from '../protocol/errors.ts'
import { type FakeCall, FakeCoordinator } from '../testing/fake-coordinator.ts'
import { FakeShell } from '../testing/fake-shell.ts'
import { numbers, run } from '../testing/run-program.ts'
import { numbersAnswer } from '../testing/sample-results.ts'
import { runCommand } from './commands.ts'

t.test('several statements run in one session, in order', async (t) => {
  const { code, out, sent } = await run(
    t,
    ['sql', '-e', "use sales; select ';'", '-e', 'select 3', '--format', 'jsonl'],
    (call) =>
      call.sql.startsWith('use')
        ? call.answer({ command: 'USE', session: { ...call.statement.session, database: 'sales' } })
        : call.answer(numbersAnswer(1, 1)),
  )
  t.equal(code, 0)
  t.strictSame(
    sent.map(({ sql, session }) => [sql, session.database]),
    [
      ['use sales', 'default'],
      ["select ';'", 'sales'],
      ['select 3', 'sales'],
    ],
  )
  t.equal(out.split('\n').length, 3)
})

t.test(
  'statements come from a file, from standard input, or from a pipe without options',
  async (t) => {
    const dir = await mkdtemp(join(tmpdir(), 'nyala-sql-'))
    t.teardown(() => rm(dir, { recursive: true }))
    const file = join(dir, 'a.sql')
    await writeFile(file, '-- comment\nselect 1;\nselect 2')
    const fromFile = await run(t, ['sql', '-f', file], numbers(0))
    t.strictSame(
      fromFile.sent.map(({ sql }) => sql),
      ['-- comment\nselect 1', 'select 2'],
    )
    const fromDash = await run(t, ['sql', '-f', '-'], numbers(0), { input: 'select 3' })
    t.strictSame(
      fromDash.sent.map(({ sql }) => sql),
      ['select 3'],
    )
    const fromPipe = await run(t, ['sql'], numbers(0), { input: 'select 4;' })
    t.strictSame(
      fromPipe.sent.map(({ sql }) => sql),
      ['select 4'],
    )
    const missing = await run(t, ['sql', '-f', join(dir, 'no.sql')], numbers(0))
    t.equal(missing.code, 3)
    t.match(missing.err, /cannot read ".*no.sql"/)
  },
)

t.test(
  'profile and summary are of the statement before them, also without a terminal',
  async (t) => {
    const stages = [{ fragment: 3, tasks: [{ task: 7, executor: 'e2', rows: 5, elapsedMs: 1.5 }] }]
    const profile = { reason: 'one fragment', planMs: 2, stages }
    const fake = await FakeCoordinator.start({ onStatement: numbers(1), onRequest: () => profile })
    t.teardown(() => fake.close())
    const shell = new FakeShell({ environment: { NYALA_URL: fake.url } })
    const code = await runCommand(['sql', '-e', 'select 1; Profile', '-e', 'summary;'], shell.io)
    t.equal(code, 0)
    const [, , ...rest] = shell.stdout.text.split('\n')
    t.match(
      rest.join('\n'),
      /^\{\n {2}"reason": "one fragment",[^]*\}\nplanned in 2.0 ms: one fragment\nstage +task/,
    )
    t.equal(fake.receivedOf('statement').length, 1, 'they are no statements')
    const alone = await run(t, ['sql', '-e', 'profile', '-e', 'select 1'], numbers(1))
    t.equal(alone.code, 1)
    t.match(alone.err, /^ERROR 42704: no query has run yet\nHINT: run a query/)
    t.equal(alone.sent.length, 0, 'a failure ends the run')
  },
)

const refuse = (call: FakeCall): void => {
  call.accept()
  throw new SqlError('undefined_column', 'column "foo" does not exist', {
    position: positionAt(call.sql, call.sql.indexOf('foo')),
    hint: 'perhaps you meant "bar"',
    detail: 'more',
    queryId: call.queryId,
    coordinator: 'c1',
  })
}

t.test('an error shows its place in the statement and ends the run with 1', async (t) => {
  const { code, out, err, sent } = await run(
    t,
    ['sql', '-e', 'select 1,\n\t foo from t; select 2'],
    refuse,
  )
  t.equal(code, 1)
  t.equal(out, '')
  t.match(
    err,
    /^ERROR 42703: column "foo" does not exist\nLINE 2: {3}foo from t\n {10}\^\nDETAIL: more\nHINT: perhaps you meant "bar"\nquery q[0-9a-f]{24} on c1\n$/,
  )
  t.equal(sent.length, 1, 'what follows is not run')
})

t.test('with --continue-on-error what follows is run, and the code still tells', async (t) => {
  const { code, out, sent } = await run(
    t,
    ['sql', '-c', '-e', 'select foo; select 2', '--format', 'jsonl'],
    (call) => (call.sql.includes('foo') ? refuse(call) : call.answer(numbersAnswer(1, 1))),
  )
  t.equal(code, 1)
  t.equal(sent.length, 2)
  t.equal(out, '{"n":0,"text":"row 0"}\n')
})

t.test('errors as JSON have all that the error has', async (t) => {
  const { err } = await run(t, ['sql', '--json-errors', '-e', 'select foo'], refuse)
  t.match(JSON.parse(err), {
    code: '42703',
    error: 'undefined_column',
    category: 'user',
    retryable: false,
    message: 'column "foo" does not exist',
    hint: 'perhaps you meant "bar"',
    position: { line: 1, column: 8, offset: 7 },
  })
})

t.test('a long line is shown around the error only', async (t) => {
  const sql = `select ${'a, '.repeat(200)}foo${', b'.repeat(200)}`
  const { err } = await run(t, ['sql', '-e', sql], refuse)
  const [, line = '', caret = ''] = err.split('\n')
  t.ok(line.length < 130)
  t.equal(line.slice(caret.length - 1, caret.length + 2), 'foo')
})

t.test('exit codes tell what went wrong', async (t) => {
  const nowhere = new FakeShell()
  t.equal(
    await runCommand(['sql', '--url', 'nyala://127.0.0.1:1', '-e', 'select 1'], nowhere.io),
    2,
  )
  t.match(nowhere.stderr.text, /ERROR 08006: cannot connect to 127.0.0.1:1/)
  const unknown = await run(t, ['sql', '-e', 'alter table t rename to u'], (call) => {
    call.accept()
    call.coordinator.cutClients()
  })
  t.equal(unknown.code, 4)
  for (const args of [
    [],
    ['dance'],
    ['sql', '--dance'],
    ['sql', 'select 1'],
    ['sql', '--format', 'xml', '-e', 'x'],
    ['sql', '--set', 'x', '-e', 'x'],
    ['sql', '--url', 'http://x', '-e', 'x'],
    ['sql', '--dir', '/nowhere', '-e', 'x'],
    ['sql', '-f', '/nowhere/x.sql'],
    ['status', '--dance'],
  ]) {
    const shell = new FakeShell()
    shell.stdin.end()
    t.equal(await runCommand(args, shell.io), 3, args.join(' '))
    t.match(shell.stderr.text, /nyala/)
  }
})

t.test('results that cannot be written are an error', async (t) => {
  const nowhere = await run(t, ['sql', '-e', 'select 1', '-o', '/nowhere/x'], numbers(1))
  t.equal(nowhere.code, 3)
  t.match(nowhere.err, /cannot write "\/nowhere\/x"/)
  const full = await run(t, ['sql', '-e', 'select 1', '-o', '/dev/full'], numbers(1))
  t.equal(full.code, 1)
  t.match(full.err, /ERROR 58030: cannot write results: ENOSPC/)
})

t.test('Ctrl-C cancels the statement and ends the run with 130', async (t) => {
  const fake = await FakeCoordinator.start({
    async onStatement(call) {
      call.accept()
      await call.untilStopped()
    },
  })
  t.teardown(() => fake.close())
  const shell = new FakeShell()
  const args = ['sql', '-c', '--url', fake.url, '-e', 'select 1; select 2']
  const running = runCommand(args, shell.io)
  while (fake.receivedOf('statement').length === 0) await shell.io.clock.sleep(5)
  shell.interrupt()
  t.equal(await running, 130)
  t.equal(fake.receivedOf('statement').length, 1, 'nothing follows, not even with -c')
  t.match(shell.stderr.text, /57014/)
})

t.test(
  'a reader that goes away, as head does, ends the run well and stops the query',
  async (t) => {
    const fake = await FakeCoordinator.start({
      onStatement: (call) => call.answer(numbersAnswer(40_000, 2_000, '.'.repeat(600))),
    })
    t.teardown(() => fake.close())
    const program = new URL('../../bin/nyala.js', import.meta.url).pathname
    const child = spawn(process.execPath, [program, 'sql', '--url', fake.url, '-e', 'select 1'], {
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    let complaints = ''
    child.stderr.on('data', (text: Buffer) => (complaints += text.toString()))
    await once(child.stdout, 'data')
    child.stdout.destroy()
    const [code] = (await once(child, 'exit')) as [number]
    t.equal(code, 0)
    t.equal(complaints, '')
  },
)

t.test('the program runs as a process, with its exit code', async (t) => {
  const fake = await FakeCoordinator.start({ onStatement: numbers(2) })
  t.teardown(() => fake.close())
  const program = new URL('../../bin/nyala.js', import.meta.url).pathname
  const child = spawn(process.execPath, [program, 'sql', '-e', 'select 1', '--format', 'jsonl'], {
    stdio: ['ignore', 'pipe', 'inherit'],
    env: { ...process.env, NYALA_URL: fake.url },
  })
  let out = ''
  child.stdout.on('data', (text: Buffer) => (out += text.toString()))
  const [code] = (await once(child, 'close')) as [number]
  t.equal(code, 0)
  t.equal(out, '{"n":0,"text":"row 0"}\n{"n":1,"text":"row 1"}\n')
})

t.test('the session takes its database and settings from the options', async (t) => {
  const { sent } = await run(
    t,
    ['sql', '-d', 'sales', '--set', 'mem_limit=2GB', '--set', 'a=b=c', '-e', 'select 1'],
    numbers(0),
  )
  t.match(sent[0]?.session, { database: 'sales', settings: { mem_limit: '2GB', a: 'b=c' } })
})

t.test('notices, times and progress go to standard error', async (t) => {
  const { out, err } = await run(
    t,
    ['sql', '--timing', '--progress', '--format', 'table', '-e', 'create x'],
    (call) => {
      call.accept()
      call.progress(1, 4)
      return call.answer({ command: 'CREATE TABLE', notices: ['it is slow'] })
    },
  )
  t.equal(out, 'CREATE TABLE\n')
  t.match(
    err,
    /0:01 ▕█████░+▏ 25 % running {2}1.00k rows · 1.00k rows\/s · 1.00MB\/s · tasks 1\/4 \(1 running\) · 3 executors\n/,
  )
  t.match(err, /NOTICE: it is slow\nTime: \d+\.\d ms\n/)
})

t.test('the cluster of a directory is found by its cluster.json', async (t) => {
  const fake = await FakeCoordinator.start({ onStatement: numbers(1) })
  t.teardown(() => fake.close())
  const dir = await mkdtemp(join(tmpdir(), 'nyala-dir-'))
  t.teardown(() => rm(dir, { recursive: true }))
  await mkdir(join(dir, 'c'))
  await writeFile(join(dir, 'c', 'cluster.json'), JSON.stringify({ url: fake.url, pid: 1 }))
  const shell = new FakeShell({ environment: { NYALA_URL: 'nyala://127.0.0.1:1' } })
  t.equal(await runCommand(['sql', '--dir', join(dir, 'c'), '-e', 'select 1'], shell.io), 0)
  await writeFile(join(dir, 'c', 'cluster.json'), '{}')
  t.equal(await runCommand(['sql', '--dir', join(dir, 'c'), '-e', 'select 1'], shell.io), 3)
  t.match(shell.stderr.text, /names no url/)
})

t.test('help and version', async (t) => {
  const shell = new FakeShell()
  t.equal(await runCommand(['help'], shell.io), 0)
  t.match(shell.stdout.text, /sql {6}run statements/)
  t.match(shell.stdout.text, /drill/)
  t.equal(await runCommand(['--version'], shell.io), 0)
  t.match(shell.stdout.text, /nyala \d+\.\d+\.\d+\n/)
  t.equal(await runCommand(['sql', '--help'], shell.io), 0)
  t.match(shell.stdout.text, /--continue-on-error/)
})

t.test(
  'status as JSON is what the coordinator said, and as text what people ask for',
  async (t) => {
    const status = {
      cluster: 'fake',
      leader: 'c1',
      epoch: 7,
      members: [
        {
          id: 'c1',
          role: 'coordinator',
          address: '127.0.0.1:7701',
          host: 'vm/boot',
          pid: 12,
          incarnation: 5,
          state: 'alive',
          load: { queriesRunning: 1 },
        },
        {
          id: 'e1',
          role: 'executor',
          address: '127.0.0.1:7721',
          host: 'vm/boot',
          pid: 13,
          incarnation: 6,
          state: 'suspect',
          load: {},
        },
      ],
      etcd: [
        {
          id: 'm1',
          address: '127.0.0.1:2379',
          pid: null,
          leader: true,
          healthy: true,
          alarms: ['NOSPACE'],
        },
      ],
      queries: [],
      transactions: [],
    }
    const fake = await FakeCoordinator.start({ onRequest: () => status })
    t.teardown(() => fake.close())
    const json = new FakeShell()
    t.equal(await runCommand(['status', '--json', '--url', fake.url], json.io), 1)
    t.strictSame(JSON.parse(json.stdout.text), status)
    const text = new FakeShell()
    t.equal(await runCommand(['status', '--url', fake.url], text.io), 1, 'it is not healthy')
    t.match(
      text.stdout.text,
      /cluster fake {3}leader c1 {3}epoch 7 {3}e1 suspect, etcd alarm NOSPACE\n/,
    )
    t.match(text.stdout.text, /c1 {2}coordinator {2}127.0.0.1:7701 {2}vm {4}12 {3}5/)
  },
)

t.test('a SET in a file changes how the statements after it are found', async (t) => {
  const answer = (call: FakeCall): Promise<void> => {
    const dialect = /^set sql_dialect = (\w+)$/.exec(call.sql)?.[1]
    if (dialect === undefined) return call.answer(numbersAnswer(0, 1))
    const { session } = call.statement
    const settings = { ...session.settings, sql_dialect: dialect }
    return call.answer({ command: 'SET', session: { ...session, settings } })
  }
  const input = `select '\\'; set sql_dialect = impala; select 'it\\'s;'; set sql_dialect = ansi; select '\\'; x`
  const file = await run(t, ['sql', '-f', '-'], answer, { input })
  t.equal(file.code, 0)
  t.strictSame(
    file.sent.map(({ sql }) => sql),
    [
      "select '\\'",
      'set sql_dialect = impala',
      "select 'it\\'s;'",
      'set sql_dialect = ansi',
      "select '\\'",
      'x',
    ],
  )
  const option = await run(
    t,
    ['sql', '--set', 'SQL_DIALECT=Impala', '-e', 'select "a\\";b"; x'],
    answer,
  )
  t.strictSame(
    option.sent.map(({ sql }) => sql),
    ['select "a\\";b"', 'x'],
  )
})

t.test('a write whose outcome is unknown can be asked for again by its id', async (t) => {
  const ended = { error: 'commit_outcome_unknown', message: 'etcd did not answer' } as const
  const args = ['sql', '--statement-id', 'my-insert-1', '-e', 'insert into t values (1);']
  const unknown = await run(t, args, (call) => call.fail(ended))
  t.equal(unknown.code, 4)
  t.match(unknown.err, /^ERROR 40003: etcd did not answer\n/)
  t.match(unknown.err, /the same text with --statement-id my-insert-1 tells what became of it/)
  t.strictSame(
    new Set(unknown.sent.map(({ statementId }) => statementId)),
    new Set(['my-insert-1']),
  )
  const json = await run(t, [...args, '--json-errors'], (call) => call.fail(ended))
  t.match(JSON.parse(json.err), { code: '40003', statementId: 'my-insert-1' })
  const two = await run(t, [...args, '-e', 'select 1'], numbers(0))
  t.match(two, { code: 3, err: /--statement-id is the id of one statement, and there are 2/ })
  t.strictSame(two.sent, [])
})
