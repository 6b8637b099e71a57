import { silentLog, systemClock } from '@nyala/client/base'
import type { MemberId } from '@nyala/client/protocol'
import t, { type Test } from 'tap'
import { connectKv } from './etcd-kv.ts'
import { Keys } from './keys.ts'
import type { Kv } from './kv.ts'
import { Patience, PATIENCE_MS } from './patience.ts'
import { type LoggedQuery, type NewQuery, type Owner, QueryLog } from './query-log.ts'
import { EtcdProcess } from './testing/etcd-process.ts'
import { fails } from './testing/failures.ts'
import { inWorld, type World } from './testing/world.ts'

const c1: Owner = { id: 'c1' as MemberId, startedAt: 1 }
const c2: Owner = { id: 'c2' as MemberId, startedAt: 1 }
const c3: Owner = { id: 'c3' as MemberId, startedAt: 1 }

const newQuery = (id: string): NewQuery => ({
  id,
  sql: 'SELECT 1',
  parameters: [],
  database: 'default',
  settings: { distribution: 'auto' },
  snapshotRevision: 7,
  plan: null,
  state: 'running',
  place: { framesAcknowledged: 0, spooledBy: [] },
  startedAt: 1,
})

/** What every store must give: run on the one in memory and on etcd. */
const CLAIMS: Readonly<Record<string, (t: Test, open: () => QueryLog) => Promise<void>>> = {
  'a query is created, advances and is gone when it is finished': async (t, open) => {
    const log = open()
    const created = await log.create(newQuery('q1'), c1)
    t.match(created.record, { owner: 'c1', ownerEpoch: 1, snapshotRevision: 7 })
    const place = { framesAcknowledged: 3, spooledBy: ['e1'] }
    const advanced = await log.advance(created, { state: 'streaming', place })
    t.match(advanced, { kind: 'written', query: { record: { state: 'streaming', place } } })
    if (advanced.kind !== 'written') return
    t.strictSame(await log.read('q1'), advanced.query)
    t.equal(await log.finish(advanced.query), 'finished')
    t.equal(await log.read('q1'), undefined)
    t.equal(await log.finish(advanced.query), 'finished', 'again, as after a lost reply')
  },

  'of two that claim a query one wins, and its owner learns that it is lost': async (t, open) => {
    const [log, other] = [open(), open()]
    const created = await log.create(newQuery('q2'), c1)
    const claims = await Promise.all([
      log.claim(created, c2, 'client'),
      other.claim(created, c3, 'client'),
    ])
    const won = claims.flatMap((claim) => (claim.kind === 'claimed' ? [claim.query] : []))
    t.equal(won.length, 1)
    t.equal(won[0]?.record.ownerEpoch, created.modRevision)
    const refused = claims.find(({ kind }) => kind === 'refused')
    t.strictSame(refused?.query, won[0], 'the other is told who owns it')
    t.strictSame(await log.advance(created, { state: 'streaming' }), {
      kind: 'lost',
      query: won[0],
    })
    t.strictSame(await log.finish(created), { lost: won[0] })
    const [owned] = won
    if (owned === undefined) return
    t.equal((await log.advance(owned, { state: 'streaming' })).kind, 'written')
  },

  'a query that is over cannot be claimed or advanced': async (t, open) => {
    const log = open()
    const created = await log.create(newQuery('q3'), c1)
    await log.finish(created)
    t.same(await log.claim(created, c2, 'client'), { kind: 'refused', query: undefined })
    t.same(await log.advance(created, {}), { kind: 'lost', query: undefined })
  },

  'a request to cancel outlives what the owner says, and claims': async (t, open) => {
    const log = open()
    const created = await log.create(newQuery('q4'), c1)
    t.equal((await log.requestCancel('q4'))?.record.state, 'cancelling')
    const advanced = await log.advance(created, { state: 'streaming' })
    t.match(advanced, { kind: 'written', query: { record: { state: 'cancelling' } } })
    const claimed = await log.claim(created, c2, 'client')
    t.match(claimed, { kind: 'claimed', query: { record: { state: 'cancelling', owner: 'c2' } } })
    t.equal(await log.requestCancel('nothing'), undefined)
  },

  'the view shows whose queries are whose, and those that nobody has': async (t, open) => {
    const log = open()
    await log.start()
    const one = await log.create(newQuery('q5'), c1)
    const two = await log.create(newQuery('q6'), c2)
    await seen(log, two)
    t.same(log.ownedBy(c1), [one])
    t.same(log.orphans([c1, { ...c2, startedAt: 2 }]), [two], 'a restarted owner is another')
    const claimed = await log.claim(two, c1, 'client')
    t.equal(claimed.kind, 'claimed')
    if (claimed.query !== undefined) await seen(log, claimed.query)
    t.same(
      log.ownedBy(c1).map(({ record }) => record.id),
      ['q5', 'q6'],
    )
    await log.stop()
  },
}

async function seen(log: QueryLog, query: LoggedQuery): Promise<void> {
  const isThere = (): boolean => log.query(query.record.id)?.modRevision === query.modRevision
  if (isThere()) return
  await new Promise<void>((resolve) => {
    const stop = log.onChange(() => {
      if (!isThere()) return
      stop()
      resolve()
    })
  })
}

