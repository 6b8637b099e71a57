import t from 'tap'
import { type DrillLine, mutantRow, passedRow, withMeasured } from './drill-page.ts'

const counts = { moves: 1, errors: 0, rowsLost: 0, rowsDoubled: 0 }
const passed: DrillLine = {
  drill: 'leader-kill',
  verdict: 'passed',
  failures: [],
  rounds: [
    { detectedMs: 7.4, leaderMs: 45, worstStallMs: 524, recoveredMs: 2778, calls: 42, ...counts },
    { detectedMs: 18.6, worstStallMs: 300, recoveredMs: 900, calls: 8, ...counts },
  ],
}
const failing: DrillLine = {
  drill: 'leader-kill',
  mutant: 'no-fence',
  verdict: 'passed',
  failures: [{ claim: 'rows' }, { claim: 'tidy' }, { claim: 'rows' }],
  rounds: [],
}

t.test('a row tells the longest times and the sums of all strikes', async (t) => {
  t.equal(passedRow(passed), '| leader-kill | 19 | 45 | 524 | 2778 | 50 | 2 | 0 | 0 | 0 | passed |')
})

t.test('a drill that was not run says why', async (t) => {
  const skipped: DrillLine = { ...passed, verdict: 'skipped', reason: 'no root', rounds: [] }
  t.match(passedRow(skipped), /\| skipped: no root \|$/)
  t.match(mutantRow(skipped), /\| skipped: no root \|$/)
})

t.test('a mutant tells each claim by which it fails once, and when it does not fail', async (t) => {
  t.equal(mutantRow(failing), '| leader-kill | no-fence | rows, tidy |')
  t.equal(
    mutantRow({ ...failing, verdict: 'failed', failures: [] }),
    '| leader-kill | no-fence | **does not fail as it must** () |',
  )
})

t.test('what stands before the mark stays, what stands after it goes', async (t) => {
  const page = withMeasured(
    'Title\n\n<!-- measured -->\n\nold\n',
    { passed: [passed], mutants: [failing] },
    'Today.',
  )
  t.match(page, /^Title\n\n<!-- measured -->\n\nToday\. 1 of 1 passed; .* 1 of 1 fail/)
  t.notMatch(page, 'old')
  t.throws(() => withMeasured('Title', { passed: [], mutants: [] }, ''), /has no <!-- measured/)
})
