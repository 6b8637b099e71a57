import type { MemberId } from '@nyala/client/protocol'
import type { LaunchRecord, Member, Posted, RosterRecord, SuspicionRecord } from '@nyala/metastore'
import t from 'tap'
import {
  CUT_OFF_MS,
  type DutyEffect,
  type DutyState,
  type DutyView,
  newDuties,
  planDuties,
  type Reach,
  RELAUNCH_AFTER_MS,
  REPLACE_AFTER_MS,
  STALE_AFTER_MS,
} from './duties.ts'

const member = (role: Member['role'], id: string, incarnation: number): Member => ({
  id: id as MemberId,
  role,
  incarnation,
  address: `${id}:1`,
  host: 'h',
  pid: incarnation,
  version: '0',
  protocol: 1,
  startedAt: incarnation,
  state: 'active',
  threads: 1,
  memoryBytes: 0,
  lease: undefined,
})

const c1 = member('coordinator', 'c1', 1)
const c2 = member('coordinator', 'c2', 2)
const e1 = member('executor', 'e1', 3)
const e2 = member('executor', 'e2', 4)

const rosterOf = ({ id, incarnation, host, address, pid }: Member): Posted<RosterRecord> => ({
  record: { id, incarnation, host, address, pid },
  modRevision: 100 + incarnation,
})

const viewOf = (change: Partial<DutyView> = {}): DutyView => ({
  self: c1.id,
  epoch: 9,
  members: [c1, c2, e1, e2],
  suspicions: [],
  roster: [rosterOf(e1), rosterOf(e2)],
  launches: [],
  reach: () => 'reached',
  wallMs: 0,
  ...change,
})

const reach =
  (ids: Readonly<Record<string, Reach>>): DutyView['reach'] =>
  ({ id }) =>
    ids[id] ?? 'reached'

const kinds = (effects: readonly DutyEffect[]): readonly string[] => effects.map(({ kind }) => kind)

/** The effects after `ms` of the same view. */
function later(view: DutyView, ms: number): readonly DutyEffect[] {
  let state: DutyState = newDuties
  ;[state] = planDuties(state, view, 0)
  return planDuties(state, view, ms)[1]
}

t.test('nothing is to be done while all is as it ought to be', async (t) => {
  t.same(later(viewOf(), 1e9), [])
})

t.test(
  'executors are put on the roster, anew with each life, and struck when they drain',
  async (t) => {
    t.match(later(viewOf({ roster: [rosterOf(e2)] }), 0), [
      { kind: 'enlist', record: { id: 'e1', incarnation: 3, pid: 3 }, known: undefined },
    ])
    const again = member('executor', 'e1', 30)
    t.match(later(viewOf({ members: [c1, again, e2] }), 0), [
      { kind: 'enlist', record: { incarnation: 30 }, known: rosterOf(e1) },
    ])
    const drains: Member = { ...e1, state: 'draining' }
    t.match(later(viewOf({ members: [c1, drains, e2] }), 0), [
      { kind: 'strike', known: rosterOf(e1) },
    ])
  },
)

t.test(
  'of an executor that is gone the record goes, and another is asked for at once',
  async (t) => {
    const effects = later(viewOf({ reach: reach({ e1: 'gone' }) }), 0)
    t.same(kinds(effects), ['removeMember', 'launch', 'recordFailure'])
    t.match(effects[1], { request: { id: 'e1', incarnation: 3, epoch: 9, state: 'asked' } })
  },
)

t.test('of a coordinator that is gone only the record goes', async (t) => {
  t.match(later(viewOf({ reach: reach({ c2: 'gone' }) }), 0), [
    { kind: 'removeMember', life: { role: 'coordinator', id: 'c2', incarnation: 2 } },
  ])
})

t.test(
  'a silent executor keeps its record, and a missing one gets time to come back',
  async (t) => {
    t.same(later(viewOf({ reach: reach({ e1: 'silent' }) }), 0), [])
    const missing = viewOf({ members: [c1, c2, e2] })
    t.same(later(missing, REPLACE_AFTER_MS - 1), [])
    t.same(kinds(later(missing, REPLACE_AFTER_MS)), ['launch', 'recordFailure'])
  },
)

const asked = (change: Partial<LaunchRecord> = {}): Posted<LaunchRecord> => ({
  record: {
    ...rosterOf(e1).record,
    reason: 'r',
    epoch: 9,
    requestedAt: 0,
    state: 'asked',
    ...change,
  },
  modRevision: 200,
})

t.test(
  'a request is made once, again when it comes to nothing, and ends with a new life',
  async (t) => {
    const missing = { members: [c1, c2, e2], launches: [asked()] }
    t.same(later(viewOf(missing), REPLACE_AFTER_MS), [])
    const overdue = viewOf({ ...missing, wallMs: RELAUNCH_AFTER_MS })
    t.match(later(overdue, REPLACE_AFTER_MS)[0], { kind: 'launch', known: asked() })
    const again = member('executor', 'e1', 30)
    const back = viewOf({ members: [c1, c2, again, e2], launches: [asked({ state: 'taken' })] })
    t.same(kinds(later(back, 0)), ['enlist', 'closeLaunch'])
  },
)

