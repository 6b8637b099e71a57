import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, readdir, readFile, rm, symlink, truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { systemClock as clock } from '@nyala/client/base'
import { chainCrc, crc32, decodeFrame, type Frame, rowsOf } from '@nyala/client/wire'
import t from 'tap'
import type { ResultSoFar } from '../protocol/fragment.ts'
import { KernelWorld } from '../testing/kernel-world.ts'
import { tableOf, temporaryDirectory } from '../testing/world.ts'
import { CANCEL_GRACE_MS } from './kernel-handle.ts'

/** Runs until it is interrupted. */
const ENDLESS = 'SELECT sum(sqrt(i) * sin(i)) FROM range(1000000000000) t(i)'
/** One call of one function, which looks at no interrupt. */
const DEAF = "SELECT levenshtein(repeat('a', 400000), repeat('b', 400000))"

/** True when the process exists. */
function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0)
  } catch {
    return false
  }
}

t.test('an error in mid-stream ends the task with the message of the kernel', async (t) => {
  await using world = await KernelWorld.start()
  const outcome = await world.run(
    "SELECT CASE WHEN i = 2000000 THEN CAST('x' AS INTEGER) ELSE i END FROM range(3000000) t(i)",
  )
  t.equal(outcome.result, undefined)
  t.ok(outcome.frames.length > 1, 'frames were sent before')
  t.match(outcome.error, {
    error: 'invalid_text_representation',
    message: "could not convert string 'x' to INT32",
  })
})

t.test('first rows come before the query has ended', async (t) => {
  await using world = await KernelWorld.start()
  // Each row takes its time, and all of them together hours.
  const slow = "levenshtein(repeat('a', 100), repeat('b', 100 + (i % 2)::INTEGER))"
  const run = world.start(`SELECT i, ${slow} FROM range(1000000000) t(i)`)
  await run.framesReach(3)
  run.task.cancel()
  const { error } = await run.outcome
  t.match(error, { error: 'query_canceled' })
})

t.test(
  'a result is gone on with after frames that another attempt has sent, and no others',
  async (t) => {
    await using world = await KernelWorld.start()
    const after = (frames: readonly Buffer[], rowsFirst = 0): ResultSoFar => {
      const own = frames.map((frame) => decodeFrame(frame) as Frame)
      const frameRows = own.slice(1).map((frame, i) => rowsOf(frame) + (i === 0 ? rowsFirst : 0))
      const crc = own.slice(1).reduce((chain, frame) => chainCrc(crc32, chain, frame.crc), 0)
      return { frames: frames.length, crc, frameRows }
    }
    const again = (sql: string, known: ResultSoFar) =>
      world.run(sql, {
        output: { kind: 'result', creditBytes: 1_000_000_000, small: false, after: known },
      })
    const sql = 'SELECT i, i::VARCHAR AS s FROM range(1000000) t(i)'
    const whole = await world.run(sql)
    t.ok(whole.frames.length > 4)
    const rest = await again(sql, after(whole.frames.slice(0, 3)))
    const rows = (frames: readonly Buffer[]): unknown =>
      tableOf([whole.frames[0] as Buffer, ...frames])
        .getChild('i')
        ?.toArray()
        .join()
    t.ok(rows(rest.frames) === rows(whole.frames.slice(3)), 'each row that is left, in order')
    t.match(rest.frames.map((frame) => (decodeFrame(frame) as Frame).sequence)[0], 3)
    t.equal(rest.result?.rows, 1_000_000)
    t.same((await again(sql, after(whole.frames))).frames, [], 'nothing was left')

    // Each row takes its time: frames end where the kernel was waited for.
    const slow = `SELECT i, levenshtein(repeat('a', 170), repeat('b', 170 + (i % 2)::INTEGER)) FROM range(10240) t(i)`
    const first = await world.run(slow, { threads: 1 })
    t.ok(first.frames.length > 2)
    const cut = await again(slow, after(first.frames.slice(0, -1)))
    t.equal(cut.error, undefined)
    t.equal(cut.result?.rows, 10_240)

    const other = await again(sql.replace('1000000', '900000'), after(whole.frames))
    t.match(other.error, { error: 'result_lost' }, 'rows are missing')
    const moved = await again(sql.replace('i, i', 'i + 1, i'), after(whole.frames.slice(0, 3)))
    t.match(moved.error, { error: 'result_lost' }, 'rows are others')
    t.same(moved.frames, [])
    const longer = await again(sql, after(whole.frames.slice(0, 3), 2048))
    t.match(longer.error, { error: 'result_lost' }, 'a frame ends elsewhere')
  },
)

