import { silentLog, systemClock } from '@nyala/client/base'
import { Catalog, Keys, openCluster, type TableRecord } from '@nyala/metastore'
import { createRelation, MemoryEtcd } from '@nyala/metastore/memory'
import t from 'tap'
import type { TableChange } from '../write/change.ts'
import { tableIn, tableOf } from '../write/testing/simulated-world.ts'
import { withUnreadAttempts, replay, type Step, stageUpdate } from './steps.ts'

const changed = (base: TableRecord, change: TableChange['change']): TableChange => ({
  ...{ base, change },
  apply: (current) =>
    Promise.resolve({
      record: { ...current, snapshotId: current.snapshotId + 1 },
      forgets: false,
    }),
})

t.test('what a step had staged is kept for a later rewrite of its table alone', async (t) => {
  const keys = new Keys('test')
  const kv = new MemoryEtcd(systemClock).connect()
  await openCluster({ kv, keys, clock: systemClock })
  const catalog = await Catalog.open({ kv, keys, clock: systemClock, log: silentLog })
  for (const name of ['t0', 't1']) await createRelation(catalog, tableOf(name))
  const context = { keys, liveFiles: () => Promise.resolve([]), now: 0 }
  const before = catalog.snapshot()
  const stepsOf = async (
    last: TableChange['change'],
  ): Promise<{ readonly unread: readonly string[]; readonly attempts: readonly unknown[] }> => {
    const steps: Step[] = []
    for (const [writeId, name, change] of [
      ['s1', 't0', { kind: 'append' }],
      ['s2', 't1', { kind: 'append' }],
      ['s3', 't0', last],
    ] as const) {
      const update = { writeId, change: changed(tableIn(before, name), change) }
      steps.push((await stageUpdate(update, before, context)).step)
    }
    const { steps: again } = await replay(steps, before, context)
    return {
      unread: withUnreadAttempts(again).map(({ writeId }) => writeId),
      attempts: again.map((step) => step.kind === 'update' && step.attempts),
    }
  }
  t.strictSame(
    await stepsOf({ kind: 'append' }),
    { unread: ['s1', 's2', 's3'], attempts: [1, 1, 2] },
    'the third one goes on top of the first',
  )
  t.strictSame((await stepsOf({ kind: 'rewrite', files: new Set() })).unread, ['s2', 's3'])
  await catalog.close()
})
