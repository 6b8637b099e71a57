import t from 'tap'
import { Courtesy } from './courtesy.ts'

/** Milliseconds that it waits after each of so many commits of its own in a row, one every 10 ms. */
function waitsOf(courtesy: Courtesy, commits: number, fromMs = 0, tookMs = 10): readonly number[] {
  return Array.from({ length: commits }, (_, i) => {
    const nowMs = fromMs + 10 * i
    courtesy.committed(nowMs, tookMs, nowMs)
    return Math.max(0, courtesy.waitMs(nowMs))
  })
}

t.test('who is alone waits for nobody', (t) => {
  const courtesy = new Courtesy()
  courtesy.builds(0, 7)
  t.same(new Set(waitsOf(courtesy, 100)), new Set([0]))
  courtesy.builds(1_000, 990)
  t.same(new Set(waitsOf(courtesy, 100, 1_000)), new Set([0]), 'what it has left is its own')
  t.end()
})

t.test('who has overtaken others four times in a row lets them go first', (t) => {
  const courtesy = new Courtesy()
  courtesy.overtaken(0)
  t.same(waitsOf(courtesy, 9), [0, 0, 0, 15, 5, 0, 0, 15, 5])
  courtesy.builds(200, 195)
  t.same(waitsOf(courtesy, 4, 200), [0, 0, 0, 15], 'a head of others begins another row')
  t.end()
})

t.test('it waits no longer than a second, and not for those that have long gone', (t) => {
  const courtesy = new Courtesy()
  courtesy.overtaken(0)
  t.equal(waitsOf(courtesy, 4, 29_900, 5_000).at(-1), 1_000)
  t.equal(waitsOf(courtesy, 4, 31_000, 5_000).at(-1), 0)
  t.end()
})