t.test('a cancelled statement ends by itself, and its neighbours do not notice', async (t) => {
  await using world = await KernelWorld.start()
  const [pid] = world.kernels.pids
  const run = world.start(ENDLESS)
  const neighbour = world.start('SELECT count(*) FROM range(300000000) t(i) WHERE i % 3 = 0')
  await run.started
  run.task.cancel()
  t.match((await run.outcome).error, { error: 'query_canceled' })
  t.equal((await neighbour.outcome).error, undefined)
  t.equal(world.kernels.pids[0], pid)
})

t.test(
  'a statement that hears no interrupt is killed in time, and the spare goes on',
  async (t) => {
    await using world = await KernelWorld.start()
    const deaf = world.start(DEAF)
    const neighbour = world.start(ENDLESS)
    await Promise.all([deaf.started, neighbour.started])
    const [pid = 0] = world.kernels.pids
    const canceledAt = clock.now()
    deaf.task.cancel()
    t.match((await deaf.outcome).error, { error: 'query_canceled' })
    const elapsedMs = clock.now() - canceledAt
    t.ok(elapsedMs >= CANCEL_GRACE_MS - 5, `${elapsedMs} ms`)
    t.ok(elapsedMs < CANCEL_GRACE_MS + 2_000, `${elapsedMs} ms`)
    t.match(
      (await neighbour.outcome).error,
      { error: 'executor_lost', retryable: true },
      'it is not to blame for the death of the kernel',
    )
    t.not(world.kernels.pids[0], pid)
    t.equal((await world.table('SELECT 1 AS a')).numRows, 1)
  },
)

t.test(
  'a kernel that is killed fails its tasks, and the next task runs on the spare',
  async (t) => {
    await using world = await KernelWorld.start()
    await world.run('SELECT 1')
    const run = world.start(ENDLESS)
    await run.started
    const [pid = 0] = world.kernels.pids
    process.kill(pid, 'SIGKILL')
    const { error } = await run.outcome
    t.match(error, { error: 'kernel_crashed', message: /SIGKILL/ })
    t.equal((await world.table('SELECT 1 AS a')).numRows, 1)
    t.equal(world.kernels.deaths, 1)
  },
)

t.test('a task waits for a kernel that is still starting', async (t) => {
  await using world = await KernelWorld.start()
  // After one that dies while it starts the next one is started later.
  while (world.kernels.count < 2) await clock.sleep(5)
  const { pids } = world.kernels
  for (const pid of pids) process.kill(pid, 'SIGKILL')
  // A task that is given to one that is not known to be dead fails with it.
  while (world.kernels.deaths < pids.length) await clock.sleep(5)
  const { error } = await world.run('SELECT 1')
  t.equal(error, undefined)
})

t.test('without credit no frame comes, and a cancel ends the wait', async (t) => {
  await using world = await KernelWorld.start()
  const run = world.start('SELECT i FROM range(10000000) t(i)', {
    output: { kind: 'result', creditBytes: 100_000, small: false },
  })
  await run.framesReach(2)
  await run.started
  run.task.credit(1)
  // The kernel has time for others meanwhile.
  for (let i = 0; i < 3; i++) await world.table('SELECT count(*) FROM range(1000000)')
  const sent = await Promise.race([run.outcome, Promise.resolve(undefined)])
  t.equal(sent, undefined, 'it waits')
  run.task.cancel()
  const { error, frames } = await run.outcome
  t.match(error, { error: 'query_canceled' })
  const bytes = frames.slice(0, -1).reduce((sum, frame) => sum + frame.byteLength, 0)
  t.ok(bytes <= 100_001, `${bytes} bytes before the last frame`)
})

t.test('a result with more rows than it may have is stopped at the first too many', async (t) => {
  await using world = await KernelWorld.start()
  const output = { kind: 'result', creditBytes: Number.MAX_SAFE_INTEGER, small: false } as const
  const endless = 'SELECT a.i FROM range(1000000) a(i), range(1000000) b'
  const { error } = await world.run(endless, { output: { ...output, rowsLimit: 5_000 } })
  t.match(error, {
    error: 'configuration_limit_exceeded',
    message: 'the result has more than 5000 rows',
    hint: /max_rows/,
  })
  for (const small of [true, false]) {
    const run = (rowsLimit: number) =>
      world.run('SELECT i FROM range(10) t(i)', { output: { ...output, small, rowsLimit } })
    t.equal((await run(10)).error, undefined, 'as many as it may have')
    t.match((await run(9)).error, { error: 'configuration_limit_exceeded' })
  }
})

