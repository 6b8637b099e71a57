import { rememberExpired, type TableRecord } from '@nyala/metastore'
import { expiredSnapshots, withoutSnapshots } from '../iceberg/expire.ts'
import { toUri } from '../iceberg/table-files.ts'
import type { Services } from '../server/services.ts'
import type { TableChange } from './change.ts'
import { stageMetadata } from './table-change.ts'
import { newWriteId } from './write-ids.ts'
import type { StagedWrite } from './write-run.ts'

/**
 * The change that makes a table forget old snapshots. Its rows stay as they are, so it goes on top of any other change,
 * and none is in its way. The files go later: the same commit writes a record of what they were named by.
 */
export function expiration(
  table: TableRecord,
  how: Parameters<typeof expiredSnapshots>[1],
  { clock, manifests, writes }: Pick<Services, 'clock' | 'manifests' | 'writes'>,
  write: StagedWrite,
): TableChange {
  return {
    base: table,
    change: { kind: 'append' },
    async apply(current, attempt) {
      const nowMs = clock.wall()
      const metadata = await manifests.iceberg.metadata(current)
      const file = current.manifest === null ? undefined : toUri(current.manifest.path)
      const expired = expiredSnapshots(metadata, how)
      const next = withoutSnapshots(metadata, expired, { file, nowMs })
      return {
        ...current,
        manifest: await stageMetadata(table.location, next, `${write.id}-${attempt}`),
      }
    },
    more({ manifest }) {
      if (manifest === null) return []
      const { path, crc32, bytes } = manifest
      const before = { path, crc32, bytes }
      const record = { id: newWriteId(), table: table.id, before, startedAt: clock.wall() }
      return [rememberExpired(writes.keys, record)]
    },
  }
}
