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

/** The recording at the top of the README, with what differs from run to run taken out. */
const recorded = (): string => {
  const text = readFileSync(join(REPOSITORY, 'README.md'), 'utf8')
  const [, block] = /<!-- recording -->\n+```\n([\s\S]*?)```/.exec(text) ?? []
  if (block === undefined) throw new Error('the README has no recording')
  return normal(block)
}

/** Ids, ports, pids, epochs and the row at which it happened are others each time. */
const normal = (text: string): string =>
  text
    .replace(/\bc\d\b/g, 'cN')
    .replace(/127\.0\.0\.1:\d+/g, 'HOST:PORT')
    .replace(/kill -9 \d+/g, 'kill -9 PID')
    .replace(/\b(epoch|row) \d+/g, '$1 N')

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
    t.equal(normal(lines.join('\n') + '\n'), recorded())
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
