import { silentLog, systemClock } from '@nyala/client/base'
import type { MemberId } from '@nyala/client/protocol'
import t from 'tap'
import { deposeLeader, Election, type Leader, type Leadership } from './election.ts'
import { connectKv } from './etcd-kv.ts'
import { Keys } from './keys.ts'
import type { Kv } from './kv.ts'
import { EtcdProcess } from './testing/etcd-process.ts'
import { inWorld, type World } from './testing/world.ts'

interface Campaign {
  readonly election: Election
  readonly terms: Leadership[]
  readonly deposed: string[]
  readonly seen: (Leader | undefined)[]
}

function campaign(world: World, kv: Kv, id: string, startedAt = 0): Campaign {
  const terms: Leadership[] = []
  const deposed: string[] = []
  const seen: (Leader | undefined)[] = []
  const election = new Election({
    ...world.on(kv),
    candidate: { id: id as MemberId, address: `${id}:1`, startedAt },
    onElected: (leadership) => terms.push(leadership),
    onDeposed: (_leadership, reason) => deposed.push(reason),
    onLeader: (leader) => seen.push(leader),
  })
  return { election, terms, deposed, seen }
}

/** What the store says to a write of a term, whatever its holder believes. */
const isTaken = async (kv: Kv, term: Leadership | undefined): Promise<boolean> =>
  term !== undefined && (await kv.commitIf({ ...write, compares: [term.fence()] })).succeeded

const write = { compares: [], success: [{ kind: 'put', key: '/written', value: 'x' }] } as const

await inWorld(t, 'one of several candidates leads and all know it', async (t, world) => {
  const campaigns = ['c1', 'c2', 'c3'].map((id) => campaign(world, world.connect(), id))
  await Promise.all(campaigns.map(({ election }) => election.start()))
  await world.clock.sleep(1000)
  t.equal(campaigns.flatMap(({ terms }) => terms).length, 1)
  const leader = await campaigns[0]?.election.waitForLeader()
  for (const { election } of campaigns) {
    t.same(election.leader, leader)
    if (election.leadership !== undefined) t.equal(election.leadership.epoch, leader?.epoch)
  }
  await Promise.all(campaigns.map(({ election }) => election.stop()))
})

await inWorld(
  t,
  'a leader that resigns is followed at once by another under a larger epoch',
  async (t, world) => {
    const [a, b] = [campaign(world, world.connect(), 'a'), campaign(world, world.connect(), 'b')]
    await a.election.start()
    await world.until(() => a.terms.length === 1)
    await b.election.start()
    const began = world.clock.now()
    a.election.resign()
    await world.until(() => b.terms.length === 1)
    t.ok(world.clock.now() - began < 100)
    t.ok((b.terms[0]?.epoch ?? 0) > (a.terms[0]?.epoch ?? 0))
    t.same(a.deposed, ['resigned'])
    t.same(
      a.seen.map((leader) => leader?.record.id),
      ['a', undefined, 'b'],
    )
    await b.election.stop()
    await world.until(() => a.terms.length === 2)
    await a.election.stop()
    t.equal((await world.connect().get(world.keys.leader)).item, undefined)
  },
)

await inWorld(t, 'a leader cut off stops believing before another is elected', async (t, world) => {
  const kv = world.connect()
  const [a, b] = [campaign(world, kv, 'a'), campaign(world, world.connect(), 'b')]
  await a.election.start()
  await world.until(() => a.terms.length === 1)
  await b.election.start()
  kv.cut()
  await world.until(() => a.terms[0]?.probablyCurrent === false)
  t.equal(b.terms.length, 0)
  await world.until(() => b.terms.length === 1)
  t.equal(a.deposed.length, 1)
  kv.heal()
  await world.clock.sleep(5000)
  t.equal(a.terms.length, 1, 'and does not come back while another leads')
  t.equal(a.election.leader?.epoch, b.terms[0]?.epoch)
  await a.election.stop()
  await b.election.stop()
})

