import { timeText } from '../iceberg/history.ts'
import type { TableMetadata } from '../iceberg/metadata.ts'
import { count, type LocalResult, text } from '../server/rows-to-arrow.ts'

/**
 * The snapshots that a table's metadata still names, the newest first. Those that a transaction has made and not yet
 * committed have no time. Pure.
 */
export function historyOf(
  metadata: TableMetadata,
  isCommitted: (snapshotId: bigint) => boolean = () => true,
): LocalResult {
  const current = metadata['current-snapshot-id']
  const rows = (metadata.snapshots ?? []).toReversed().map((snapshot) => {
    const { summary } = snapshot
    const number = (key: string): number => Number(summary[key] ?? 0)
    return [
      String(snapshot['snapshot-id']),
      isCommitted(snapshot['snapshot-id']) ? timeText(snapshot['timestamp-ms']) : null,
      summary.operation,
      number('added-records'),
      number('deleted-records'),
      number('total-records'),
      number('total-data-files'),
      snapshot['snapshot-id'] === current ? 'yes' : '',
    ]
  })
  return {
    command: 'DESCRIBE HISTORY',
    columns: [
      ...[text('snapshot'), text('committed_at'), text('operation')],
      ...[count('rows_added'), count('rows_removed'), count('rows'), count('files')],
      text('current'),
    ],
    rows,
  }
}
