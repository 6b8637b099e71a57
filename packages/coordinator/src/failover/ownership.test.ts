import type { MemberId } from '@nyala/client/protocol'
import type { LoggedQuery, Owner } from '@nyala/metastore'
import t from 'tap'
import {
  livingOwners,
  newOwnership,
  ORPHAN_GRACE_MS,
  ownedQuery,
  type Ownership,
  type OwnershipEffect,
  type OwnershipEvent,
  stepOwnership,
} from './ownership.ts'

const self: Owner = { id: 'c1' as MemberId, startedAt: 1 }
const other: Owner = { id: 'c2' as MemberId, startedAt: 2 }

const query = (
  owner: Owner,
  modRevision: number,
  change: Partial<LoggedQuery['record']> = {},
): LoggedQuery => ({
  modRevision,
  record: {
    id: 'q',
    sql: 'SELECT 1',
    parameters: [],
    database: 'default',
    settings: {},
    snapshotRevision: 1,
    plan: null,
    owner: owner.id,
    ownerStartedAt: owner.startedAt,
    ownerEpoch: 1,
    state: 'running',
    place: { framesAcknowledged: 0, spooledBy: [] },
    startedAt: 0,
    writeId: 'w',
    ...change,
  },
})

/** A coordinator's mind, and what it wanted done last. */
class Mind {
  state: Ownership = newOwnership(self)
  effects: readonly OwnershipEffect[] = []

  on(event: OwnershipEvent, nowMs = 0): this {
    ;[this.state, this.effects] = stepOwnership(this.state, event, nowMs)
    return this
  }

  look(queries: readonly LoggedQuery[], isLeader = false, nowMs = 0): this {
    return this.on({ kind: 'looked', queries, living: [self], isLeader }, nowMs)
  }

  static owning(mine: LoggedQuery): Mind {
    return new Mind().on({ kind: 'started', id: 'q' }).on({ kind: 'created', query: mine })
  }
}

t.test('a query is owned from its creation to its end', async (t) => {
  const mine = query(self, 5)
  const mind = new Mind().on({ kind: 'started', id: 'q' })
  t.equal(ownedQuery(mind.state, 'q'), undefined, 'not before its record is there')
  t.same(mind.look([mine]).effects, [], 'though the view may be first to show it')
  mind.on({ kind: 'created', query: mine })
  t.equal(ownedQuery(mind.state, 'q'), mine)
  mind.on({ kind: 'ended', id: 'q' })
  t.same(mind.effects, [{ kind: 'finish', query: mine }])
  t.equal(ownedQuery(mind.state, 'q'), undefined)
  mind.on({ kind: 'finished', query: mine })
  t.equal(mind.state.holdings.size, 0)
})

t.test('a query that another claims is abandoned, whether a write or the view tells', async (t) => {
  const mine = query(self, 5)
  const theirs = query(other, 7, { ownerEpoch: 5 })
  const abandon = [{ kind: 'abandon', id: 'q', query: theirs }]
  t.same(Mind.owning(mine).look([theirs]).effects, abandon)
  const told = Mind.owning(mine).on({ kind: 'writeLost', id: 'q', query: theirs })
  t.same(told.effects, abandon)
  t.same(told.look([theirs]).effects, [], 'once')
  t.same(
    Mind.owning(query(self, 9)).look([theirs]).effects,
    [],
    'a view that is behind says nothing',
  )
})

t.test('a cancellation that was asked for elsewhere is carried out once', async (t) => {
  const cancelled = query(self, 8, { state: 'cancelling' })
  const mind = Mind.owning(query(self, 5)).look([cancelled])
  t.same(mind.effects, [{ kind: 'cancel', id: 'q' }])
  t.same(mind.look([cancelled]).effects, [])
  t.equal(ownedQuery(mind.state, 'q'), cancelled, 'the next write rests on that record')
  const written = Mind.owning(query(self, 5)).on({ kind: 'advanced', query: cancelled })
  t.same(written.effects, [{ kind: 'cancel', id: 'q' }], 'a write of its own may be first to tell')
  t.same(written.look([cancelled]).effects, [])
})

const ask = (
  seen: LoggedQuery | undefined,
  how: { readonly isOwnerLiving: boolean; readonly force: boolean },
): OwnershipEvent => ({ kind: 'clientAsked', id: 'q', query: seen, ...how })

t.test('a client that cannot reach the owner gets its query here', async (t) => {
  const theirs = query(other, 7)
  const mind = new Mind().on(ask(theirs, { isOwnerLiving: true, force: true }))
  t.same(mind.effects, [
    { kind: 'claim', seen: theirs, because: 'client' },
    { kind: 'tellClient', id: 'q', answer: { kind: 'claiming' } },
  ])
  const mine = query(self, 8, { ownerEpoch: 7 })
  mind.on({ kind: 'claimAnswered', id: 'q', claim: { kind: 'claimed', query: mine } })
  t.same(mind.effects, [{ kind: 'adopt', query: mine, because: 'client' }])
  t.equal(ownedQuery(mind.state, 'q'), mine)
})