await inWorld(
  t,
  'writes of a past epoch are refused, those of the current one are done',
  async (t, world) => {
    const [a, b] = [campaign(world, world.connect(), 'a'), campaign(world, world.connect(), 'b')]
    await a.election.start()
    await world.until(() => a.terms.length === 1)
    const first = await a.terms[0]?.commitIf(write)
    t.ok(first?.kind === 'answered' && first.result.succeeded)
    await b.election.start()
    a.election.resign()
    await world.until(() => b.terms.length === 1)
    t.same(await a.terms[0]?.commitIf(write), { kind: 'fenced', epoch: undefined })
    t.equal(await isTaken(world.connect(), a.terms[0]), false, 'the store refuses it by itself')
    t.equal(await isTaken(world.connect(), b.terms[0]), true)
    const unmet = { kind: 'value', key: '/written', equals: 'other' } as const
    const refused = await b.terms[0]?.commitIf({
      compares: [unmet],
      success: [],
      failure: [{ kind: 'get', key: '/written' }],
    })
    t.ok(refused?.kind === 'answered' && !refused.result.succeeded)
    t.ok(refused?.kind === 'answered' && refused.result.responses.length === 1)
    await a.election.stop()
    await b.election.stop()
    t.same(await b.terms[0]?.commitIf(write), { kind: 'fenced', epoch: undefined })
  },
)

await inWorld(t, 'a leader whose key was deleted is deposed and elected anew', async (t, world) => {
  const kv = world.connect()
  const { election, terms, deposed } = campaign(world, kv, 'a')
  await election.start()
  await world.until(() => terms.length === 1)
  await kv.commitIf({ compares: [], success: [{ kind: 'delete', key: world.keys.leader }] })
  await world.until(() => terms.length === 2)
  t.same(deposed, ['leader key is gone'])
  t.ok((terms[1]?.epoch ?? 0) > (terms[0]?.epoch ?? 0))
  await election.stop()
})

await inWorld(t, 'a leader is deposed by its epoch, and only by that', async (t, world) => {
  const [a, b] = [campaign(world, world.connect(), 'a'), campaign(world, world.connect(), 'b')]
  const on = world.on(world.connect())
  await a.election.start()
  await world.until(() => a.terms.length === 1)
  await b.election.start()
  t.equal(await deposeLeader(on, (a.terms[0]?.epoch ?? 0) - 1), false)
  t.equal(a.deposed.length, 0)
  const began = world.clock.now()
  t.equal(await deposeLeader(on, a.terms[0]?.epoch ?? 0), true)
  await world.until(() => b.terms.length === 1)
  t.ok(world.clock.now() - began < 100, 'the lease need not run out')
  t.equal(await deposeLeader(on, a.terms[0]?.epoch ?? 0), false)
  await world.clock.sleep(20_000)
  t.equal(a.terms.length, 1, 'who was deposed lets the others lead')
  t.equal(b.terms.length, 1)
  await a.election.stop()
  await b.election.stop()
})

await inWorld(t, 'a leader that was away sends nothing under its epoch', async (t, world) => {
  const sent: string[] = []
  const kv = world.connect({
    fate: (method) => {
      sent.push(method)
      return 'pass'
    },
  })
  const { election, terms, deposed } = campaign(world, kv, 'a')
  await election.start()
  await world.until(() => terms.length === 1)
  const leadership = terms[0]
  sent.length = 0
  // No timer has had its turn, and the lease would still run for half its time.
  world.clock.jump(1600)
  t.same(await leadership?.commitIf(write), { kind: 'fenced', epoch: undefined })
  t.equal(election.leadership, undefined)
  t.notOk(sent.includes('commitIf'))
  await world.until(() => deposed.length === 1)
  t.match(deposed[0], /away for 1\d+ ms/)
  t.ok(sent.includes('revokeLease'), 'others need not wait for the lease to run out')
  await election.stop()
})

await inWorld(
  t,
  'a write that waits to be repeated is not sent after an absence',
  async (t, world) => {
    let tries = 0
    const kv = world.connect()
    const { election, terms } = campaign(world, kv, 'a')
    await election.start()
    await world.until(() => terms.length === 1)
    kv.faults = {
      fate: (method) => {
        if (method === 'commitIf') tries++
        return method === 'commitIf' ? 'unavailable' : 'pass'
      },
    }
    const writing = terms[0]?.commitIf(write)
    await world.until(() => tries === 1)
    world.clock.jump(1600)
    t.same(await writing, { kind: 'fenced', epoch: undefined })
    t.equal(tries, 1)
    await election.stop()
  },
)

