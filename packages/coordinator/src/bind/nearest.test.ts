import { Prng } from '@nyala/client/base'
import t from 'tap'
import { didYouMean, editDistance, nearestNames } from './nearest.ts'

/** By the definition, slowly. */
function distanceByDefinition(a: string, b: string): number {
  if (a === '' || b === '') return a.length + b.length
  const change = distanceByDefinition(a.slice(1), b.slice(1)) + (a[0] === b[0] ? 0 : 1)
  return Math.min(
    change,
    distanceByDefinition(a.slice(1), b) + 1,
    distanceByDefinition(a, b.slice(1)) + 1,
  )
}

t.test('the distance is that of the definition, up to the limit', async (t) => {
  const random = new Prng(3)
  const word = (): string =>
    Array.from({ length: random.below(6) }, () => random.pick(['a', 'b', 'c'])).join('')
  for (let i = 0; i < 300; i++) {
    const [a, b, limit] = [word(), word(), random.below(5)]
    const exact = distanceByDefinition(a, b)
    const found = editDistance(a, b, limit)
    if (exact <= limit ? found !== exact : found <= limit)
      t.fail(`"${a}" and "${b}" within ${limit}: want ${exact}, got ${found}`)
  }
})

t.test('what a person may have meant, nearest first, at most three', async (t) => {
  const names = ['orders', 'Orders_Archive', 'lineitem', 'order_items', 'customer', 'ordres']
  t.same(nearestNames('order', names).slice(0, 1), ['orders'])
  t.equal(nearestNames('order', names).length, 3)
  t.same(nearestNames('LINEITEMS', names), ['lineitem'])
  t.same(nearestNames('xyz', names), [])
  t.same(nearestNames('a', ['b']), ['b'], 'short names are near each other')
  t.same(nearestNames('cust', names), ['customer'], 'the beginning of a name is near it')
})

t.test(
  'ties are in the order of the alphabet, so that a message is the same each time',
  async (t) => {
    t.same(nearestNames('abcd', ['abcz', 'abca', 'abcm']), ['abca', 'abcm', 'abcz'])
  },
)

t.test('the hint names them, or is none', async (t) => {
  t.equal(didYouMean('orderz', ['orders']), 'did you mean "orders"?')
  t.equal(didYouMean('abcd', ['abca', 'abcb']), 'did you mean "abca" or "abcb"?')
  t.equal(didYouMean('abcd', ['abca', 'abcb', 'abce']), 'did you mean "abca", "abcb" or "abce"?')
  t.equal(didYouMean('abcd', ['zzzzzzzz']), undefined)
  t.equal(didYouMean('', ['long name']), undefined)
})
