import type { SqlError } from '@nyala/client/protocol'
import { ManualClock } from '@nyala/metastore/memory'
import t from 'tap'
import { watchReader } from './time-limits.ts'

t.test(
  'a result is given up when its client has read nothing for the time that is set',
  async (t) => {
    const clock = new ManualClock()
    const relay = { isBlocked: true, bytes: 0 }
    const errors: SqlError[] = []
    const stop = watchReader(relay, { clock, timeoutMs: 5_000 }, (error) => errors.push(error))
    await clock.run(clock.sleep(4_900))
    relay.bytes = 10
    await clock.run(clock.sleep(4_900))
    relay.isBlocked = false
    await clock.run(clock.sleep(60_000))
    t.same(errors, [], 'slow readers read, and who waits for rows is no slow reader')
    relay.isBlocked = true
    await clock.run(clock.sleep(5_500))
    t.match(errors[0], { code: '57014', error: 'statement_timeout', hint: /idle_result_timeout_s/ })
    stop()
    const told = errors.length
    await clock.run(clock.sleep(60_000))
    t.equal(errors.length, told, 'it is over')
  },
)

t.test('0 waits for ever', async (t) => {
  const clock = new ManualClock()
  const relay = { isBlocked: true, bytes: 0 }
  watchReader(relay, { clock, timeoutMs: 0 }, () => t.fail('it is given up'))
  await clock.run(clock.sleep(500_000))
})
