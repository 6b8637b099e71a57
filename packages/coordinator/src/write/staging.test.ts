import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { removeAttempts, removeStaged, removeUncommitted } from './staging.ts'

const MINE = 'w0123456789abcdef01234567'
const OTHER = 'wfedcba987654321001234567'

const DATA = [
  `${MINE}-0-0-0-00000001.parquet`,
  `${MINE}-1-0-0-00000002.parquet`,
  `${MINE}-1-1-0-00000003.parquet`,
  `${OTHER}-0-0-0-00000004.parquet`,
]
const METADATA = [
  `00001-${MINE}-0-00000001.metadata.json`,
  `00002-${MINE}-1-00000001.metadata.json`,
  `00003-${OTHER}-0-00000001.metadata.json`,
  `${MINE}-m0-00000001.avro`,
  `${MINE}-merged-0-00000001.avro`,
  `${MINE}-merged-1-00000001.avro`,
  `snap-17-0-${MINE}-00000001.avro`,
  `snap-17-1-${MINE}-00000001.avro`,
]

async function stage(
  t: Test,
): Promise<{ location: string; left(part: string): Promise<string[]> }> {
  const location = await mkdtemp(join(tmpdir(), 'nyala-test-'))
  t.teardown(() => rm(location, { recursive: true, force: true }))
  for (const [part, names] of [
    ['data', DATA],
    ['metadata', METADATA],
  ] as const) {
    await mkdir(join(location, part))
    for (const name of names) await writeFile(join(location, part, name), 'x')
  }
  await mkdir(join(location, 'data', `.${MINE}-2-0`))
  return { location, left: async (part) => (await readdir(join(location, part))).toSorted() }
}

t.test('of a write that was aborted everything goes, of others nothing', async (t) => {
  const { location, left } = await stage(t)
  await removeStaged(location, MINE)
  t.same(await left('data'), [`${OTHER}-0-0-0-00000004.parquet`])
  t.same(await left('metadata'), [`00003-${OTHER}-0-00000001.metadata.json`])
  await removeStaged(location, MINE)
  await removeStaged(join(location, 'nowhere'), MINE)
})

t.test('of commits that were tried the last one keeps its metadata', async (t) => {
  const { location, left } = await stage(t)
  await removeAttempts(location, MINE, 1)
  t.same(await left('metadata'), [
    `00002-${MINE}-1-00000001.metadata.json`,
    `00003-${OTHER}-0-00000001.metadata.json`,
    `snap-17-1-${MINE}-00000001.avro`,
    `${MINE}-m0-00000001.avro`,
    `${MINE}-merged-1-00000001.avro`,
  ])
  t.equal((await left('data')).length, DATA.length + 1)
})

t.test('of attempts of tasks those stay that were committed', async (t) => {
  const { location, left } = await stage(t)
  const committed = [`${MINE}-0-0-0-00000001.parquet`, `${MINE}-1-1-0-00000003.parquet`]
  await removeUncommitted(
    location,
    MINE,
    committed.map((name) => `/elsewhere/${name}`),
  )
  t.same(await left('data'), [...committed, `${OTHER}-0-0-0-00000004.parquet`])
  t.equal((await left('metadata')).length, METADATA.length)
})
