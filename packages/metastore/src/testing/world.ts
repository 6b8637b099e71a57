import { silentLog } from '@nyala/client/base'
import type { MemberId } from '@nyala/client/protocol'
import type { Test } from 'tap'
import type { NewTable, NewView } from '../catalog-plan.ts'
import { Keys } from '../keys.ts'
import { ManualClock } from '../manual-clock.ts'
import { MemoryEtcd, type MemoryKv, type MemoryKvFaults } from '../memory-kv.ts'
import type { MemberRecord } from '../records.ts'

/** A simulated etcd, time that stands still, and what the classes under test ask for. */
export class World {
  readonly clock: ManualClock = new ManualClock()
  readonly etcd: MemoryEtcd = new MemoryEtcd(this.clock)
  readonly keys: Keys = new Keys('test')
  readonly log = silentLog

  connect(faults: MemoryKvFaults = {}): MemoryKv {
    return this.etcd.connect(faults)
  }

  /** Options for a class of this package over a connection. */
  on<K>(kv: K): { kv: K; keys: Keys; clock: ManualClock; log: typeof silentLog } {
    return { kv, keys: this.keys, clock: this.clock, log: this.log }
  }

  /** Lets time go by until `condition` holds. */
  async until(condition: () => boolean): Promise<void> {
    while (!condition()) await this.clock.sleep(1)
  }
}

/** A test in a world of its own, with time going by as fast as the work allows. */
export async function inWorld(
  t: Test,
  claim: string,
  body: (t: Test, world: World) => Promise<void>,
): Promise<void> {
  await t.test(claim, (test) => {
    const world = new World()
    return world.clock.run(body(test, world))
  })
}

export const memberRecordOf = (
  id: string,
  role: MemberRecord['role'] = 'coordinator',
): MemberRecord => ({
  id: id as MemberId,
  role,
  address: '127.0.0.1:1',
  host: 'host',
  pid: 1,
  version: '0.1.0',
  protocol: 1,
  startedAt: 0,
  state: 'active',
  threads: 1,
  memoryBytes: 0,
})

export const tableOf = (database: string, name: string): NewTable => ({
  kind: 'external',
  database,
  name,
  location: `/data/${name}`,
  columns: [{ name: 'a', type: 'BIGINT' }],
  partitionColumns: [],
  schemaVersion: 1,
  snapshotId: 1,
  manifest: null,
  statistics: null,
  refreshedAt: 0,
})

export const viewOf = (database: string, name: string, sql = 'SELECT 1'): NewView => ({
  kind: 'view',
  database,
  name,
  sql,
  sessionDatabase: database,
  dialect: 'nyala',
  columns: [{ name: '1', type: 'INTEGER' }],
})
