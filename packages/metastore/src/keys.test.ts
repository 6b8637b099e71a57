import { AssertionError } from '@nyala/client/base'
import type { MemberId } from '@nyala/client/protocol'
import t from 'tap'
import { foldName, Keys, parseCatalogKey, parseMemberKey } from './keys.ts'

const keys = new Keys('c')

await t.test(
  'names of any script and with slashes stay inside their folder and come back',
  async (t) => {
    for (const name of [
      'orders',
      'a/b',
      '../x',
      '%2F',
      'Ünï',
      '日本',
      '🦓',
      'a b',
      'İ',
      'ẞ',
      '.',
    ]) {
      const key = keys.name('db/1', name)
      t.ok(key.startsWith('/nyala/c/v1/catalog/names/db%2F1/'), key)
      t.same(parseCatalogKey(keys, key), {
        kind: 'name',
        database: 'db/1',
        name: foldName(name),
      })
      t.equal(foldName(foldName(name)), foldName(name), 'folding again changes nothing')
    }
  },
)

await t.test('names that differ in case or composition only have one key', async (t) => {
  t.equal(keys.name('DB', 'Orders'), keys.name('db', 'oRDERS'))
  t.equal(keys.database('é'), keys.database('E\u0301'))
})

await t.test('ids keep their case', async (t) => {
  t.not(keys.table('db', 'aB'), keys.table('db', 'ab'))
  t.same(parseCatalogKey(keys, keys.table('DB', 'aB')), { kind: 'table', database: 'db', id: 'aB' })
})

await t.test('every kind of catalog key is recognised, others are not', async (t) => {
  t.same(parseCatalogKey(keys, keys.catalogRoot), { kind: 'root' })
  t.same(parseCatalogKey(keys, keys.database('D')), { kind: 'database', database: 'd' })
  for (const other of [keys.leader, `${keys.catalog}names/a`, `${keys.catalog}names/a/b/c`, '']) {
    t.equal(parseCatalogKey(keys, other), undefined, other)
  }
  t.equal(parseCatalogKey(keys, `${keys.catalog}unknown/a`), undefined)
})

await t.test('a member key tells role and id', async (t) => {
  const key = keys.member('executor', 'e1' as MemberId)
  t.equal(key, '/nyala/c/v1/members/executors/e1')
  t.same(parseMemberKey(keys, key), { role: 'executor', id: 'e1' })
  t.equal(parseMemberKey(keys, `${keys.members}others/e1`), undefined)
  t.throws(() => keys.member('executor', 'a/b' as MemberId), AssertionError)
})

await t.test('no two kinds of keys share a prefix that is watched', async (t) => {
  const folders = [
    keys.catalog,
    keys.members,
    keys.leader,
    keys.queries,
    keys.statements,
    keys.txns,
  ]
  for (const a of folders) {
    for (const b of folders) t.ok(a === b || !a.startsWith(b), `${a} and ${b}`)
  }
  t.equal(keys.query('q1'), `${keys.queries}q1`)
  t.equal(keys.statement('a/b'), `${keys.statements}a%2Fb`)
  t.equal(keys.txn('t1'), `${keys.txns}t1`)
})

await t.test('a cluster name that could leave its folder is refused', async (t) => {
  t.throws(() => new Keys('a/b'), AssertionError)
  t.throws(() => new Keys(''), AssertionError)
})
