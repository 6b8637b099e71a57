import { execFile } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import t, { type Test } from 'tap'

const run = promisify(execFile)
const shell = fileURLToPath(new URL('../../../packages/client/bin/nyala.js', import.meta.url))
const SCALE_FACTOR = 0.01

/** Ten programs start, some several times over, on machines that may have other work. */
t.setTimeout(120_000)

async function temporaryDirectory(t: Test): Promise<string> {
  const dir = await mkdtemp(join(tmpdir(), 'nyala-test-'))
  t.teardown(() => rm(dir, { recursive: true, force: true }))
  return dir
}

interface Finished {
  readonly stdout: string
  readonly stderr: string
  readonly code: number
}

async function nyala(args: readonly string[], cwd: string): Promise<Finished> {
  try {
    const env = { ...process.env, NYALA_URL: '' }
    return { ...(await run(process.execPath, [shell, ...args], { cwd, env })), code: 0 }
  } catch (error) {
    return error as Finished
  }
}

t.test('the shell starts a cluster, fills it, asks every coordinator, and stops it', async (t) => {
  const dir = await temporaryDirectory(t)
  const up = await nyala(['up', '--detach', '--port-base', '0', '--no-fsync'], dir)
  t.match(up, {
    code: 0,
    stderr: '',
    stdout: /^nyala:\/\/127.0.0.1:\d+(,127.0.0.1:\d+){2}\/default\n$/,
  })
  try {
    const sample = await nyala(['sample', '--sf', String(SCALE_FACTOR), '--dir', 'sample'], dir)
    t.match(sample, { code: 0, stdout: /^CREATE EXTERNAL TABLE/ })
    t.match(await nyala(['sql', '-f', 'sample/create-tables.sql'], dir), { code: 0 })
    for (const address of up.stdout
      .trim()
      .slice('nyala://'.length, -'/default'.length)
      .split(',')) {
      const sql = 'SELECT count(*) AS n, min(year) AS first FROM trips WHERE month > 6'
      const got = await nyala(
        ['sql', '--url', `nyala://${address}/default`, '--format', 'jsonl', '-e', sql],
        dir,
      )
      t.same(JSON.parse(got.stdout), { n: 24_000, first: 2024 }, address)
    }
    const status = await nyala(['status', '--json'], dir)
    const { members, leader } = JSON.parse(status.stdout) as {
      members: readonly { id: string; state: string }[]
      leader: string
    }
    t.same(members.map(({ id }) => id).toSorted(), ['c1', 'c2', 'c3', 'e1', 'e2', 'e3'])
    t.match(leader, /^c[123]$/)
  } finally {
    t.match(await nyala(['down', '--purge'], dir), { code: 0, stdout: /10 processes/ })
  }
  t.match(await nyala(['sql', '-e', 'SELECT 1'], dir), { code: 3, stdout: '' })
})
