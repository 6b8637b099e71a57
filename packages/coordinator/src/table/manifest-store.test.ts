import { chmod, mkdtemp, readdir, readFile, rm, truncate, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Prng } from '@nyala/client/base'
import type { ManifestPointer, StatisticsPointer, TableRecord } from '@nyala/metastore'
import t, { type Test } from 'tap'
import { sketchColumns, sketchListing } from '../testing/listings.ts'
import { type Manifest, manifestOf } from './manifest.ts'
import { ManifestStore } from './manifest-store.ts'
import { isStale } from './statistics.ts'

const sample = (files = 3): Manifest =>
  manifestOf(
    sketchListing(
      '/data/t',
      [sketchColumns('a INTEGER, b VARCHAR')],
      Array.from({ length: files }, (_, i) => ({ path: `f${i}.parquet`, rows: i, bytes: 10 * i })),
    ),
    [],
  )

const tableWith = (
  manifest: ManifestPointer | null,
  statistics: StatisticsPointer | null = null,
): TableRecord => ({
  kind: 'external',
  id: 'id',
  database: 'd',
  name: 't',
  createdAt: 0,
  recentWrites: [],
  location: '/data/t',
  columns: sketchColumns('a INTEGER'),
  partitionColumns: [],
  schemaVersion: 1,
  snapshotId: 1,
  manifest,
  statistics,
  refreshedAt: 0,
})

async function directoryOf(t: Test): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'nyala-manifests-'))
  t.teardown(() => rm(directory, { recursive: true, force: true }))
  return directory
}

t.test('what was written is read back, by another coordinator too', async (t) => {
  const directory = join(await directoryOf(t), 'made', 'when', 'needed')
  const pointer = await new ManifestStore(directory).write(sample())
  t.match(pointer, { files: 3, rows: 3, dataBytes: 30 })
  t.same(await new ManifestStore(directory).read(tableWith(pointer)), sample())
})

t.test('a table that was never listed has an empty manifest', async (t) => {
  const store = new ManifestStore(await directoryOf(t))
  t.match(await store.read(tableWith(null)), { files: [], partitions: [], location: '/data/t' })
})

t.test('two writers never choose one name, and nothing half written stays', async (t) => {
  const directory = await directoryOf(t)
  const [first, second] = [new ManifestStore(directory), new ManifestStore(directory)]
  const pointers = await Promise.all(
    Array.from({ length: 20 }, (_, i) => (i % 2 === 0 ? first : second).write(sample(i))),
  )
  t.equal(new Set(pointers.map((p) => p.path)).size, 20)
  const names = await readdir(directory)
  t.equal(names.length, 20)
  t.notOk(names.some((name) => name.endsWith('.tmp')))
})

t.test('manifests are kept by their bytes, not by their number', async (t) => {
  const directory = await directoryOf(t)
  const writer = new ManifestStore(directory)
  const tables = await Promise.all(
    Array.from({ length: 20 }, async (_, i) => tableWith(await writer.write(sample(200 + i)))),
  )
  const limit = 4 * 1024 * 1024
  const store = new ManifestStore(directory, { cacheBytesMax: limit })
  for (const table of tables) await store.read(table)
  t.ok(store.cachedBytes <= limit && store.cachedBytes > 0, `${store.cachedBytes} bytes`)
  const [last] = tables.slice(-1)
  if (last === undefined) throw new Error('no table')
  t.equal(await store.read(last), await store.read(last), 'the newest is kept')
  const small = new ManifestStore(directory, { cacheBytesMax: 1000 })
  t.not(await small.read(last), await small.read(last), 'one that is too large is not')
})

t.test('a flip of any bit is refused', async (t) => {
  const directory = await directoryOf(t)
  const pointer = await new ManifestStore(directory).write(sample())
  const bytes = await readFile(pointer.path)
  const random = new Prng(1)
  for (let i = 0; i < 100; i++) {
    const bit = i < 8 ? i : random.below(bytes.length * 8)
    const broken = Buffer.from(bytes)
    broken[bit >> 3] = (broken[bit >> 3] ?? 0) ^ (1 << (bit & 7))
    await writeFile(pointer.path, broken)
    const failure = await new ManifestStore(directory).read(tableWith(pointer)).then(
      () => undefined,
      (error: unknown) => error,
    )
    if (!isCorrupted(failure)) t.fail(`bit ${bit} was not seen`, { failure })
  }
  await writeFile(pointer.path, bytes)
  t.same(await new ManifestStore(directory).read(tableWith(pointer)), sample())
})