for (const [claim, body] of Object.entries(CLAIMS)) {
  await inWorld(t, claim, (t, world) => body(t, () => new QueryLog(world.on(world.connect()))))
}

await t.test('on etcd', async (t) => {
  await using etcd = await EtcdProcess.start(process.env)
  const options = { endpoints: [etcd.endpoint], clock: systemClock, log: silentLog }
  await using kv = await connectKv(options)
  let clusters = 0
  for (const [claim, body] of Object.entries(CLAIMS)) {
    const keys = new Keys(`test${clusters++}`)
    const on = { kv, keys, clock: systemClock, log: silentLog }
    await t.test(claim, (t) => body(t, () => new QueryLog(on)))
  }
})

/** A connection that loses the reply to the first commit, after which `then` happens. */
function losingFirstReply(world: World, then: () => Promise<unknown>): Kv {
  let lost = false
  const kv = world.connect({
    fate: (method) => {
      if (method !== 'commitIf' || lost) return 'pass'
      lost = true
      return 'loseReply'
    },
  })
  const commitIf = kv.commitIf.bind(kv)
  kv.commitIf = async (request, options) => {
    const wasLost = lost
    try {
      return await commitIf(request, options)
    } catch (error) {
      if (lost && !wasLost) await then()
      throw error
    }
  }
  return kv
}

await inWorld(t, 'a claim that was won is known as won, whatever came after', async (t, world) => {
  const log = new QueryLog(world.on(world.connect()))
  for (const [id, then] of Object.entries({
    q1: () => Promise.resolve(),
    q2: () => log.requestCancel('q2'),
  })) {
    const created = await log.create(newQuery(id), c1)
    const claimer = new QueryLog(world.on(losingFirstReply(world, then)))
    const claim = await claimer.claim(created, c2, 'client')
    t.match(claim, {
      kind: 'claimed',
      query: { record: { owner: 'c2', ownerEpoch: created.modRevision } },
    })
  }
})

await inWorld(t, 'a claim that was won and lost again is refused', async (t, world) => {
  const log = new QueryLog(world.on(world.connect()))
  const created = await log.create(newQuery('q1'), c1)
  const then = async (): Promise<void> => {
    const now = await log.read('q1')
    if (now !== undefined) await log.claim(now, c3, 'client')
  }
  const claimer = new QueryLog(world.on(losingFirstReply(world, then)))
  const claim = await claimer.claim(created, c2, 'client')
  t.match(claim, { kind: 'refused', query: { record: { owner: 'c3' } } })
  t.ok((claim.query?.record.ownerEpoch ?? 0) > created.modRevision)
})

await inWorld(t, 'a create that comes late brings no owner epoch back', async (t, world) => {
  const log = new QueryLog(world.on(world.connect()))
  let isFirst = true
  const slow = world.connect({
    fate: () => {
      if (!isFirst) return 'pass'
      isFirst = false
      return { kind: 'late', afterMs: 1000 }
    },
  })
  const created = await new QueryLog(world.on(slow)).create(newQuery('q1'), c1)
  const first = await log.claim(created, c2, 'client')
  t.equal(first.kind, 'claimed')
  if (first.query === undefined) return
  await log.finish(first.query)
  await world.clock.sleep(2000)
  const again = await log.read('q1')
  t.match(again?.record, { owner: 'c1', ownerEpoch: 1 }, 'the record is there again')
  if (again === undefined) return
  const second = await log.claim(again, c3, 'client')
  t.ok((second.query?.record.ownerEpoch ?? 0) > first.query.record.ownerEpoch)
})

await inWorld(t, 'a create whose reply was lost is known as done', async (t, world) => {
  const log = new QueryLog(world.on(world.connect()))
  for (const [id, then] of Object.entries({
    q1: () => Promise.resolve(),
    q2: () => log.requestCancel('q2'),
  })) {
    const creator = new QueryLog(world.on(losingFirstReply(world, then)))
    t.match((await creator.create(newQuery(id), c1)).record, { owner: 'c1', ownerEpoch: 1 })
  }
  await t.rejects(log.create(newQuery('q1'), c2), /in use/)
})

await inWorld(
  t,
  'who asks for a cancel in vain may ask again, and is told in time',
  async (t, world) => {
    const log = new QueryLog(world.on(world.connect()))
    await log.create(newQuery('q1'), c1)
    let calls = 0
    const silent = world.connect({ fate: () => (calls++ === 0 ? 'pass' : 'loseReply') })
    const patience = new Patience(world.clock)
    patience.asked()
    // What was asked before it has taken some of the time.
    await world.clock.sleep(1000)
    const began = world.clock.now()
    const asker = new QueryLog(world.on(silent))
    await fails(t, 'metastore_unavailable', asker.requestCancel('q1', { patience }))
    t.ok(calls > 1, 'the request was sent')
    t.ok(world.clock.now() - began <= PATIENCE_MS)
    t.equal((await log.requestCancel('q1'))?.record.state, 'cancelling')
  },
)
