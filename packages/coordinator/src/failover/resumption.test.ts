import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { deferred, silentLog as log, systemClock as clock } from '@nyala/client/base'
import type { MemberId, SqlError } from '@nyala/client/protocol'
import { Keys, type Kv, KvError, openCluster, QueryLog } from '@nyala/metastore'
import { MemoryEtcd } from '@nyala/metastore/memory'
import t from 'tap'
import type { Executors } from '../schedule/executors.ts'
import { QueryOwner } from './query-owner.ts'
import { ResultPlans } from './result-plan.ts'
import { Resumption } from './resumption.ts'

/** A store whose next commit is done, but not heard of; `meanwhile` is done before its sender knows that. */
function unheardOnce(etcd: Kv) {
  let meanwhile: (() => Promise<unknown>) | undefined
  const commitIf: Kv['commitIf'] = async (request, options) => {
    const result = await etcd.commitIf(request, options)
    const work = meanwhile
    if (work === undefined) return result
    meanwhile = undefined
    await work()
    throw new KvError('unknownOutcome', 'no answer')
  }
  const kv = new Proxy<Kv>(etcd, {
    get(target, name) {
      if (name === 'commitIf') return commitIf
      const value: unknown = Reflect.get(target, name)
      return typeof value === 'function' ? (value.bind(target) as unknown) : value
    },
  })
  return { kv, unheard: (work: () => Promise<unknown>) => (meanwhile = work) }
}

/** Tells when a plan has been removed. */
class WatchedPlans extends ResultPlans {
  readonly #removed = deferred<void>()

  get removed(): Promise<void> {
    return this.#removed.promise
  }

  override async remove(pointer: Parameters<ResultPlans['remove']>[0]): Promise<void> {
    await super.remove(pointer)
    this.#removed.resolve()
  }
}

t.test('a query is cancelled though its record was not known to be there by then', async (t) => {
  const etcd = new MemoryEtcd(clock).connect()
  const { kv, unheard } = unheardOnce(etcd)
  const keys = new Keys('test')
  await openCluster({ kv, keys, clock })
  const queryLog = new QueryLog({ kv, keys, clock, log })
  const elsewhere = new QueryLog({ kv: etcd, keys, clock, log })
  await queryLog.start()
  const parts = { queryLog, clock, log }
  const executors = { links: () => [] } as unknown as Executors
  const directory = await mkdtemp(join(tmpdir(), 'nyala-resumption-'))
  t.teardown(() => rm(directory, { recursive: true, force: true }))
  const plans = new WatchedPlans(directory)
  const resumption = new Resumption(
    { ...parts, plans, executors, isLiving: () => true },
    (runner) =>
      new QueryOwner({
        ...{ ...parts, runner, self: { id: 'c1' as MemberId, startedAt: 1 } },
        ...{ living: () => [], isLeader: () => false },
      }),
  )
  const query = {
    ...{ id: 'q1', sql: 'SELECT 1', parameters: [], database: 'default', settings: {} },
    ...{ snapshotRevision: 1, startedAt: 0 },
    state: 'streaming',
    place: { framesAcknowledged: 0, spooledBy: [] },
  } as const
  const left = deferred<SqlError>()
  unheard(() => elsewhere.requestCancel('q1'))
  const plan = { format: 1, columns: [], tasks: [], rowsMax: 0 } as const
  await resumption.record(query, plan, { leave: (reason) => left.resolve(reason) })
  t.match(await left.promise, { error: 'query_canceled' })
  // The last thing that is done for it: while it is under way nothing can be cleaned up.
  await plans.removed
  t.same(await plans.files(), [])
  t.equal(await elsewhere.read('q1'), undefined, 'its record was gone before')
  resumption.stop()
  await queryLog.stop()
})
