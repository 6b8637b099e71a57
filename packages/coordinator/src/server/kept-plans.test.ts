import t from 'tap'
import { KeptPlans } from './kept-plans.ts'

const kept = (value: string): { readonly value: string; readonly bytes: number } => ({
  value,
  bytes: 10,
})

t.test('plans of an older catalog are dropped when a newer one is seen', (t) => {
  const plans = new KeptPlans<string>(1000)
  plans.set('a', 5, kept('at 5'))
  t.equal(plans.get('a', 5), 'at 5')
  t.equal(plans.get('a', 6), undefined)
  t.equal(plans.size, 0)
  plans.set('a', 6, kept('at 6'))
  t.equal(plans.get('a', 6), 'at 6')
  t.end()
})

t.test('a plan made while the catalog moved on is not kept', (t) => {
  const plans = new KeptPlans<string>(1000)
  plans.set('a', 6, kept('at 6'))
  plans.set('a', 5, kept('at 5'))
  t.equal(plans.get('a', 5), undefined)
  t.equal(plans.get('a', 6), 'at 6')
  t.end()
})
