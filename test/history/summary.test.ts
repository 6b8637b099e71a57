import t from 'tap'
import type { Transaction } from './history.ts'
import { endsByKind, unexpectedErrors, worstWaits } from './summary.ts'

const did = (id: string, began: number, more: Partial<Transaction> = {}): Transaction => ({
  ...{ id, session: id, kind: 'add', end: 'committed', operations: [] },
  ...{ began, ended: began + 10, token: 0, revision: 0 },
  ...more,
})

t.test('ends are counted by kind and by error', async (t) => {
  const history = [
    did('a', 0),
    did('b', 0, { end: 'aborted', error: '40001 rows of s were changed' }),
    did('c', 0, { end: 'aborted' }),
    did('d', 0, { end: 'unknown', error: '40003 lost', kind: 'sets' }),
  ]
  t.strictSame(endsByKind(history), [
    'add: 1 committed, 2 aborted (40001 1)',
    'sets: 1 unknown (40003 1)',
  ])
})

t.test('errors that faults explain are no findings, others are', async (t) => {
  const errors = ['40001 a', '40003 b', '08006 c', '57P05 d', 'XX000 e', '58P01 f', '42P01 g']
  const history = errors.map((error, i) => did(`t${i}`, i, { end: 'aborted', error }))
  t.strictSame(
    unexpectedErrors(history).map((line) => line.slice(0, 5)),
    ['XX000', '58P01', '42P01'],
  )
})

t.test('a stall is the longest time without a commit, whoever waits for it', async (t) => {
  const history = [
    did('a', 100),
    did('b', 120, { end: 'aborted', ended: 300 }),
    did('c', 130, { ended: 410 }),
    did('d', 150, { ended: 420 }),
  ]
  const { stallMs, stallAtMs, longest } = worstWaits(history)
  t.strictSame([stallMs, stallAtMs, longest?.id], [300, 10, 'c'])
})
