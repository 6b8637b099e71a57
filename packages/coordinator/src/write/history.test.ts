import t from 'tap'
import { newMetadata } from '../iceberg/metadata.ts'
import { withSnapshot } from '../iceberg/snapshot.ts'
import { FieldIds } from '../iceberg/types.ts'
import { historyOf } from './history.ts'

t.test('the newest snapshot comes first, with what it added and took away', async (t) => {
  const empty = newMetadata({
    ...{ uuid: 'u', location: 'file:///w/t', columns: [], ids: new FieldIds(), nowMs: 0 },
  })
  t.same(historyOf(empty).rows, [])
  const none = { files: 0, rows: 0, bytes: 0 }
  const change = { manifestList: 'file:///w/l.avro', nowMs: 1000, previousFile: undefined }
  const appended = withSnapshot(empty, {
    ...change,
    ...{ id: 9_007_199_254_740_993n, operation: 'append', removed: none },
    added: { files: 2, rows: 5, bytes: 10 },
  })
  const replaced = withSnapshot(appended, {
    ...change,
    ...{ id: 7n, operation: 'overwrite', added: { files: 1, rows: 3, bytes: 9 } },
    removed: { files: 2, rows: 5, bytes: 10 },
  })
  const at = '1970-01-01T00:00:01.000Z'
  t.same(historyOf(replaced).rows, [
    ['7', at, 'overwrite', 3, 5, 3, 1, 'yes'],
    ['9007199254740993', at, 'append', 5, 0, 5, 2, ''],
  ])
})
