import { inWorld, sendToSilence } from './testing/append-world.ts'
import { LATE_MS } from './write-run.ts'

await inWorld(
  'a write whose rows cannot be encoded again without those who left is given up',
  async (t, world) => {
    const { answers, broken, pending } = world
    const { blocking, early, late } = await sendToSilence(world)
    t.equal((await blocking).how, 'metastore_unavailable')
    t.equal((await early).how, 'metastore_unavailable', 'it has left the group')
    broken.kernel = true
    answers()
    t.equal((await late).how, undefined, 'no SqlError')
    t.strictSame(await pending(), [])
  },
)

await inWorld(
  'a queue says that it may be dropped once, also where an append failed while it forgot',
  async (t, { send, slow, answers, broken, clock, idle, pending }) => {
    t.equal((await send('first')).how, 'done')
    t.equal((await pending()).length, 1, 'the next write is begun ahead')
    slow()
    // It is idle for a second, and then forgets the write, which takes nearly one more.
    await clock.sleep(1_100)
    t.equal(idle(), 0)
    answers()
    broken.disk = true
    t.equal((await send('second')).how, undefined, 'no SqlError')
    await clock.sleep(10_000)
    t.equal(idle(), 1)
    t.strictSame(await pending(), [])
  },
)

await inWorld('who closes a queue waits until it has forgotten', async (t, world) => {
  const { send, slow, answers, clock, queue, pending } = world
  t.equal((await send('first')).how, 'done')
  slow()
  await clock.sleep(1_100)
  const closed = queue.close()
  answers()
  await closed
  t.strictSame(await pending(), [])
})

await inWorld(
  'a record that comes after it was looked for is aborted, and is not looked for for ever',
  async (t, { send, silent, answers, clock, writes, pending, kv }) => {
    silent({ kind: 'late', afterMs: 20_000 })
    t.equal((await send('first')).how, 'metastore_unavailable')
    answers()
    await writes.settle()
    t.strictSame(await pending(), [], 'it is still on its way')
    await clock.sleep(20_000)
    t.equal((await pending()).length, 1)
    await writes.settle()
    t.strictSame(await pending(), [])

    silent('loseRequest')
    t.equal((await send('second')).how, 'metastore_unavailable')
    answers()
    await writes.settle()
    await clock.sleep(LATE_MS)
    await writes.settle()
    let calls = 0
    kv.faults = {
      fate: () => {
        calls++
        return 'pass'
      },
    }
    await writes.settle()
    t.equal(calls, 0)
  },
)
