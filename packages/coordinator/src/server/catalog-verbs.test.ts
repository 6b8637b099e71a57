import { turnsAlone } from '../write/testing/simulated-turns.ts'
import { silentLog, systemClock } from '@nyala/client/base'
import type { MemberId } from '@nyala/client/protocol'
import { Catalog, Keys, openCluster, WriteLog } from '@nyala/metastore'
import t from 'tap'
import { contextOf } from '../txn/testing/simulated-tables.ts'
import { Committer } from '../write/committer.ts'
import { tableOf } from '../write/testing/simulated-world.ts'
import { hurriedClock, unheardStore } from '../write/testing/unheard-store.ts'
import { WriteRuns } from '../write/write-run.ts'
import { CatalogVerbs } from './catalog-verbs.ts'
import type { StatementContext, StatementOutcome } from './statement-context.ts'
import { createRelation } from '@nyala/metastore/memory'

/** The verbs of two coordinators over one store. */
async function openWorld() {
  const clock = hurriedClock()
  const { kv, set } = unheardStore()
  const keys = new Keys('test')
  const log = silentLog
  await openCluster({ kv, keys, clock })
  const open = async (id: string) => {
    const catalog = await Catalog.open({ kv, keys, clock: systemClock, log })
    const writeLog = new WriteLog({ kv, keys, clock })
    const committer = new Committer({
      ...{ catalog, writeLog, decisions: writeLog, keys, clock, turns: turnsAlone(clock) },
      liveFiles: () => Promise.resolve([]),
    })
    const owner = { id: id as MemberId, startedAt: 1 }
    const writes = new WriteRuns({ writeLog, committer, keys, clock, log, owner, warehouse: '/' })
    const target = ({ name }: { readonly name: string }) => ({ database: 'default', name })
    return { catalog, verbs: new CatalogVerbs({ writes }, { target }) }
  }
  const [here, there] = [await open('c1'), await open('c2')]
  const close = () => Promise.all([here.catalog.close(), there.catalog.close()])
  return { set, here, there, [Symbol.asyncDispose]: async () => void (await close()) }
}

const named = (name: string) => ({ database: undefined, name, at: 0 })

type Verb = (verbs: CatalogVerbs, context: StatementContext) => Promise<StatementOutcome>

const VERBS: Readonly<Record<string, { readonly run: Verb; readonly command: string }>> = {
  create: {
    command: 'CREATE DATABASE',
    run: (verbs, context) =>
      verbs.createDatabase(
        {
          ...{ kind: 'createDatabase', ifNotExists: false, database: { name: 'd', at: 0 } },
          ...{ comment: undefined, location: undefined },
        },
        context,
      ),
  },
  rename: {
    command: 'ALTER TABLE',
    run: (verbs, context) =>
      verbs.rename({ kind: 'renameTable', table: named('t0'), to: named('t1') }, context),
  },
}

t.test('a change of the catalog that went through unheard is told when sent again', async (t) => {
  for (const [id, { run, command }] of Object.entries(VERBS)) {
    await using world = await openWorld()
    const { set, here, there } = world
    await createRelation(here.catalog, tableOf('t0'))
    set('does, and is not heard')
    await t.rejects(run(here.verbs, contextOf(id, {})), { code: '40003' }, id)
    set('answers')
    for (const { verbs } of [there, here]) {
      t.match(await run(verbs, contextOf(id, {})), { command }, `${command} is told, not refused`)
    }
    const again = contextOf(`another ${id}`, {})
    await t.rejects(run(there.verbs, again), { code: /^42P0[146]$/ }, 'it was done')
  }
})

t.test('one that did not go through is done when it is sent again, once', async (t) => {
  for (const [id, { run, command }] of Object.entries(VERBS)) {
    await using world = await openWorld()
    const { set, here, there } = world
    await createRelation(here.catalog, tableOf('t0'))
    await there.catalog.atLeast(here.catalog.snapshot().revision)
    set('is not reached')
    await t.rejects(run(here.verbs, contextOf(id, {})), { code: '40003' }, id)
    set('answers')
    t.match(await run(there.verbs, contextOf(id, {})), { command })
    t.match(await run(here.verbs, contextOf(id, {})), { command }, 'told')
  }
})

t.test('an id that was used for another statement is refused', async (t) => {
  await using world = await openWorld()
  const { here } = world
  const { create, rename } = VERBS
  await create?.run(here.verbs, contextOf('x', {}))
  const other = { ...contextOf('x', {}), sql: 'another text' }
  await t.rejects(async () => rename?.run(here.verbs, other), { code: '22023' })
})
