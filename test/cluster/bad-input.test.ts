import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { systemClock } from '@nyala/client/base'
import { PROTOCOL_VERSION } from '@nyala/client/protocol'
import { FRAME_HEADER_BYTES, MESSAGE_BYTES_MAX } from '@nyala/client/wire'
import t from 'tap'
import WebSocket from 'ws'
import { errorOf, EVENT_ROWS, openWorld } from './world.ts'

/** What a peer does to one socket: the messages, and how the other side must close it. */
interface Abuse {
  readonly name: string
  readonly messages: readonly (string | Uint8Array)[]
  readonly code: number
  readonly reason: RegExp
}

const HELLO = JSON.stringify({ kind: 'hello', protocol: PROTOCOL_VERSION, client: 'abuse' })

const ABUSES: readonly Abuse[] = [
  { name: 'no JSON', messages: ['{"kind":'], code: 1002, reason: /not JSON/ },
  {
    name: 'an unknown kind',
    messages: ['{"kind":"sudo"}'],
    code: 1002,
    reason: /unknown kind "sudo"/,
  },
  { name: 'JSON that is no message', messages: ['[1]'], code: 1002, reason: /expected object/ },
  {
    name: 'an unknown field',
    messages: [HELLO.replace('}', ',"admin":true}')],
    code: 1002,
    reason: /admin: unknown field/,
  },
  {
    name: 'a field of another type',
    messages: ['{"kind":"hello","protocol":"1","client":"x"}'],
    code: 1002,
    reason: /expected natural/,
  },
  {
    name: 'another protocol version',
    messages: [HELLO.replace(`:${PROTOCOL_VERSION},`, ':999,')],
    code: 4001,
    reason: /protocol 999/,
  },
  {
    name: 'a statement before hello',
    messages: ['{"kind":"status","call":1}'],
    code: 1002,
    reason: /first message must be hello/,
  },
  {
    name: 'a binary frame',
    messages: [HELLO, new Uint8Array(FRAME_HEADER_BYTES)],
    code: 1002,
    reason: /frame/,
  },
  {
    name: 'a message over the limit',
    messages: [HELLO, new Uint8Array(MESSAGE_BYTES_MAX + 1)],
    code: 1009,
    reason: /./,
  },
]

/** How the peer closed the socket after the messages. */
async function abuse(
  url: string,
  messages: Abuse['messages'],
): Promise<{ code: number; reason: string }> {
  const socket = new WebSocket(url)
  await once(socket, 'open')
  const closed = once(socket, 'close') as Promise<[number, Buffer]>
  for (const message of messages) socket.send(message)
  const [code, reason] = await closed
  return { code, reason: reason.toString('utf8') }
}

