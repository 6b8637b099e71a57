import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { systemClock as clock } from '@nyala/client/base'
import t from 'tap'
import { KernelWorld } from '../testing/kernel-world.ts'

t.setTimeout(90_000)

/** Runs until it is interrupted. */
const ENDLESS = 'SELECT sum(sqrt(i) * sin(i)) FROM range(1000000000000) t(i)'

t.test('a kernel that says nothing of its tasks is killed, and no task is blamed', async (t) => {
  const hurried: typeof clock = {
    ...clock,
    after: (ms, action, options) => clock.after(ms / 10, action, options),
  }
  await using world = await KernelWorld.start({ clock: hurried })
  const run = world.start(ENDLESS)
  await run.started
  const [pid = 0] = world.kernels.pids
  process.kill(pid, 'SIGSTOP')
  t.match((await run.outcome).error, { error: 'executor_lost', message: /said nothing/ })
  t.notOk(world.kernels.pids.includes(pid), 'it is none of the kernels any more')
  t.equal((await world.table('SELECT 1 AS a')).numRows, 1)
})

t.test('a task that runs alone has a kernel of its own, and no other with it', async (t) => {
  await using world = await KernelWorld.start()
  const alone = world.start(ENDLESS, { alone: true })
  const shared = world.start(ENDLESS)
  await Promise.all([alone.started, shared.started])
  for (const pid of world.kernels.pids) process.kill(pid, 'SIGKILL')
  t.match((await shared.outcome).error, { error: 'kernel_crashed' })
  alone.task.cancel()
  t.match(
    (await alone.outcome).error,
    { error: 'query_canceled' },
    'it went on until it was told to stop',
  )
  t.equal((await world.run('SELECT 1 AS a', { alone: true })).error, undefined)
})

t.test('who has no descriptor for a kernel goes on without, until it has', async (t) => {
  const program = fileURLToPath(new URL('../testing/few-descriptors.js', import.meta.url))
  const limited = ['-c', 'ulimit -n 128 && exec "$0" "$1"', process.execPath, program]
  const { stdout } = await promisify(execFile)('sh', limited)
  t.same(JSON.parse(stdout), { meanwhile: ['executor_lost', 'executor_lost'], rows: 1 })
})
