import type { TableRecord } from '@nyala/metastore'
import { expiredSnapshots, type Retention, withoutSnapshots } from '../iceberg/expire.ts'
import type { TableMetadata } from '../iceberg/metadata.ts'
import { isForgetful } from '../iceberg/snapshot.ts'
import { toUri } from '../iceberg/table-files.ts'
import type { Services } from '../server/services.ts'
import type { TableChange } from './change.ts'
import { stageMetadata } from './table-change.ts'
import type { StagedWrite } from './write-run.ts'

/**
 * The change that makes a table forget old snapshots. Its rows stay as they are, so it goes on top of any other change,
 * and none is in its way. The files go later. `how` is asked of each metadata that it goes on top of.
 */
export function expiration(
  table: TableRecord,
  how: (metadata: TableMetadata) => Retention,
  { clock, manifests }: Pick<Services, 'clock' | 'manifests'>,
  write: Pick<StagedWrite, 'id'>,
): TableChange {
  return {
    base: table,
    change: { kind: 'append' },
    async apply(current, attempt) {
      const nowMs = clock.wall()
      const metadata = await manifests.iceberg.metadata(current)
      const file = current.manifest === null ? undefined : toUri(current.manifest.path)
      const expired = expiredSnapshots(metadata, how(metadata))
      const next = withoutSnapshots(metadata, expired, { file, nowMs })
      const manifest = await stageMetadata(table.location, next, `${write.id}-${attempt}`)
      return { record: { ...current, manifest }, forgets: isForgetful(metadata, next) }
    },
  }
}
