import { Prng } from '@nyala/client/base'
import { SqlError } from '@nyala/client/protocol'
import { ManualClock } from '@nyala/metastore/memory'
import t from 'tap'
import {
  admit,
  type AdmissionRequest,
  type AdmissionState,
  type CoordinatorLoad,
  queueIsFull,
  shareOf,
} from './admission.ts'
import { AdmissionControl, type AdmissionOptions, type Entry } from './admission-driver.ts'
import { FairQueue } from './fair-queue.ts'
import { Placement } from './placement.ts'

const GIB = 1024 ** 3
const IDLE: CoordinatorLoad = { running: 0, queued: 0, waitedMs: 0, memoryBytes: 0 }
const state = (part: Partial<AdmissionState> = {}): AdmissionState => ({
  limits: { runningMax: 4, queuedMax: 2 },
  own: IDLE,
  peers: [],
  executorsBytes: [4 * GIB, 4 * GIB],
  ...part,
})
const request = (part: Partial<AdmissionRequest> = {}): AdmissionRequest => ({
  taskMemoryBytes: 0,
  tasksAtOnce: 2,
  cheap: false,
  ...part,
})

t.test('a query waits while the cluster runs as many as it may, whoever runs them', async (t) => {
  t.equal(admit(state({ own: { ...IDLE, running: 3 } }), request()).kind, 'run')
  const full = state({ own: { ...IDLE, running: 1 }, peers: [{ ...IDLE, running: 3 }] })
  t.match(admit(full, request()), { kind: 'queue', why: /max_running_queries = 4/ })
  t.equal(admit(full, request({ cheap: true })).kind, 'run', 'a cheap one does not')
})

t.test(
  'slots beyond the share are lent while nobody else has a better right to them',
  async (t) => {
    t.same([shareOf(7, 3), shareOf(2, 3), shareOf(6, 1)], [2, 0, 6])
    const own = { ...IDLE, running: 2 }
    t.equal(admit(state({ own, peers: [IDLE] }), request()).kind, 'run', 'lent')
    const poor = [{ ...IDLE, queued: 1 }]
    t.match(admit(state({ own, peers: poor }), request()), { kind: 'queue', why: /its share/ })
    t.equal(admit(state({ own: { ...own, running: 1 }, peers: poor }), request()).kind, 'run')
    const limits = { runningMax: 5, queuedMax: 9 }
    const rich = { ...IDLE, running: 2, queued: 1, waitedMs: 100 }
    const waited = (waitedMs: number): string =>
      admit(state({ limits, own: { ...own, waitedMs }, peers: [rich] }), request()).kind
    t.same([waited(99), waited(101)], ['queue', 'run'], 'whoever has waited longest goes first')
  },
)

t.test('a query that can never fit is refused by the name of its knob', async (t) => {
  const answer = admit(state(), request({ taskMemoryBytes: 5 * GIB, cheap: true }))
  t.match(answer, {
    kind: 'refuse',
    error: { error: 'configuration_limit_exceeded', hint: /SET mem_limit/ },
  })
  const none = admit(state({ executorsBytes: [] }), request({ taskMemoryBytes: 5 * GIB }))
  t.equal(none.kind, 'run', 'without executors nobody knows; that they are missing is said later')
})

t.test('promised memory is not promised again', async (t) => {
  const own = { ...IDLE, running: 1, memoryBytes: 5 * GIB }
  t.match(admit(state({ own }), request({ taskMemoryBytes: 2 * GIB })), {
    kind: 'queue',
    why: /mem_limit/,
  })
  t.equal(admit(state({ own }), request({ taskMemoryBytes: GIB })).kind, 'run')
  const alone = request({ taskMemoryBytes: 4 * GIB, tasksAtOnce: 8 })
  t.equal(admit(state(), alone).kind, 'run', 'alone it runs, as there is room')
})

t.test('a full queue refuses', async (t) => {
  t.equal(queueIsFull(state({ own: { ...IDLE, queued: 1 } }), 'why'), undefined)
  const peers = [{ ...IDLE, queued: 1 }]
  t.match(queueIsFull(state({ own: { ...IDLE, queued: 1 }, peers }), 'why'), {
    error: 'too_many_queries',
    message: /max_queued_queries = 2/,
  })
})

t.test('senders take turns, and each keeps its order', async (t) => {
  const queue = new FairQueue<string>()
  for (const item of ['a1', 'a2', 'a3', 'b1', 'c1', 'c2']) queue.push(item.charAt(0), item)
  t.ok(queue.remove('a', 'a2'))
  t.notOk(queue.remove('a', 'a2'))
  t.equal(queue.peek(), 'a1')
  const order = Array.from({ length: 6 }, () => queue.take())
  t.same(order, ['a1', 'b1', 'c1', 'a3', 'c2', undefined])
  t.equal(queue.size, 0)
})