t.test('bad input ends where it came from', async (t) => {
  const world = await openWorld({ coordinators: 1, executors: 1 })
  t.teardown(() => world[Symbol.asyncDispose]())
  const { db, cluster } = world
  const pids = cluster.processes.map((p) => p.pid)
  const address = (role: string): string =>
    cluster.processes.find((p) => p.role === role)?.address ?? ''
  const neighbour = async (): Promise<unknown> =>
    (await db.query('SELECT count(*) AS n FROM events')).rows

  for (const { name, messages, code, reason } of ABUSES) {
    await t.test(`a client that sends ${name} is disconnected with a reason`, async (t) => {
      const closed = await abuse(`ws://${address('coordinator')}/client`, messages)
      t.equal(closed.code, code)
      if (code !== 1009) t.match(closed.reason, reason)
      t.strictSame(await neighbour(), [{ n: BigInt(EVENT_ROWS) }])
    })
  }

  for (const path of ['executor', 'data']) {
    await t.test(
      `a peer of /${path} that sends nonsense is disconnected with a reason`,
      async (t) => {
        const role = path === 'data' ? 'executor' : 'coordinator'
        for (const message of ['nonsense', '{"kind":"sudo"}']) {
          const closed = await abuse(`ws://${address(role)}/${path}`, [message])
          t.equal(closed.code, 1002)
          t.match(closed.reason, /JSON|unknown kind/)
        }
        t.strictSame(await neighbour(), [{ n: BigInt(EVENT_ROWS) }])
      },
    )
  }

  await t.test('a path that nobody serves is answered with 404', async (t) => {
    const socket = new WebSocket(`ws://${address('coordinator')}/admin`)
    const [error] = (await once(socket, 'error')) as [Error]
    t.match(error.message, /404/)
  })

  const huge = [
    ['ten megabytes of text', `SELECT '${'x'.repeat(10 * 1024 * 1024)}'`, /sql_text_bytes_max/],
    [
      'ten thousand parentheses',
      `SELECT ${'('.repeat(10_000)}1${')'.repeat(10_000)}`,
      /sql_nesting_max/,
    ],
    [
      'a hundred thousand ANDs',
      `SELECT 1 WHERE true${' AND true'.repeat(100_000)}`,
      /sql_(tokens|expression_terms|text_bytes)_max/,
    ],
  ] as const
  for (const [name, sql, limit] of huge) {
    await t.test(`${name} are refused by a limit with a name`, async (t) => {
      const error = await errorOf(db.query(sql))
      t.match(error.message + (error.hint ?? ''), limit)
      t.match(error.code, /^54/)
      t.strictSame(await neighbour(), [{ n: BigInt(EVENT_ROWS) }])
    })
  }

  await t.test('no process of the cluster has died of any of it', (t) => {
    t.strictSame(
      cluster.processes.map((p) => p.pid),
      pids,
    )
    t.end()
  })
})

/** Runs a program of the workspace; its exit code and what it said. */
async function run(
  program: string,
  args: readonly string[],
): Promise<{ code: number | null; stderr: string }> {
  const child = spawn(process.execPath, [program, ...args], { stdio: ['ignore', 'ignore', 'pipe'] })
  let stderr = ''
  child.stderr.on('data', (chunk: Buffer) => (stderr += chunk.toString('utf8')))
  const [code] = (await once(child, 'exit')) as [number | null]
  return { code, stderr }
}

/** A port on which nobody listens. */
async function closedPort(): Promise<number> {
  const server = createServer()
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const bound = server.address()
  server.close()
  await once(server, 'close')
  if (bound === null || typeof bound === 'string') throw new Error('no port')
  return bound.port
}

t.test('the shell exits with 2 and names the address where nobody answers', async (t) => {
  const port = await closedPort()
  const shell = fileURLToPath(new URL('../../../packages/client/bin/nyala.js', import.meta.url))
  const { code, stderr } = await run(shell, [
    'sql',
    '--url',
    `nyala://127.0.0.1:${port}/default`,
    '-e',
    'SELECT 1',
  ])
  t.equal(code, 2)
  t.match(stderr, new RegExp(`127\\.0\\.0\\.1:${port}`))
})

for (const role of ['coordinator', 'executor']) {
  t.test(
    `a ${role} that finds no etcd says so, goes on trying, and stops when asked`,
    async (t) => {
      const port = await closedPort()
      const main = fileURLToPath(import.meta.resolve(`@nyala/${role}/main`))
      const dir = await mkdtemp(join(tmpdir(), 'nyala-test-'))
      t.teardown(() => rm(dir, { recursive: true, force: true }))
      const child = spawn(
        process.execPath,
        [
          main,
          '--id',
          'x1',
          '--cluster',
          'none',
          '--etcd',
          `http://127.0.0.1:${port}`,
          '--listen',
          '127.0.0.1:0',
          '--dir',
          dir,
        ],
        { stdio: ['ignore', 'ignore', 'pipe'] },
      )
      const exited = once(child, 'exit') as Promise<[number | null]>
      let log = ''
      child.stderr.on('data', (chunk: Buffer) => (log += chunk.toString('utf8')))
      const end = systemClock.now() + 60_000
      while (!log.includes(`127.0.0.1:${port}`) && systemClock.now() < end)
        await systemClock.sleep(20)
      t.match(log, new RegExp(`127\\.0\\.0\\.1:${port}`))
      t.equal(child.exitCode, null)
      child.kill('SIGTERM')
      t.strictSame((await exited)[0], 0)
    },
  )
}
