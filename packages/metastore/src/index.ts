export * from './board.ts'
export * from './catalog.ts'
export {
  type NewDatabase,
  type NewRelation,
  type NewTable,
  type NewView,
  planCreateRelation,
  planDropDatabase,
  planDropRelation,
  planRenameRelation,
  planReplaceView,
  planCreateDatabase,
  planTableUpdate,
  type CatalogPlan,
  type PlanContext,
  type RelationKind,
  type RelationName,
} from './catalog-plan.ts'
export * from './catalog-overlay.ts'
export type { Guard, Versioned } from './catalog-guard.ts'
export type { CatalogSnapshot, Database, Relation } from './catalog-snapshot.ts'
export * from './cluster.ts'
export * from './coordinator-entry.ts'
export * from './directory-claim.ts'
export * from './election.ts'
export type { EtcdCredentials } from './etcd-client.ts'
export * from './etcd-kv.ts'
export * from './failpoint-file.ts'
export * from './keys.ts'
export * from './kv.ts'
export * from './machine.ts'
export * from './membership.ts'
export * from './newest-revision.ts'
export * from './prefix-view.ts'
export * from './query-log.ts'
export * from './read-floor.ts'
export * from './records.ts'
export * from './registration.ts'
export * from './patience.ts'
export * from './retry.ts'
export * from './session.ts'
export * from './socket-table.ts'
export * from './write-log.ts'
export * from './write-records.ts'
