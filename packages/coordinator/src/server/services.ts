import type { Clock, Log } from '@nyala/client/base'
import type { ConstantKernel } from '@nyala/executor/kernel'
import type { Asking, Catalog, Election, Membership, NewestRevision } from '@nyala/metastore'
import type { KernelFunctions } from '../bind/functions.ts'
import type { Mirror } from '../bind/mirror.ts'
import type { SettingValues } from '../bind/settings.ts'
import type { Failover } from '../failover/failover.ts'
import type { Resumption } from '../failover/resumption.ts'
import type { AdmissionControl } from '../schedule/admission-driver.ts'
import type { Executors } from '../schedule/executors.ts'
import type { SqlFrontEnd } from '../sql/front-end.ts'
import type { ManifestStore } from '../table/manifest-store.ts'
import type { Transactions } from '../txn/transactions.ts'
import type { AppendQueues } from '../write/append-queues.ts'
import type { ReadHolds } from '../write/read-holds.ts'
import type { Reads } from '../write/write-janitor.ts'
import type { WriteRuns } from '../write/write-run.ts'
import type { EtcdStatus } from './etcd-status.ts'
import type { QueryRegistry } from './query-registry.ts'
import type { Uploads } from './uploads.ts'

/** What the statements of one coordinator share. */
export interface Services {
  readonly clock: Clock
  readonly log: Log
  readonly id: string
  readonly cluster: string
  readonly version: string
  readonly etcdStatus: EtcdStatus
  readonly catalog: Catalog
  /** How new the catalog is, as etcd says. */
  readonly newest: NewestRevision
  readonly membership: Membership
  readonly election: Election
  readonly failover: Failover
  /** Results that outlive their coordinator. */
  readonly resumption: Resumption
  readonly frontEnd: SqlFrontEnd
  readonly mirror: Mirror
  /** Answers what is constant. */
  readonly constants: ConstantKernel
  readonly functions: KernelFunctions
  readonly manifests: ManifestStore
  readonly writes: WriteRuns
  readonly appends: AppendQueues
  /** Fails with `foreign_directory` where a directory is another cluster's. */
  readonly requireOwn: (directory: string) => Promise<void>
  readonly uploads: Uploads
  readonly holds: ReadHolds
  /** What statements of all coordinators read. Fails with `metastore_unavailable`. */
  readonly reads: (asking?: Pick<Asking, 'patience'>) => Promise<Reads>
  readonly transactions: Transactions
  readonly executors: Executors
  readonly admission: AdmissionControl
  readonly queries: QueryRegistry
  /** What sessions have that do not say otherwise. */
  readonly defaultSettings: SettingValues
}
