import type { QueryLog } from '@nyala/metastore'
import type { PeerLinks } from '../failover/peer-links.ts'
import { livingOwners } from '../failover/ownership.ts'
import type { Services } from '../server/services.ts'
import { removeExpiredFiles } from './expired-files.ts'
import { WriteJanitor } from './write-janitor.ts'

/** Starts to look after what writes leave, while this coordinator leads. */
export function openWriteJanitor(
  services: Services,
  { peers, queryLog }: { readonly peers: PeerLinks; readonly queryLog: QueryLog },
): WriteJanitor {
  const { writes, clock, log, election, membership, failover, catalog, manifests } = services
  const janitor = new WriteJanitor({
    ...{ writes, writeLog: writes.writeLog, clock, log },
    leadership: () => election.leadership,
    isLiving: (owner) =>
      livingOwners({
        registered: membership.coordinators(),
        linked: peers.linked(),
        isSuspected: (id) => failover.isSuspected('coordinator', id),
      }).some(({ id, startedAt }) => id === owner.id && startedAt === owner.startedAt),
    oldestRead() {
      const revisions = queryLog.queries().map(({ record }) => record.snapshotRevision)
      return revisions.length === 0 ? undefined : Math.min(...revisions)
    },
    removeExpired: (record, revision) =>
      removeExpiredFiles({ catalog, store: manifests.iceberg }, record, revision),
  })
  janitor.start()
  return janitor
}
