import type { MemberId } from '@nyala/client/protocol'
import { CLOSE } from '@nyala/client/wire'
import t from 'tap'
import {
  contactOf,
  type Detection,
  type DetectionEvent,
  LINK_EXPECTED_MS,
  newDetection,
  type Probe,
  reachesExecutorsLess,
  REPROBE_MS,
  shouldDepose,
  stepDetection,
  suspected,
  type WatchedMember,
} from './detection.ts'

const member = (role: WatchedMember['role'], id: string, incarnation: number): WatchedMember => ({
  role,
  id: id as MemberId,
  incarnation,
  startedAt: incarnation,
})

const c1 = member('coordinator', 'c1', 11)
const c2 = member('coordinator', 'c2', 12)
const c3 = member('coordinator', 'c3', 13)
const e1 = member('executor', 'e1', 21)

/** One coordinator's eyes, with time that the test moves. */
class Eyes {
  state: Detection
  nowMs = 0
  probes: readonly Probe[] = []

  constructor(self: WatchedMember, members: readonly WatchedMember[]) {
    this.state = newDetection(self.id)
    this.see({ kind: 'membersChanged', members })
    for (const { role, id } of members) this.see({ kind: 'linkOpened', role, id })
  }

  see(event: DetectionEvent): void {
    const [state, probes] = stepDetection(this.state, event, this.nowMs)
    this.state = state
    this.probes = probes
  }

  close(who: WatchedMember, code: number): void {
    this.see({ kind: 'linkClosed', role: who.role, id: who.id, code, reason: '' })
  }

  answer(who: WatchedMember, outcome: 'answered' | 'refused' | 'silent'): void {
    const { role, id, incarnation } = who
    this.see({ kind: 'probed', role, id, incarnation, outcome })
  }

  contact(who: WatchedMember): string | undefined {
    return contactOf(this.state, who)?.kind
  }

  pass(ms: number): void {
    this.nowMs += ms
    this.see({ kind: 'timePassed' })
  }

  get suspects(): readonly string[] {
    return suspected(this.state).map(({ id, contact }) => `${id} ${contact.by}`)
  }
}

t.test('a socket that breaks is a doubt, and a refused probe makes it certain', async (t) => {
  const eyes = new Eyes(c1, [c1, c2, e1])
  eyes.close(e1, 1006)
  t.equal(eyes.contact(e1), 'doubted')
  t.same(eyes.probes, [{ kind: 'probe', role: 'executor', id: 'e1', incarnation: 21 }])
  t.same(eyes.suspects, [], 'nobody is suspected for a socket alone')
  eyes.answer(e1, 'refused')
  t.same(eyes.suspects, ['e1 refused'])
  eyes.answer(e1, 'answered')
  t.same(eyes.suspects, [], 'an answer of that very life clears it')
})

t.test('a member whose pings are not answered is suspected at once', async (t) => {
  const eyes = new Eyes(c1, [c1, c2])
  eyes.close(c2, CLOSE.silent)
  t.same(eyes.suspects, ['c2 silent'])
  t.equal(eyes.probes.length, 1)
  eyes.answer(c2, 'silent')
  t.same(eyes.suspects, ['c2 silent'])
  eyes.pass(REPROBE_MS)
  t.equal(eyes.probes.length, 1, 'it is asked again')
  eyes.pass(REPROBE_MS)
  t.equal(eyes.probes.length, 0, 'one probe at a time')
  eyes.answer(c2, 'refused')
  t.same(eyes.suspects, ['c2 refused'])
  eyes.answer(c2, 'silent')
  t.same(eyes.suspects, ['c2 refused'], 'what is gone is not merely silent')
})

t.test('a link that opens ends every doubt, and a leave with a word is none', async (t) => {
  const eyes = new Eyes(c1, [c1, c2, e1])
  eyes.close(c2, CLOSE.silent)
  eyes.see({ kind: 'linkOpened', role: 'coordinator', id: 'c2' })
  t.same(eyes.suspects, [])
  eyes.answer(c2, 'silent')
  t.equal(eyes.contact(c2), 'linked', 'a late answer to a probe changes nothing')
  eyes.close(e1, CLOSE.goingAway)
  t.equal(eyes.contact(e1), 'expected')
  t.same(eyes.probes, [])
})

