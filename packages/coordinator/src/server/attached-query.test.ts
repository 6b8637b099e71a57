import { deferred, silentLog } from '@nyala/client/base'
import { SqlError } from '@nyala/client/protocol'
import type { LoggedQuery } from '@nyala/metastore'
import t from 'tap'
import type { Serving } from '../failover/resumption.ts'
import { type AttachMessage, runAttached } from './attached-query.ts'
import { CallServing } from './call-serving.ts'
import type { Services } from './services.ts'

const message = { kind: 'attach', call: 1, queryId: 'q', place: [], ended: [] } as unknown
const canceled = new SqlError('query_canceled', 'the query was canceled')

/** A call that attaches to a query whose claim is under way. */
function attaching() {
  const claimed = deferred<LoggedQuery>()
  const told: string[] = []
  const controller = new AbortController()
  const serving = new CallServing(controller)
  const tell = (what: string) => (id: string, by: Serving) => {
    told.push(`${what} ${id} ${by === serving}`)
  }
  const resumption = {
    attach: () => claimed.promise,
    ended: tell('ended'),
    left: tell('left'),
  }
  const services = { resumption, log: silentLog } as unknown as Services
  const run = runAttached(
    message as AttachMessage,
    { serving, signal: controller.signal } as unknown as Parameters<typeof runAttached>[1],
    services,
  )
  return { claimed, told, controller, serving, run }
}

t.test('a query that is cancelled while it is taken over is ended once it is', async (t) => {
  const { claimed, told, controller, run } = attaching()
  controller.abort(canceled)
  claimed.resolve({} as LoggedQuery)
  await t.rejects(run, { code: '57014' })
  t.same(told, ['ended q true'])
})

t.test('a query whose client goes while it is taken over waits for it', async (t) => {
  const { claimed, told, controller, serving, run } = attaching()
  serving.isClientGone = true
  controller.abort(canceled)
  claimed.resolve({} as LoggedQuery)
  await t.rejects(run, { code: '57014' })
  t.same(told, ['left q true'])
})