await inWorld(t, 'a restarted leader does not wait for its own old lease', async (t, world) => {
  const kv = world.connect()
  const [before, after] = [campaign(world, kv, 'a', 1), campaign(world, world.connect(), 'a', 2)]
  await before.election.start()
  await world.until(() => before.terms.length === 1)
  kv.cut()
  const began = world.clock.now()
  await after.election.start()
  await world.until(() => after.terms.length === 1)
  t.ok(world.clock.now() - began < 200)
  t.equal(await isTaken(world.connect(), before.terms[0]), false)
  kv.heal()
  await Promise.all([before.election.stop(), after.election.stop()])
})

await inWorld(t, 'a lone coordinator leads again at once', async (t, world) => {
  const terms: Leadership[] = []
  const election = new Election({
    ...world.on(world.connect()),
    candidate: { id: 'a' as MemberId, address: 'a:1', startedAt: 0 },
    hasRivals: () => false,
    onElected: (leadership) => terms.push(leadership),
  })
  await election.start()
  await world.until(() => terms.length === 1)
  const began = world.clock.now()
  election.resign()
  await world.until(() => terms.length === 2)
  t.ok(world.clock.now() - began < 200)
  await election.stop()
})

await inWorld(t, 'a won campaign whose reply was lost is recognised as won', async (t, world) => {
  let lose = true
  const kv = world.connect({
    fate: (method) => {
      if (method !== 'commitIf' || !lose) return 'pass'
      lose = false
      return 'loseReply'
    },
  })
  const { election, terms } = campaign(world, kv, 'a')
  await election.start()
  await world.until(() => terms.length === 1)
  t.equal(terms[0]?.epoch, (await kv.get(world.keys.leader)).item?.createRevision)
  await election.stop()
})

await inWorld(
  t,
  'no two coordinators believe to lead at once, whatever is cut',
  async (t, world) => {
    const kvs = [world.connect(), world.connect(), world.connect()]
    const campaigns = kvs.map((kv, i) => campaign(world, kv, `c${i}`))
    await Promise.all(campaigns.map(({ election }) => election.start()))
    for (let round = 0; round < 60; round++) {
      const kv = kvs[round % 3]
      if (round % 4 === 0) kv?.cut()
      else kv?.heal()
      for (let i = 0; i < 20; i++) {
        await world.clock.sleep(50)
        const believing = campaigns.filter(({ election }) => election.leadership?.probablyCurrent)
        if (believing.length > 1) t.fail(`${believing.length} leaders in round ${round}`)
      }
    }
    kvs.forEach((kv) => kv.heal())
    const epochs = campaigns.flatMap(({ terms }) => terms.map((term) => term.epoch))
    t.ok(epochs.length > 3, `${epochs.length} terms`)
    t.equal(new Set(epochs).size, epochs.length)
    await Promise.all(campaigns.map(({ election }) => election.stop()))
  },
)

await t.test('on etcd, leadership moves and the past is fenced', async (t) => {
  await using etcd = await EtcdProcess.start(process.env)
  const options = { endpoints: [etcd.endpoint], clock: systemClock, log: silentLog }
  await using kv = await connectKv(options)
  const on = { kv, keys: new Keys('test'), clock: systemClock, log: silentLog }
  const elections = ['a', 'b'].map(
    (id) => new Election({ ...on, candidate: { id: id as MemberId, address: 'x', startedAt: 0 } }),
  )
  await Promise.all(elections.map((election) => election.start()))
  const leading = (): Election | undefined => elections.find((e) => e.leadership !== undefined)
  while (leading() === undefined) await systemClock.sleep(5)
  const first = leading()
  const term = first?.leadership
  first?.resign()
  while (leading() === undefined || leading() === first) await systemClock.sleep(5)
  t.same(await term?.commitIf(write), { kind: 'fenced', epoch: undefined })
  t.equal(await isTaken(kv, term), false)
  const second = leading()
  const deposed = second?.leadership
  t.equal(await deposeLeader(on, deposed?.epoch ?? 0), true)
  t.equal(await deposeLeader(on, deposed?.epoch ?? 0), false)
  while (leading() === undefined || leading() === second) await systemClock.sleep(5)
  t.equal(await isTaken(kv, deposed), false)
  await Promise.all(elections.map((election) => election.stop()))
})
