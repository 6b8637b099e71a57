import t from 'tap'
import { type Claim, nextAhead } from './turn-order.ts'

const claim = (id: string, sinceMs: number, tables: readonly string[]): Claim => ({
  ...{ id, sinceMs, tables },
  ...{ untilMs: 100, tries: 0 },
})

t.test('the one that began first goes first, of those about the same table', (t) => {
  const all = [claim('c', 3, ['t']), claim('a', 2, ['t', 'u']), claim('b', 1, ['u'])]
  const aheadOf = (mine: Claim, nowMs = 10): string | undefined => nextAhead(all, mine, nowMs)?.id
  t.equal(aheadOf(claim('x', 9, ['t'])), 'a')
  t.equal(aheadOf(claim('x', 9, ['u', 't'])), 'b')
  t.equal(aheadOf(claim('c', 3, ['t'])), 'a')
  t.equal(aheadOf(claim('x', 2, ['t'])), 'a', 'the id decides where both began at once')
  t.equal(aheadOf(claim('a', 2, ['t'])), undefined, 'not itself')
  t.equal(aheadOf(claim('x', 9, ['v'])), undefined)
  t.equal(aheadOf(claim('x', 9, ['t']), 100), undefined, 'not once its time is over')
  t.end()
})