const isCorrupted = (error: unknown): boolean =>
  (error as { readonly error?: string } | undefined)?.error === 'data_corrupted'

t.test(
  'a file that is cut, longer or gone is refused, and the error says what to do',
  async (t) => {
    const directory = await directoryOf(t)
    const pointer = await new ManifestStore(directory).write(sample())
    const bytes = await readFile(pointer.path)
    const read = (): Promise<unknown> => new ManifestStore(directory).read(tableWith(pointer))
    for (const length of [0, 1, bytes.length - 1]) {
      await writeFile(pointer.path, bytes)
      await truncate(pointer.path, length)
      await t.rejects(read(), {
        error: 'data_corrupted',
        message: `metadata file "${pointer.path}" of table "d.t" does not have the checksum that the catalog recorded`,
        hint: /REFRESH d\.t/,
      })
    }
    await writeFile(pointer.path, Buffer.concat([bytes, Buffer.from(' ')]))
    await t.rejects(read(), { error: 'data_corrupted', message: /./ })
    await rm(pointer.path)
    await t.rejects(read(), { error: 'data_corrupted', message: /cannot be read: ENOENT/ })
  },
)

t.test('a manifest of another format is refused, though its checksum is right', async (t) => {
  const directory = await directoryOf(t)
  const store = new ManifestStore(directory)
  const future = { ...sample(), format: 2 } as unknown as Manifest
  await t.rejects(store.read(tableWith(await store.write(future))), {
    error: 'data_corrupted',
    message: /is not of a known format/,
  })
  const extended = { ...sample(), novelty: true } as Manifest
  await t.rejects(store.read(tableWith(await store.write(extended))), {
    error: 'data_corrupted',
    message: /./,
  })
})

t.test('a manifest is read from disk once', async (t) => {
  const directory = await directoryOf(t)
  const store = new ManifestStore(directory)
  const pointer = await store.write(sample())
  const first = await store.read(tableWith(pointer))
  await rm(pointer.path)
  t.equal(await store.read(tableWith(pointer)), first, 'it cannot change, so it is kept')
})

t.test('a directory that cannot be written is an error that names the file', async (t) => {
  const directory = await directoryOf(t)
  const path = join(directory, 'file')
  await writeFile(path, '')
  await chmod(path, 0o600)
  await t.rejects(new ManifestStore(path).write(sample()), {
    error: 'io_error',
    message: /cannot write metadata file/,
  })
})

t.test('statistics are kept in the same way', async (t) => {
  const directory = await directoryOf(t)
  const store = new ManifestStore(directory)
  const statistics = {
    format: 1 as const,
    computedAt: 5,
    rows: 3,
    columns: [
      {
        name: 'a',
        type: 'INTEGER',
        distinct: 2,
        nulls: 1,
        min: '1',
        max: '2',
        sizeMax: -1,
        sizeAverage: -1,
      },
    ],
  }
  const pointer = await store.writeStatistics(statistics)
  t.equal(pointer.computedAt, 5)
  t.same(await new ManifestStore(directory).readStatistics(tableWith(null, pointer)), statistics)
  t.equal(await store.readStatistics(tableWith(null)), undefined)
  await truncate(pointer.path, 3)
  await t.rejects(new ManifestStore(directory).readStatistics(tableWith(null, pointer)), {
    error: 'data_corrupted',
    message: /./,
  })
})

t.test(
  'statistics are stale once the files are others, not once they were listed again',
  async (t) => {
    const store = new ManifestStore(await directoryOf(t))
    const first = await store.write(sample(3))
    const again = await store.write(sample(3))
    const other = await store.write(sample(4))
    const { crc32, bytes } = first
    const found = {
      format: 1 as const,
      computedAt: 5,
      rows: 3,
      columns: [],
      manifest: { crc32, bytes },
    }
    t.equal(isStale(found, tableWith(first)), false)
    t.equal(isStale(found, tableWith(again)), false)
    t.equal(isStale(found, tableWith(other)), true)
    t.equal(isStale(found, tableWith(null)), true)
    const before = { ...found, manifest: undefined }
    t.equal(
      isStale(before, { ...tableWith(first), refreshedAt: 6 }),
      true,
      'written by a version that did not keep it',
    )
    t.equal(isStale(before, { ...tableWith(first), refreshedAt: 4 }), false)
    const pointer = await store.writeStatistics(found)
    t.same(await store.readStatistics(tableWith(first, pointer)), found)
  },
)
