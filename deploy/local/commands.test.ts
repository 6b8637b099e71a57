import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { mkdir, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { systemClock } from '@nyala/client/base'
import t from 'tap'
import { runCommand } from './commands.ts'
import { readLayout } from './layout.ts'
import { isAlive } from './process-identity.ts'
import { readState, survivors } from './state-file.ts'
import { fakePrograms } from './testing/fake-programs.ts'
import { temporaryDirectory } from './testing/temporary-directory.ts'

const program = fileURLToPath(new URL('./testing/fake-launcher.js', import.meta.url))
const SMALL = ['--coordinators', '1', '--executors', '1', '--etcd', '1', '--no-fsync']
const UP = ['up', ...SMALL, '--port-base', '0']

interface Finished {
  readonly code: number | null
  readonly out: string
  readonly err: string
}

function launch(args: readonly string[], cwd: string): ChildProcess {
  return spawn(process.execPath, [program, ...args], { cwd, stdio: ['ignore', 'pipe', 'pipe'] })
}

async function finish(child: ChildProcess): Promise<Finished> {
  const text = { out: '', err: '' }
  child.stdout?.on('data', (chunk: Buffer) => (text.out += chunk.toString()))
  child.stderr?.on('data', (chunk: Buffer) => (text.err += chunk.toString()))
  const [code] = (await once(child, 'close')) as [number | null]
  return { code, ...text }
}

/** The same without a process of its own. */
async function runHere(args: readonly string[], directory: string): Promise<Finished> {
  const text = { out: '', err: '' }
  const code = await runCommand(args, {
    clock: systemClock,
    variables: process.env,
    directory,
    print: (line) => void (text.out += `${line}\n`),
    report: (line) => void (text.err += `${line}\n`),
    program,
    programs: fakePrograms,
  })
  return { code, ...text }
}

const nyala = (args: readonly string[], cwd: string): Promise<Finished> => finish(launch(args, cwd))

/** Ten programs and more are started, on machines that may have other work. */
t.setTimeout(120_000)

t.test('up --detach leaves a cluster that down stops', async (t) => {
  const dir = await temporaryDirectory(t)
  const up = await nyala([...UP, '--detach'], dir)
  t.match(up, { code: 0, out: /^nyala:\/\/127\.0\.0\.1:\d+\/default\n$/, err: '' })
  const state = await readState(join(dir, '.nyala'))
  t.equal(state?.url, up.out.trim())
  t.same(state?.roots, [dir, join(dir, '.nyala')])
  const again = await nyala([...UP, '--detach'], dir)
  t.match(again, { code: 3, out: '', err: /a cluster already runs in/ })

  const down = await nyala(['down'], dir)
  t.match(down, { code: 0, out: /stopped the cluster in ".*": 4 processes\n/ })
  t.same(state === undefined ? undefined : await survivors(state), [])
  t.ok(existsSync(join(dir, '.nyala', 'etcd')), 'the data stays')
  const twice = await nyala(['down', '--purge'], dir)
  t.match(twice, { code: 0, out: /no cluster runs in .*\ndiscarded the data/ })
  t.notOk(existsSync(join(dir, '.nyala')))
})

t.test('down ends what a killed supervisor left', async (t) => {
  const dir = await temporaryDirectory(t)
  await nyala([...UP, '--detach'], dir)
  const state = await readState(join(dir, '.nyala'))
  t.ok(state)
  if (state === undefined) return
  process.kill(state.supervisor.pid, 'SIGKILL')
  const down = await nyala(['down'], dir)
  t.equal(down.code, 0)
  t.same(await survivors(state), [])
  t.equal(await isAlive(state.supervisor), false)
  t.equal(await readState(join(dir, '.nyala')), undefined)
})

t.test('members end by themselves when their supervisor is killed', async (t) => {
  if (process.platform !== 'linux') {
    t.pass('only Linux can tell a process that its parent died')
    return
  }
  const dir = await temporaryDirectory(t)
  await nyala([...UP, '--detach'], dir)
  const state = await readState(join(dir, '.nyala'))
  t.ok(state)
  if (state === undefined) return
  process.kill(state.supervisor.pid, 'SIGKILL')
  const deadline = systemClock.now() + 60_000
  while ((await survivors(state)).length > 0 && systemClock.now() < deadline) {
    await systemClock.sleep(20)
  }
  t.same(await survivors(state), [])
  const up = await nyala([...UP, '--detach'], dir)
  t.equal(up.code, 0, 'the next cluster starts over the stale state')
  t.equal((await nyala(['down'], dir)).code, 0)
})

for (const [signal, code] of [
  ['SIGINT', 130],
  ['SIGTERM', 0],
] as const) {
  t.test(`in the foreground ${signal} stops the cluster with exit code ${code}`, async (t) => {
    const dir = await temporaryDirectory(t)
    const child = launch(UP, dir)
    const finished = finish(child)
    await once(child.stdout as NodeJS.ReadableStream, 'data')
    const state = await readState(join(dir, '.nyala'))
    t.equal(state?.processes.length, 3)
    child.kill(signal)
    t.match(await finished, { code, out: `${state?.url ?? ''}\n` })
    t.same(state === undefined ? undefined : await survivors(state), [])
    t.equal(await readState(join(dir, '.nyala')), undefined)
  })
}

t.test('wrong options are told with exit code 3', async (t) => {
  const dir = await temporaryDirectory(t)
  await writeFile(join(dir, 'file'), '')
  const wrong: readonly (readonly [readonly string[], RegExp])[] = [
    [['up', '--executors', '0'], /--executors is "0", expected a whole number from 1 to 20/],
    [['up', '--etcd', '2'], /--etcd is "2", expected 1 or 3/],
    [['up', '--memory', 'much'], /--memory is "much"/],
    [['up', '--root', 'nowhere'], /--root ".*nowhere" is not a directory/],
    [['up', '--root', 'file'], /--root ".*file" is not a directory/],
    [['up', '--port-base', '70000'], /--port-base is "70000"/],
    [['up', '--cluster', 'a/b'], /--cluster is "a\/b"/],
    [['up', '--quiet'], /'--quiet'[^]*usage: nyala up/],
    [['down', 'now'], /'now'[^]*usage: nyala down/],
    [['sideways'], /unknown command "sideways"/],
  ]
  for (const [args, message] of wrong) {
    t.match(await runHere(args, dir), { code: 3, out: '', err: message }, args.join(' '))
  }
})

t.test('of two that start in one directory at once one wins, and the other says why', async (t) => {
  const dir = await temporaryDirectory(t)
  t.teardown(() => nyala(['down'], dir))
  const both = await Promise.all([1, 2].map(() => nyala([...UP, '--detach'], dir)))
  const [won, lost] = both.toSorted((a, b) => Number(a.code) - Number(b.code))
  const state = await readState(join(dir, '.nyala'))
  t.match(won, { code: 0, out: `${state?.url ?? 'no state'}\n`, err: '' })
  t.match(lost, { code: 3, out: '', err: /(is just starting|already runs) in ".*\.nyala"/ })
  const layout = await readLayout(join(dir, '.nyala'))
  t.same(
    state?.etcd,
    layout?.etcd.map(({ port }) => `http://127.0.0.1:${port}`),
    'the layout is that of the cluster that runs',
  )
})

t.test('a supervisor goes on where its log cannot be written', async (t) => {
  if (!existsSync('/dev/full')) {
    t.pass('there is no device that is always full')
    return
  }
  const dir = await temporaryDirectory(t)
  await mkdir(join(dir, '.nyala', 'logs'), { recursive: true })
  await symlink('/dev/full', join(dir, '.nyala', 'logs', 'supervisor.log'))
  t.equal((await nyala([...UP, '--detach'], dir)).code, 0)
  t.teardown(() => nyala(['down'], dir))
  const find = async () =>
    (await readState(join(dir, '.nyala')))?.processes.find(({ id }) => id === 'e1')
  const before = await find()
  t.ok(before)
  process.kill(before?.pid ?? 0, 'SIGKILL')
  const deadline = systemClock.now() + 60_000
  const isBack = async (): Promise<boolean> => {
    const now = await find()
    return now !== undefined && now.pid !== before?.pid
  }
  while (!(await isBack()) && systemClock.now() < deadline) await systemClock.sleep(20)
  t.ok(await isBack(), 'it started the member again')
  t.equal((await nyala(['down'], dir)).code, 0)
})

t.test('down where nothing runs says so', async (t) => {
  const dir = await temporaryDirectory(t)
  t.match(await runHere(['down'], dir), { code: 0, out: `no cluster runs in "${dir}/.nyala"\n` })
  const purge = await runHere(['down', '--dir', '.', '--purge'], dir)
  t.match(purge, { code: 0, out: /holds no cluster's data/ })
  t.ok(existsSync(dir))
})
