import t from 'tap'
import { checkModel, modelOptions, type SpinModel } from './spin.ts'

const MODEL: SpinModel = { file: 'commit.pml', liveness: ['-DLIVENESS', '-DSENT=1'] }
/** What must find each mutant. */
const MUTANTS = {
  UNGUARDED_DECIDE: 'safety',
  ANY_RECORD: 'safety',
  BLIND_HEADS: 'safety',
  LATE_BEGIN: 'safety',
  EARLY_VOTE: 'safety',
  INFERRED_ABORT: 'safety',
  READ_ONLY_ANSWER: 'safety',
  CLEAN_FIRST: 'safety',
  NO_RECOVERY: 'liveness',
  HASTY_FORGET: 'liveness',
} as const

t.test(
  'a transaction is decided once, all of it is there, and all who ask are told the same',
  modelOptions,
  async (t) => {
    const found = await checkModel(MODEL, 'safety')
    t.match(found, /errors: 0/)
    t.notMatch(found, /truncated|max search depth too small/, 'the search is exhaustive')
  },
)

t.test(
  'what is pending is decided, and what was aborted leaves nothing',
  modelOptions,
  async (t) => {
    const found = await checkModel(MODEL, 'liveness')
    t.match(found, /errors: 0/)
    t.notMatch(found, /truncated|max search depth too small/, 'the search is exhaustive')
  },
)

for (const [mutant, property] of Object.entries(MUTANTS)) {
  t.test(`${mutant} is found out`, modelOptions, async (t) => {
    const found = await checkModel(MODEL, property, mutant)
    t.match(found, property === 'safety' ? /assertion violated/ : /acceptance cycle \(at depth/)
    t.match(found, /errors: 1/)
  })
}
