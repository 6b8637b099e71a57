import { DecodeError, type Infer, type Schema, s } from '@nyala/client/base'
import { isMemberId, type MemberId, SqlError } from '@nyala/client/protocol'

/**
 * Everything that is stored in etcd, as JSON. Closed world: a field or format that this version does not know
 * is refused, because a record that is half understood is worse than one that is not read.
 *
 * Format history: 1 first version.
 */
export const RECORD_FORMAT = 1
/** Half of what one commit may carry, so that a rename, which writes a head again, always fits. */
export const RECORD_BYTES_MAX = 512 * 1024
/** Longest name of a database, relation or column in UTF-16 units; PostgreSQL has 63, Impala 128. */
export const NAME_LENGTH_MAX = 255
/** How many writes back a guard can still tell whether a given write was its own. */
export const RECENT_WRITES_MAX = 32

export const memberId: Schema<MemberId> = {
  shape: 'memberId',
  decode(value, path) {
    const text = s.string.decode(value, path)
    if (!isMemberId(text)) throw new DecodeError(`${path}: not a member id`)
    return text
  },
}

export const memberRecord = s.object({
  id: memberId,
  role: s.oneOf('coordinator', 'executor'),
  /** `host:port` that others connect to: a coordinator's control and client port, an executor's data port. */
  address: s.string,
  /** Identity of the machine: members with the same one may hand each other paths instead of bytes. */
  host: s.string,
  pid: s.natural,
  /** Version of the software. */
  version: s.string,
  /** Version of the protocol it speaks. */
  protocol: s.natural,
  /** Milliseconds since 1970-01-01 UTC. */
  startedAt: s.number,
  state: s.oneOf('active', 'draining'),
  /** Threads that an executor runs tasks with, or a coordinator plans with. */
  threads: s.natural,
  /** Bytes of memory that tasks may use; 0 for a coordinator. */
  memoryBytes: s.natural,
})
export type MemberRecord = Infer<typeof memberRecord>

export const leaderRecord = s.object({
  id: memberId,
  address: s.string,
  /** Of its process, as in its member record: tells it from an earlier process of the same id. */
  startedAt: s.number,
  /** Milliseconds since 1970-01-01 UTC. */
  electedAt: s.number,
  /** Tells this campaign's own write from another's after a lost reply. */
  writeId: s.string,
})
export type LeaderRecord = Infer<typeof leaderRecord>

/** That `by` does not reach a life of a member: a hint for all, on which nobody's safety may rest. */
export const suspicionRecord = s.object({
  role: s.oneOf('coordinator', 'executor'),
  id: memberId,
  /** The life that is doubted; a later one is not. */
  incarnation: s.natural,
  by: memberId,
  /** `refused`: its address refuses connections, so its process is gone. `silent`: it does not answer. */
  kind: s.oneOf('refused', 'silent'),
  reason: s.string,
  /** Milliseconds since 1970-01-01 UTC; for people. */
  at: s.number,
})
export type SuspicionRecord = Infer<typeof suspicionRecord>

/** A life that ended without a word. It lies under a lease of its own, and is forgotten when that runs out. */
export const failureRecord = s.object({
  role: s.oneOf('coordinator', 'executor'),
  id: memberId,
  incarnation: s.natural,
  by: memberId,
  reason: s.string,
  at: s.number,
})
export type FailureRecord = Infer<typeof failureRecord>

/** A statement under which kernels died, told by its hash in the key. It lies under a lease of its own, as a failure does. */
export const quarantineRecord = s.object({
  by: s.string,
  /** Milliseconds since 1970-01-01 UTC. */
  at: s.number,
})
export type QuarantineRecord = Infer<typeof quarantineRecord>

/** An executor that ought to run, in its last known life. Only leaders write it. */
export const rosterRecord = s.object({
  id: memberId,
  incarnation: s.natural,
  /** Identity of its machine. */
  host: s.string,
  address: s.string,
  pid: s.natural,
})
export type RosterRecord = Infer<typeof rosterRecord>

/**
 * A leader's request that the deployment start an executor anew. The leader writes and removes it; the launcher
 * answers by `state`.
 */
export const launchRecord = s.object({
  id: memberId,
  /** The life to be replaced; its process, if it still runs, is to be ended first. */
  incarnation: s.natural,
  host: s.string,
  address: s.string,
  pid: s.natural,
  reason: s.string,
  /** Of the leader that asks. */
  epoch: s.natural,
  requestedAt: s.number,
  /** `refused`: this deployment does not run such an executor (any more), `detail` says why. */
  state: s.oneOf('asked', 'taken', 'refused'),
  detail: s.optional(s.string),
})
export type LaunchRecord = Infer<typeof launchRecord>

export const queryStates = ['queued', 'planning', 'running', 'streaming', 'cancelling'] as const

/** A query that outlives its coordinator. Its owner writes it under the owner epoch; a claim raises that. */
export const queryRecord = s.object({
  id: s.string,
  /** Of the client; its retry finds the query by it. */
  statementId: s.optional(s.string),
  sql: s.string,
  /** The statement's parameters as they were sent. */
  parameters: s.json,
  database: s.string,
  settings: s.record(s.string),
  /** Revision of the catalog that it was bound to; it does not move while the query lives. */
  snapshotRevision: s.natural,
  /** The immutable file with its plan; null until it has been planned. */
  plan: s.nullable(s.object({ path: s.string, crc32: s.natural, bytes: s.natural })),
  owner: memberId,
  /** As in its member record: a restarted coordinator does not own what its former process did. */
  ownerStartedAt: s.number,
  /** Why the owner has claimed it; absent where it made the record. */
  claimedFor: s.optional(s.oneOf('client', 'orphan')),
  /** 1 for the coordinator that made the record, higher with each claim. Executors refuse commands under a lower one. */
  ownerEpoch: s.natural,
  state: s.oneOf(...queryStates),
  place: s.object({
    /** Result frames that the client has acknowledged: it needs no frame below this number again. */
    framesAcknowledged: s.natural,
    /** Where the frames of a finished result lie: executors that spool them, by id. */
    spooledBy: s.array(s.string),
  }),
  /** Milliseconds since 1970-01-01 UTC; for people. */
  startedAt: s.number,
  /** Of the last write, so that one whose reply was lost can be recognised. */
  writeId: s.string,
})
export type QueryRecord = Infer<typeof queryRecord>

