import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createReadStream, createWriteStream, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { openWorld, pidOf, until, type World } from './world.ts'

const REPOSITORY = fileURLToPath(new URL('../../../', import.meta.url))
const NYALA = join(REPOSITORY, 'packages/client/bin/nyala.js')
const SQL = 'SELECT id, copy, hash(id, copy) AS noise FROM events, range(6) r(copy)'

/** The recording at the top of the README: nothing but the title and two lines come before it. */
const recorded = (): string => {
  const text = readFileSync(join(REPOSITORY, 'README.md'), 'utf8')
  const opening = /^# Nyala\n\n(?:[^#\n].*\n){1,4}\n<!-- recording -->\n+```\n([\s\S]*?)```/
  const [, block] = opening.exec(text) ?? []
  if (block === undefined) throw new Error('the README does not open with a recording')
  return block
}

/**
 * Ports, pids, epochs and the row at which it happened are others each time, and so is who leads: but who was killed is
 * who led, and who goes on and who leads then are others.
 */
const normal = (text: string): string => {
  const [, killed] = /leader (c\d)/.exec(text) ?? []
  return text
    .replace(/\bc\d\b/g, (id) => (id === killed ? 'KILLED' : 'OTHER'))
    .replace(/127\.0\.0\.1:\d+/g, 'HOST:PORT')
    .replace(/kill -9 \d+/g, 'kill -9 PID')
    .replace(/\b(epoch|row) \d+/g, '$1 N')
}

t.test('a recording that says anything else would be noticed', async (t) => {
  const text = recorded()
  const [, killed = ''] = /leader (c\d)/.exec(text) ?? []
  const others: readonly string[] = [
    text.replace('2400001', '2400000'),
    text.replace(`${killed} was lost, going on`, `${killed} was lost, beginning again`),
    text.replace(/going on with c\d/, `going on with ${killed}`),
    text.replace(/leader c\d(?=[^]*$)(?![^]*leader)/, `leader ${killed}`),
    text.replace('$ kill', '$ sleep 5\n$ kill'),
    text.replace(/healthy\n$/, 'degraded\n'),
  ]
  for (const other of others) t.not(normal(other), normal(text), 'it was altered')
})

t.test(
  'a query goes on when the leader that serves it is killed, as the README shows',
  async (t) => {
    const world = await openWorld({ coordinators: 3, executors: 2 })
    t.teardown(() => world[Symbol.asyncDispose]())
    const lines: string[] = []
    const show = (line: string): void => void lines.push(line)
    const firstLine = async (): Promise<string> => (await textOf(nyala(world, ['status'])))[0] ?? ''

    show('$ nyala status | head -1')
    const before = await firstLine()
    show(before)
    const leader = /leader (\S+)/.exec(before)?.[1] ?? ''
    const { address = '' } = world.cluster.processes.find(({ id }) => id === leader) ?? {}
    const url = `nyala://${address}`
    show(`$ nyala sql --url ${url} --progress --format csv -e '${SQL}' > rows.csv &`)
    const args = ['sql', '--url', url, '--progress', '--format', 'csv', '-e', SQL]
    const shell = nyala(world, args)
    const path = join(world.dir, 'rows.csv')
    shell.stdout?.pipe(createWriteStream(path))
    const notes = textOf(shell, 'stderr')
    await until('the first rows are there', () => sizeOf(path) > 0)
    const pid = pidOf(world.cluster, leader)
    show(`$ kill -9 ${pid}`)
    process.kill(pid, 'SIGKILL')
    // A terminal wipes what is said of progress; what else was said stays.
    for (const line of await notes) if (!line.includes('▕')) show(line)
    t.equal(shell.exitCode, 0)
    show('$ wc -l < rows.csv')
    show(String(await linesOf(path)))
    show('$ nyala status | head -1')
    await until('all is well again', async () => (await firstLine()).endsWith('healthy'))
    show(await firstLine())
    t.equal(normal(lines.join('\n') + '\n'), normal(recorded()))
  },
)

function nyala(world: World, args: readonly string[]): ChildProcess {
  const env = { ...process.env, NYALA_URL: world.cluster.url }
  return spawn(process.execPath, [NYALA, ...args], { env, stdio: ['ignore', 'pipe', 'pipe'] })
}

/** All lines that a process says, when it has ended. */
async function textOf(
  child: ChildProcess,
  from: 'stdout' | 'stderr' = 'stdout',
): Promise<readonly string[]> {
  let text = ''
  child[from]?.setEncoding('utf8').on('data', (piece: string) => (text += piece))
  await once(child, 'close')
  return text.split('\n').filter((line) => line !== '')
}

const sizeOf = (path: string): number => statSync(path, { throwIfNoEntry: false })?.size ?? 0

async function linesOf(path: string): Promise<number> {
  let lines = 0
  for await (const piece of createReadStream(path) as AsyncIterable<Buffer>) {
    for (const byte of piece) if (byte === 10) lines++
  }
  return lines
}
