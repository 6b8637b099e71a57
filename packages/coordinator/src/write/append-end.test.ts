import { inWorld } from './testing/append-world.ts'

await inWorld(
  'a write whose rows cannot be encoded again without those who left is given up',
  async (t, { send, silent, answers, broken, clock, pending }) => {
    silent()
    const blocking = send('blocking')
    await clock.sleep(1_000)
    const early = send('early')
    await clock.sleep(3_000)
    const late = send('late')
    t.equal((await blocking).how, 'metastore_unavailable')
    t.equal((await early).how, 'metastore_unavailable', 'it has left the group')
    broken.kernel = true
    answers()
    t.equal((await late).how, undefined, 'no SqlError')
    t.strictSame(await pending(), [])
  },
)
