import t from 'tap'
import { checkModel, modelOptions, type SpinModel } from './spin.ts'

const MODEL: SpinModel = {
  file: 'exchange.pml',
  liveness: [],
}
/** What must find each mutant. */
const MUTANTS = {
  NO_ATTEMPT_CHECK: 'safety',
  NO_ORDER_CHECK: 'safety',
  NO_COUNT: 'safety',
  NO_COMPARE: 'safety',
  SAME_NUMBER: 'safety',
  EARLY_DROP: 'safety',
  NO_EPOCH_CHECK: 'safety',
  NO_ASK_AGAIN: 'liveness',
  NO_RERUN: 'liveness',
} as const

t.test('every frame is taken once, in order, and all of one result', modelOptions, async (t) => {
  const found = await checkModel(MODEL, 'safety')
  t.match(found, /errors: 0/)
  t.notMatch(found, /truncated|max search depth too small/, 'the search is exhaustive')
})

t.test('every result ends, whatever is lost', modelOptions, async (t) => {
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
