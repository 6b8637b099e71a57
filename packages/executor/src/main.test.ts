import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { rm } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { temporaryDirectory } from './testing/world.ts'

const MAIN = fileURLToPath(new URL('./main.js', import.meta.url))

function start(args: readonly string[]): {
  readonly process: ChildProcess
  readonly said: () => string
} {
  const child = spawn(process.execPath, [MAIN, ...args], { stdio: ['ignore', 'ignore', 'pipe'] })
  let said = ''
  child.stderr?.on('data', (bytes: Buffer) => (said += bytes.toString()))
  return { process: child, said: () => said }
}

const complete = (directory: string): readonly string[] => [
  ...['--id', 'e1', '--cluster', 'test', '--etcd', 'http://127.0.0.1:1', '--listen', '127.0.0.1:0'],
  ...['--dir', directory, '--root', directory],
]

t.test('flags that are missing or wrong end the program with code 3 and a reason', async (t) => {
  const good = complete('/tmp')
  const cases: readonly (readonly [readonly string[], RegExp])[] = [
    [[], /--id is missing/],
    [[...good, '--id', 'not an id'], /"not an id" is not a member id/],
    [[...good, '--threads', '0'], /--threads "0"/],
    [[...good, '--memory', 'much'], /--memory "much"/],
    [[...good, '--listen', 'nowhere'], /--listen "nowhere" is not host:port/],
    [[...good, '--advertise', 'here'], /--advertise "here" is not host:port/],
    [[...good, '--log-level', 'loud'], /--log-level "loud"/],
    [[...good, '--nonsense'], /nonsense/],
  ]
  for (const [args, reason] of cases) {
    const { process: child, said } = start(args)
    const [code] = (await once(child, 'close')) as [number]
    t.equal(code, 3)
    t.match(said(), reason)
    t.match(said(), /usage:/)
  }
})

t.test('an absent etcd is waited for, and said to be absent', async (t) => {
  const directory = await temporaryDirectory()
  const { process: child, said } = start(complete(directory))
  while (!said().includes('etcdNotReached')) await once(child.stderr ?? child, 'data')
  child.kill('SIGTERM')
  const [code] = (await once(child, 'close')) as [number]
  t.equal(code, 0, 'a stop before the start is no failure')
  await rm(directory, { recursive: true, force: true })
})
