import { Prng } from '@nyala/client/base'
import { Patience } from '@nyala/metastore'
import { ManualClock } from '@nyala/metastore/memory'
import t from 'tap'
import type { PeerTurn } from '../failover/peer-protocol.ts'
import { TableTurns, type Turn } from './table-turns.ts'
import { SimulatedTurns } from './testing/simulated-turns.ts'

const without = (): undefined => undefined

/** Coordinators that hear of each other at once, and what they told. */
function openTurns(clock: ManualClock, ...ids: readonly string[]) {
  const told: PeerTurn[] = []
  const all = new Map<string, TableTurns>()
  for (const id of ids) {
    const tell = (turn: PeerTurn): void => {
      told.push(turn)
      for (const [other, turns] of all) if (other !== id) turns.onPeer(id, turn)
    }
    all.set(id, new TableTurns({ id, clock, random: () => 0, tell }))
  }
  const of = (id: string): TableTurns => {
    const turns = all.get(id)
    if (turns === undefined) throw new Error(`no ${id}`)
    return turns
  }
  return { of, told }
}

/** Notes who comes when. */
function line(clock: ManualClock) {
  const came: string[] = []
  const come = (name: string, turn: Turn): void => {
    void turn.come(without).then((revision) => came.push(`${name} at ${clock.now()}: ${revision}`))
  }
  return { came, come }
}

t.test('commits that meet nobody do not wait, and nobody hears of them', async (t) => {
  const clock = new ManualClock({ now: 0 })
  const { of, told } = openTurns(clock, 'c1', 'c2')
  for (const id of ['c1', 'c2', 'c1']) {
    const turn = of(id).begin(['t'])
    t.equal(await turn.come(without), 0)
    turn.end(7)
  }
  t.same(told, [])
})

t.test('one that was overtaken goes before those that begin later, anywhere', async (t) => {
  const clock = new ManualClock({ now: 0 })
  const { of } = openTurns(clock, 'c1', 'c2', 'c3')
  const { came, come } = line(clock)
  const large = of('c1').begin(['t'])
  await clock.run(large.overtaken(100))
  await clock.advance(10)
  const [first, second] = [of('c2').begin(['t']), of('c3').begin(['t'])]
  come('c3', second)
  await clock.advance(10)
  come('c2', first)
  come('c2, u', of('c2').begin(['u']))
  come('large', large)
  await clock.advance(80)
  t.same(came, ['c2, u at 20: 0', 'large at 20: 0'], 'others wait, but not at other tables')
  large.end(5)
  await clock.advance(10)
  first.end(6)
  await clock.advance(10)
  t.same(came.slice(2), ['c2 at 100: 5', 'c3 at 110: 6'], 'in the order in which they began')
  second.end(7)
  t.equal(await of('c1').begin(['t']).come(without), 0, 'nobody waits any more')
})

t.test('nobody waits long for one of which nothing is heard', async (t) => {
  const clock = new ManualClock({ now: 0 })
  const { of } = openTurns(clock, 'c1', 'c2')
  const { came, come } = line(clock)
  await clock.run(of('c1').begin(['t']).overtaken(1))
  come('after its time', of('c2').begin(['t']))
  await clock.advance(10_000)
  t.same(came.splice(0), ['after its time at 6000: 0'])
  await clock.run(of('c1').begin(['u']).overtaken(1))
  come('after its link', of('c2').begin(['u']))
  await clock.advance(20)
  of('c2').onPeer('c1', undefined)
  await clock.advance(0)
  t.same(came, ['after its link at 10020: 0'])
})

t.test(
  'a coordinator that the metastore does not answer holds others up for one try',
  async (t) => {
    const clock = new ManualClock({ now: 0 })
    const { of } = openTurns(clock, 'c1', 'c2')
    const { came, come } = line(clock)
    const first = of('c1').begin(['t'])
    for (const turn of [first, ...Array.from({ length: 4 }, () => of('c1').begin(['t']))]) {
      await clock.run(turn.overtaken(1))
      come('cut', turn)
    }
    await clock.advance(10)
    come('c2', of('c2').begin(['t']))
    await clock.advance(489)
    t.notMatch(came, ['c2'])
    await clock.advance(1)
    t.match(came, /c2 at 500: 0/)
    await clock.run(first.overtaken(1))
    came.length = 0
    come('c2 again', of('c2').begin(['t']))
    await clock.advance(0)
    t.same(came, [], 'it gets on')
  },
)

