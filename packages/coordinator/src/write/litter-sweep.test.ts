import { mkdir, mkdtemp, readdir, rm, utimes, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { silentLog } from '@nyala/client/base'
import type { MemberId } from '@nyala/client/protocol'
import {
  Catalog,
  type Compare,
  Keys,
  type ManifestPointer,
  type NewTable,
  openCluster,
  type Owner,
  ReadFloor,
  readFloors,
  rememberExpired,
  WriteLog,
} from '@nyala/metastore'
import { createRelation, ManualClock, MemoryEtcd } from '@nyala/metastore/memory'
import t, { type Test } from 'tap'
import { expiredSnapshots, withoutSnapshots } from '../iceberg/expire.ts'
import type { DataFile } from '../iceberg/manifest-file.ts'
import { newMetadata } from '../iceberg/metadata.ts'
import { makeTableDirectories, toUri } from '../iceberg/table-files.ts'
import { FieldIds } from '../iceberg/types.ts'
import { simpleType } from '../sql/sql-types.ts'
import { ManifestStore } from '../table/manifest-store.ts'
import { LITTER_ROUND_MS, LitterSweep } from './litter-sweep.ts'
import { stageRewrite } from './rewrite-snapshot.ts'
import { baseOf, stageAddition, stageMetadata, type TableBase } from './table-change.ts'
import { tableIn, tableOf } from './testing/simulated-world.ts'

/** Of one that is committed, one that is under way, and one of which etcd has never heard. */
const [DONE, RUNNING, UNKNOWN] = ['a', 'b', 'c'].map((digit) => `w${digit.repeat(24)}`) as [
  string,
  string,
  string,
]
const c1: Owner = { id: 'c1' as MemberId, startedAt: 1 }
const dataFile = (write: string, attempt = 0): string => `${write}-0-${attempt}-0-01234567.parquet`

const fileOf = (path: string): DataFile => ({
  ...{ content: 0, path: toUri(path), partition: [], rows: 1, bytes: 1, splitOffsets: [] },
  ...{ columnSizes: new Map(), valueCounts: new Map(), nullCounts: new Map() },
  ...{ lowerBounds: new Map(), upperBounds: new Map() },
})

/** Metadata on disk that names one file more than `base`, in place of `removed`. */
async function commitOf(base: TableBase, write: string, removed: readonly string[] = []) {
  const path = (name: string): string => join(base.location, 'data', name)
  const { iceberg: store } = new ManifestStore(base.location)
  const addition = await stageAddition(base, [fileOf(path(dataFile(write)))], write)
  await writeFile(path(dataFile(write)), 'x')
  const gone = new Set(removed.map((one) => toUri(path(one))))
  const snapshotId = BigInt(base.metadata['last-sequence-number'] + 1)
  const { manifest } = await stageRewrite(
    base,
    { removed: gone, addition },
    {
      ...{ writeId: write, attempt: 0, snapshotId, nowMs: Number(snapshotId) * 10, store },
      operation: 'overwrite',
    },
  )
  return manifest
}

async function openWorld(t: Test) {
  const location = await mkdtemp(join(tmpdir(), 'nyala-test-'))
  t.teardown(() => rm(location, { recursive: true }))
  await makeTableDirectories(location)
  const { iceberg: store } = new ManifestStore(location)
  const metadata = newMetadata({
    ...{ uuid: 'u', location: toUri(location), ids: new FieldIds(), nowMs: 1 },
    columns: [{ name: 'a', type: simpleType('INTEGER') }],
  })
  const empty = { location, metadata, metadataFile: undefined, manifests: [] }
  const manifest = await commitOf(empty, DONE)
  const clock = new ManualClock()
  const kv = new MemoryEtcd(clock).connect()
  const keys = new Keys('test')
  await openCluster({ kv, keys, clock })
  const catalog = await Catalog.open({ kv, keys, clock, log: silentLog })
  t.teardown(() => catalog.close())
  await createRelation(catalog, { ...tableOf('t'), location, manifest } as NewTable)
  const writeLog = new WriteLog({ kv, keys, clock })
  const floor = await ReadFloor.open({ kv, keys, clock, owner: c1 })
  await floor.raise(1_000_000)
  const elected = await kv.commitIf({
    compares: [],
    success: [{ kind: 'put', key: keys.leader, value: 'c1' }],
  })
  const equals = elected.revision
  const fence = (): Compare => ({ kind: 'createRevision', key: keys.leader, equals })
  const sweep = new LitterSweep({
    ...{ writeLog, clock, log: silentLog, catalog, store, leadership: () => ({ fence }) },
    reads: async () => ({ floors: await readFloors({ kv, keys, clock }), oldestRead: undefined }),
    startedAt: 1_000,
  })
  const rounds = async (count: number): Promise<void> => {
    for (let i = 0; i < count; i++) {
      await sweep.round()
      await clock.advance(LITTER_ROUND_MS)
    }
  }
  const put = (name: string): Promise<void> => writeFile(join(location, name), 'x')
  const left = (): Promise<readonly string[]> => readdir(join(location, 'data'))
  const moveTo = async (next: ManifestPointer): Promise<void> => {
    const target = { database: 'default', name: 't' }
    await catalog.updateTable(target, (current) => ({ ...current, manifest: next }))
  }
  const base = (): Promise<TableBase> => baseOf(tableIn(catalog.snapshot(), 't'), store)
  return { location, kv, keys, catalog, writeLog, rounds, put, left, moveTo, base, metadata, clock }
}

t.test('what a lost attempt of a committed write names late is removed', async (t) => {
  const { location, rounds, put, left } = await openWorld(t)
  await rounds(3)
  await put(`data/${dataFile(DONE, 1)}`)
  await put('data/not-ours.parquet')
  await mkdir(join(location, 'data', `.${DONE}-0-2`))
  await put(`data/.${DONE}-0-2/files.parquet`)
  await rounds(2)
  t.same((await left()).toSorted(), ['not-ours.parquet', dataFile(DONE)])
  await put(`data/${dataFile(DONE, 3)}`)
  await rounds(2)
  t.equal((await left()).length, 2, 'and again, however often and late it comes')
})

t.test('files of a write that is under way stay, and go once it has ended', async (t) => {
  const { location, writeLog, rounds, put, left } = await openWorld(t)
  const write = { id: RUNNING, locations: [location], startedAt: 0 }
  const begun = await writeLog.begin(write, c1, { statementId: 's' })
  if (begun.kind !== 'begun') throw new Error('its statement was done before')
  const inTransaction = `${RUNNING}s002-0-0-0-01234567.parquet`
  await put(`data/${inTransaction}`)
  await rounds(5)
  t.ok((await left()).includes(inTransaction))
  await writeLog.abort(begun.write, 'a test')
  await rounds(5)
  t.ok((await left()).includes(inTransaction), 'its record says who removes them')
  const [aborted] = await writeLog.transactions()
  if (aborted !== undefined) await writeLog.forget(aborted)
  await rounds(2)
  t.same(await left(), [dataFile(DONE)])
})

t.test('nothing is removed on what this coordinator has seen alone', async (t) => {
  const { kv, keys, catalog, rounds, put, left } = await openWorld(t)
  const late = dataFile(DONE, 1)
  await put(`data/${late}`)
  await rounds(1)
  const head = catalog.snapshot().relation('default', 't')
  const hidden = { snapshot: catalog.snapshot.bind(catalog) }
  const old = catalog.snapshot()
  // It hears nothing of what others commit.
  hidden.snapshot = () => old
  Object.assign(catalog, hidden)
  const touched = await kv.commitIf({
    compares: [],
    success: [{ kind: 'put', key: head?.key ?? '', value: '{}' }],
  })
  t.ok(touched.succeeded)
  await rounds(3)
  t.ok((await left()).includes(late), 'the head that it knows is not the newest')
  await kv.commitIf({ compares: [], success: [{ kind: 'delete', key: keys.leader }] })
  await rounds(1)
  t.ok((await left()).includes(late), 'nor does a deposed leader')
})

t.test('what a commit has made the table forget stays until nobody reads it', async (t) => {
  const { kv, keys, catalog, location, rounds, left, moveTo, base, writeLog } = await openWorld(t)
  const two = await commitOf(await base(), UNKNOWN, [dataFile(DONE)])
  await moveTo(two)
  const { metadata } = await base()
  const gone = expiredSnapshots(metadata, { olderThanMs: 15, keep: 1 })
  const next = withoutSnapshots(metadata, gone, { file: toUri(two.path), nowMs: 30 })
  await moveTo(await stageMetadata(location, next, RUNNING))
  const { path, crc32, bytes } = two
  const table = tableIn(catalog.snapshot(), 't').id
  const forgets = { id: RUNNING, table, before: { path, crc32, bytes }, startedAt: 0 }
  await kv.commitIf({ compares: [], success: [rememberExpired(keys, forgets)] })
  await rounds(5)
  t.same((await left()).toSorted(), [dataFile(DONE), dataFile(UNKNOWN)])
  const [remembered] = await writeLog.transactions()
  if (remembered !== undefined) await writeLog.forget(remembered)
  await rounds(20)
  t.same(await left(), [dataFile(UNKNOWN)])
})

t.test('where etcd was set back, what it has forgotten stays', async (t) => {
  const { location, rounds, left, base } = await openWorld(t)
  const forgotten = await commitOf(await base(), UNKNOWN)
  for (const name of await readdir(join(location, 'metadata'))) {
    await utimes(join(location, 'metadata', name), 0, 0)
  }
  await rounds(40)
  t.same((await left()).toSorted(), [dataFile(DONE), dataFile(UNKNOWN)])
  t.ok((await readdir(join(location, 'metadata'))).includes(basename(forgotten.path)))
})
