import t from 'tap'
import { anomaliesOf } from './checks.ts'
import type { History, Operation, Transaction } from './history.ts'
import { lineOf, parseHistory } from './history.ts'
import type { Level } from './isolation.ts'
import { ACCOUNTS, RING, TOTAL, modelHistory } from './testing/model-history.ts'

const bank = { accounts: ACCOUNTS, total: TOTAL }
const namesIn = (history: History, level: Level = 'strong snapshot'): readonly string[] => [
  ...new Set(anomaliesOf(history, { level, bank, ringSize: RING }).map(({ name }) => name)),
]

/** Times and revisions so far above those of the model that what it did is over. */
const LATER = 1_000_000

/** One transaction, at a moment and revision of its own unless told otherwise. */
const did = (
  at: number,
  operations: readonly Operation[],
  more: Partial<Transaction> = {},
): Transaction => ({
  ...{ id: `x${at}`, session: `own ${at}`, end: 'committed', operations },
  ...{ began: LATER + at, ended: LATER + at + 0.5, token: LATER + at, revision: LATER + at },
  ...more,
})
/** All at the same time, in sessions of their own, none of which knows of another. */
const AT_ONCE = { began: LATER, ended: LATER + 10, token: LATER, revision: LATER + 10 }

const add = (key: string, ...values: readonly number[]): Operation => ({ kind: 'add', key, values })
const set = (key: string, ...values: readonly number[]): Operation => ({ kind: 'set', key, values })
const list = (key: string, ...values: readonly number[]): Operation => ({
  ...{ kind: 'list', key, values },
})
const append = (key: string, value: number): Operation => ({ kind: 'append', key, value })
const balances = (change: Record<string, number>): Operation => ({
  kind: 'accounts',
  balances: {
    ...Object.fromEntries(ACCOUNTS.map((name) => [name, TOTAL / ACCOUNTS.length])),
    ...change,
  },
})
const ring = (change: Record<string, number>): Operation => ({
  kind: 'ring',
  next: {
    ...Object.fromEntries(Array.from({ length: RING }, (_, i) => [i, (i + 1) % RING])),
    ...change,
  },
})

