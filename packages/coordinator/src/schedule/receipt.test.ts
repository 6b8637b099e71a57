import t from 'tap'
import { deferred } from '@nyala/client/base'
import { ManualClock } from '@nyala/metastore/memory'
import { RECEIPT_TIMEOUT_MS, settleReceipt } from './receipt.ts'

/** A result that is kept for its client until it is ended. */
function kept() {
  const clock = new ManualClock()
  const controller = new AbortController()
  const received = deferred<void>()
  const state = { isServed: true, isEnded: false }
  const settled = settleReceipt({
    ...{ clock, received, signal: controller.signal },
    isServed: () => state.isServed && !state.isEnded,
    end: () => (state.isEnded = true),
  })
  return { clock, controller, received, state, settled }
}

t.test('a result is kept until its client has it', async (t) => {
  const { received, state, settled } = kept()
  t.notOk(state.isEnded)
  received.resolve()
  await settled
  t.ok(state.isEnded)
})

t.test('a cancel that comes when all has been sent ends what is kept', async (t) => {
  const { controller, state, settled } = kept()
  controller.abort(new Error('canceled'))
  await settled
  t.ok(state.isEnded)
})

t.test('whoever is to go on with a result of which the client has gone finds it', async (t) => {
  const { controller, state, settled } = kept()
  controller.abort(new Error('the client has gone'))
  state.isServed = false
  await settled
  t.notOk(state.isEnded)
})

t.test('a client that says nothing is not waited for any longer', async (t) => {
  const { clock, state, settled } = kept()
  await clock.run(settled, RECEIPT_TIMEOUT_MS)
  t.ok(state.isEnded)
})
