import { deferred, silentLog, systemClock as clock } from '@nyala/client/base'
import type { Transport, TransportEvents } from '@nyala/client/wire'
import t from 'tap'
import { DataClient } from './data-client.ts'

/** A socket to a producer that never answers. */
class SilentProducer implements Transport {
  readonly sent: string[] = []
  readonly bufferedBytes = 0
  readonly #onStart: (events: TransportEvents) => void

  constructor(onStart: (events: TransportEvents) => void = () => undefined) {
    this.#onStart = onStart
  }

  send(data: string | Uint8Array): void {
    this.sent.push(String(data))
  }

  drained(): Promise<void> {
    return Promise.resolve()
  }

  close(): void {}

  terminate(): void {}

  start(events: TransportEvents): void {
    this.#onStart(events)
  }
}

const clientOf = (dial: () => Promise<Transport>): DataClient =>
  new DataClient({
    ...{ address: '127.0.0.1:1', producer: 'e1', member: 'e2', cluster: 'test' },
    ...{ clock, log: silentLog, dial },
  })

const request = { queryId: 'q1', path: '/segment', creditBytes: 1 }
const never = (): Promise<void> => Promise.reject(new Error('no frame was sent'))

t.test('what is given up while its producer is dialled is not asked for', async (t) => {
  const producer = new SilentProducer()
  const dialled = deferred<Transport>()
  const client = clientOf(() => dialled.promise)
  const given = new AbortController()
  const fetched = client.fetchSegment(request, never, { signal: given.signal })
  given.abort(new Error('released'))
  dialled.resolve(producer)
  await t.rejects(fetched, { message: 'released' })
  t.notOk(producer.sent.some((message) => message.includes('fetchSegment')))
})

t.test('a socket that closes as soon as it is open fails what waited for it', async (t) => {
  const producer = new SilentProducer((events) => queueMicrotask(() => events.onClose(1006, 'cut')))
  const client = clientOf(() => Promise.resolve(producer))
  const { signal } = new AbortController()
  await t.rejects(client.fetchSegment(request, never, { signal }), {
    error: 'executor_lost',
    message: /executor "e1" at 127\.0\.0\.1:1/,
  })
  t.ok(client.closed)
})