t.test('a member that never connects is asked', async (t) => {
  const eyes = new Eyes(c1, [c1])
  eyes.see({ kind: 'membersChanged', members: [c1, e1] })
  eyes.pass(LINK_EXPECTED_MS - 1)
  t.same(eyes.probes, [])
  eyes.pass(1)
  t.equal(eyes.probes.length, 1)
  eyes.answer(e1, 'silent')
  t.same(eyes.suspects, ['e1 silent'])
})

t.test('another life begins without the doubts about the last one', async (t) => {
  const eyes = new Eyes(c1, [c1, e1])
  eyes.close(e1, 1006)
  const next = member('executor', 'e1', 31)
  eyes.see({ kind: 'membersChanged', members: [c1, next] })
  eyes.answer(e1, 'refused')
  t.same(eyes.suspects, [], 'the answer was about the life before')
  t.equal(eyes.contact(next), 'expected')
  t.equal(eyes.contact(e1), undefined)
})

t.test(
  'a member that vanishes from the membership with its socket open is not doubted',
  async (t) => {
    const eyes = new Eyes(c1, [c1, e1])
    eyes.see({ kind: 'membersChanged', members: [c1] })
    const again = member('executor', 'e1', 31)
    eyes.see({ kind: 'membersChanged', members: [c1, again] })
    t.equal(eyes.contact(again), 'linked')
  },
)

t.test('a leader is deposed when its process is gone, by anyone who knows', async (t) => {
  const leader = { id: 'c2', epoch: 50, startedAt: 12 }
  const eyes = new Eyes(c1, [c1, c2, c3])
  t.notOk(shouldDepose(eyes.state, leader, []))
  eyes.close(c2, 1006)
  t.notOk(shouldDepose(eyes.state, leader, []), 'not for a socket alone')
  eyes.answer(c2, 'refused')
  t.ok(shouldDepose(eyes.state, leader, []))
  const another = { ...leader, startedAt: 99 }
  t.notOk(shouldDepose(eyes.state, another, []), 'not for what befell another process of its id')
  t.notOk(shouldDepose(eyes.state, { ...leader, id: 'c1', startedAt: 11 }, []), 'not oneself')
})

t.test('a silent leader is deposed when most of the others find it so', async (t) => {
  const leader = { id: 'c2', epoch: 50, startedAt: 12 }
  const suspicion = { role: 'coordinator', id: 'c2', incarnation: 12 } as const
  const eyes = new Eyes(c1, [c1, c2, c3])
  eyes.close(c2, CLOSE.silent)
  t.notOk(
    shouldDepose(eyes.state, leader, [{ ...suspicion, by: 'c1' }]),
    'one of two may be cut off',
  )
  t.ok(shouldDepose(eyes.state, leader, [{ ...suspicion, by: 'c3' }]))
  const past = { ...suspicion, incarnation: 2, by: 'c3' }
  t.notOk(shouldDepose(eyes.state, leader, [past]), 'suspicions of an earlier life do not count')
  const two = new Eyes(c1, [c1, c2])
  two.close(c2, CLOSE.silent)
  t.ok(shouldDepose(two.state, leader, []), 'with two, the other is most of the others')
})

t.test('a coordinator without executors sends clients on to one that has some', async (t) => {
  const eyes = new Eyes(c1, [c2, c3, e1])
  const misses = (by: WatchedMember, incarnation = e1.incarnation) => ({
    role: 'executor' as const,
    id: e1.id,
    incarnation,
    by: by.id,
  })
  const isLess = (...suspicions: readonly ReturnType<typeof misses>[]): boolean =>
    reachesExecutorsLess(eyes.state, suspicions)
  t.notOk(isLess(), 'it has one itself')
  eyes.close(e1, CLOSE.silent)
  t.ok(isLess(misses(c1)))
  t.ok(isLess(misses(c1), misses(c2)), 'c3 has it')
  t.notOk(isLess(misses(c1), misses(c2), misses(c3)), 'nobody has it')
  t.ok(isLess(misses(c2, 20), misses(c3)), 'that was an earlier life')
  eyes.close(c3, CLOSE.silent)
  t.notOk(isLess(misses(c2)), 'who has it is not known to live')
  eyes.see({ kind: 'membersChanged', members: [c2, c3] })
  t.notOk(isLess(), 'there are none')
})
