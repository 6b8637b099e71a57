import { planDropRelation } from '@nyala/metastore'
import t from 'tap'
import { hurriedClock, type StoreMood, unheardStore } from '../write/testing/unheard-store.ts'
import { openRuns } from './testing/open-runs.ts'
import { contextOf } from './testing/simulated-tables.ts'
import { Transactions } from './transactions.ts'

async function openWorld() {
  const clock = hurriedClock()
  const { kv, set } = unheardStore()
  const { catalog, runs, keys, writeLog, log } = await openRuns(kv, clock)
  const at = (coordinator: string) => new Transactions({ runs, coordinator, clock, log })
  return { catalog, runs, at, set, keys, kv, writeLog, clock }
}

/** A transaction that drops a table, whose COMMIT nobody could tell the end of, and its session then. */
async function unknownCommit(how: StoreMood) {
  const world = await openWorld()
  const { runs, catalog, at, set, clock } = world
  const begun = contextOf('begin', { catalog: catalog.snapshot(), sender: 'x' })
  const here = at('c1')
  await here.run({ kind: 'begin' }, begun)
  const transaction = begun.transaction.current
  const identity = { id: 'dropping', fingerprint: 'f' }
  await runs.execute(
    { identity, context: contextOf('dropping', { transaction }), command: 'DROP TABLE' },
    (plan) =>
      planDropRelation(
        plan,
        { database: 'default', name: 't0' },
        { expect: 'table', ifExists: false },
      ),
  )
  const session = transaction?.inSession
  if (session === undefined) throw new Error('the transaction is open')
  set(how)
  const leave = here.enter(session.id)
  const commit = contextOf('first-commit', { transaction, session })
  const asked = clock.now()
  const error: unknown = await here.run({ kind: 'commit' }, commit).catch((e: unknown) => e)
  const tookMs = clock.now() - asked
  leave()
  set('answers')
  const after = transaction?.inSession
  return { ...world, here, error, session, after, tookMs }
}

t.test(
  'a COMMIT of which etcd does not tell the end is unknown, wherever it is asked',
  async (t) => {
    const world = await unknownCommit('does, and is not heard')
    const { session, set } = world
    t.ok(world.tookMs > 3_000 && world.tookMs <= 5_000, `told after ${world.tookMs} ms`)
    const transactions = world.at('c2')
    const current = transactions.find(session, 'x')
    const ask = () =>
      transactions.run({ kind: 'commit' }, contextOf('again', { transaction: current, session }))
    set('is silent')
    await t.rejects(ask(), { error: 'commit_outcome_unknown', code: '40003' } as object as Error)
    t.match(current.inSession, { id: session.id, failed: true }, 'it can be asked for again')
    set('answers')
    t.match(await ask(), { command: 'COMMIT' })
    await world.catalog.close()
  },
)

t.test('a COMMIT that went through unheard is told by the next one, under any id', async (t) => {
  const world = await unknownCommit('does, and is not heard')
  t.match(world.error, { error: 'commit_outcome_unknown', code: '40003' })
  t.match(world.after, { id: world.session.id, failed: true }, 'the session keeps it')
  for (const transactions of [world.here, world.at('c2')]) {
    const current = transactions.find(world.session, 'x')
    const again = contextOf('second-commit', { transaction: current, session: world.session })
    t.match(await transactions.run({ kind: 'commit' }, again), { command: 'COMMIT' })
    t.equal(current.inSession, undefined, 'it is over now')
  }
  const rollback = contextOf('rollback', {
    transaction: world.at('c2').find(world.session, 'x'),
    session: world.session,
  })
  await t.rejects(world.at('c2').run({ kind: 'rollback' }, rollback), {
    code: '25P01',
    message: /was committed before/,
  })
  await world.catalog.atLeast((await world.kv.get(world.keys.root)).revision)
  t.equal(world.catalog.snapshot().relation('default', 't0'), undefined, 'and is to be seen')
  await world.catalog.close()
})

t.test('a COMMIT that did not arrive never will once it was asked again', async (t) => {
  const world = await unknownCommit('is not reached')
  t.match(world.error, { error: 'commit_outcome_unknown' })
  const current = world.at('c2').find(world.session, 'x')
  const again = contextOf('second-commit', { transaction: current, session: world.session })
  await t.rejects(world.at('c2').run({ kind: 'commit' }, again), {
    code: '40001',
    hint: /nothing of it was written/,
  })
  t.match(await world.writeLog.transaction(world.session.id), { record: { kind: 'aborted' } })
  t.ok(world.catalog.snapshot().relation('default', 't0'))
  await world.catalog.close()
})

t.test(
  'a write whose record was not heard of is not begun, and its record is aborted',
  async (t) => {
    const { runs, set, writeLog, catalog } = await openWorld()
    set('does, and is not heard')
    const request = {
      ...{ identity: { id: 'writing', fingerprint: 'f' }, command: 'INSERT', locations: [] },
      context: contextOf('writing', {}),
    }
    const work = (): Promise<never> => Promise.reject(new Error('it must not be run'))
    await t.rejects(runs.staged(request, work), {
      ...{ code: '57P05', message: /the write could not begin/, hint: /nothing was written/ },
    })
    set('answers')
    t.match(await writeLog.transactions(), [{ record: { kind: 'pending' } }], 'it is there')
    await runs.settle()
    t.match(await writeLog.transactions(), [{ record: { kind: 'aborted' } }])
    await catalog.close()
  },
)

t.test(
  'ROLLBACK does not wait for a store that is silent, and its record is aborted',
  async (t) => {
    const { at, runs, set, catalog, writeLog, clock } = await openWorld()
    const begun = contextOf('begin', { catalog: catalog.snapshot(), sender: 'x' })
    const here = at('c1')
    await here.run({ kind: 'begin' }, begun)
    const transaction = begun.transaction.current
    await runs.execute(
      {
        ...{ identity: { id: 'dropping', fingerprint: 'f' }, command: 'DROP TABLE' },
        context: contextOf('dropping', { transaction }),
      },
      (plan) =>
        planDropRelation(
          plan,
          { database: 'default', name: 't0' },
          { expect: 'table', ifExists: false },
        ),
    )
    set('is silent')
    const asked = clock.now()
    const end = await here.run({ kind: 'rollback' }, contextOf('end', { transaction }))
    t.match(end, { command: 'ROLLBACK' })
    t.ok(clock.now() - asked <= 1_000, `told after ${clock.now() - asked} ms`)
    set('answers')
    t.match(await writeLog.transactions(), [{ record: { kind: 'pending' } }])
    await runs.settle()
    t.match(await writeLog.transactions(), [{ record: { kind: 'aborted' } }])
    t.ok(catalog.snapshot().relation('default', 't0'))
    await here.close()
    await catalog.close()
  },
)
