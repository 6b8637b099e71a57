import { silentLog, systemClock } from '@nyala/client/base'
import { Catalog, Keys, openCluster, type TableRecord } from '@nyala/metastore'
import { MemoryEtcd } from '@nyala/metastore/memory'
import t from 'tap'
import type { TableChange } from '../write/change.ts'
import { tableIn, tableOf } from '../write/testing/simulated-world.ts'
import { aloneOnTheirTables, replay, type Step, stageUpdate } from './steps.ts'

const append = (base: TableRecord): TableChange => ({
  ...{ base, change: { kind: 'append' } },
  apply: (current) =>
    Promise.resolve({
      record: { ...current, snapshotId: current.snapshotId + 1 },
      forgets: false,
    }),
})

t.test('a step that another one was staged on is not alone, staged anew or not', async (t) => {
  const keys = new Keys('test')
  const kv = new MemoryEtcd(systemClock).connect()
  await openCluster({ kv, keys, clock: systemClock })
  const catalog = await Catalog.open({ kv, keys, clock: systemClock, log: silentLog })
  for (const name of ['t0', 't1']) await catalog.createRelation(tableOf(name))
  const context = { keys, liveFiles: () => Promise.resolve([]), now: 0 }
  const before = catalog.snapshot()
  const steps: Step[] = []
  for (const [writeId, name] of [
    ['s1', 't0'],
    ['s2', 't1'],
    ['s3', 't0'],
  ] as const) {
    const change = append(tableIn(before, name))
    steps.push((await stageUpdate({ writeId, change }, before, context)).step)
  }
  const ids = (of: readonly Step[]): readonly string[] => of.map(({ writeId }) => writeId)
  t.strictSame(ids(aloneOnTheirTables(steps)), ['s2'])
  const again = await replay(steps, before, context)
  t.strictSame(
    again.steps.map((step) => step.kind === 'update' && step.attempts),
    [1, 1, 2],
    'the third one goes on top of the first',
  )
  t.strictSame(ids(aloneOnTheirTables(again.steps)), ['s2'])
  await catalog.close()
})
