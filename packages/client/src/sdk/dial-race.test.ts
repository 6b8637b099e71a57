import t from 'tap'
import { SqlError } from '../protocol/errors.ts'
import { FakeClock } from '../testing/fake-clock.ts'
import { NEXT_DIAL_MS, planDial, raceDials } from './dial-race.ts'

t.test('a dial is joined by the next after a while, and that by others later and later', (t) => {
  const at = (unanswered: number, nowMs: number) =>
    planDial({ waiting: 1, unanswered, lastBegunMs: 1_000 }, nowMs)
  t.strictSame(at(0, 1_000), { kind: 'dial' }, 'who is refused goes on at once')
  t.strictSame(at(1, 1_000), { kind: 'wait', untilMs: 1_000 + NEXT_DIAL_MS })
  t.strictSame(at(1, 1_000 + NEXT_DIAL_MS), { kind: 'dial' })
  t.strictSame(at(2, 1_000 + NEXT_DIAL_MS), { kind: 'wait', untilMs: 1_000 + 2 * NEXT_DIAL_MS })
  t.strictSame(at(3, 1_000), { kind: 'wait', untilMs: 1_000 + 4 * NEXT_DIAL_MS })
  t.end()
})

t.test('where there is nobody left to dial, answers are waited for', (t) => {
  t.strictSame(planDial({ waiting: 0, unanswered: 2, lastBegunMs: 0 }, 9e9), { kind: 'wait' })
  t.strictSame(planDial({ waiting: 0, unanswered: 0, lastBegunMs: 0 }, 0), { kind: 'lost' })
  t.end()
})

/** Dials that the test answers. */
function setUp(addresses: readonly string[]) {
  const clock = new FakeClock()
  const open = new Map<string, { answer(): void; fail(error: unknown): void }>()
  const [failed, outrun, discarded, aborted]: string[][] = [[], [], [], []]
  const closing = new AbortController()
  const race = raceDials<string>(addresses, {
    clock,
    open: (address, signal) =>
      new Promise((resolve, reject) => {
        open.set(address, { answer: () => resolve(address), fail: reject })
        signal.addEventListener('abort', () => aborted?.push(address))
      }),
    discard: (address) => discarded?.push(address),
    onFailed: (address) => failed?.push(address),
    onOutrun: (address) => outrun?.push(address),
    signal: closing.signal,
  })
  return { clock, open, failed, outrun, discarded, aborted, closing, race }
}

const settle = (): Promise<void> => new Promise(setImmediate)
const refused = new SqlError('connection_failure', 'refused')

t.test('the first to answer wins, whoever was dialled first', async (t) => {
  const { clock, open, outrun, aborted, discarded, race } = setUp(['a', 'b', 'c'])
  clock.advance(NEXT_DIAL_MS)
  clock.advance(2 * NEXT_DIAL_MS)
  t.strictSame([...open.keys()], ['a', 'b', 'c'])
  open.get('b')?.answer()
  t.equal(await race, 'b')
  t.strictSame(outrun, ['a'], 'c was dialled later, and says nothing against itself')
  t.strictSame(aborted, ['a', 'c'])
  open.get('c')?.answer()
  open.get('a')?.fail(refused)
  await settle()
  t.strictSame(discarded, ['c'], 'what is opened too late is closed')
  t.equal(clock.timers, 0)
})

t.test('one address is waited for as long as it takes', async (t) => {
  const { clock, open, failed, race } = setUp(['a'])
  t.equal(clock.timers, 0)
  open.get('a')?.fail(refused)
  t.equal(await race, undefined)
  t.strictSame(failed, ['a'])
})

t.test('who is refused does not wait, and does not hurry those that are not', async (t) => {
  const { clock, open, failed, race } = setUp(['a', 'b', 'c'])
  open.get('a')?.fail(refused)
  await settle()
  t.strictSame([...open.keys()], ['a', 'b'])
  clock.advance(NEXT_DIAL_MS - 1)
  t.notOk(open.has('c'))
  clock.advance(1)
  t.ok(open.has('c'))
  open.get('b')?.fail(refused)
  open.get('c')?.fail(refused)
  t.equal(await race, undefined)
  t.strictSame(failed, ['a', 'b', 'c'])
  t.equal(clock.timers, 0)
})

t.test('a race ends with its signal, and with what is no error of a dial', async (t) => {
  const one = setUp(['a', 'b'])
  one.closing.abort(new Error('closed'))
  await t.rejects(one.race, /closed/)
  t.strictSame(one.aborted, ['a'])
  const other = setUp(['a', 'b'])
  other.open.get('a')?.fail(new TypeError('a defect'))
  await t.rejects(other.race, /a defect/)
  for (const { clock } of [one, other]) t.equal(clock.timers, 0)
})
