import t from 'tap'
import { deferred } from '../base/deferred.ts'
import { SessionState } from './session-state.ts'

const START = { database: 'a', settings: { x: '1', y: '2' }, revision: 5 }

t.test('what a statement changed is taken over, and nothing else', async (t) => {
  const state = new SessionState(START)
  state.merge(START, { database: 'b', settings: { x: '1', y: '2' }, revision: 6 })
  state.merge(START, { database: 'a', settings: { x: '9', y: '2' }, revision: 5 })
  state.merge(START, { database: 'a', settings: { x: '1' }, revision: 4 })
  t.strictSame(state.context, { database: 'b', settings: { x: '9' }, revision: 6 })
})

t.test('statements after a session statement wait for it, those before do not', async (t) => {
  const state = new SessionState(START)
  state.started('read', new Promise(() => undefined))
  t.equal(state.barrier, undefined)
  const first = deferred<void>()
  const second = deferred<void>()
  state.started('session', first.promise)
  state.started('session', second.promise)
  let free = false
  const waited = state.barrier?.then(() => {
    free = true
  })
  second.reject(new Error('refused'))
  await Promise.resolve()
  t.notOk(free, 'the first has not ended')
  first.resolve()
  await waited
  t.ok(free, 'a failed one frees the way too')
  t.equal(state.barrier, undefined)
})
