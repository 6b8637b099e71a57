import t from 'tap'
import { ReadHolds } from './read-holds.ts'

t.test('the oldest revision that is held is known until the last of its holders is done', (t) => {
  const holds = new ReadHolds()
  t.equal(holds.oldest, undefined)
  const [first, second] = [holds.hold(5), holds.hold(5)]
  const later = holds.hold(9)
  first()
  first()
  t.equal(holds.oldest, 5, 'given back twice it counts once')
  second()
  t.equal(holds.oldest, 9)
  later()
  t.equal(holds.oldest, undefined)
  t.end()
})
