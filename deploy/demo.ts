import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { systemClock } from '@nyala/client/base'
import { runDemo } from './demo/run-demo.ts'
import { reportError } from './local/commands.ts'

const USAGE = `usage: npm run demo [-- --keep]

Makes sample data, starts a cluster of three etcd members, three coordinators and three executors on free ports, asks it
two questions, and removes everything again.

  --keep   leave the cluster and its data, and say how to use and stop them`

const print = (line: string): void => void process.stdout.write(`${line}\n`)
const { values } = parseArgs({
  options: { keep: { type: 'boolean' }, help: { type: 'boolean', short: 'h' } },
})

/** Signals end the demonstration in order. */
const interrupted = new AbortController()
for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
  process.once(name, () => interrupted.abort(new Error(`interrupted by ${name}`)))
}

async function main(keep: boolean): Promise<number> {
  const dir = await mkdtemp(join(tmpdir(), 'nyala-demo-'))
  let done = false
  try {
    await runDemo({
      dir,
      keep,
      print,
      clock: systemClock,
      variables: process.env,
      launcher: fileURLToPath(new URL('./main.js', import.meta.url)),
      signal: interrupted.signal,
    })
    done = true
    return 0
  } catch (error) {
    if (interrupted.signal.aborted) return 130
    return reportError(error, 'demo', (line) => void process.stderr.write(`${line}\n`))
  } finally {
    if (!(keep && done)) await rm(dir, { recursive: true, force: true })
  }
}

if (values.help === true) print(USAGE)
else process.exitCode = await main(values.keep === true)