t.test('SQL reaches no file outside its directories and changes no setting', async (t) => {
  await using world = await KernelWorld.start()
  await symlink('/etc', join(world.directory, 'outside'))
  for (const sql of [
    "SELECT * FROM read_text('/etc/passwd')",
    `SELECT * FROM read_text('${world.data}/../outside/passwd')`,
    "COPY (SELECT 1) TO '/tmp/nyala-should-not-exist.parquet'",
    `COPY (SELECT 1) TO '${world.data}/x.parquet'`,
    'SET lock_configuration = false',
    "SET memory_limit = '100GB'",
    `ATTACH '${world.data}/x.db'`,
    'INSTALL httpfs',
    'CREATE TABLE x (a INTEGER)',
  ]) {
    t.match((await world.run(sql)).error, { error: 'insufficient_privilege' }, sql)
  }
  const { error } = await world.run('SELECT 1; SELECT 2')
  t.match(error, { error: 'feature_not_supported' })
  t.same(await readdir(world.data), [])
})

t.test(
  'SQL follows no link out of its directories, also one turned since it was read',
  async (t) => {
    await using world = await KernelWorld.start()
    const outside = join(world.directory, 'outside')
    await mkdir(outside)
    await mkdir(join(world.data, 'inside'))
    await writeFile(join(outside, 'a.txt'), 'secret')
    await writeFile(join(world.data, 'inside', 'a.txt'), 'known')
    const [file, directory] = [join(world.data, 'link.txt'), join(world.data, 'linked')]
    await symlink(join(world.data, 'inside', 'a.txt'), file)
    await symlink(join(world.data, 'inside'), directory)
    const read = (path: string): string => `SELECT content FROM read_text('${path}')`
    for (const path of [file, join(directory, 'a.txt')]) {
      t.equal((await world.table(read(path))).get(0)?.['content'], 'known')
    }
    await rm(file)
    await symlink(join(outside, 'a.txt'), file)
    await rm(directory)
    await symlink(outside, directory)
    for (const path of [file, join(directory, 'a.txt')]) {
      t.match((await world.run(read(path))).error, { error: 'insufficient_privilege' }, path)
    }
  },
)

t.test('errors of files name the file', async (t) => {
  await using world = await KernelWorld.start()
  const [empty, cut, none] = ['empty', 'cut', 'none'].map((name) =>
    join(world.data, `${name}.parquet`),
  )
  await writeFile(empty ?? '', '')
  const made = await world.run(
    'SELECT i FROM range(100000) t(i)',
    exchange(join(world.data, 'made')),
  )
  await writeFile(cut ?? '', await readFile(made.result?.files[0]?.path ?? ''))
  await truncate(cut ?? '', 1000)
  for (const [path, error] of [
    [empty, 'data_corrupted'],
    [cut, 'data_corrupted'],
    [none, 'undefined_file'],
  ]) {
    const outcome = await world.run(`SELECT * FROM read_parquet('${path}')`)
    t.match(outcome.error, { error, message: path }, String(path))
  }
})

const exchange = (directory: string, partitions = 1, keys: readonly string[] = []) =>
  ({ output: { kind: 'exchange', directory, partitions, keys } }) as const

t.test('errors have their own names', async (t) => {
  await using world = await KernelWorld.start()
  const expected: Readonly<Record<string, string>> = {
    "SELECT CAST('x' AS INTEGER)": 'invalid_text_representation',
    'SELECT CAST(300 AS TINYINT)': 'numeric_value_out_of_range',
    'SELECT 9223372036854775807 + i FROM range(1, 2) t(i)': 'numeric_value_out_of_range',
    'SELECT nope': 'undefined_column',
    'SELECT nope(1)': 'undefined_function',
    'SELECT * FROM nope': 'undefined_table',
    'SELECT a.x FROM (SELECT 1 AS x) a, (SELECT 2 AS x) b WHERE x = 1': 'ambiguous_column',
    'SELECT a, count(*) FROM (SELECT 1 AS a, 2 AS b) GROUP BY b': 'grouping_error',
    'SELECT 1 +': 'syntax_error',
    "SELECT error('own words')": 'data_exception',
    'SELECT (SELECT i FROM range(2) t(i))': 'cardinality_violation',
  }
  for (const [sql, error] of Object.entries(expected)) {
    const outcome = await world.run(sql)
    t.match(outcome.error, { error }, `${sql}: ${outcome.error?.message}`)
  }
})

