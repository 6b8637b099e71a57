import t from 'tap'
import type { WrittenFile } from '../kernel/kernel-protocol.ts'
import {
  onParticipant,
  type ParticipantEffect,
  type ParticipantEvent,
  type ParticipantState,
  prepareRefusal,
  STAGING,
} from './participant.ts'

const FILES: readonly WrittenFile[] = [{ path: '/t/a', partition: 0, rows: 1, bytes: 2, crc: 3 }]

/** What an attempt does over these events, and where it ends. */
function play(events: readonly ParticipantEvent<string>[]): {
  readonly state: ParticipantState
  readonly effects: readonly ParticipantEffect<string>[]
} {
  let state = STAGING
  const effects: ParticipantEffect<string>[] = []
  for (const event of events) {
    const [next, effect] = onParticipant(state, event)
    state = next
    if (effect !== undefined) effects.push(effect)
  }
  return { state, effects }
}

const written: ParticipantEvent<string> = { kind: 'written', files: FILES }
const agreed: ParticipantEvent<string> = { kind: 'agreed', files: [] }
const ended: ParticipantEvent<string> = { kind: 'ended', reason: 'canceled' }
const failed: ParticipantEvent<string> = { kind: 'failed', reason: 'disk full' }

t.test('an attempt votes yes once what it wrote was read back', async (t) => {
  const { state, effects } = play([written, agreed, agreed, ended, failed])
  t.same(state, { kind: 'voted', yes: true })
  t.same(effects, [
    { kind: 'check', files: FILES },
    { kind: 'voteYes', files: [] },
  ])
})

t.test('what cannot be read back is removed, and the vote is no', async (t) => {
  const { effects } = play([written, { kind: 'disagreed', reason: 'other rows' }, agreed])
  t.same(effects.slice(1), [{ kind: 'voteNo', reason: 'other rows', remove: FILES }])
})

t.test('what nobody wants any more is removed, whenever that is said', async (t) => {
  for (const events of [
    [ended, written],
    [written, ended, agreed],
  ]) {
    const { state, effects } = play(events)
    t.same(state, { kind: 'voted', yes: false })
    t.same(effects.at(-1), { kind: 'voteNo', reason: undefined, remove: FILES })
  }
  t.same(play([ended, failed]).effects, [{ kind: 'voteNo', reason: 'disk full', remove: [] }])
})

t.test(
  'over any order of events there is one vote at the most, and no yes after an end',
  async (t) => {
    const all = [written, agreed, ended, failed, { kind: 'disagreed', reason: 'x' } as const]
    const orders = (left: number): (typeof all)[] =>
      left === 0 ? [[]] : orders(left - 1).flatMap((order) => all.map((event) => [...order, event]))
    for (const order of orders(4)) {
      const { effects } = play(order)
      const votes = effects.filter(({ kind }) => kind !== 'check')
      const names = order.map(({ kind }) => kind).join(' ')
      if (votes.length > 1) t.fail(`${votes.length} votes after ${names}`)
      const firstEnd = order.findIndex(({ kind }) => kind === 'ended')
      const yesAt = order.findIndex((_, i) =>
        play(order.slice(0, i + 1)).effects.some(({ kind }) => kind === 'voteYes'),
      )
      if (yesAt >= 0 && firstEnd >= 0 && firstEnd < yesAt) t.fail(`yes after an end: ${names}`)
    }
    t.pass(`${5 ** 4} orders`)
  },
)

t.test('a late request to prepare is refused', async (t) => {
  const view = { epoch: 3, isReleased: false, newestAttempt: 1 }
  t.equal(prepareRefusal(view, { epoch: 3, attempt: 1 }), undefined)
  t.equal(prepareRefusal(view, { epoch: 4, attempt: 2 }), undefined)
  t.equal(prepareRefusal(view, { epoch: 2, attempt: 2 }), 'pastEpoch')
  t.equal(prepareRefusal(view, { epoch: 3, attempt: 0 }), 'olderAttempt')
  t.equal(prepareRefusal({ ...view, isReleased: true }, { epoch: 3, attempt: 1 }), 'released')
  t.equal(
    prepareRefusal(
      { epoch: undefined, isReleased: false, newestAttempt: undefined },
      { epoch: 0, attempt: 0 },
    ),
    undefined,
  )
})
