import { drillHaste } from '@nyala/client/base'
import {
  type Asking,
  type QueryLog,
  type ReadFloor,
  type ReadFloorOptions,
  readFloors,
} from '@nyala/metastore'
import { ownRetention } from '../iceberg/expire.ts'
import type { PeerLinks } from '../failover/peer-links.ts'
import { livingOwners } from '../failover/ownership.ts'
import { Rounds } from '../failover/rounds.ts'
import type { Services } from '../server/services.ts'
import { expiration } from './expiration.ts'
import { removeExpiredFiles } from './expired-files.ts'
import { LitterSweep } from './litter-sweep.ts'
import { SnapshotExpiry } from './snapshot-expiry.ts'
import { newWriteId } from './write-ids.ts'
import { type Reads, WriteJanitor } from './write-janitor.ts'

/** How often this coordinator says how old the snapshots are that it reads. */
const FLOOR_MS = 5_000

/** What looks after tables and what writes leave. */
export interface Housekeeping {
  stop(): Promise<void>
}

/** Starts to look after what writes leave, and after tables, while this coordinator leads; and says what it reads itself. */
export function openHousekeeping(
  services: Services,
  { peers, floor }: { readonly peers: PeerLinks; readonly floor: ReadFloor },
): Housekeeping {
  const runs = [
    ...[openWriteJanitor(services, peers), openLitterSweep(services)],
    ...[openExpiry(services), openFloor(services, floor)],
  ]
  for (const one of runs) one.start()
  return {
    async stop() {
      for (const one of runs) one.stop()
      // Where the metastore does not answer the leader removes it later.
      await floor.close().catch((error: unknown) => services.log.warn('floorNotRemoved', { error }))
    },
  }
}

/** What statements of all coordinators read, as of now. Fails with `metastore_unavailable`. */
export async function readsOf(
  parts: Omit<ReadFloorOptions, 'owner'> & { readonly queryLog: QueryLog },
  { patience }: Pick<Asking, 'patience'> = {},
): Promise<Reads> {
  const floors = await readFloors({ ...parts, patience })
  return { floors, oldestRead: await parts.queryLog.oldestRead({ patience }) }
}

function openWriteJanitor(services: Services, peers: PeerLinks): WriteJanitor {
  const { writes, clock, log, election, membership, failover, catalog, manifests } = services
  return new WriteJanitor({
    ...{ writes, writeLog: writes.writeLog, clock, log, haste: drillHaste() },
    leadership: () => election.leadership,
    isLiving: (owner) =>
      livingOwners({
        registered: membership.coordinators(),
        linked: peers.linked(),
        isSuspected: (id) => failover.isSuspected('coordinator', id),
      }).some(({ id, startedAt }) => id === owner.id && startedAt === owner.startedAt),
    reads: services.reads,
    removeExpired: (found) => removeExpiredFiles({ catalog, store: manifests.iceberg }, found),
  })
}

function openLitterSweep({ writes, clock, log, ...services }: Services): LitterSweep {
  const { catalog, manifests, election, reads } = services
  return new LitterSweep({
    ...{ writeLog: writes.writeLog, clock, log, catalog, store: manifests.iceberg, reads },
    ...{ leadership: () => election.leadership, startedAt: writes.owner.startedAt },
    haste: drillHaste(),
  })
}

/** Tables forget snapshots by themselves, as their properties say. */
function openExpiry(services: Services): SnapshotExpiry {
  const { clock, log, election, catalog, manifests, writes } = services
  return new SnapshotExpiry({
    ...{ clock, log, catalog },
    isLeader: () => election.leadership !== undefined,
    metadata: (table) => manifests.iceberg.metadata(table),
    async expire(table) {
      const identity = { id: `expiry-${newWriteId()}`, fingerprint: 'expiry' }
      const context = {
        ...{ signal: new AbortController().signal, patience: writes.writeLog.patience() },
        notices: [],
        ...{ commit: { begun: false }, transaction: { current: undefined } },
      }
      const request = { identity, context, command: 'EXPIRE', locations: [table.location] }
      await writes.staged(request, (write) => {
        // Properties may have changed since it was found to be due.
        const none = { olderThanMs: -Infinity, keep: 1 }
        const how: Parameters<typeof expiration>[1] = (metadata) =>
          ownRetention(metadata, clock.wall()) ?? none
        return write.update(expiration(table, how, services, write), { rows: null })
      })
      log.info('snapshotsExpired', { table: `${table.database}.${table.name}` })
    },
  })
}

/** Says again and again how old the snapshots are that statements and transactions of this coordinator read. */
function openFloor(services: Services, floor: ReadFloor): Rounds {
  const { clock, log } = services
  return new Rounds({
    ...{ clock, everyMs: FLOOR_MS },
    async round() {
      if (!(await floor.raise(readsFrom(services)))) log.warn('takenForDead', {})
    },
    onError: (error) => log.warn('floorNotRaised', { error }),
  })
}

/** Statements that begin later read the catalog as it is now, or as it will be. */
function readsFrom({ catalog, holds, transactions }: Services): number {
  const { revision } = catalog.snapshot()
  return Math.min(revision, holds.oldest ?? revision, transactions.oldestRead ?? revision)
}
