import { silentLog } from '@nyala/client/base'
import type { CatalogSnapshot, TableRecord } from '@nyala/metastore'
import { ManualClock } from '@nyala/metastore/memory'
import t from 'tap'
import { expiredSnapshots, nextExpiryMs, ownRetention } from '../iceberg/expire.ts'
import { newMetadata, type TableMetadata } from '../iceberg/metadata.ts'
import { withSnapshot } from '../iceberg/snapshot.ts'
import { FieldIds } from '../iceberg/types.ts'
import { simpleType } from '../sql/sql-types.ts'
import { SnapshotExpiry } from './snapshot-expiry.ts'

const AGE = 'history.expire.max-snapshot-age-ms'
const KEEP = 'history.expire.min-snapshots-to-keep'

/** A table with a snapshot of each of these times. */
function tableOf(times: readonly number[], properties: Record<string, string>): TableMetadata {
  const columns = [{ name: 'a', type: simpleType('INTEGER') }]
  const location = 'file:///w/t'
  let metadata = newMetadata({
    ...{ uuid: 'u', location, columns, ids: new FieldIds(), nowMs: 1, properties },
  })
  for (const nowMs of times) {
    metadata = withSnapshot(metadata, {
      ...{ id: BigInt(nowMs), operation: 'append', manifestList: `${location}/${nowMs}`, nowMs },
      added: { files: 1, rows: 1, bytes: 1 },
      removed: { files: 0, rows: 0, bytes: 0 },
      previousFile: undefined,
    })
  }
  return metadata
}

t.test(
  'the next snapshot expires when it is older than the table lets it be, but for those that it keeps',
  (t) => {
    const table = tableOf([1_000, 2_000, 3_000], { [AGE]: '500' })
    t.equal(nextExpiryMs(table), 1_501)
    const expired = (nowMs: number): readonly bigint[] => {
      const retention = ownRetention(table, nowMs)
      return retention === undefined ? [] : [...expiredSnapshots(table, retention)]
    }
    t.same(expired(1_500), [])
    t.same(expired(1_501), [1_000n])
    t.same(expired(9_999), [1_000n, 2_000n], 'the current one stays')
    t.equal(nextExpiryMs(tableOf([1_000, 2_000], { [AGE]: '500', [KEEP]: '2' })), Infinity)
    t.equal(
      nextExpiryMs(tableOf([1_000, 2_000], { [AGE]: '500', 'gc.enabled': 'false' })),
      Infinity,
    )
    t.equal(nextExpiryMs(tableOf([1_000], { [AGE]: '500' })), Infinity)
    const fiveDays = 432_000_000
    t.equal(nextExpiryMs(tableOf([1_000, 2_000], {})), 1_000 + fiveDays + 1)
    t.end()
  },
)

/** Tables of a catalog, and what came of looking at them. */
function worldOf(metadata: Record<string, TableMetadata>) {
  const clock = new ManualClock()
  const state = { leads: true, revision: 1, expired: [] as string[], reads: [] as string[] }
  const record = (name: string): TableRecord =>
    ({ kind: 'managed', id: name, database: 'd', name, manifest: {} }) as TableRecord
  const snapshot = {
    databases: () => [{ record: { name: 'd' } }],
    relations: () =>
      Object.keys(metadata).map((name) => ({ record: record(name), modRevision: state.revision })),
  }
  const expiry = new SnapshotExpiry({
    ...{ clock, log: silentLog, isLeader: () => state.leads },
    catalog: { snapshot: () => snapshot as unknown as CatalogSnapshot },
    metadata: ({ name }) => {
      state.reads.push(name)
      const found = metadata[name]
      return found === undefined ? Promise.reject(new Error('gone')) : Promise.resolve(found)
    },
    expire: ({ name }) => {
      state.expired.push(name)
      return name === 'broken' ? Promise.reject(new Error('no')) : Promise.resolve()
    },
  })
  return { clock, state, expiry, metadata }
}

t.test(
  'tables are read when they have changed, and forget snapshots when these are due',
  async (t) => {
    const { clock, state, expiry } = worldOf({})
    const now = clock.wall()
    const due = tableOf([now, now + 1], { [AGE]: '1000' })
    const world = worldOf({ broken: due, due, never: tableOf([now], {}) })
    await expiry.round()
    t.same(state.reads, [])
    await world.expiry.round()
    await world.expiry.round()
    t.same(world.state.reads, ['broken', 'due', 'never'])
    t.same(world.state.expired, [])
    await world.clock.advance(2_000)
    world.state.leads = false
    await world.expiry.round()
    t.same(world.state.expired, [], 'another one leads')
    world.state.leads = true
    await world.expiry.round()
    t.same(world.state.expired, ['broken', 'due'], "what fails is in no other table's way")
    world.metadata['due'] = tableOf([now], {})
    world.state.revision++
    await world.expiry.round()
    t.same(world.state.expired, ['broken', 'due', 'broken'], 'and is tried again')
  },
)