t.test('a client is sent to an owner that lives, or that was faster', async (t) => {
  const theirs = query(other, 7)
  const elsewhere = { kind: 'tellClient', id: 'q', answer: { kind: 'elsewhere', owner: 'c2' } }
  t.same(new Mind().on(ask(theirs, { isOwnerLiving: true, force: false })).effects, [elsewhere])
  const mind = new Mind().on(ask(theirs, { isOwnerLiving: false, force: false }))
  mind.on({ kind: 'claimAnswered', id: 'q', claim: { kind: 'refused', query: theirs } })
  t.same(mind.effects, [elsewhere])
  t.equal(mind.state.holdings.size, 0)
  t.match(new Mind().on(ask(undefined, { isOwnerLiving: false, force: true })).effects, [
    { answer: { kind: 'unknown' } },
  ])
})

t.test('what nobody came for is the leader’s after a while, and nobody else’s', async (t) => {
  const theirs = query(other, 7)
  t.same(new Mind().look([theirs]).look([theirs], false, 1e9).effects, [])
  const leader = new Mind().look([theirs], true)
  t.same(leader.look([theirs], true, ORPHAN_GRACE_MS - 1).effects, [])
  leader.look([theirs], true, ORPHAN_GRACE_MS)
  t.same(leader.effects, [{ kind: 'claim', seen: theirs, because: 'orphan' }])
  t.same(leader.look([theirs], true, 1e9).effects, [], 'one claim at a time')
})

t.test('a leader misses nobody for a time in which there was none', (t) => {
  const theirs = query(other, 7)
  const leader = new Mind().look([theirs], true).look([theirs], false, ORPHAN_GRACE_MS)
  t.same(leader.look([theirs], true, 10 * ORPHAN_GRACE_MS).effects, [])
  t.match(leader.look([theirs], true, 11 * ORPHAN_GRACE_MS).effects, [{ kind: 'claim' }])
  t.end()
})

t.test('whoever answers on a socket lives, registered or not', (t) => {
  const isSuspected = (id: string): boolean => id === 'c3'
  const suspected: Owner = { id: 'c3' as MemberId, startedAt: 3 }
  const later: Owner = { id: 'c2' as MemberId, startedAt: 9 }
  t.same(livingOwners({ registered: [self, suspected], linked: [], isSuspected }), [self])
  t.same(livingOwners({ registered: [self, later], linked: [other], isSuspected }), [
    self,
    later,
    other,
  ])
  t.end()
})

t.test('a record from a create that came late is ended, one from a claim is claimed', async (t) => {
  const created = query(self, 7)
  t.same(new Mind().look([created]).effects, [{ kind: 'finish', query: created }])
  const claimed = query(self, 7, { ownerEpoch: 5 })
  t.same(new Mind().look([claimed]).effects, [{ kind: 'claim', seen: claimed, because: 'orphan' }])
})

t.test('an end whose outcome is unknown is tried again while the record is seen', async (t) => {
  const mine = query(self, 5)
  const mind = Mind.owning(mine).on({ kind: 'ended', id: 'q' })
  mind.on({ kind: 'finishFailed', query: mine })
  t.same(mind.look([mine]).effects, [{ kind: 'finish', query: mine }])
  mind.on({ kind: 'finishFailed', query: mine }).look([])
  t.equal(mind.state.holdings.size, 0)
})

t.test('what comes of an end that was lost leaves a later claim alone', async (t) => {
  const mine = query(self, 5)
  const theirs = query(other, 7, { ownerEpoch: 5 })
  // A write was under way when it ended, and is first to tell that another has claimed it.
  const mind = Mind.owning(mine).on({ kind: 'ended', id: 'q' })
  mind.on({ kind: 'writeLost', id: 'q', query: theirs })
  mind.on(ask(theirs, { isOwnerLiving: false, force: true }))
  mind.on({ kind: 'finished', query: mine })
  const back = query(self, 9, { ownerEpoch: 9 })
  mind.on({ kind: 'claimAnswered', id: 'q', claim: { kind: 'claimed', query: back } })
  t.same(mind.effects, [{ kind: 'adopt', query: back, because: 'client' }])
  mind.on({ kind: 'ended', id: 'q' }).on({ kind: 'finished', query: mine })
  t.equal(mind.state.holdings.get('q')?.kind, 'finishing', 'nor does it end a later end')
  t.equal(mind.on({ kind: 'finished', query: back }).state.holdings.size, 0)
})
