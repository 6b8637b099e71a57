import t from 'tap'
import { type Claim, lastAhead } from './turn-order.ts'

const claim = (id: string, sinceMs: number, tables: readonly string[]): Claim => ({
  ...{ id, sinceMs, tables },
  ...{ untilMs: 100, tries: 0 },
})

t.test('a commit goes after the last of those before it that are about the same table', (t) => {
  const all = [claim('c', 3, ['t']), claim('a', 2, ['t', 'u']), claim('b', 1, ['u'])]
  const aheadOf = (mine: Claim, nowMs = 10): string | undefined => lastAhead(all, mine, nowMs)?.id
  t.equal(aheadOf(claim('x', 9, ['t'])), 'c')
  t.equal(aheadOf(claim('x', 9, ['u'])), 'a')
  t.equal(aheadOf(claim('x', 9, ['u', 't'])), 'c')
  t.equal(aheadOf(claim('c', 3, ['t'])), 'a', 'not itself')
  t.equal(aheadOf(claim('x', 2, ['t'])), 'a', 'the id decides where both began at once')
  t.equal(aheadOf(claim('a', 2, ['t'])), undefined)
  t.equal(aheadOf(claim('x', 9, ['v'])), undefined)
  t.equal(aheadOf(claim('x', 9, ['t']), 100), undefined, 'not once its time is over')
  t.end()
})
