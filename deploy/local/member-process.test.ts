import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { silentLog } from '@nyala/client/base'
import { ManualClock } from '@nyala/metastore/memory'
import t, { type Test } from 'tap'
import { MemberProcess } from './member-process.ts'
import { temporaryDirectory } from './testing/temporary-directory.ts'

/** A supervised member whose processes do nothing, and serve when the test says so. */
async function supervise(test: Test) {
  const clock = new ManualClock()
  const started: { readonly child: ChildProcess; serve(): void }[] = []
  const dir = await temporaryDirectory(test)
  const member = new MemberProcess(
    {
      ...{ id: 'c1', role: 'coordinator', address: '127.0.0.1:1', command: ['sleep', '600'] },
      ...{ variables: process.env, logPath: join(dir, 'c1.log'), stopSignal: 'SIGTERM' },
      ready: (child, { signal }) =>
        new Promise((resolve, reject) => {
          signal.addEventListener('abort', () => reject(signal.reason as Error), { once: true })
          started.push({ child, serve: resolve })
        }),
    },
    { clock, log: silentLog, onProcess: () => Promise.resolve() },
  )
  test.teardown(() => member.stop())
  member.supervise()
  /** Lets the pause before a start go by, and waits for the process. */
  const next = async () => {
    const count = started.length
    // That a process has ended is told in the world's time.
    while (member.identity !== undefined) await new Promise(setImmediate)
    await clock.advance(250)
    while (started.length === count) await new Promise(setImmediate)
    const made = started.at(-1)
    if (made === undefined) throw new Error('a process was started')
    return made
  }
  return { clock, member, next }
}

const isKilled = async (child: ChildProcess): Promise<boolean> => {
  if (child.signalCode === null) await once(child, 'exit')
  return child.signalCode === 'SIGKILL'
}

t.test('a member that is slow to serve has twice as long each time, until it serves', async (t) => {
  const { clock, next } = await supervise(t)
  for (const limitMs of [30_000, 60_000, 120_000, 240_000, 240_000]) {
    const { child } = await next()
    await clock.advance(limitMs - 1)
    t.equal(child.signalCode, null, `it may take ${limitMs} ms`)
    await clock.advance(1)
    t.ok(await isKilled(child), 'then it is killed')
  }
  const { child, serve } = await next()
  serve()
  await clock.advance(300_000)
  t.equal(child.signalCode, null, 'one that serves stays')
  child.kill('SIGKILL')
  await once(child, 'exit')
  const after = await next()
  await clock.advance(30_000)
  t.ok(await isKilled(after.child), 'and the next one has the first time again')
})

t.test(
  'a member that lives for a few seconds is started again at once, however often',
  async (t) => {
    const { clock, next } = await supervise(t)
    for (let time = 0; time < 6; time++) {
      const { child, serve } = await next()
      serve()
      await clock.advance(5_000)
      child.kill('SIGKILL')
      await once(child, 'exit')
    }
    // `next` lets only the least wait go by, so each of these starts followed it.
    const { child } = await next()
    t.equal(child.signalCode, null)
  },
)

t.test('one that dies at once waits twice as long each time', async (t) => {
  const { clock, member, next } = await supervise(t)
  const { child } = await next()
  child.kill('SIGKILL')
  await once(child, 'exit')
  while (member.identity !== undefined) await new Promise(setImmediate)
  const isRunning = (): boolean => member.identity !== undefined
  await clock.advance(499)
  t.notOk(isRunning(), 'the second wait is longer than the first')
  await clock.advance(1)
  while (!isRunning()) await new Promise(setImmediate)
})
