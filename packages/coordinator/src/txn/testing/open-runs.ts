import { type Clock, silentLog, systemClock } from '@nyala/client/base'
import type { MemberId } from '@nyala/client/protocol'
import { Catalog, Keys, type Kv, openCluster, WriteLog } from '@nyala/metastore'
import { createRelation } from '@nyala/metastore/memory'
import { Committer } from '../../write/committer.ts'
import { turnsAlone } from '../../write/testing/simulated-turns.ts'
import { tableOf } from '../../write/testing/simulated-world.ts'
import { WriteRuns } from '../../write/write-run.ts'

/** What writes of the coordinator `c1` need, over a store in which the table `default.t0` is made. */
export async function openRuns(kv: Kv, clock: Clock) {
  const keys = new Keys('test')
  const log = silentLog
  await openCluster({ kv, keys, clock })
  const catalog = await Catalog.open({ kv, keys, clock: systemClock, log })
  await createRelation(catalog, tableOf('t0'))
  const writeLog = new WriteLog({ kv, keys, clock })
  const liveFiles = (): Promise<readonly []> => Promise.resolve([])
  const committer = new Committer({
    ...{ catalog, writeLog, decisions: writeLog, keys, clock, liveFiles, turns: turnsAlone(clock) },
  })
  const owner = { id: 'c1' as MemberId, startedAt: 1 }
  const runs = new WriteRuns({ writeLog, committer, keys, clock, log, owner, warehouse: '/' })
  return { catalog, runs, keys, writeLog, log }
}
