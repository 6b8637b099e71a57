import { type Infer, s } from '@nyala/client/base'
import type { Keys } from './keys.ts'
import type { Operation } from './kv.ts'
import { encodeRecord, memberId } from './records.ts'

/**
 * A write on its way, by the id that all of its files bear in their names. It is there before the first file is; the
 * commit that makes the files part of a table deletes it.
 */
export const pendingWrite = s.object({
  kind: s.literal('pending'),
  id: s.string,
  owner: memberId,
  /** As in its member record: a restarted coordinator does not go on with what its former process did. */
  ownerStartedAt: s.number,
  /** Directories of tables that files may be in. */
  locations: s.array(s.string),
  /** Those of them that hold nothing but what the write has put there: tables that a transaction makes. */
  own: s.optional(s.array(s.string)),
  /** Milliseconds since 1970-01-01 UTC; for people. */
  startedAt: s.number,
})
export type PendingWrite = Infer<typeof pendingWrite>

/** A write that will not be committed any more: files that bear its id are litter. */
export const abortedWrite = s.object({
  kind: s.literal('aborted'),
  id: s.string,
  locations: s.array(s.string),
  own: s.optional(s.array(s.string)),
  reason: s.string,
  startedAt: s.number,
})
export type AbortedWrite = Infer<typeof abortedWrite>

/** Directories of tables that were dropped: queries that began before may still read them for a while. */
export const droppedTables = s.object({
  kind: s.literal('dropped'),
  id: s.string,
  locations: s.array(s.string),
  startedAt: s.number,
})
export type DroppedTables = Infer<typeof droppedTables>

/** Snapshots that a table has forgotten: queries that began before may still read their files for a while. */
export const expiredSnapshots = s.object({
  kind: s.literal('expired'),
  id: s.string,
  /** Id of the table. */
  table: s.string,
  /** The metadata file that last named them. */
  before: s.object({ path: s.string, crc32: s.natural, bytes: s.natural }),
  startedAt: s.number,
})
export type ExpiredSnapshots = Infer<typeof expiredSnapshots>

export const transactionRecord = s.union({
  pending: pendingWrite,
  aborted: abortedWrite,
  dropped: droppedTables,
  expired: expiredSnapshots,
})
export type TransactionRecord = Infer<typeof transactionRecord>

/** What became of a statement that changed something, by the id that its client gave it. */
export const statementRecord = s.object({
  /** Of the text and parameters: an id that is used for another statement is a mistake. */
  fingerprint: s.string,
  /** The write that did it. */
  write: s.string,
  command: s.string,
  rows: s.nullable(s.natural),
  notices: s.array(s.string),
  /** Milliseconds since 1970-01-01 UTC. */
  committedAt: s.number,
})
export type StatementRecord = Infer<typeof statementRecord>

/** The operation that keeps in mind that the directories of dropped tables are to be deleted. */
export function rememberDropped(
  keys: Keys,
  dropped: {
    readonly id: string
    readonly locations: readonly string[]
    readonly startedAt: number
  },
): Operation {
  const value = encodeRecord(transactionRecord, { kind: 'dropped', ...dropped })
  return { kind: 'put', key: keys.txn(dropped.id), value }
}

/** The operation that keeps in mind that files of forgotten snapshots are to be deleted. */
export function rememberExpired(keys: Keys, expired: Omit<ExpiredSnapshots, 'kind'>): Operation {
  const value = encodeRecord(transactionRecord, { kind: 'expired', ...expired })
  return { kind: 'put', key: keys.txn(expired.id), value }
}
