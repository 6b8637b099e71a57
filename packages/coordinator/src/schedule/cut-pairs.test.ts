import { silentLog, systemClock } from '@nyala/client/base'
import t from 'tap'
import { CUT_MS, CutPairs } from './cut-pairs.ts'

t.test('nothing is placed across a link that was cut lately, in neither direction', async (t) => {
  let nowMs = 0
  const clock = { ...systemClock, now: () => nowMs }
  const pairs = new CutPairs({ clock, log: silentLog })
  const from = (...ids: readonly string[]): readonly string[] => [
    ...pairs.cutFrom(() => new Set(ids)),
  ]
  t.same(from('e1', 'e2'), [])
  pairs.note('e1', 'e2')
  t.same(from('e2'), ['e1'])
  t.same(from('e1', 'e3'), ['e2'])
  t.same(from('e3'), [])
  t.same(from('e1', 'e2', 'e3').toSorted(), ['e1', 'e2'], 'e3 reads what both have made')
  nowMs += CUT_MS - 1
  pairs.note('e2', 'e1')
  nowMs += CUT_MS - 1
  t.same(from('e1'), ['e2'], 'and is not tried while it is cut')
  nowMs += 1
  t.same(from('e1'), [])
})
