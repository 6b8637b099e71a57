import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Catalog, TableRecord } from '@nyala/metastore'
import t, { type Test } from 'tap'
import { expiredSnapshots, withoutSnapshots } from '../iceberg/expire.ts'
import type { DataFile } from '../iceberg/manifest-file.ts'
import { newMetadata, type TableMetadata } from '../iceberg/metadata.ts'
import { reachableFiles } from '../iceberg/reachable.ts'
import { makeTableDirectories, toUri } from '../iceberg/table-files.ts'
import { FieldIds } from '../iceberg/types.ts'
import { simpleType } from '../sql/sql-types.ts'
import { ManifestStore } from '../table/manifest-store.ts'
import { removeExpiredFiles } from './expired-files.ts'
import { stageRewrite } from './rewrite-snapshot.ts'
import { baseOf, stageAddition, stageMetadata, type TableBase } from './table-change.ts'

/** A table in a directory of its own, and a catalog that knows what it is in the end. */
async function openTable(t: Test) {
  const location = await mkdtemp(join(tmpdir(), 'nyala-test-'))
  t.teardown(() => rm(location, { recursive: true }))
  await makeTableDirectories(location)
  const { iceberg: store } = new ManifestStore(location)
  const columns = [{ name: 'a', type: simpleType('INTEGER') }]
  const first: TableMetadata = newMetadata({
    ...{ uuid: 'u', location: toUri(location), columns, ids: new FieldIds(), nowMs: 1 },
  })
  const head = { id: '7', database: 'd', name: 't', kind: 'managed', location } as const
  const tableAt = (manifest: TableRecord['manifest']): TableRecord =>
    ({ ...head, manifest }) as TableRecord

  /** Puts the file `added` in the place of the others of `base`. */
  const replace = async (
    base: TableBase,
    nowMs: number,
    removed: readonly string[],
    added: string,
  ) => {
    await writeFile(join(location, 'data', added), 'x')
    const file = fileOf(join(location, 'data', added))
    const addition = await stageAddition(base, [file], `w${nowMs}`)
    const paths = removed.map((name) => toUri(join(location, 'data', name)))
    const staged = await stageRewrite(
      base,
      { removed: new Set(paths), addition },
      {
        ...{ writeId: `w${nowMs}`, attempt: 0, snapshotId: BigInt(nowMs), nowMs, store },
        operation: 'overwrite',
      },
    )
    return { manifest: staged.manifest, base: await baseOf(tableAt(staged.manifest), store) }
  }

  /** Forgets all snapshots before a time; the newest stays. */
  const forget = async ({ manifest, base }: Awaited<ReturnType<typeof replace>>, atMs: number) => {
    const expired = expiredSnapshots(base.metadata, { olderThanMs: atMs, keep: 1 })
    const file = toUri(manifest.path)
    const next = withoutSnapshots(base.metadata, expired, { file, nowMs: atMs })
    return { expired, next, table: tableAt(await stageMetadata(location, next, `w${atMs}`)) }
  }

  const catalogOf = (table: TableRecord): Catalog => {
    const snapshot = {
      databases: () => [{ record: { name: 'd' } }],
      relations: () => [{ record: table }],
    }
    return { atLeast: () => Promise.resolve(snapshot) } as unknown as Catalog
  }
  const none = { location, metadata: first, metadataFile: undefined, manifests: [] }
  return { location, store, none, replace, forget, catalogOf }
}

/** What a commit that took the place of this metadata has logged. */
const forgetting = (before: NonNullable<TableRecord['manifest']>, modRevision: number) => ({
  record: { ...{ kind: 'expired' as const, id: 'w', table: '7', startedAt: 0 }, before },
  ...{ key: `w${modRevision}`, modRevision },
})

t.test('files that forgotten snapshots alone named are removed, and no others', async (t) => {
  const { location, store, none, replace, forget, catalogOf } = await openTable(t)
  const one = await replace(none, 10, [], 'a.parquet')
  const two = await replace(one.base, 20, [], 'b.parquet')
  const three = await replace(two.base, 30, ['a.parquet'], 'c.parquet')
  const { expired, next, table } = await forget(three, 40)
  t.same([...expired], [10n, 20n])
  t.same(next['snapshot-log'], [{ 'timestamp-ms': 30, 'snapshot-id': 30n }])
  const catalog = catalogOf(table)
  const forgotten = [forgetting(three.manifest, 1)]
  await writeFile(join(location, 'data', 'stray.parquet'), 'x')
  t.equal(await removeExpiredFiles({ catalog, store }, forgotten), 4, 'a, its manifest, two lists')
  t.same((await readdir(join(location, 'data'))).toSorted(), [
    'b.parquet',
    'c.parquet',
    'stray.parquet',
  ])
  const left = await baseOf(table, new ManifestStore(location).iceberg)
  t.same((await store.dataFiles(table)).map(({ path }) => path.slice(-9)).toSorted(), [
    ...['b.parquet', 'c.parquet'],
  ])
  t.equal(left.manifests.length, 3)
  t.equal(await removeExpiredFiles({ catalog, store }, forgotten), 4, 'once more does no harm')
  t.equal((await readdir(join(location, 'data'))).length, 3)
})

t.test('snapshots that share manifests with others that went before leave nothing', async (t) => {
  const { location, none, replace, forget, catalogOf } = await openTable(t)
  const one = await replace(none, 10, [], 'a.parquet')
  const two = await replace(one.base, 20, [], 'b.parquet')
  const three = await replace(two.base, 30, [], 'c.parquet')
  const four = await replace(three.base, 40, ['a.parquet', 'b.parquet', 'c.parquet'], 'd.parquet')
  const { table } = await forget(four, 50)
  const { iceberg: store } = new ManifestStore(location)
  const named = await reachableFiles(store, await store.metadata(table), table.manifest?.path ?? '')
  // Of what the second one knows, the manifests of a and b are gone with the first.
  const forgotten = [forgetting(two.manifest, 1), forgetting(four.manifest, 2)]
  const catalog = catalogOf(table)
  await removeExpiredFiles({ catalog, store }, forgotten.slice(0, 1))
  // By a process that has not read them before.
  const { iceberg: another } = new ManifestStore(location)
  await removeExpiredFiles({ catalog, store: another }, forgotten)
  const parts = ['data', 'metadata'].map(async (part) =>
    (await readdir(join(location, part))).map((name) => join(location, part, name)),
  )
  const left = (await Promise.all(parts)).flat()
  t.same(
    left.filter((path) => !named.has(path) && path.endsWith('.avro')),
    [],
  )
  t.same(await readdir(join(location, 'data')), ['d.parquet'])
})

const fileOf = (path: string): DataFile => ({
  ...{ content: 0, path: toUri(path), partition: [], rows: 1, bytes: 1, splitOffsets: [] },
  ...{ columnSizes: new Map(), valueCounts: new Map(), nullCounts: new Map() },
  ...{ lowerBounds: new Map(), upperBounds: new Map() },
})
