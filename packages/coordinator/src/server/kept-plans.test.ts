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

t.test('a plan that the catalog has no part in outlives its revisions', (t) => {
  const plans = new KeptPlans<string>(1000)
  plans.set('constant', undefined, kept('of no table'))
  plans.set('a', 5, kept('at 5'))
  t.equal(plans.get('constant', 6), 'of no table')
  t.equal(plans.get('constant', 5), 'of no table', 'also for who reads what was before')
  t.equal(plans.size, 1)
  for (let i = 0; i < 100; i++) plans.set(`other ${i}`, undefined, kept('of no table'))
  t.ok(plans.size <= 12, 'not without end')
  t.equal(plans.get('constant', 6), undefined)
  t.end()
})
