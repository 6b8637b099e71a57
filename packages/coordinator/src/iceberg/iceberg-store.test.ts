import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TableRecord } from '@nyala/metastore'
import t from 'tap'
import { simpleType } from '../sql/sql-types.ts'
import { ManifestStore } from '../table/manifest-store.ts'
import { stageSnapshot } from '../write/new-snapshot.ts'
import { baseOf, stageAddition, type TableBase } from '../write/table-change.ts'
import type { DataFile } from './manifest-file.ts'
import { newMetadata } from './metadata.ts'
import { decodeBound } from './single-value.ts'
import { fromUri, makeTableDirectories, toUri } from './table-files.ts'
import { FieldIds } from './types.ts'

t.test('a manifest that cannot matter is not opened, and its files are counted', async (t) => {
  const location = await mkdtemp(join(tmpdir(), 'nyala-test-'))
  t.teardown(() => rm(location, { recursive: true }))
  await makeTableDirectories(location)
  const metadata = newMetadata({
    ...{ uuid: 'u', location: toUri(location), ids: new FieldIds(), nowMs: 1 },
    columns: [{ name: 'a', type: simpleType('INTEGER') }],
    partition: () => [
      { 'source-id': 1, 'field-id': 1000, name: 'a_bucket', transform: 'bucket[8]' },
    ],
  })
  const head = { id: '7', database: 'd', name: 't', kind: 'managed', location } as const
  let base: TableBase = { location, metadata, metadataFile: undefined, manifests: [] }
  let table = head as unknown as TableRecord
  for (const bucket of [0, 1, 2, 3]) {
    const { iceberg: store } = new ManifestStore(location)
    const addition = await stageAddition(base, [fileOf(bucket), fileOf(bucket)], `w${bucket}`)
    const staged = await stageSnapshot(base, addition, {
      ...{ writeId: `w${bucket}`, attempt: 0, snapshotId: BigInt(bucket + 1), nowMs: 1, store },
      operation: 'append',
    })
    table = { ...head, manifest: staged.manifest } as unknown as TableRecord
    base = await baseOf(table, store)
  }
  const { iceberg: whole } = new ManifestStore(location)
  t.same((await whole.read(table, { canMatter: () => false })).files, [])
  t.equal((await whole.read(table)).files.length, 8, 'what was left out once is not for others')
  const { iceberg: store } = new ManifestStore(location)
  const canMatter: NonNullable<Parameters<typeof store.read>[1]>['canMatter'] = (
    [field],
    [summary],
  ) => {
    t.match(field, { name: 'a_bucket', source: { name: 'a' } })
    return decodeBound('int', summary?.lower ?? Buffer.alloc(0)) === 2
  }
  for (const { path, partitions } of base.manifests) {
    const bucket = decodeBound('int', partitions?.[0]?.lower ?? Buffer.alloc(0))
    if (bucket !== 2) await rm(fromUri(path))
  }
  const read = await store.read(table, { canMatter })
  t.same(read.skipped, { read: 1, total: 4, filesTotal: 8 })
  t.same(read.layout?.values, [[2n]])
  t.equal(read.files.length, 2)
  await t.rejects(store.read(table), { message: /cannot be read|is not there|no such file/i })
  t.same((await store.read(table, { canMatter: () => false })).files, [])
  t.equal((await store.read(table, { canMatter })).skipped?.read, 1)
})

const fileOf = (bucket: number): DataFile => ({
  ...{ content: 0, path: `file:///data/${bucket}.parquet`, partition: [BigInt(bucket)] },
  ...{ rows: 1, bytes: 1, splitOffsets: [] },
  ...{ columnSizes: new Map(), valueCounts: new Map(), nullCounts: new Map() },
  ...{ lowerBounds: new Map(), upperBounds: new Map() },
})