export const clusterRecord = s.object({
  /** Random; made at the first start and never changed. */
  id: s.string,
  /** Version of the layout of keys and records. */
  formatVersion: s.natural,
  createdAt: s.number,
})
export type ClusterRecord = Infer<typeof clusterRecord>

/** Which directory is the one that the cluster has for something: the id that a file in it says. Never changed. */
export const directoryRecord = s.object({ id: s.string })

/** Guard of the set of databases: every CREATE and DROP DATABASE compares and rewrites it. */
export const catalogRootRecord = s.object({ recentWrites: s.array(s.string) })
export type CatalogRootRecord = Infer<typeof catalogRootRecord>

/** A database, and the guard of its set of names: every DDL in it compares and rewrites this record. */
export const databaseRecord = s.object({
  id: s.string,
  /** As it was written at CREATE; the key has the folded form. */
  name: s.string,
  comment: s.optional(s.string),
  /** Directory under which its tables lie unless they name their own. */
  location: s.optional(s.string),
  createdAt: s.number,
  recentWrites: s.array(s.string),
})
export type DatabaseRecord = Infer<typeof databaseRecord>

/** What a name stands for. */
export const nameRecord = s.object({ id: s.string })

export const columnRecord = s.object({
  name: s.string,
  /** SQL type as DuckDB prints it. */
  type: s.string,
  comment: s.optional(s.string),
  /** Of a managed table: every write refuses NULL. */
  notNull: s.optional(s.boolean),
})
export type ColumnRecord = Infer<typeof columnRecord>

/** The immutable file that lists a table's segments. */
export const manifestPointer = s.object({
  path: s.string,
  /** Of the file's bytes. */
  crc32: s.natural,
  bytes: s.natural,
  files: s.natural,
  rows: s.natural,
  dataBytes: s.natural,
})
export type ManifestPointer = Infer<typeof manifestPointer>

/** The immutable file with what COMPUTE STATS found. */
export const statisticsPointer = s.object({
  path: s.string,
  crc32: s.natural,
  bytes: s.natural,
  computedAt: s.number,
})
export type StatisticsPointer = Infer<typeof statisticsPointer>

const relationFields = {
  id: s.string,
  database: s.string,
  name: s.string,
  comment: s.optional(s.string),
  createdAt: s.number,
  /** Ids of the last updates, so that one whose reply was lost can be recognised. */
  recentWrites: s.array(s.string),
}

export const tableRecord = s.object({
  ...relationFields,
  /** `external`: others write its files. `managed`: an Iceberg table, whose current metadata only this record names. */
  kind: s.oneOf('external', 'managed'),
  /** Of an external table that another engine keeps as one of Iceberg's: `manifest` is its metadata file. */
  format: s.optional(s.literal('iceberg')),
  location: s.string,
  columns: s.array(columnRecord),
  partitionColumns: s.array(columnRecord),
  schemaVersion: s.natural,
  snapshotId: s.natural,
  /** Of a managed table the metadata file of its current snapshot. */
  manifest: s.nullable(manifestPointer),
  statistics: s.nullable(statisticsPointer),
  refreshedAt: s.number,
})
export type TableRecord = Infer<typeof tableRecord>

export const viewRecord = s.object({
  ...relationFields,
  kind: s.literal('view'),
  sql: s.string,
  /** Database that unqualified names in `sql` belong to. */
  sessionDatabase: s.string,
  dialect: s.string,
  columns: s.array(s.object({ name: s.string, type: s.string })),
})
export type ViewRecord = Infer<typeof viewRecord>

export const relationRecord = s.union({
  external: tableRecord,
  managed: tableRecord,
  view: viewRecord,
})
export type RelationRecord = TableRecord | ViewRecord

/** The text of a record. Fails with `program_limit_exceeded` where it is too large for etcd. */
export function encodeRecord<T>(schema: Schema<T>, record: T): string {
  // Decoding what is about to be written refuses a record that nobody could read back.
  const text = JSON.stringify({ format: RECORD_FORMAT, record: schema.decode(record, 'record') })
  const bytes = Buffer.byteLength(text)
  if (bytes > RECORD_BYTES_MAX) {
    throw new SqlError(
      'program_limit_exceeded',
      `catalog record of ${bytes} bytes exceeds the limit of ${RECORD_BYTES_MAX} bytes`,
      { hint: 'use fewer or shorter columns, comments or view text' },
    )
  }
  return text
}

/** Fails with a {@link DecodeError} that names the key. */
export function decodeRecord<T>(schema: Schema<T>, text: string, key: string): T {
  return s
    .object({ format: s.literal(RECORD_FORMAT), record: schema })
    .decode(parseJson(text, key), key).record
}

function parseJson(text: string, key: string): unknown {
  try {
    return JSON.parse(text)
  } catch (cause) {
    throw new DecodeError(`${key}: not JSON`, { cause })
  }
}