t.test('memory and spill limits are errors of their own, and the kernel lives on', async (t) => {
  await using world = await KernelWorld.start({ spillLimitBytes: 10_000_000 })
  const limited = { memoryLimitBytes: 60 * 1024 * 1024 }
  const memory = await world.run('SELECT list(i) FROM range(100000000) t(i)', limited)
  t.match(memory.error, { error: 'out_of_memory', hint: /SET mem_limit/ })
  const spill = await world.run(
    'SELECT max(m) FROM (SELECT md5(i::VARCHAR) AS m, i FROM range(5000000) t(i) ORDER BY m, i OFFSET 1)',
    limited,
  )
  t.match(spill.error, { error: 'disk_full', hint: /--spill-limit/ })
  t.equal((await world.run('SELECT 1', limited)).error, undefined)
  t.equal(world.kernels.deaths, 0)
})

t.test('settings of a task hold for it alone', async (t) => {
  await using world = await KernelWorld.start()
  const sql = "SELECT current_setting('TimeZone') AS z"
  const zone = async (settings: Readonly<Record<string, string>>): Promise<unknown> =>
    (await world.table(sql, { settings })).get(0)?.toJSON()['z']
  t.equal(await zone({ TimeZone: 'Asia/Tokyo' }), 'Asia/Tokyo')
  t.equal(await zone({}), 'UTC')
  const nulls = 'SELECT x FROM (VALUES (1), (NULL)) v(x) ORDER BY x'
  const first = await world.table(nulls, { settings: { default_null_order: 'nulls_first' } })
  t.equal(first.get(0)?.toJSON()['x'], null)
  t.equal((await world.table(nulls)).get(0)?.toJSON()['x'], 1)
  const { error } = await world.run('SELECT 1', { settings: { memory_limit: '1TB' } })
  t.match(error, { error: 'invalid_parameter_value', message: /memory_limit/ })
})

t.test('a profile is the operator tree of the task', async (t) => {
  await using world = await KernelWorld.start()
  const made = join(world.data, 'made')
  for (const options of [{}, exchange(made)]) {
    const outcome = await world.run('SELECT count(*) AS n FROM range(1000000) t(i)', {
      ...options,
      profile: true,
    })
    t.equal(outcome.error, undefined)
    const profile = JSON.parse(outcome.result?.profile ?? 'null') as {
      children?: readonly unknown[]
    }
    t.match(JSON.stringify(profile), /AGGREGATE/)
    t.ok((profile.children?.length ?? 0) > 0)
  }
})

t.test('progress says how far a long task is', async (t) => {
  await using world = await KernelWorld.start()
  const made = await world.run(
    'SELECT i, hash(i) AS h FROM range(2000000) t(i)',
    exchange(join(world.data, 'made')),
  )
  const path = made.result?.files[0]?.path
  const outcome = await world.run(
    `SELECT count(*) FROM read_parquet('${path}') a JOIN range(60) b ON hash(a.h + b.range) % 3 = 0`,
    { threads: 1 },
  )
  t.equal(outcome.error, undefined)
  t.ok(outcome.progress.length > 0)
  t.ok(outcome.progress.some(({ fraction }) => fraction !== null))
  t.ok((outcome.result?.peakMemoryBytes ?? 0) > 0)
  t.ok((outcome.result?.cpuMs ?? 0) > 0)
})

t.test('an exchange publishes every row once, in the partition of its key', async (t) => {
  await using world = await KernelWorld.start()
  const largest = '170141183460469231731687303715884105727'
  const sql = `SELECT i, i % 100 AS k, ${largest} - i AS h, 'text' AS s FROM range(50000) t(i)`
  const outcome = await world.run(sql, exchange(join(world.data, 'q1'), 7, ['k']))
  const files = outcome.result?.files ?? []
  t.equal(
    files.reduce((sum, file) => sum + file.rows, 0),
    50_000,
  )
  for (const file of files) {
    const table = await world.table(`
      SELECT count(*) AS n, bool_and(hash(k) % 7 = ${file.partition}) AS right,
        bool_and(CAST(h AS HUGEINT) = ${largest} - i) AS whole
      FROM read_parquet('${file.path}')`)
    t.match(table.get(0)?.toJSON(), { n: BigInt(file.rows), right: true, whole: true })
  }
  const { columns } = await world.run(`SELECT * FROM read_parquet('${files[0]?.path}')`)
  t.same(
    columns.map((column) => column.name),
    ['i', 'k', 'h', 's'],
  )
})

t.test('an exchange without rows publishes nothing', async (t) => {
  await using world = await KernelWorld.start()
  for (const partitions of [1, 3]) {
    const directory = join(world.data, `empty-${partitions}`)
    const outcome = await world.run(
      'SELECT 1 AS a WHERE false',
      exchange(directory, partitions, ['a']),
    )
    t.equal(outcome.error, undefined)
    t.same(outcome.result?.files, [])
  }
})

