import t from 'tap'
import { type Clock, systemClock } from '../base/clock.ts'
import { type FakeCall, FakeCoordinator } from '../testing/fake-coordinator.ts'
import { connectOn } from './database.ts'
import { nodePlatform } from './platform-node.ts'

t.test('a transaction that loses time and again does not wait ever longer', async (t) => {
  const LOSSES = 20
  let commits = 0
  const onStatement = async (call: FakeCall): Promise<void> => {
    const { sql, session } = call.statement
    call.accept()
    if (/^begin$/i.test(sql)) {
      const transaction = { id: 'x1', coordinator: call.coordinator.id, failed: false }
      return call.answer({ command: 'BEGIN', session: { ...session, transaction } })
    }
    if (/^commit$/i.test(sql) && ++commits <= LOSSES) {
      return call.fail({ error: 'serialization_failure', message: 'another one was first' })
    }
    call.finish({ command: sql.split(' ')[0]?.toUpperCase() ?? '', rows: 1 })
  }
  const fake = await FakeCoordinator.start({ id: 'c1', onStatement })
  t.teardown(() => fake.close())
  const waits: number[] = []
  const clock: Clock = {
    ...systemClock,
    sleep: (ms) => {
      waits.push(ms)
      return Promise.resolve()
    },
  }
  const db = await connectOn({ ...nodePlatform, clock })({
    endpoints: [fake.address],
    discover: false,
  })
  t.teardown(() => db.close())
  await db.transaction((session) => session.execute('insert into t values (1)'), {
    retries: LOSSES,
  })
  t.equal(commits, LOSSES + 1)
  t.equal(waits.length, LOSSES)
  t.ok(
    waits.every((ms) => ms <= 400),
    'whoever waits for seconds while others go on loses for ever',
  )
  t.ok(new Set(waits).size > LOSSES / 2, 'those that have lost together do not come back together')
})
