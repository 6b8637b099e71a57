import t from 'tap'
import { simpleType } from '../sql/sql-types.ts'
import { withCurrentSnapshot } from './expire.ts'
import { formatMetadata, newMetadata, type TableMetadata } from './metadata.ts'
import { withCommitTime, withFormerFile, withSnapshot } from './snapshot.ts'
import { FieldIds } from './types.ts'

const made = (properties: Readonly<Record<string, string>>): TableMetadata =>
  newMetadata({
    ...{ uuid: 'u', location: 'file:///t', ids: new FieldIds(), nowMs: 1, properties },
    columns: [{ name: 'a', type: simpleType('INTEGER') }],
  })
const counts = { files: 1, rows: 1, bytes: 1 }
const commit = (metadata: TableMetadata, i: number): TableMetadata =>
  withSnapshot(metadata, {
    ...{ id: BigInt(i), operation: 'append', added: counts, nowMs: i },
    removed: { files: 0, rows: 0, bytes: 0 },
    manifestList: `file:///t/metadata/snap-${i}.avro`,
    previousFile: `file:///t/metadata/${i}.metadata.json`,
  })
const sizes = (metadata: TableMetadata): readonly (number | undefined)[] => [
  metadata.snapshots?.length,
  metadata['snapshot-log']?.length,
  metadata['metadata-log']?.length,
]

t.test('metadata does not grow with the number of commits', (t) => {
  const cases: readonly (readonly [
    properties: Readonly<Record<string, string>>,
    most: readonly number[],
  ])[] = [
    [{}, [100, 100, 100]],
    [{ 'write.metadata.previous-versions-max': '7' }, [100, 100, 7]],
    [{ 'write.metadata.previous-versions-max': 'many' }, [100, 100, 100]],
    [{ 'history.expire.min-snapshots-to-keep': '120' }, [170, 170, 170]],
  ]
  for (const [properties, most] of cases) {
    let metadata = made(properties)
    const seen = [0, 0, 0]
    const largest = { early: 0, late: 0 }
    for (let i = 1; i <= 10_000; i++) {
      metadata = commit(metadata, i)
      sizes(metadata).forEach((size, k) => (seen[k] = Math.max(seen[k] ?? 0, size ?? 0)))
      if ((i - 1) % 1_000 < 800 || (i > 1_000 && i <= 9_000)) continue
      const when = i > 1_000 ? 'late' : 'early'
      largest[when] = Math.max(largest[when], formatMetadata(metadata).length)
    }
    // Numbers have a digit more.
    t.ok(largest.late < 1.1 * largest.early, `${largest.early} bytes, then ${largest.late}`)
    t.same(seen, most, JSON.stringify(properties))
  }
  t.end()
})

t.test('metadata does not grow with changes that make no snapshot', (t) => {
  let metadata = commit(commit(made({}), 1), 2)
  for (let i = 3; i <= 500; i++) {
    const snapshot = metadata.snapshots?.[i % 2]
    if (snapshot === undefined) throw new Error('a snapshot is lost')
    metadata = withCurrentSnapshot(metadata, snapshot, { file: `file:///t/${i}`, nowMs: i })
    metadata = withFormerFile(metadata, `file:///t/other-${i}`, i)
  }
  const [snapshots, log = 0, files = 0] = sizes(metadata)
  t.equal(snapshots, 2)
  t.ok(log <= 100 && files <= 100, `${log} and ${files}`)
  t.equal(metadata['snapshot-log']?.at(-1)?.['snapshot-id'], metadata['current-snapshot-id'])
  t.end()
})

t.test('what a transaction has made has the time of its commit, and the log its end alone', (t) => {
  const known = commit(commit(made({}), 1), 2)
  const staged = commit(commit(known, 3), 4)
  const dated = withCommitTime(staged, new Set([1n, 2n]), 9)
  t.same(
    dated.snapshots?.map((one) => [one['snapshot-id'], one['timestamp-ms']]),
    [
      [1n, 1],
      [2n, 2],
      [3n, 9],
      [4n, 9],
    ],
  )
  t.same(
    dated['snapshot-log']?.map((one) => [one['snapshot-id'], one['timestamp-ms']]),
    [
      [1n, 1],
      [2n, 2],
      [4n, 9],
    ],
  )
  t.equal(dated['last-updated-ms'], 9)
  t.end()
})
