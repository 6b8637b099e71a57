import { existsSync } from 'node:fs'
import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { silentLog } from '@nyala/client/base'
import type { MemberId } from '@nyala/client/protocol'
import {
  type BegunWrite,
  type Compare,
  Keys,
  type Owner,
  ReadFloor,
  readFloors,
  rememberDropped,
  rememberExpired,
  WriteLog,
} from '@nyala/metastore'
import { ManualClock, MemoryEtcd } from '@nyala/metastore/memory'
import t, { type Test } from 'tap'
import {
  ABORTED_GRACE_MS,
  OUTCOME_KEPT_MS,
  OWNER_GRACE_MS,
  READER_GRACE_MS,
  WriteJanitor,
} from './write-janitor.ts'

const c1: Owner = { id: 'c1' as MemberId, startedAt: 1 }
const c2: Owner = { id: 'c2' as MemberId, startedAt: 1 }
const WRITE = 'w0123456789abcdef01234567'
const OTHER = 'wfedcba987654321001234567'

async function begin(writeLog: WriteLog, location: string): Promise<BegunWrite> {
  const write = { id: WRITE, locations: [location], startedAt: 0 }
  const begun = await writeLog.begin(write, c1, { statementId: 's' })
  if (begun.kind !== 'begun') throw new Error('its statement was done before')
  return begun.write
}

async function openWorld(t: Test) {
  const dir = await mkdtemp(join(tmpdir(), 'nyala-test-'))
  t.teardown(() => rm(dir, { recursive: true, force: true }))
  const clock = new ManualClock()
  const kv = new MemoryEtcd(clock).connect()
  const keys = new Keys('test')
  const writeLog = new WriteLog({ kv, keys, clock })
  const state = {
    ...{ leads: true, isLiving: false, settled: 0 },
    expired: [] as string[],
    oldestRead: undefined as number | undefined,
  }
  const floor = await ReadFloor.open({ kv, keys, clock, owner: c2 })
  const elected = await kv.commitIf({
    compares: [],
    success: [{ kind: 'put', key: keys.leader, value: 'c2' }],
  })
  const fence = (): Compare => ({
    kind: 'createRevision',
    key: keys.leader,
    equals: elected.revision,
  })
  const janitor = new WriteJanitor({
    ...{ writeLog, clock, log: silentLog },
    writes: {
      settle: () => {
        state.settled++
        return Promise.resolve()
      },
    },
    leadership: () => (state.leads ? { fence } : undefined),
    isLiving: ({ id }) => id === c2.id || state.isLiving,
    reads: async () => ({
      floors: await readFloors({ kv, keys, clock }),
      oldestRead: state.oldestRead,
    }),
    removeExpired: (writes) => {
      state.expired.push(...writes.map(({ record }) => record.id))
      return Promise.resolve(1)
    },
  })
  const location = join(dir, 't')
  await mkdir(join(location, 'data'), { recursive: true })
  await mkdir(join(location, 'metadata'))
  const stage = async (): Promise<void> => {
    await writeFile(join(location, 'data', `${WRITE}-0-0-0-01234567.parquet`), 'x')
    await mkdir(join(location, 'data', `.${WRITE}-1-0`), { recursive: true })
    await writeFile(join(location, 'metadata', `snap-1-0-${WRITE}-01234567.avro`), 'x')
    await writeFile(join(location, 'data', `${OTHER}-0-0-0-01234567.parquet`), 'x')
  }
  const left = async (): Promise<readonly string[]> => [
    ...(await readdir(join(location, 'data'))),
    ...(await readdir(join(location, 'metadata'))),
  ]
  return { dir, clock, kv, keys, writeLog, state, janitor, floor, location, stage, left }
}

const KEPT = [`${OTHER}-0-0-0-01234567.parquet`]

t.test('what a coordinator that is gone has staged is removed, and nothing else', async (t) => {
  const { clock, writeLog, state, janitor, location, stage, left } = await openWorld(t)
  const write = await begin(writeLog, location)
  await stage()
  state.isLiving = true
  await janitor.sweep()
  await clock.advance(10 * OWNER_GRACE_MS)
  await janitor.sweep()
  t.equal((await left()).length, 4, 'its coordinator lives')
  state.isLiving = false
  await janitor.sweep()
  await clock.advance(OWNER_GRACE_MS - 1)
  await janitor.sweep()
  t.equal((await left()).length, 4, 'it may come back')
  await clock.advance(1)
  await janitor.sweep()
  t.same(await left(), KEPT)
  t.match(await writeLog.transactions(), [{ record: { kind: 'aborted', id: WRITE } }])
  const outcome = { fingerprint: 'f', write: WRITE, command: 'INSERT', rows: 1, notices: [] }
  const late = {
    ...{ writes: [write], compares: [], operations: [] },
    statements: [{ id: 's', outcome: { ...outcome, committedAt: 0 } }],
  }
  t.match(await writeLog.decide(late), { kind: 'aborted' })
  await stage()
  await janitor.sweep()
  await clock.advance(ABORTED_GRACE_MS)
  await janitor.sweep()
  t.same(await left(), KEPT, 'what an executor wrote when it woke goes too')
  t.same(await writeLog.transactions(), [])
})

t.test('only the leader removes, and a new one waits as long again', async (t) => {
  const { clock, writeLog, state, janitor, location, stage, left } = await openWorld(t)
  await begin(writeLog, location)
  await stage()
  await janitor.sweep()
  state.leads = false
  await clock.advance(OWNER_GRACE_MS)
  await janitor.sweep()
  t.equal(state.settled, 2, 'what it could not end itself it ends whether it leads or not')
  state.leads = true
  await janitor.sweep()
  t.equal((await left()).length, 4)
  await clock.advance(OWNER_GRACE_MS)
  await janitor.sweep()
  t.same(await left(), KEPT)
})