t.test('an exchange whose columns are said has just those', async (t) => {
  await using world = await KernelWorld.start()
  const columns = [
    { name: 'k', type: 'BIGINT' },
    { name: 'total', type: 'HUGEINT' },
    { name: 'at', type: 'TIME WITH TIME ZONE' },
    { name: 'odd "name"', type: 'DECIMAL(9,2)' },
  ]
  const sql = `SELECT i % 3 AS k, sum(i) AS total, max(TIMETZ '10:00:00+02') AS at, 1.5::DECIMAL(9,2) AS "odd ""name"""
    FROM range(10) t(i) GROUP BY ALL -- the end`
  for (const partitions of [1, 4]) {
    const directory = join(world.data, `said${partitions}`)
    const { output } = exchange(directory, partitions, partitions > 1 ? ['k'] : [])
    const said = await world.run(sql, { output: { ...output, columns: [...columns] } })
    t.equal(said.error, undefined, String(said.error?.message))
    const found = await world.table(`
      SELECT DISTINCT typeof(k), typeof(total), typeof("at"), typeof("odd ""name"""), (sum(total::BIGINT) OVER ())::VARCHAR
      FROM read_parquet('${directory}/*.parquet')`)
    const cells = Array.from({ length: 5 }, (_, i): unknown => found.getChildAt(i)?.get(0))
    t.same(cells, ['BIGINT', 'VARCHAR', 'VARCHAR', 'DECIMAL(9,2)', '45'])
    for (const [text, error] of [
      ['SELECT 1 AS k; SELECT 2 AS k', 'insufficient_privilege'],
      ["SELECT 1) TO 'x'; COPY (SELECT 2", 'syntax_error'],
      ['CREATE TABLE x AS SELECT 1 AS k', 'syntax_error'],
      ['SELECT nope AS k', 'undefined_column'],
    ]) {
      const bad = { ...output, columns: columns.slice(0, 1) }
      t.match((await world.run(text ?? '', { output: bad })).error, { error }, String(text))
    }
  }
})

t.test('more partitions than files that may be open lose no row', async (t) => {
  await using world = await KernelWorld.start()
  const outcome = await world.run(
    'SELECT i FROM range(200000) t(i)',
    exchange(join(world.data, 'many'), 300, ['i']),
  )
  const files = outcome.result?.files ?? []
  t.equal(
    files.reduce((sum, file) => sum + file.rows, 0),
    200_000,
  )
  t.equal(new Set(files.map((file) => file.partition)).size, 300)
})

t.test('no kernel outlives the pipe to its executor', async (t) => {
  const world = await KernelWorld.start()
  const run = world.start(DEAF)
  await run.started
  const { pids } = world.kernels
  await world[Symbol.asyncDispose]()
  t.match((await run.outcome).error, { error: 'kernel_crashed' })
  while (pids.some(isAlive)) await clock.sleep(10)
  t.notOk(pids.some(isAlive))
})

t.test('kernels end with their executor, also where that is killed', async (t) => {
  const directory = await temporaryDirectory()
  const script = `
    import { KernelSet } from ${JSON.stringify(new URL('./kernel-set.js', import.meta.url).href)}
    import { silentLog as log, systemClock as clock } from '@nyala/client/base'
    const settings = { threads: 1, memoryLimitBytes: 1e9, spillDirectory: ${JSON.stringify(directory)},
      spillLimitBytes: 1e9, directories: [] }
    const kernels = new KernelSet({ settings, clock, log })
    await kernels.ready
    process.stdout.write(JSON.stringify(kernels.pids) + '\\n')`
  const executor = spawn(process.execPath, ['--input-type=module', '-e', script], {
    cwd: import.meta.dirname,
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const [line] = (await once(executor.stdout, 'data')) as [Buffer]
  const pids = JSON.parse(line.toString()) as readonly number[]
  t.ok(pids.length > 0 && pids.every(isAlive))
  executor.kill('SIGKILL')
  while (pids.some(isAlive)) await clock.sleep(10)
  t.notOk(pids.some(isAlive))
  await rm(directory, { recursive: true, force: true })
})

t.test('many tasks at once all end right', async (t) => {
  await using world = await KernelWorld.start()
  await mkdir(join(world.data, 'x'))
  const outcomes = await Promise.all(
    Array.from({ length: 60 }, (_, i) =>
      world.run(`SELECT sum(i) + ${i} AS s FROM range(100000) t(i)`),
    ),
  )
  outcomes.forEach((outcome, i) => {
    t.equal(tableOf(outcome.frames).get(0)?.toJSON()['s'], String(4999950000 + i))
  })
})