t.test('one that waits for long is not forgotten', async (t) => {
  const clock = new ManualClock({ now: 0 })
  const { of } = openTurns(clock, 'c1', 'c2', 'c3')
  const { came, come } = line(clock)
  const slow = of('c1').begin(['t'])
  await clock.run(slow.overtaken(5_000))
  come('slow', slow)
  await clock.advance(10)
  const waiting = of('c2').begin(['t'])
  come('c2', waiting)
  await clock.advance(6_000)
  come('c3', of('c3').begin(['t']))
  await clock.advance(0)
  t.same(came.splice(0), ['slow at 0: 0'], 'it is let alone for as long as it takes')
  slow.end()
  await clock.advance(0)
  t.same(came, ['c2 at 6010: 0'])
})

t.test('who waits behind others gives up with the metastore that they wait for', async (t) => {
  const clock = new ManualClock({ now: 0 })
  const { of } = openTurns(clock, 'c1')
  const front = of('c1').begin(['t'])
  await clock.run(front.overtaken(30_000))
  await front.come(without)
  const behind = of('c1').begin(['t'])
  const patience = new Patience(clock)
  const error = await clock.run(behind.come(() => patience).catch((reason: unknown) => reason))
  t.match(error, { error: 'metastore_unavailable' })
  behind.end()
  t.equal(of('c1').asked().length, 1, 'it is not waited for')
})

t.test('a coordinator that comes late hears who waits', async (t) => {
  const clock = new ManualClock({ now: 0 })
  const { of } = openTurns(clock, 'c1')
  const turn = of('c1').begin(['t'])
  t.same(of('c1').asked(), [])
  await clock.run(turn.overtaken(1))
  await clock.advance(100)
  t.match(of('c1').asked(), [{ tables: ['t'], agedMs: 100, forMs: 5_900, tries: 1, revision: 0 }])
  turn.end()
  t.same(of('c1').asked(), [])
})

/**
 * A large commit beside small ones that never end: how often it was overtaken until it got through. A try is in vain where
 * another commit got through while it was made.
 */
async function overtakenIn(seed: number, isCourteous: boolean): Promise<number> {
  const clock = new ManualClock({ now: 0 })
  const prng = new Prng(seed)
  const simulated = new SimulatedTurns(clock, prng, () => false)
  let head = 0
  let isOver = false
  const commit = async (turns: TableTurns, tookMs: number, triesMax: number): Promise<number> => {
    const turn = turns.begin(['t'])
    for (let tries = 0; tries < triesMax; tries++) {
      if (isCourteous) await turn.come(without)
      const on = head
      await clock.sleep(tookMs)
      if (head === on) {
        head++
        turn.end(head)
        return tries
      }
      if (isCourteous) await turn.overtaken(tookMs)
    }
    turn.end()
    return triesMax
  }
  const small = async (id: string): Promise<void> => {
    const turns = simulated.open(id)
    while (!isOver) await commit(turns, 5 + prng.below(20), Infinity)
  }
  const work = Promise.all([small('c1'), small('c2')])
  const large = async (): Promise<number> => {
    const overtaken = await commit(simulated.open('c3'), 300, 64)
    isOver = true
    return overtaken
  }
  const overtaken = await clock.run(large())
  await clock.run(work)
  return overtaken
}

t.test('a large commit gets through beside small ones that never end', async (t) => {
  for (let seed = 1; seed <= 50; seed++) {
    const overtaken = await overtakenIn(seed, true)
    t.ok(overtaken <= 3, `seed ${seed}: overtaken ${overtaken} times`)
  }
  t.equal(await overtakenIn(1, false), 64, 'it never would where nobody waits')
})