t.test('a leader that was deposed without knowing aborts nothing', async (t) => {
  const { clock, kv, keys, writeLog, janitor, location, stage, left } = await openWorld(t)
  await begin(writeLog, location)
  await stage()
  await janitor.sweep()
  await clock.advance(OWNER_GRACE_MS)
  await kv.commitIf({ compares: [], success: [{ kind: 'delete', key: keys.leader }] })
  await janitor.sweep()
  t.match(await writeLog.transactions(), [{ record: { kind: 'pending' } }])
  t.equal((await left()).length, 4)
})

t.test('the directory of a dropped table goes when nobody reads it', async (t) => {
  const { dir, kv, keys, writeLog, janitor, floor, location } = await openWorld(t)
  const own = join(dir, `t-${OTHER}`)
  await mkdir(join(own, 'data'), { recursive: true })
  const dropped = rememberDropped(keys, { id: WRITE, locations: [own, location], startedAt: 0 })
  const { revision } = await kv.commitIf({ compares: [], success: [dropped] })
  await janitor.sweep()
  await floor.raise(revision - 1)
  await janitor.sweep()
  t.ok(existsSync(own), 'a statement goes on that may have bound it')
  await floor.raise(revision)
  await janitor.sweep()
  t.notOk(existsSync(own))
  t.ok(existsSync(location), 'a directory that is not named as ours stays')
  t.same(await writeLog.transactions(), [])
})

t.test('outcomes of statements are kept for a quarter of an hour', async (t) => {
  const { clock, writeLog, janitor } = await openWorld(t)
  const committedAt = clock.wall()
  const outcome = { fingerprint: 'f', write: WRITE, command: 'INSERT', rows: 1, notices: [] }
  const statements = [{ id: 's', outcome: { ...outcome, committedAt } }]
  await writeLog.decide({ writes: [], statements, compares: [], operations: [] })
  await clock.advance(OUTCOME_KEPT_MS)
  await janitor.sweep()
  t.match(await writeLog.outcomeOf('s'), outcome)
  await clock.advance(OUTCOME_KEPT_MS)
  await janitor.sweep()
  t.equal(await writeLog.outcomeOf('s'), undefined)
})

t.test(
  'files of forgotten snapshots go when nobody reads them, those of older ones first',
  async (t) => {
    const { clock, kv, keys, writeLog, janitor, floor, state } = await openWorld(t)
    const before = { path: '/m', crc32: 1, bytes: 1 }
    const expired = (id: string) => rememberExpired(keys, { id, table: 'a', before, startedAt: 0 })
    await kv.commitIf({ compares: [], success: [expired('z')] })
    const { revision } = await kv.commitIf({ compares: [], success: [expired('b')] })
    const paused = await ReadFloor.open({ kv, keys, clock, owner: c1 })
    await paused.raise(revision - 1)
    await floor.raise(revision)
    await clock.advance(10 * READER_GRACE_MS)
    state.isLiving = true
    await janitor.sweep()
    t.same(state.expired, ['z'], 'however long ago, one reads what the second has forgotten')
    await paused.raise(revision)
    state.oldestRead = revision - 1
    await janitor.sweep()
    t.same(state.expired, ['z'], 'a query with a record goes on, whoever owns it')
    state.oldestRead = revision
    await kv.commitIf({ compares: [], success: [expired('c'), expired('a')] })
    await kv.commitIf({ compares: [], success: [expired('0')] })
    const all = await kv.commitIf({ compares: [], success: [] })
    for (const one of [floor, paused]) await one.raise(all.revision)
    state.oldestRead = undefined
    await janitor.sweep()
    t.same(state.expired.slice(1).toSorted(), ['0', 'a', 'b', 'c'])
    t.equal(state.expired[1], 'b')
    t.equal(state.expired.at(-1), '0')
    t.same(await writeLog.transactions(), [])
  },
)

t.test(
  'what a process reads that is gone is kept for ten minutes, and then nobody waits for it',
  async (t) => {
    const { clock, kv, keys, janitor, floor, state } = await openWorld(t)
    const before = { path: '/m', crc32: 1, bytes: 1 }
    const gone = await ReadFloor.open({ kv, keys, clock, owner: c1 })
    const expired = rememberExpired(keys, { id: WRITE, table: 'a', before, startedAt: 0 })
    const { revision } = await kv.commitIf({ compares: [], success: [expired] })
    await floor.raise(revision)
    await janitor.sweep()
    await clock.advance(READER_GRACE_MS - 1)
    await janitor.sweep()
    await janitor.sweep()
    t.same(state.expired, [])
    await clock.advance(1)
    await janitor.sweep()
    await janitor.sweep()
    t.same(state.expired, [WRITE])
    t.equal(await gone.raise(revision), false, 'it learns that it was taken for dead')
  },
)

t.test('where nobody says what is read, nothing that may be read is removed', async (t) => {
  const { kv, keys, janitor, floor, state } = await openWorld(t)
  const before = { path: '/m', crc32: 1, bytes: 1 }
  await floor.close()
  await kv.commitIf({
    compares: [],
    success: [rememberExpired(keys, { id: WRITE, table: 'a', before, startedAt: 0 })],
  })
  await janitor.sweep()
  t.same(state.expired, [])
})