t.test('an executor that no coordinator reaches is replaced, one that some reach is not', (t) => {
  const doubt = (by: Member): Posted<SuspicionRecord> => ({
    record: {
      role: 'executor',
      id: e1.id,
      incarnation: e1.incarnation,
      by: by.id,
      kind: 'silent',
      reason: 'no answer',
      at: 0,
    },
    modRevision: 7,
  })
  const silent = reach({ e1: 'silent' })
  const members = [c1, c2, e1, e2, member('executor', 'e3', 5)]
  const roster = members.slice(2).map(rosterOf)
  const seen = (change: Partial<DutyView>): DutyView => viewOf({ members, roster, ...change })
  const after = (view: DutyView): readonly DutyEffect[] => {
    const [state] = planDuties(newDuties, view, 0)
    const [early, none] = planDuties(state, view, REPLACE_AFTER_MS - 1)
    t.same(kinds(none), [])
    return planDuties(early, view, REPLACE_AFTER_MS)[1]
  }
  t.same(kinds(after(seen({ reach: silent, suspicions: [doubt(c1)] }))), [], 'c2 reaches it')
  const unreached = seen({ reach: silent, suspicions: [doubt(c1), doubt(c2)] })
  t.match(after(unreached), [
    { kind: 'launch', request: { id: 'e1', reason: 'no coordinator reaches it' } },
    { kind: 'recordFailure' },
  ])
  const both = reach({ e1: 'silent', c2: 'silent' })
  t.same(kinds(after(seen({ reach: both, suspicions: [doubt(c1)] }))), [], 'nobody is reached')
  const alone = members.filter(({ id }) => id !== c2.id)
  t.same(kinds(after(seen({ reach: silent, members: alone, suspicions: [doubt(c1)] }))), [
    'launch',
    'recordFailure',
  ])
  t.end()
})

t.test('an executor that the launcher refuses to start is struck off', async (t) => {
  const refused = asked({ state: 'refused', detail: 'no such executor' })
  t.match(later(viewOf({ members: [c1, c2, e2], launches: [refused] }), REPLACE_AFTER_MS), [
    { kind: 'strike', reason: 'no such executor' },
  ])
  const struck = { members: [c1, c2, e2], roster: [rosterOf(e2)], launches: [refused] }
  t.same(kinds(later(viewOf(struck), 0)), ['closeLaunch'])
})

const suspicion = (about: Member, by: string): Posted<SuspicionRecord> => ({
  record: {
    role: about.role,
    id: about.id,
    incarnation: about.incarnation,
    by: by as MemberId,
    kind: 'silent',
    reason: 'r',
    at: 0,
  },
  modRevision: 300,
})

t.test('suspicions that nobody stands by are removed after a while', async (t) => {
  t.same(later(viewOf({ suspicions: [suspicion(e1, 'c2')] }), 1e9), [])
  for (const stale of [suspicion(e1, 'c9'), suspicion(member('executor', 'e1', 1), 'c2')]) {
    const view = viewOf({ suspicions: [stale] })
    t.same(later(view, STALE_AFTER_MS - 1), [])
    t.same(later(view, STALE_AFTER_MS), [{ kind: 'removeSuspicion', known: stale }])
  }
})

t.test('a leader that others do better than lets them lead', async (t) => {
  const cut = { reach: reach({ e1: 'silent' }) }
  t.match(later(viewOf(cut), CUT_OFF_MS), [{ kind: 'resign' }], 'half of the executors is enough')
  t.same(later(viewOf(cut), CUT_OFF_MS - 1), [])
  const dead = viewOf({ ...cut, suspicions: [suspicion(e1, 'c2')] })
  t.same(later(dead, CUT_OFF_MS), [], 'not when the others do not reach it either')
  const alone = viewOf({ ...cut, members: [c1, e1, e2] })
  t.same(later(alone, CUT_OFF_MS), [], 'not when there is nobody else')
})

t.test('it lets them lead also where one of its silent executors was heard once', async (t) => {
  const e3 = member('executor', 'e3', 5)
  const seen = (reached: Readonly<Record<string, Reach>>): DutyView =>
    viewOf({
      members: [c1, c2, e1, e2, e3],
      roster: [e1, e2, e3].map(rosterOf),
      reach: reach(reached),
    })
  let state: DutyState = newDuties
  const effects: DutyEffect[] = []
  const silent = { e1: 'silent', e2: 'silent', e3: 'silent' } as const
  for (const [ms, reached] of [
    [0, silent],
    [2_000, { ...silent, e1: 'unknown', e2: 'unknown' }],
    [4_000, { ...silent, e3: 'unknown' }],
    [CUT_OFF_MS, silent],
  ] as const) {
    const [next, more] = planDuties(state, seen(reached), ms)
    state = next
    effects.push(...more)
  }
  t.same(kinds(effects), ['resign'])
  const linked = planDuties(state, seen({ e1: 'unknown' }), 2 * CUT_OFF_MS)
  t.same(kinds(linked[1]), [], 'not once it reaches more than half of them')
})
