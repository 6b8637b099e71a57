import t from 'tap'
import { ResultInputs } from './result-inputs.ts'

t.test('who asks while what a result reads is made again waits for that', async (t) => {
  const inputs = new ResultInputs()
  await inputs.there()
  const told: string[] = []
  inputs.lost()
  const asked = inputs.there().then(() => told.push('there'))
  inputs.lost()
  await Promise.resolve()
  t.same(told, [])
  inputs.made()
  await asked
  t.same(told, ['there'])
})

t.test('who waits when the query ends is told so', async (t) => {
  const inputs = new ResultInputs()
  inputs.lost()
  const asked = inputs.there()
  inputs.end()
  await t.rejects(asked, /has ended/)
})
