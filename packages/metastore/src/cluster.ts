import { type Clock, DecodeError } from '@nyala/client/base'
import { randomHex, SqlError } from '@nyala/client/protocol'
import type { Keys } from './keys.ts'
import type { Kv, OperationResult } from './kv.ts'
import {
  catalogRootRecord,
  type ClusterRecord,
  clusterRecord,
  databaseRecord,
  decodeRecord,
  encodeRecord,
} from './records.ts'
import { repeatCommit, repeatRead } from './retry.ts'

/** Version of the layout of keys and records that this software reads and writes. */
export const FORMAT_VERSION = 1
/** Exists from the start and cannot be dropped. */
export const DEFAULT_DATABASE = 'default'

export interface OpenClusterOptions {
  readonly kv: Kv
  readonly keys: Keys
  readonly clock: Clock
  /** Refuse any other cluster, for a member that has belonged to one before. */
  readonly expectedId?: string | undefined
  readonly signal?: AbortSignal | undefined
}

/**
 * The cluster's record; at the very first start it is made, with an empty catalog and the database `default`,
 * by one guarded write, so that of several members that start together one makes it and all see the same.
 * Fails with `invalid_parameter_value` where the cluster is another one than expected or of another format.
 */
export async function openCluster(options: OpenClusterOptions): Promise<ClusterRecord> {
  const { keys } = options
  const { result } = await repeatCommit(options, {
    compares: [{ kind: 'absent', key: keys.clusterRecord }],
    success: initialRecords(keys, options.clock.wall()),
    failure: [{ kind: 'get', key: keys.clusterRecord }],
  })
  const record = readCluster(keys, result.responses.at(-1))
  if (record.formatVersion !== FORMAT_VERSION) {
    throw new SqlError(
      'invalid_parameter_value',
      `cluster "${keys.cluster}" has format ${record.formatVersion}, this software has ${FORMAT_VERSION}`,
      { hint: 'use the version of the software that the cluster was made with, or migrate it' },
    )
  }
  if (options.expectedId !== undefined && record.id !== options.expectedId) {
    throw new SqlError(
      'invalid_parameter_value',
      `cluster "${keys.cluster}" has id "${record.id}", expected "${options.expectedId}"`,
      { hint: 'check the list of etcd endpoints and the cluster name' },
    )
  }
  return record
}

/** The id of the cluster; undefined where it has not been made yet. Fails with `metastore_unavailable`. */
export async function clusterId({
  kv,
  keys,
  clock,
}: Pick<OpenClusterOptions, 'kv' | 'keys' | 'clock'>): Promise<string | undefined> {
  const { item } = await repeatRead({ kv, clock }, () => kv.get(keys.clusterRecord))
  return item && readCluster(keys, { kind: 'get', item }).id
}

/** Ends with a read of the record, so that both branches answer alike. */
function initialRecords(keys: Keys, createdAt: number): Parameters<Kv['commitIf']>[0]['success'] {
  const cluster: ClusterRecord = { id: randomHex(8), formatVersion: FORMAT_VERSION, createdAt }
  const database = { id: randomHex(8), name: DEFAULT_DATABASE, createdAt, recentWrites: [] }
  return [
    { kind: 'put', key: keys.clusterRecord, value: encodeRecord(clusterRecord, cluster) },
    {
      kind: 'put',
      key: keys.catalogRoot,
      value: encodeRecord(catalogRootRecord, { recentWrites: [] }),
    },
    {
      kind: 'put',
      key: keys.database(DEFAULT_DATABASE),
      value: encodeRecord(databaseRecord, database),
    },
    { kind: 'get', key: keys.clusterRecord },
  ]
}

function readCluster(keys: Keys, response: OperationResult | undefined): ClusterRecord {
  const item = response?.kind === 'get' ? response.item : undefined
  try {
    return decodeRecord(clusterRecord, item?.value ?? '', keys.clusterRecord)
  } catch (cause) {
    if (!(cause instanceof DecodeError)) throw cause
    throw new SqlError(
      'invalid_parameter_value',
      `the record of cluster "${keys.cluster}" cannot be read: ${cause.message}`,
      { hint: 'use the version of the software that the cluster was made with', cause },
    )
  }
}
