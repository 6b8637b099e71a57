import { deferred, systemClock as clock } from '@nyala/client/base'
import { SqlError } from '@nyala/client/protocol'
import { type Kv, planDropRelation } from '@nyala/metastore'
import { MemoryEtcd } from '@nyala/metastore/memory'
import t from 'tap'
import { openRuns } from './testing/open-runs.ts'
import { contextOf } from './testing/simulated-tables.ts'
import { Transactions } from './transactions.ts'

/** A store whose next commit waits until it is let through. */
function holdingStore() {
  const etcd = new MemoryEtcd(clock).connect()
  let hold: { readonly arrived: () => void; readonly letThrough: Promise<void> } | undefined
  const commitIf: Kv['commitIf'] = async (request, options) => {
    const held = hold
    hold = undefined
    held?.arrived()
    await held?.letThrough
    return etcd.commitIf(request, options)
  }
  const kv = new Proxy<Kv>(etcd, {
    get(target, name) {
      if (name === 'commitIf') return commitIf
      const value: unknown = Reflect.get(target, name)
      return typeof value === 'function' ? (value.bind(target) as unknown) : value
    },
  })
  const holdNext = () => {
    const [arrived, through] = [deferred<void>(), deferred<void>()]
    hold = { arrived: () => arrived.resolve(), letThrough: through.promise }
    return { arrived: arrived.promise, letThrough: () => through.resolve() }
  }
  return { kv, holdNext }
}

/** A transaction that has just begun, and what is done in it. */
async function openTransaction() {
  const { kv, holdNext } = holdingStore()
  const { catalog, runs, writeLog, log } = await openRuns(kv, clock)
  const transactions = new Transactions({ runs, coordinator: 'c1', clock, log })
  const begin = contextOf('begin', { catalog: catalog.snapshot(), sender: 'x' })
  await transactions.run({ kind: 'begin' }, begin)
  const transaction = begin.transaction.current
  const session = transaction?.inSession
  if (session === undefined) throw new Error('the transaction is open')
  const dropTable = () =>
    runs.execute(
      {
        ...{ identity: { id: 'dropping', fingerprint: 'f' }, command: 'DROP TABLE' },
        context: contextOf('dropping', { transaction }),
      },
      (plan) => planDropRelation(plan, { database: 'default', name: 't0' }, { expect: 'table' }),
    )
  const insert = (work: () => Promise<never>) =>
    runs.staged(
      {
        ...{ identity: { id: 'inserting', fingerprint: 'f' }, command: 'INSERT', locations: [] },
        context: contextOf('inserting', { transaction }),
      },
      work,
    )
  const end = (kind: 'commit' | 'rollback', context = contextOf(kind, { transaction, session })) =>
    transactions.run({ kind }, context)
  const contextOfEnd = () => contextOf('commit', { transaction, session })
  const hasTable = () => catalog.snapshot().relation('default', 't0') !== undefined
  const kinds = async () => (await writeLog.transactions()).map(({ record }) => record.kind)
  const ended = { end, contextOfEnd, transaction, transactions }
  return { catalog, dropTable, insert, hasTable, kinds, holdNext, ...ended }
}

t.test('a COMMIT that waits for a statement which fails commits nothing', async (t) => {
  const { catalog, dropTable, insert, end, hasTable, kinds } = await openTransaction()
  await dropTable()
  const failing = deferred<never>()
  const inserting = insert(() => failing.promise)
  const committing = end('commit')
  failing.reject(new SqlError('division_by_zero', 'of this statement'))
  await t.rejects(inserting, { error: 'division_by_zero' } as object as Error)
  t.match(await committing, { command: 'ROLLBACK' })
  t.ok(hasTable())
  t.same(await kinds(), ['aborted'])
  await catalog.close()
})

t.test('a COMMIT is that of all statements which were sent before it', async (t) => {
  const { catalog, dropTable, end, hasTable, kinds, holdNext } = await openTransaction()
  const { arrived, letThrough } = holdNext()
  const dropping = dropTable()
  await arrived
  const committing = end('commit')
  letThrough()
  await dropping
  t.match(await committing, { command: 'COMMIT' })
  t.notOk(hasTable(), 'the table is dropped, as was said')
  t.same(await kinds(), [], 'no record is left')
  await catalog.close()
})

t.test('a ROLLBACK overtaken by the record of its transaction leaves none pending', async (t) => {
  const { catalog, dropTable, end, hasTable, kinds, holdNext } = await openTransaction()
  const { arrived, letThrough } = holdNext()
  const dropping = dropTable()
  await arrived
  t.match(await end('rollback'), { command: 'ROLLBACK' })
  letThrough()
  await t.rejects(dropping, { error: 'serialization_failure' } as object as Error)
  t.ok(hasTable())
  t.same(await kinds(), ['aborted'])
  await catalog.close()
})

t.test('a COMMIT that was cancelled while it waited can be sent again', async (t) => {
  const { catalog, dropTable, insert, end, contextOfEnd, hasTable, transaction } =
    await openTransaction()
  await dropTable()
  const failing = deferred<never>()
  const inserting = insert(() => failing.promise)
  const canceled = new AbortController()
  const committing = end('commit', { ...contextOfEnd(), signal: canceled.signal })
  const reason = new SqlError('query_canceled', 'by its client')
  const both = [inserting, committing].map((one) => t.rejects(one, reason))
  canceled.abort(reason)
  failing.reject(reason)
  await Promise.all(both)
  transaction?.statementFailed(reason.message)
  t.match(await end('commit'), { command: 'ROLLBACK' }, 'as one of its statements has failed')
  t.ok(hasTable())
  await catalog.close()
})

t.test('a BEGIN whose client has gone by then begins nothing', async (t) => {
  const { catalog, transactions } = await openTransaction()
  const gone = new SqlError('query_canceled', 'the client has gone')
  const begin = contextOf('begin', { catalog: catalog.snapshot(), sender: 'y' })
  transactions.clientGone('y')
  const late = { ...begin, signal: AbortSignal.abort(gone) }
  await t.rejects(transactions.run({ kind: 'begin' }, late), gone)
  t.equal(transactions.size, 1, 'as before')
  await catalog.close()
})
