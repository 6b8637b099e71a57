import t from 'tap'
import { type Guard, remember, resolveWrite } from './catalog-guard.ts'
import { Keys } from './keys.ts'
import type { KeyValue } from './kv.ts'
import { databaseRecord, encodeRecord, RECENT_WRITES_MAX } from './records.ts'

const keys = new Keys('c')
const key = keys.database('d')
const guard: Guard = { key, createRevision: 5, recentWrites: ['b', 'a'] }

const stored = (recentWrites: readonly string[], createRevision = 5): KeyValue => {
  const record = { id: 'i', name: 'd', createdAt: 0, recentWrites }
  const value = encodeRecord(databaseRecord, record)
  return { key, value, createRevision, modRevision: 9, lease: undefined }
}

const resolve = (item: KeyValue | undefined, guards: readonly Guard[] = [guard]) =>
  resolveWrite(keys, 'mine', guards, new Map([[key, item]]))

await t.test('a write whose id is remembered was applied', async (t) => {
  t.same(resolve(stored(['d', 'mine', 'b'])), { kind: 'applied', revision: 9 })
})

await t.test(
  'a write was not applied where all that came after is remembered without it',
  async (t) => {
    t.same(resolve(stored(['d', 'c', 'b', 'a'])), { kind: 'notApplied' })
    const empty = { ...guard, recentWrites: [] }
    t.same(resolve(stored(['d', 'c']), [empty]), { kind: 'notApplied' })
  },
)

await t.test('it is unknown where writes since may have been forgotten', async (t) => {
  const full = Array.from({ length: RECENT_WRITES_MAX }, (_, i) => `w${i}`)
  t.same(resolve(stored(full)), { kind: 'unknown' })
  t.same(resolve(stored(full), [{ ...guard, recentWrites: [] }]), { kind: 'unknown' })
})

await t.test('it is unknown where the guard is gone or was made anew', async (t) => {
  t.same(resolve(undefined), { kind: 'unknown' })
  t.same(resolve(stored([], 8), [{ ...guard, recentWrites: [] }]), { kind: 'unknown' })
})

await t.test('one guard that can tell is enough', async (t) => {
  const gone = { ...guard, key: keys.database('gone') }
  t.same(resolve(stored(['mine']), [gone, guard]), { kind: 'applied', revision: 9 })
  t.same(resolve(stored(['c', 'b']), [gone, guard]), { kind: 'notApplied' })
})

await t.test('a guard that cannot be read leaves the outcome unknown', async (t) => {
  try {
    resolve({ ...stored([]), value: '{"format":9}' })
    t.fail('resolved')
  } catch (error) {
    t.match(error, { error: 'commit_outcome_unknown' })
  }
})

await t.test('a guard remembers the newest writes first, and not too many', async (t) => {
  t.same(remember(['a'], 'b'), ['b', 'a'])
  const full = Array.from({ length: RECENT_WRITES_MAX }, (_, i) => `w${i}`)
  t.same(remember(full, 'x'), ['x', ...full.slice(0, -1)])
})
