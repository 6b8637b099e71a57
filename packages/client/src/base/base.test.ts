import t from 'tap'
import { assert, AssertionError, unreachable } from './assert.ts'
import { systemClock } from './clock.ts'
import { lineLog } from './log.ts'
import { Prng } from './prng.ts'

t.test('an assertion that does not hold says what was expected', async (t) => {
  assert(true, () => {
    throw new Error('the message of one that holds is not made')
  })
  t.throws(() => assert(false, 'two is one'), { name: 'AssertionError', message: 'two is one' })
  t.throws(() => assert(0, () => 'made late'), { message: 'made late' })
  t.throws(() => unreachable('x' as never), AssertionError)
})

t.test('the same seed gives the same numbers, and all of them lie in their range', async (t) => {
  const draw = (seed: number): number[] => {
    const prng = new Prng(seed)
    return Array.from({ length: 1000 }, () => prng.below(7))
  }
  t.strictSame(draw(5), draw(5))
  t.notSame(draw(5), draw(6))
  t.strictSame(
    [...new Set(draw(5))].sort((a, b) => a - b),
    [0, 1, 2, 3, 4, 5, 6],
  )
  const prng = new Prng(1)
  const hits = Array.from({ length: 10_000 }, () => prng.chance(0.3)).filter(Boolean).length
  t.ok(Math.abs(hits - 3000) < 300, `${hits} of 10000 at 0.3`)
  t.throws(() => prng.pick([]), RangeError)
})

t.test('a log line is one JSON object, and what lies below its level is dropped', async (t) => {
  const lines: string[] = []
  const log = lineLog(
    (line) => lines.push(line),
    () => 0,
    { level: 'info', base: { id: 'c1' } },
  )
  log.debug('unseen')
  log.warn('seen', { n: 2n ** 64n, error: new TypeError('bad') })
  t.equal(lines.length, 1)
  t.match(JSON.parse(lines[0] ?? ''), {
    time: '1970-01-01T00:00:00.000Z',
    level: 'warn',
    event: 'seen',
    id: 'c1',
    n: '18446744073709551616',
    error: { name: 'TypeError', message: 'bad' },
  })
})

t.test('a sleep ends with its signal, and a stopped timer does not fire', async (t) => {
  const controller = new AbortController()
  const sleeping = systemClock.sleep(60_000, { signal: controller.signal })
  controller.abort(new Error('woken'))
  await t.rejects(sleeping, { message: 'woken' })
  await t.rejects(systemClock.sleep(1, { signal: AbortSignal.abort(new Error('never slept')) }), {
    message: 'never slept',
  })
  const stop = systemClock.after(1, () => t.fail('it fired'))
  stop()
  const before = systemClock.now()
  await systemClock.sleep(20)
  t.ok(systemClock.now() - before >= 19)
})
