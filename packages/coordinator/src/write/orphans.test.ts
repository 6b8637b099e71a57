import { mkdtemp, readdir, rm, symlink, utimes, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { systemClock } from '@nyala/client/base'
import {
  type LoggedTransaction,
  type ManifestPointer,
  Patience,
  type TableRecord,
} from '@nyala/metastore'
import t, { type Test } from 'tap'
import { expiredSnapshots, withoutSnapshots } from '../iceberg/expire.ts'
import type { DataFile } from '../iceberg/manifest-file.ts'
import { newMetadata } from '../iceberg/metadata.ts'
import { makeTableDirectories, toUri } from '../iceberg/table-files.ts'
import { FieldIds } from '../iceberg/types.ts'
import { simpleType } from '../sql/sql-types.ts'
import { ManifestStore } from '../table/manifest-store.ts'
import { removeOrphans } from './orphans.ts'
import { stageRewrite } from './rewrite-snapshot.ts'
import { baseOf, stageAddition, stageMetadata, type TableBase } from './table-change.ts'

/** The revision of the newest head. */
const HEAD = 100

interface Seen {
  /** Records in the order in which they are asked for; the last stays. */
  readonly records: readonly (readonly LoggedTransaction[])[]
  readonly floors: readonly number[]
  readonly oldestRead?: number
  /** The table's location as the catalog has it, where that is not its real path. */
  readonly through?: string
}

/** A table of the file `new`, which took the place of `old` long ago; then the snapshot of that expired. */
async function openTable(t: Test) {
  const location = await mkdtemp(join(tmpdir(), 'nyala-test-'))
  t.teardown(() => rm(location, { recursive: true }))
  await makeTableDirectories(location)
  const { iceberg: store } = new ManifestStore(location)
  const metadata = newMetadata({
    ...{ uuid: 'u', location: toUri(location), ids: new FieldIds(), nowMs: 1 },
    columns: [{ name: 'a', type: simpleType('INTEGER') }],
  })
  const head = { id: '7', database: 'd', name: 't', kind: 'managed', location } as const
  const tableAt = (manifest: ManifestPointer): TableRecord =>
    ({ ...head, manifest }) as unknown as TableRecord
  const pathOf = (name: string): string => join(location, 'data', `${name}.parquet`)
  const replace = async (base: TableBase, nowMs: number, name: string, removed: string[]) => {
    const addition = await stageAddition(base, [fileOf(pathOf(name))], `w${nowMs}`)
    const { manifest } = await stageRewrite(
      base,
      { removed: new Set(removed.map((one) => toUri(pathOf(one)))), addition },
      {
        ...{ writeId: `w${nowMs}`, attempt: 0, snapshotId: BigInt(nowMs), nowMs, store },
        operation: 'overwrite',
      },
    )
    return { manifest, base: await baseOf(tableAt(manifest), store) }
  }
  const none = { location, metadata, metadataFile: undefined, manifests: [] }
  const one = await replace(none, 10, 'old', [])
  const two = await replace(one.base, 20, 'new', ['old'])
  const expired = expiredSnapshots(two.base.metadata, { olderThanMs: 15, keep: 1 })
  const file = toUri(two.manifest.path)
  const next = withoutSnapshots(two.base.metadata, expired, { file, nowMs: 30 })
  const staged = tableAt(await stageMetadata(location, next, 'w30'))
  for (const name of ['old', 'new', 'stray']) {
    await writeFile(pathOf(name), 'x')
    await utimes(pathOf(name), 1, 1)
  }
  const record = {
    ...{ kind: 'expired' as const, id: 'w30', table: '7', startedAt: 0, before: two.manifest },
  }
  /** What lies in the table's directory once orphans were removed. */
  const removeAs = async ({
    records,
    floors,
    oldestRead,
    through = location,
  }: Seen): Promise<readonly string[]> => {
    const table = { ...staged, location: through }
    let asked = 0
    const services = {
      catalog: {
        snapshot: () => ({ relation: () => ({ key: 'k', modRevision: HEAD, record: table }) }),
      },
      manifests: { iceberg: store },
      writes: {
        writeLog: {
          transactions: () => Promise.resolve(records[Math.min(asked++, records.length - 1)] ?? []),
          holds: () => Promise.resolve(true),
        },
      },
      reads: () =>
        Promise.resolve({
          floors: floors.map((revision) => ({ record: { revision } })),
          oldestRead,
        }),
    } as unknown as Parameters<typeof removeOrphans>[2]
    const patience = new Patience(systemClock)
    await removeOrphans(table, { olderThanMs: 1_000_000, patience }, services)
    return (await readdir(join(location, 'data'))).toSorted()
  }
  return {
    location,
    removeAs,
    forgotten: { key: 'w', modRevision: HEAD, record } as LoggedTransaction,
  }
}

const KEPT = ['new.parquet', 'old.parquet']

t.test('what somebody reads who began before stays, however long ago it was written', async (t) => {
  const { removeAs } = await openTable(t)
  t.same(await removeAs({ records: [[]], floors: [HEAD, HEAD - 1] }), KEPT)
  t.same(await removeAs({ records: [[]], floors: [HEAD + 5], oldestRead: 3 }), KEPT)
  t.same(await removeAs({ records: [[]], floors: [] }), KEPT, 'nobody says what is read')
  t.same(await removeAs({ records: [[]], floors: [HEAD, HEAD + 9] }), ['new.parquet'])
})

t.test('what is named by its real path stays where the table is reached by a link', async (t) => {
  const { location, removeAs } = await openTable(t)
  const through = `${location}-link`
  await symlink(location, through)
  t.teardown(() => rm(through))
  t.same(await removeAs({ records: [[]], floors: [HEAD], through }), ['new.parquet'])
})

t.test('what a commit makes a table forget meanwhile stays', async (t) => {
  const { removeAs, forgotten } = await openTable(t)
  t.same(await removeAs({ records: [[], [forgotten]], floors: [HEAD] }), KEPT)
  t.same(await removeAs({ records: [[forgotten], []], floors: [HEAD] }), ['new.parquet'])
})

const fileOf = (path: string): DataFile => ({
  ...{ content: 0, path: toUri(path), partition: [], rows: 1, bytes: 1, splitOffsets: [] },
  ...{ columnSizes: new Map(), valueCounts: new Map(), nullCounts: new Map() },
  ...{ lowerBounds: new Map(), upperBounds: new Map() },
})