const errorOf = async (promise: Promise<unknown>): Promise<unknown> =>
  await promise.then(
    () => undefined,
    (error: unknown) => error,
  )

const control = (part: Partial<AdmissionOptions> = {}): AdmissionControl =>
  new AdmissionControl({
    clock: new ManualClock(),
    maxRunningQueries: 2,
    maxQueuedQueries: 10,
    placement: new Placement(),
    tell: () => undefined,
    ...part,
  })

const entry = (part: Partial<Entry> = {}): Entry => ({
  ...request(),
  session: 's',
  queueTimeoutMs: 60_000,
  signal: new AbortController().signal,
  onQueued: () => undefined,
  ...part,
})

t.test('whoever waits is let in when another leaves, and told why until then', async (t) => {
  const told: CoordinatorLoad[] = []
  const admission = control({ tell: (load) => told.push(load) })
  const leave = await admission.enter(entry())
  await admission.enter(entry())
  const reasons: string[] = []
  const third = admission.enter(entry({ onQueued: (why) => reasons.push(why) }))
  t.match(reasons, [/max_running_queries = 2/])
  t.same(admission.load, { ...IDLE, running: 2, queued: 1 })
  leave()
  leave()
  await third
  t.same(admission.load, { ...IDLE, running: 2 })
  t.same(told.at(-1), admission.load)
})

t.test('a query that goes on here counts at once, and others wait for it', async (t) => {
  const admission = control({ maxRunningQueries: 1 })
  await admission.enter(entry())
  const leave = admission.goOn(request())
  t.same(admission.load, { ...IDLE, running: 2 })
  leave()
  leave()
  t.same(admission.load, { ...IDLE, running: 1 })
})

t.test('nobody overtakes: a new query goes behind those that wait', async (t) => {
  const admission = control({ maxRunningQueries: 1 })
  const order: string[] = []
  const enter = async (session: string): Promise<void> => {
    const leave = await admission.enter(entry({ session }))
    order.push(session)
    await Promise.resolve()
    leave()
  }
  const leave = await admission.enter(entry())
  const all = ['a', 'a', 'a', 'b', 'c'].map(enter)
  leave()
  await Promise.all(all)
  t.same(order, ['a', 'b', 'c', 'a', 'a'])
})

t.test('one that waits too long, or is given up, leaves the queue', async (t) => {
  const clock = new ManualClock()
  const admission = control({ clock, maxRunningQueries: 1 })
  await admission.enter(entry())
  const late = admission.enter(entry({ queueTimeoutMs: 5_000 }))
  const controller = new AbortController()
  const canceled = admission.enter(entry({ signal: controller.signal }))
  controller.abort(new SqlError('query_canceled', 'by the user'))
  t.match(await errorOf(canceled), { error: 'query_canceled' })
  t.match(await errorOf(clock.run(late)), {
    error: 'too_many_queries',
    message: /queue_timeout_s = 5: 1 queries run/,
  })
  t.equal(admission.load.queued, 0)
})

t.test('a coordinator that goes gives its slots back', async (t) => {
  const admission = control()
  admission.onPeer('c2', { ...IDLE, running: 2 })
  const waiting = admission.enter(entry())
  t.equal(admission.load.queued, 1)
  admission.onPeer('c2', undefined)
  await waiting
  t.equal(admission.load.running, 1)
})

t.test('coordinators that tell each other at once never run more than the limit', async (t) => {
  const random = new Prng(5)
  for (let round = 0; round < 50; round++) {
    const limit = 1 + random.below(6)
    const ids = ['c1', 'c2', 'c3']
    const all = new Map<string, AdmissionControl>()
    for (const self of ids) {
      const tell = (load: CoordinatorLoad): void => {
        for (const [id, other] of all) if (id !== self) other.onPeer(self, load)
      }
      all.set(self, control({ maxRunningQueries: limit, maxQueuedQueries: 1_000, tell }))
    }
    for (const [id, one] of all) {
      for (const other of ids) if (other !== id) one.onPeer(other, IDLE)
    }
    let [running, most, done] = [0, 0, 0]
    const one = async (id: string): Promise<void> => {
      const leave = await all.get(id)?.enter(entry({ session: `${id}-${random.below(3)}` }))
      most = Math.max(most, ++running)
      for (let i = random.below(5); i >= 0; i--) await Promise.resolve()
      running--
      done++
      leave?.()
    }
    await Promise.all(Array.from({ length: 60 }, () => one(ids[random.below(3)] ?? 'c1')))
    t.equal(done, 60)
    t.ok(most <= limit, `${most} of ${limit}`)
  }
})
