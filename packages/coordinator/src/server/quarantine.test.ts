import { SqlError } from '@nyala/client/protocol'
import { ManualClock } from '@nyala/metastore/memory'
import t from 'tap'
import { Quarantine, QUARANTINE_MS } from './quarantine.ts'

const asked = (sql: string, database = 'default'): Parameters<Quarantine['check']>[0] => ({
  sql,
  parameters: [],
  session: { database, settings: {}, revision: 0 },
})
const deadly = new SqlError('query_quarantined', 'the kernels of 2 executors died')

t.test('a statement that killed kernels is refused for a while, and no other', async (t) => {
  const clock = new ManualClock()
  const quarantine = new Quarantine(clock)
  quarantine.note(asked('SELECT 1'), new SqlError('kernel_crashed', 'one kernel died'))
  t.doesNotThrow(() => quarantine.check(asked('SELECT 1')), 'one death is no proof')
  quarantine.note(asked('SELECT 1'), deadly)
  t.throws(() => quarantine.check(asked('SELECT 1')), { code: '58002' })
  t.doesNotThrow(() => quarantine.check(asked('SELECT 2')))
  t.doesNotThrow(() => quarantine.check(asked('SELECT 1', 'other')))
  await clock.run(clock.sleep(QUARANTINE_MS - 1))
  t.throws(() => quarantine.check(asked('SELECT 1')), { message: /for 1 s more/ })
  await clock.run(clock.sleep(1))
  t.doesNotThrow(() => quarantine.check(asked('SELECT 1')))
})

t.test('what is remembered is bounded: the oldest is forgotten', async (t) => {
  const quarantine = new Quarantine(new ManualClock())
  for (let i = 0; i <= 1_000; i++) quarantine.note(asked(`SELECT ${i}`), deadly)
  t.doesNotThrow(() => quarantine.check(asked('SELECT 0')))
  t.throws(() => quarantine.check(asked('SELECT 1')), { code: '58002' })
})
