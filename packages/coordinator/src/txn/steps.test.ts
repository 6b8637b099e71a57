import { silentLog, systemClock } from '@nyala/client/base'
import {
  Catalog,
  type CatalogSnapshot,
  Keys,
  openCluster,
  overlaid,
  planTableUpdate,
  type TableRecord,
} from '@nyala/metastore'
import { createRelation, MemoryEtcd } from '@nyala/metastore/memory'
import t from 'tap'
import type { TableChange } from '../write/change.ts'
import { headOf } from '../write/committer.ts'
import { tableIn, tableOf } from '../write/testing/simulated-world.ts'
import { type DoneStep, replay, type Step, stageUpdate } from './steps.ts'

const changed = (base: TableRecord, change: TableChange['change']): TableChange => ({
  ...{ base, change },
  apply: (current) =>
    Promise.resolve({
      record: { ...current, snapshotId: current.snapshotId + 1 },
      forgets: false,
    }),
})

/** The head that a step has staged. */
function tableAfter({ step }: DoneStep): TableRecord {
  if (step.kind !== 'update') throw new Error('not a change of a table')
  return step.next.record
}

/** The catalog after somebody else's commit to a table. */
function withHead(snapshot: CatalogSnapshot, record: TableRecord, keys: Keys): CatalogSnapshot {
  const { compare, put } = planTableUpdate(headOf(snapshot, record), record, 'other')
  return overlaid(snapshot, keys, [{ compares: [compare], operations: [put] }])
}

t.test(
  'what a rewrite has read is read once: an earlier step that is staged anew loses it',
  async (t) => {
    const keys = new Keys('test')
    const kv = new MemoryEtcd(systemClock).connect()
    await openCluster({ kv, keys, clock: systemClock })
    const catalog = await Catalog.open({ kv, keys, clock: systemClock, log: silentLog })
    await createRelation(catalog, tableOf('t0'))
    const base = tableIn(catalog.snapshot(), 't0')
    const read: number[] = []
    const liveFiles = ({ snapshotId }: TableRecord): Promise<readonly []> => {
      read.push(snapshotId)
      return Promise.resolve([])
    }
    const context = { keys, liveFiles, now: 0 }
    const append = changed(base, { kind: 'append' })
    const first = await stageUpdate({ writeId: 's1', change: append }, catalog.snapshot(), context)
    const covers = (): boolean => false
    const rewrite = changed(tableAfter(first), { kind: 'rewrite', files: new Set(), covers })
    const own = overlaid(catalog.snapshot(), keys, [first.write])
    const second = await stageUpdate({ writeId: 's2', change: rewrite }, own, context)
    t.strictSame(read, [], 'nobody has changed it meanwhile')

    let steps: readonly Step[] = [first.step, second.step]
    for (const snapshotId of [10, 20]) {
      const others = { ...base, snapshotId }
      const snapshot = withHead(catalog.snapshot(), others, keys)
      ;({ steps } = await replay(steps, snapshot, context))
    }
    t.strictSame(read, [11, 1, 21], 'each newer head, and what the statement has read')
    t.strictSame(
      steps.map((step) => step.kind === 'update' && step.attempts),
      [3, 3],
    )
    await catalog.close()
  },
)
