import t from 'tap'
import { SeenCalls } from './seen-calls.ts'

t.test('a call is new once, in whatever order calls come', async (t) => {
  const calls = new SeenCalls()
  for (const call of [1, 3, 2, 4]) t.ok(calls.isNew(call))
  for (const call of [1, 2, 3, 4]) t.notOk(calls.isNew(call))
})

t.test('one that is too old to be remembered is not new', async (t) => {
  const calls = new SeenCalls()
  for (let call = 1; call < 20_000; call++) t.ok(calls.isNew(call) || t.fail(String(call)))
  for (const call of [1, 10_000, 16_000, 19_999]) t.notOk(calls.isNew(call))
  t.ok(calls.isNew(20_001))
  t.ok(calls.isNew(20_000), 'a little late')
})
