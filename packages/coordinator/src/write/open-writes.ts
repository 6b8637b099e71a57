import { join } from 'node:path'
import type { ConstantKernel } from '@nyala/executor/kernel'
import {
  type Catalog,
  type ClusterRecord,
  type Keys,
  requireOwnDirectory,
  WriteLog,
} from '@nyala/metastore'
import type { CoordinatorOptions } from '../coordinator.ts'
import type { Services } from '../server/services.ts'
import { Uploads } from '../server/uploads.ts'
import type { ManifestStore } from '../table/manifest-store.ts'
import { Transactions } from '../txn/transactions.ts'
import { AppendQueues } from './append-queues.ts'
import { dateCommit } from './commit-time.ts'
import { Committer } from './committer.ts'
import { ReadHolds } from './read-holds.ts'
import { SharedDecisions } from './shared-decisions.ts'
import type { TableTurns } from './table-turns.ts'
import { WriteRuns } from './write-run.ts'

/** Directory in the warehouse for rows that are on their way into a table. */
const UPLOADS = 'uploads'

/** All that a coordinator commits with. */
export function openWrites(
  { kv, clock, log, id, warehouse }: CoordinatorOptions,
  parts: {
    readonly keys: Keys
    readonly catalog: Catalog
    readonly manifests: ManifestStore
    readonly constants: ConstantKernel
    readonly turns: TableTurns
    /** Of this process, as in its member record. */
    readonly startedAt: number
    readonly record: ClusterRecord
  },
): Pick<Services, 'writes' | 'appends' | 'uploads' | 'transactions' | 'holds' | 'requireOwn'> {
  const { keys, catalog, manifests, constants, turns, startedAt, record } = parts
  const { iceberg: store } = manifests
  const writeLog = new WriteLog({ kv, keys, clock })
  const decisions = new SharedDecisions(writeLog)
  const committer = new Committer({
    ...{ catalog, writeLog, decisions, keys, clock, turns },
    liveFiles: (table) => store.dataFiles(table),
  })
  const owner = { id, startedAt }
  const cluster = { name: keys.cluster, id: record.id }
  const writes = new WriteRuns({
    ...{ writeLog, committer, keys, clock, log, owner, warehouse },
    dateCommit: dateCommit(store),
  })
  return {
    writes,
    requireOwn: (path) => requireOwnDirectory(path, cluster),
    holds: new ReadHolds(),
    appends: new AppendQueues({ catalog, writes, decisions, constants, store, clock, log, turns }),
    uploads: new Uploads({ directory: join(warehouse, UPLOADS), clock, log }),
    transactions: new Transactions({ runs: writes, coordinator: id, clock, log }),
  }
}
