import t from 'tap'
import { type Fragment, type FragmentOutput, writtenExchanges } from './physical-plan.ts'

const fragment = (output: FragmentOutput): Pick<Fragment, 'output'> => ({ output })
const to = (exchange: number): Pick<Fragment, 'output'> =>
  fragment({ kind: 'exchange', exchange, keys: [], buckets: 1 })
const result = fragment({ kind: 'result' })
const of = (...fragments: readonly Pick<Fragment, 'output'>[]): { fragments: Fragment[] } => ({
  fragments: fragments as Fragment[],
})

t.test('an exchange is written once all fragments that write it have run', async (t) => {
  const plan = of(to(0), to(1), to(1), to(2), result)
  t.same(writtenExchanges(plan, 0), [])
  t.same(writtenExchanges(plan, 1), [0])
  t.same(writtenExchanges(plan, 3), [0, 1])
  t.same(writtenExchanges(plan, 4), [0, 1, 2])
})

t.test('while an exchange is written in part nothing is planned again', async (t) => {
  t.same(writtenExchanges(of(to(0), to(1), to(1), result), 2), [])
})

t.test('once some of the result is there nothing is planned again', async (t) => {
  t.same(writtenExchanges(of(to(0), result, result), 2), [])
  t.same(writtenExchanges(of(to(0), result), 2), [])
})
