import t from 'tap'
import { checkModel, modelOptions, type SpinModel } from './spin.ts'

/** How often each kind of trouble comes. */
const bounds = (
  counts: Readonly<Record<'pauses' | 'deposals' | 'cuts' | 'stops', number>>,
): readonly string[] =>
  Object.entries(counts).map(([kind, count]) => `-D${kind.toUpperCase()}=${count}`)

/** Kinds of trouble that come together: all at once would be searched for minutes. */
const SAFETY = {
  'pauses, suspicions and planned stops': { pauses: 1, deposals: 1, cuts: 0, stops: 1 },
  'pauses of both': { pauses: 2, deposals: 0, cuts: 0, stops: 0 },
  'pauses, and cuts from the store': { pauses: 1, deposals: 0, cuts: 1, stops: 0 },
} as const
const LIVENESS = {
  'a pause': { pauses: 1, deposals: 0, cuts: 0, stops: 0 },
  'a cut from the store and a planned stop': { pauses: 0, deposals: 0, cuts: 1, stops: 1 },
} as const

const MODEL: SpinModel = {
  file: 'election.pml',
  safety: bounds(SAFETY['pauses, suspicions and planned stops']),
  liveness: bounds(LIVENESS['a pause']),
}
/** What must find each mutant. */
const MUTANTS = {
  UNFENCED_WRITE: 'safety',
  BLIND_CAMPAIGN: 'safety',
  BLIND_DEPOSAL: 'safety',
  LOCAL_EPOCH: 'safety',
  TRUSTED_READ: 'safety',
  NO_ABSENCE_CHECK: 'safety',
  BLIND_GIVE_BACK: 'safety',
  NO_EXPIRY: 'liveness',
  NO_RESIGNATION: 'liveness',
  NO_YIELD: 'liveness',
} as const
/** Not a mutant: the number of elections, which is bounded, is never used up. */
const BOUNDED = 'BOUNDED'

t.test('one leads at a time, and no write of a past epoch is applied', modelOptions, async (t) => {
  for (const [trouble, counts] of Object.entries(SAFETY)) {
    const model = { ...MODEL, safety: [...bounds(counts), `-D${BOUNDED}`] }
    const found = await checkModel(model, 'safety')
    t.match(found, /errors: 0/, trouble)
    t.notMatch(found, /truncated|max search depth too small/, 'the search is exhaustive')
  }
})

t.test(
  'somebody leads who reaches the executors, and writes, once nothing goes wrong any more',
  modelOptions,
  async (t) => {
    for (const [trouble, counts] of Object.entries(LIVENESS)) {
      const found = await checkModel({ ...MODEL, liveness: bounds(counts) }, 'liveness')
      t.match(found, /errors: 0/, trouble)
      t.notMatch(found, /truncated|max search depth too small/, 'the search is exhaustive')
    }
  },
)

for (const [mutant, property] of Object.entries(MUTANTS)) {
  t.test(`${mutant} is found out`, modelOptions, async (t) => {
    const found = await checkModel(MODEL, property, mutant)
    t.match(found, property === 'safety' ? /assertion violated/ : /acceptance cycle \(at depth/)
    t.match(found, /errors: 1/)
  })
}
