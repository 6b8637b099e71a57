import { SqlError } from '@nyala/client/protocol'
import type { Decision, DecideRequest } from '@nyala/metastore'
import t from 'tap'
import { SharedDecisions, takeDisjoint } from './shared-decisions.ts'

/** A commit of a statement that moves the heads of these tables. */
const commitOf = (id: string, ...tables: readonly string[]): DecideRequest => ({
  writes: [],
  statements: [
    {
      id,
      outcome: {
        ...{ fingerprint: 'f', write: `w${id}`, command: 'INSERT' },
        ...{ rows: 1, notices: [], committedAt: 0 },
      },
    },
  ],
  compares: tables.map((key) => ({ kind: 'modRevision', key, equals: 1 })),
  operations: tables.map((key) => ({ kind: 'put', key, value: id })),
})

const ids = (requests: readonly { readonly request: DecideRequest }[]): string =>
  requests.map(({ request }) => request.statements.map((one) => one.id).join('')).join('')

t.test(
  'those go together of which no two are about one table, as many as one commit takes',
  (t) => {
    const waiting = [
      commitOf('a', 'x'),
      commitOf('b', 'y', 'x'),
      commitOf('c', 'y'),
      commitOf('d', 'z'),
    ]
    const { taken, left } = takeDisjoint(waiting.map((request) => ({ request })))
    t.equal(ids(taken), 'acd')
    t.equal(ids(left), 'b')
    const many = Array.from({ length: 100 }, (_, i) => ({ request: commitOf(`${i},`, `t${i}`) }))
    t.equal(takeDisjoint(many).taken.length, 60)
    const drop: DecideRequest = {
      ...commitOf('p'),
      operations: [{ kind: 'deletePrefix', prefix: 'x' }],
    }
    const dropped = takeDisjoint([{ request: drop }, { request: commitOf('q', 'x') }])
    t.equal(ids(dropped.taken), 'p', 'what is not told by key goes alone')
    t.end()
  },
)

/** Decides as it is told, and notes what was asked. */
function worldOf(answer: (statements: string) => Decision | Error) {
  const asked: string[] = []
  const gates: (() => void)[] = []
  const log = {
    async decide(request: DecideRequest): Promise<Decision> {
      const name = ids([{ request }])
      asked.push(name)
      await new Promise<void>((resolve) => gates.push(resolve))
      const decision = answer(name)
      if (decision instanceof Error) throw decision
      return decision
    },
  }
  const open = async (): Promise<void> => {
    for (const gate of gates.splice(0)) gate()
    await new Promise((resolve) => setImmediate(resolve))
  }
  return { asked, open, decisions: new SharedDecisions(log, 1) }
}

const committed: Decision = { kind: 'committed', revision: 9 }
const moved: Decision = { kind: 'moved', revision: 5 }

t.test('what comes while a commit is on its way goes as one', async (t) => {
  const { asked, open, decisions } = worldOf(() => committed)
  const all = ['a', 'b', 'c'].map((id) => decisions.decide(commitOf(id, id)))
  t.same(asked, ['a'])
  await open()
  t.same(asked, ['a', 'bc'])
  await open()
  t.same(await Promise.all(all), [committed, committed, committed])
  t.equal(decisions.shared, 1)
})

t.test('each is told its own end where they cannot all be done, or nobody knows', async (t) => {
  for (const refused of [moved, new SqlError('commit_outcome_unknown', 'no answer')]) {
    const { asked, open, decisions } = worldOf((name) =>
      name.length > 1 ? refused : name === 'b' ? moved : committed,
    )
    const all = ['a', 'b', 'c'].map((id) => decisions.decide(commitOf(id, id)))
    for (let i = 0; i < 3; i++) await open()
    t.same(await Promise.all(all), [committed, moved, committed])
    t.same(asked, ['a', 'bc', 'b', 'c'])
  }
})

t.test('without a metastore all are told so at once', async (t) => {
  const { asked, open, decisions } = worldOf((name) =>
    name === 'a' ? committed : new SqlError('metastore_unavailable', 'gone'),
  )
  const all = ['a', 'b', 'c'].map((id) => decisions.decide(commitOf(id, id)))
  const ends = Promise.allSettled(all)
  for (let i = 0; i < 2; i++) await open()
  t.match(await ends, [{ value: committed }, { status: 'rejected' }, { status: 'rejected' }])
  t.same(asked, ['a', 'bc'])
})

t.test(
  'what may have been done by a shared commit is unknown, whatever is known of the next one',
  async (t) => {
    const unknown = new SqlError('commit_outcome_unknown', 'no answer')
    const unavailable = new SqlError('metastore_unavailable', 'refused')
    const { open, decisions } = worldOf((name) => (name.length > 1 ? unknown : unavailable))
    const ends = Promise.allSettled(['a', 'b', 'c'].map((id) => decisions.decide(commitOf(id, id))))
    for (let i = 0; i < 3; i++) await open()
    t.match(await ends, [
      { reason: { error: 'metastore_unavailable' } },
      { reason: { error: 'commit_outcome_unknown' } },
      { reason: { error: 'commit_outcome_unknown' } },
    ])
  },
)
