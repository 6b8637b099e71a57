import { rm, stat, symlink, utimes, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { crc32 } from 'node:zlib'
import t from 'tap'
import type { TaskFiles } from '../protocol/index.ts'
import { resultTask, temporaryDirectory, World } from '../testing/world.ts'
import { FileChecksums } from './file-checksums.ts'
import { FileGuard } from './file-guard.ts'

/** Files as a listing would have them now. */
async function listed(location: string, paths: readonly string[]): Promise<TaskFiles> {
  const states = await Promise.all(
    paths.map((path) => stat(join(location, path), { bigint: true })),
  )
  return {
    table: 'shop.orders',
    location,
    paths,
    bytes: states.map((state) => Number(state.size)),
    // To microseconds, as the inspector gives it.
    modifiedMs: states.map((state) => Number(state.mtimeNs / 1000n) / 1000),
  }
}

t.test('a file that is another one than the table was listed with is named', async (t) => {
  const directory = await temporaryDirectory()
  t.teardown(() => rm(directory, { recursive: true }))
  const names = Array.from({ length: 200 }, (_, i) => `f${i}.parquet`)
  for (const name of names) await writeFile(join(directory, name), name)
  await symlink(join(directory, 'f1.parquet'), join(directory, 'link.parquet'))
  const files = await listed(directory, [...names, 'link.parquet'])
  const changed = (): ReturnType<FileGuard['changed']> => new FileGuard([files]).changed()
  t.equal(await changed(), undefined)
  t.equal(await new FileGuard([]).changed(), undefined)

  const path = join(directory, 'f123.parquet')
  const { atime, mtime } = await stat(path)
  await writeFile(path, 'f123.parquex')
  await utimes(path, atime, new Date(mtime.getTime() + 1000))
  t.match(await changed(), {
    error: 'file_changed',
    message: `file "${path}" is not the one that table "shop.orders" was listed with`,
    hint: 'REFRESH shop.orders lists the files as they are now',
  })
  await rm(path)
  t.match(await changed(), { error: 'file_changed', detail: 'it is gone' })
  const again = await listed(directory, names.slice(0, 10))
  await writeFile(join(directory, 'f7.parquet'), 'longer than it was')
  t.match(await new FileGuard([again]).changed(), { detail: /it had 10 bytes.*has 18/ })
})

t.test('a file that is gone is named with its table, and what to do about it', async (t) => {
  const path = '/nowhere/f.parquet'
  const file = { table: 'shop.orders', location: '/nowhere', paths: ['f.parquet'], bytes: [1] }
  const told = (modifiedMs: number): ReturnType<FileGuard['changed']> =>
    new FileGuard([{ ...file, modifiedMs: [modifiedMs] }]).changed()
  t.match(await told(-1), {
    error: 'file_changed',
    message: `file "${path}" of table "shop.orders" is gone`,
    hint: /^restore it from a copy.*DESCRIBE HISTORY shop\.orders/,
  })
  t.match(await told(1), { detail: 'it is gone', hint: /^REFRESH shop\.orders/ })
})

t.test('a flipped bit of a file that bears its checksum is found, wherever it is', async (t) => {
  const directory = await temporaryDirectory()
  t.teardown(() => rm(directory, { recursive: true }))
  const content = Buffer.from(Array.from({ length: 5000 }, (_, i) => i % 251))
  const name = `f-${crc32(content).toString(16).padStart(8, '0')}.parquet`
  const path = join(directory, name)
  await writeFile(path, content)
  const files = { ...(await listed(directory, [name])), modifiedMs: [-1] }
  const changed = (): ReturnType<FileGuard['changed']> =>
    new FileGuard([files], new FileChecksums()).changed()
  t.equal(await changed(), undefined)
  for (const at of [0, 1, 2500, 4999]) {
    const broken = Buffer.from(content)
    broken[at] = (broken[at] ?? 0) ^ 4
    await writeFile(path, broken)
    t.match(await changed(), {
      error: 'data_corrupted',
      message: `file "${path}" of table "shop.orders" is damaged`,
      detail: /its CRC-32 is [0-9a-f]{8}, it was written with [0-9a-f]{8}/,
    })
  }
  await writeFile(path, content)
  t.equal(await changed(), undefined)
  await rm(path)
  t.match(await changed(), {
    error: 'file_changed',
    message: `file "${path}" of table "shop.orders" is gone`,
  })
})

t.test('no row of a changed file leaves the executor, be the result small or large', async (t) => {
  await using world = await World.start()
  await world.startExecutor()
  const path = join(world.root, 'f.parquet')
  await writeFile(path, 'as listed')
  const files = [await listed(world.root, ['f.parquet'])]
  const same = await world.coordinator.run(resultTask('SELECT 1', { files, queryId: 'q0' }))
  t.equal(same.finished?.rows, 1)
  await writeFile(path, 'more rows than were listed')
  for (const [i, sql] of ['SELECT 1', 'SELECT * FROM range(10000000)'].entries()) {
    const outcome = await world.coordinator.run(resultTask(sql, { files, queryId: `q${i + 1}` }))
    t.match(outcome.error, { error: 'file_changed' }, sql)
    t.equal(outcome.inline.length, 0)
    t.notOk(outcome.messages.some((message) => message.kind === 'taskStreaming'))
  }
  const nowhere = "SELECT * FROM read_parquet('/nowhere.parquet')"
  const missing = resultTask(nowhere, { files, queryId: 'q3' })
  t.match((await world.coordinator.run(missing)).error, { error: 'file_changed' })
})

t.test('a file that changes while the task runs fails it at the end', async (t) => {
  await using world = await World.start()
  await world.startExecutor()
  const path = join(world.root, 'f.parquet')
  await writeFile(path, 'as listed')
  const files = [await listed(world.root, ['f.parquet'])]
  const spec = resultTask('SELECT count(*) FROM range(300000000) t(i) WHERE i % 3 = 0', { files })
  const running = world.coordinator.run(spec)
  await world.coordinator.heard(spec, 'taskProgress')
  await writeFile(path, 'overwritten')
  const { error, inline } = await running
  t.match(error, { error: 'file_changed' })
  t.equal(inline.length, 0)
})