/** Each is one fault of a database, and what is to be said of it, all of it. */
const SEEDED: Readonly<Record<string, readonly [names: readonly string[], ...History]>> = {
  'two transactions wrote in opposite orders to two lists': [
    ['G0'],
    did(1, [append('la', 1), append('lb', 1)], AT_ONCE),
    did(2, [append('la', 2), append('lb', 2)], AT_ONCE),
    did(20, [list('la', 1, 2), list('lb', 2, 1)]),
  ],
  'an aborted write was read': [
    ['G1a', 'ghost'],
    did(1, [add('s', 1)], { end: 'aborted' }),
    did(2, [set('s', 1)]),
  ],
  'a transaction was read in its midst': [
    ['G1b', 'G-single'],
    did(1, [append('l', 1), append('l', 2)], AT_ONCE),
    did(2, [list('l', 1)], AT_ONCE),
    did(20, [list('l', 1, 2)]),
  ],
  'a part of a statement was read': [
    ['G1b', 'G-single'],
    did(1, [add('s', 1, 2)], AT_ONCE),
    did(2, [set('s', 1)], AT_ONCE),
  ],
  'each of two transactions read what the other wrote': [
    ['G1c'],
    did(1, [add('sa', 1), set('sb', 1)], AT_ONCE),
    did(2, [add('sb', 1), set('sa', 1)], AT_ONCE),
  ],
  'a read saw one table before a transaction and another one after it': [
    ['G-single'],
    did(1, [add('sa', 1), add('sb', 1)], AT_ONCE),
    did(2, [set('sa', 1), set('sb')], AT_ONCE),
  ],
  'an update was lost': [
    ['G-single'],
    did(1, [list('l'), append('l', 1)], AT_ONCE),
    did(2, [list('l'), append('l', 2)], AT_ONCE),
    did(20, [list('l', 1, 2)]),
  ],
  'two readers saw two writes in opposite orders': [
    ['G-nonadjacent', 'long-fork'],
    did(1, [add('sa', 1)], AT_ONCE),
    did(2, [add('sb', 1)], AT_ONCE),
    did(3, [set('sa', 1), set('sb')], AT_ONCE),
    did(4, [set('sa'), set('sb', 1)], AT_ONCE),
  ],
  'one transaction saw another one come': [
    ['internal'],
    did(1, [add('s', 1)], AT_ONCE),
    did(2, [set('s'), set('s', 1)], AT_ONCE),
  ],
  'a transaction did not see what it had written': [
    ['internal'],
    did(1, [append('l', 1), list('l')]),
  ],
  'two reads showed two orders of one list': [
    ['incompatible-order'],
    did(1, [append('l', 1)], AT_ONCE),
    did(2, [append('l', 2)], AT_ONCE),
    did(3, [list('l', 1, 2)], AT_ONCE),
    did(4, [list('l', 2, 1)], AT_ONCE),
  ],
  'a value came from nowhere': [['garbage'], did(1, [set('s', 7)])],
  'a row was there twice': [['doubled'], did(1, [add('s', 1)]), did(2, [set('s', 1, 1)])],
  'an acknowledged row was lost, and its token was heeded': [
    ['G-single-token', 'lost'],
    did(1, [add('s', 1)]),
    did(2, [set('s')]),
  ],
  'an acknowledged row came late': [
    ['G-single-token', 'stale'],
    did(1, [add('s', 1)]),
    did(2, [set('s')]),
    did(3, [set('s', 1)]),
  ],
  'a session did not see its own write elsewhere': [
    ['G-single-session', 'not-monotonic', 'revision-decreased'],
    did(1, [add('s', 1)], { session: 'hops', token: LATER, revision: LATER }),
    did(2, [set('s')], { session: 'hops', token: LATER - 1, revision: LATER - 1 }),
  ],
  'a session went back from what it had read': [
    ['G-single-session', 'not-monotonic'],
    did(1, [add('s', 1)], { ...AT_ONCE, revision: LATER + 100 }),
    did(2, [set('s', 1)], { ...AT_ONCE, ended: LATER + 1, session: 'hops', revision: LATER }),
    did(3, [set('s')], { ...AT_ONCE, began: LATER + 2, session: 'hops', revision: LATER }),
  ],
  'a read missed what had ended before it': [
    ['G-single-realtime'],
    did(1, [add('s', 1)]),
    did(2, [set('s')], { token: 0 }),
  ],
  'money was made': [['wrong-total'], did(1, [balances({ a0: 12 })])],
  'an account was overdrawn': [['negative-balance'], did(1, [balances({ a0: -1, a1: 21 })])],
  'an account came from nowhere': [['unexpected-account'], did(1, [balances({ nobody: 0 })])],
  'an account was lost': [['missing-account'], did(1, [balances({ a0: NaN })])],
  'a ring fell into two': [['broken-ring'], did(1, [ring({ 0: 0, 1: 2 })])],
  'an element of a ring was lost': [
    ['broken-ring'],
    did(1, [{ kind: 'ring', next: { 0: 1, 1: 0 } }]),
  ],
  'a range had a gap': [
    ['gap'],
    did(1, [add('range 1', 0)], AT_ONCE),
    did(2, [add('range 1', 1)], { ...AT_ONCE, end: 'unknown' }),
    did(3, [add('range 1', 2)], AT_ONCE),
    did(4, [set('range 1', 0, 2)], AT_ONCE),
  ],
}

for (const [fault, [names, ...seeded]] of Object.entries(SEEDED)) {
  t.test(`${fault}: ${names.join(', ')}`, async (t) => {
    t.strictSame(namesIn([...modelHistory(7, 60), ...seeded]).toSorted(), names.toSorted())
  })
}

t.test('what snapshots allow is no anomaly', async (t) => {
  for (let seed = 1; seed <= 40; seed++) {
    t.strictSame(namesIn(modelHistory(seed, 150)), [], `seed ${seed}`)
  }
})

t.test('write skew is allowed by snapshots, and told of by the level above', async (t) => {
  const skew = [
    did(1, [set('sa'), add('sb', 1)], AT_ONCE),
    did(2, [set('sb'), add('sa', 1)], AT_ONCE),
  ]
  t.strictSame(namesIn(skew), [])
  t.strictSame(namesIn(skew, 'serializable'), ['G2-item'])
})

t.test('what is not claimed is not asked for: reads of others that are late', async (t) => {
  const late = [did(1, [add('s', 1)]), did(2, [set('s')], { token: 0 })]
  t.strictSame(namesIn(late, 'strong session snapshot'), [])
})

t.test(
  'of a write whose client knows nothing both ends are right, and only one of them',
  async (t) => {
    const unknown = did(1, [add('sa', 1), add('sb', 1)], { end: 'unknown' })
    t.strictSame(namesIn([unknown, did(2, [set('sa'), set('sb')])]), [])
    t.strictSame(namesIn([unknown, did(2, [set('sa', 1), set('sb', 1)])]), [])
    t.strictSame(namesIn([unknown, did(2, [set('sa', 1), set('sb')])]), ['G-single'])
    t.strictSame(namesIn([unknown, did(2, [set('sa', 1)], AT_ONCE), did(20, [set('sa')])]), [
      'G-single-token',
    ])
  },
)

t.test('a history is the same after it was kept in a file', async (t) => {
  const history = modelHistory(3, 30)
  t.strictSame(parseHistory(history.map(lineOf).join('')), history)
})
