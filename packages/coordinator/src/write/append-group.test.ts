import { Patience } from '@nyala/metastore'
import { ManualClock } from '@nyala/metastore/memory'
import t from 'tap'
import { type Append, GROUP_ROWS_MAX, GROUP_STATEMENTS_MAX, takeGroup } from './append-group.ts'

interface Waiting {
  readonly append: Append
}

function waiting(
  id: string,
  options: { rows?: readonly string[]; aborted?: boolean } = {},
): Waiting {
  const cancel = new AbortController()
  if (options.aborted === true) cancel.abort()
  return {
    append: {
      identity: { id, fingerprint: id },
      text: { rows: options.rows ?? ['(1)'], timeZone: 'UTC' },
      schemaVersion: 1,
      notices: [],
      signal: cancel.signal,
      patience: new Patience(new ManualClock()),
      commit: { begun: false },
    },
  }
}

const ids = (group: readonly Waiting[]): readonly string[] =>
  group.map(({ append }) => append.identity.id)

t.test('those that wait go together, but for those that were cancelled', async (t) => {
  const group = takeGroup([waiting('a'), waiting('b', { aborted: true }), waiting('c')])
  t.same(ids(group.taken), ['a', 'c'])
  t.same(ids(group.cancelled), ['b'])
  t.same(group.waiting, [])
})

t.test('a statement that was sent twice is once in a group', async (t) => {
  const group = takeGroup([waiting('a'), waiting('a'), waiting('b')])
  t.same(ids(group.taken), ['a', 'b'])
  t.same(ids(group.waiting), ['a'])
})

t.test(
  'a group has no more statements and rows than fit, and none goes before an earlier one',
  async (t) => {
    const many = Array.from({ length: GROUP_STATEMENTS_MAX + 2 }, (_, i) => waiting(`s${i}`))
    const group = takeGroup(many)
    t.equal(group.taken.length, GROUP_STATEMENTS_MAX)
    t.same(ids(group.waiting), ids(many.slice(GROUP_STATEMENTS_MAX)))
    const rows = Array.from({ length: GROUP_ROWS_MAX }, () => '(1)')
    const large = takeGroup([waiting('a'), waiting('b', { rows }), waiting('c')])
    t.same(ids(large.taken), ['a'])
    t.same(ids(large.waiting), ['b', 'c'])
  },
)

t.test('the first one is taken however large it is', async (t) => {
  const rows = Array.from({ length: GROUP_ROWS_MAX + 1 }, () => '(1)')
  t.same(ids(takeGroup([waiting('a', { rows })]).taken), ['a'])
})
