import t from 'tap'
import { checkModel, modelOptions, type SpinModel } from './spin.ts'

const MODEL: SpinModel = { file: 'election.pml', liveness: ['-DPAUSES=1'] }
/** What must find each mutant. */
const MUTANTS = {
  UNFENCED_WRITE: 'safety',
  BLIND_CAMPAIGN: 'safety',
  BLIND_DEPOSAL: 'safety',
  LOCAL_EPOCH: 'safety',
  TRUSTED_READ: 'safety',
  NO_ABSENCE_CHECK: 'safety',
  NO_EXPIRY: 'liveness',
} as const

t.test('one leads at a time, and no write of a past epoch is applied', modelOptions, async (t) => {
  const found = await checkModel(MODEL, 'safety')
  t.match(found, /errors: 0/)
  t.notMatch(found, /truncated|max search depth too small/, 'the search is exhaustive')
})

t.test('somebody leads and writes once nothing goes wrong any more', modelOptions, async (t) => {
  const found = await checkModel(MODEL, 'liveness')
  t.match(found, /errors: 0/)
  t.notMatch(found, /truncated|max search depth too small/, 'the search is exhaustive')
})

for (const [mutant, property] of Object.entries(MUTANTS)) {
  t.test(`${mutant} is found out`, modelOptions, async (t) => {
    const found = await checkModel(MODEL, property, mutant)
    t.match(found, property === 'safety' ? /assertion violated/ : /acceptance cycle \(at depth/)
    t.match(found, /errors: 1/)
  })
}
