import { silentLog } from '@nyala/client/base'
import type { MemberId, SqlError } from '@nyala/client/protocol'
import { Catalog, Keys, openCluster, WriteLog } from '@nyala/metastore'
import { createRelation, type Fate, ManualClock, MemoryEtcd } from '@nyala/metastore/memory'
import t, { type Test } from 'tap'
import { AppendQueue } from './append-queue.ts'
import { Committer } from './committer.ts'
import type { StagedFiles } from './staging.ts'
import { tableIn, tableOf, wordsOf } from './testing/simulated-world.ts'
import { WriteRuns } from './write-run.ts'

/** A client is told within so long. */
const TOLD_MS = 5_000

const NO_FILES: StagedFiles = {
  removeAll: () => Promise.resolve(),
  removeAttempts: () => Promise.resolve(),
  removeUncommitted: () => Promise.resolve(),
}

interface Told {
  readonly tookMs: number
  readonly how: string
}

/** A queue over a store that can fall silent: then calls take their time, and nobody knows whether commits were done. */
async function openWorld(clock: ManualClock) {
  const etcd = new MemoryEtcd(clock)
  const keys = new Keys('test')
  const log = silentLog
  await openCluster({ kv: etcd.connect(), keys, clock })
  const catalog = await Catalog.open({ kv: etcd.connect(), keys, clock, log })
  await createRelation(catalog, tableOf('t0'))
  const kv = etcd.connect()
  const writeLog = new WriteLog({ kv, keys, clock })
  const owner = { id: 'c1' as MemberId, startedAt: 1 }
  const parts = { catalog, writeLog, decisions: writeLog, keys, clock, random: () => 0 }
  const liveFiles = (): Promise<readonly []> => Promise.resolve([])
  const committer = new Committer({ ...parts, liveFiles })
  const writes = new WriteRuns({ ...parts, committer, log, owner, warehouse: '/', files: NO_FILES })
  let made = 0
  const queue = new AppendQueue(tableIn(catalog.snapshot(), 't0'), {
    ...{ ...parts, owner, writes, onIdle: () => undefined, newWriteId: () => `w${++made}` },
    encode: (_, texts) =>
      Promise.resolve({
        stage: (current) => {
          const rows = texts.flatMap((text) => text.rows)
          const comment = [...wordsOf(current), ...rows].join(' ')
          const record = { ...current, comment, snapshotId: current.snapshotId + 1 }
          return Promise.resolve({ record, forgets: false })
        },
        dropAttempt: () => Promise.resolve(),
      }),
  })
  const send = async (id: string): Promise<Told> => {
    const began = clock.now()
    const how = await queue
      .append({
        identity: { id, fingerprint: id },
        text: { rows: [id], timeZone: 'UTC' },
        ...{ schemaVersion: 1, notices: [], commit: { begun: false } },
        ...{ signal: new AbortController().signal, patience: writeLog.patience() },
      })
      .then(
        (end) => end.kind,
        (error: unknown) => (error as SqlError).error,
      )
    return { tookMs: clock.now() - began, how }
  }
  const silent = (fate: Fate = 'loseRequest'): void => {
    kv.faults = { latencyMs: () => 60_000, fate: () => fate }
  }
  const slow = (): void => {
    kv.faults = { latencyMs: () => 900 }
  }
  const answers = (): void => {
    kv.faults = {}
  }
  const rows = (): readonly string[] => wordsOf(tableIn(catalog.snapshot(), 't0'))
  return { queue, send, silent, slow, answers, rows, writeLog, catalog, committer, clock, writes }
}

type World = Awaited<ReturnType<typeof openWorld>>

async function inWorld(claim: string, body: (t: Test, world: World) => Promise<void>) {
  await t.test(claim, (test) => {
    const clock = new ManualClock()
    return clock.run(
      (async () => {
        const world = await openWorld(clock)
        await body(test, world)
        await world.queue.close()
        await world.catalog.close()
      })(),
    )
  })
}

/** One after the other, so far apart. */
async function sendAll(
  { send, clock }: World,
  ids: readonly string[],
  apartMs: number,
): Promise<readonly Told[]> {
  const all: Promise<Told>[] = []
  for (const id of ids) {
    all.push(send(id))
    await clock.sleep(apartMs)
  }
  return Promise.all(all)
}

const IDS = Array.from({ length: 24 }, (_, i) => `a${i}`)

await inWorld(
  'an append is told within 5 s of being sent, however many wait while the store is silent',
  async (t, world) => {
    for (const isWarm of [false, true]) {
      if (isWarm) t.equal((await world.send('first')).how, 'done')
      world.silent()
      const told = await sendAll(world, IDS, 700)
      for (const [i, { tookMs }] of told.entries()) {
        t.ok(tookMs <= TOLD_MS, `${IDS[i]} was told after ${tookMs} ms`)
      }
      const ends = new Set(told.map(({ how }) => how))
      t.strictSame(
        [...ends].toSorted(),
        isWarm ? ['commit_outcome_unknown', 'metastore_unavailable'] : ['metastore_unavailable'],
        'without a record nothing is decided; with one begun ahead the first is unknown',
      )
      world.answers()
      await world.clock.sleep(10_000)
    }
    const told = await sendAll(world, IDS, 10)
    t.strictSame(new Set(told.map(({ how }) => how)), new Set(['done']), 'nobody is denied after')
  },
)

await inWorld(
  'who was told that nothing was written is not in the commit that goes on',
  async (t, world) => {
    const { send, silent, answers, rows, clock, writeLog } = world
    silent()
    const blocking = send('blocking')
    await clock.sleep(1_000)
    const early = send('early')
    await clock.sleep(3_000)
    const late = send('late')
    t.equal((await blocking).how, 'metastore_unavailable')
    const { how, tookMs } = await early
    t.equal(how, 'metastore_unavailable')
    t.ok(tookMs <= TOLD_MS, `${tookMs} ms`)
    t.strictSame(rows(), [])
    answers()
    t.equal((await late).how, 'done', 'it had patience left')
    t.strictSame(rows(), ['late'])
    t.equal(await writeLog.outcomeOf('early'), undefined)
    t.equal((await send('early')).how, 'done', 'it may be sent again')
    t.strictSame(rows(), ['late', 'early'])
  },
)

await inWorld(
  'who is being committed when its patience ends is told that nobody knows, and may be asked for again',
  async (t, world) => {
    const { send, silent, answers, clock, rows } = world
    t.equal((await send('warm')).how, 'done')
    silent('loseReply')
    const [first, other] = [send('one'), send('two')]
    for (const { how, tookMs } of [await first, await other]) {
      t.equal(how, 'commit_outcome_unknown')
      t.ok(tookMs <= TOLD_MS, `${tookMs} ms`)
    }
    answers()
    await clock.sleep(1_000)
    t.equal((await send('one')).how, 'repeated', 'its commit went through, and nobody heard')
    t.strictSame(rows(), ['warm', 'one', 'two'])
  },
)

await inWorld('a queue that gets on slowly denies nobody', async (t, world) => {
  world.slow()
  // Each copy of a statement waits for the one before it, the last ones for longer than silence is borne.
  const told = await Promise.all(Array.from({ length: 10 }, () => world.send('same')))
  t.equal(told.filter(({ how }) => how === 'done').length, 1)
  t.equal(told.filter(({ how }) => how === 'repeated').length, 9)
  t.ok(Math.max(...told.map(({ tookMs }) => tookMs)) > TOLD_MS, 'or nothing is shown')
  t.strictSame(world.rows(), ['same'])
})

await inWorld(
  'a commit whose turn does not come in time is told so, and not sent later',
  async (t, world) => {
    const { committer, writeLog, silent, answers, clock, catalog } = world
    const base = tableIn(catalog.snapshot(), 't0')
    const sent: string[] = []
    const update = async (id: string): Promise<Told> => {
      const began = clock.now()
      const how = await committer
        .update(
          {
            base,
            change: { kind: 'append' },
            apply: async (current) => {
              sent.push(id)
              // A disk that hangs holds up everybody behind it.
              if (id === 'u0') await clock.sleep(7_000)
              return { record: { ...current, comment: id }, forgets: false }
            },
          },
          {
            ...{ statement: { id, fingerprint: id }, writeId: id, patience: writeLog.patience() },
            outcome: { command: 'INSERT', rows: 1, notices: [] },
          },
        )
        .then(
          () => 'done',
          (error: unknown) => (error as SqlError).error,
        )
      return { tookMs: clock.now() - began, how }
    }
    silent()
    const all: Promise<Told>[] = []
    for (let i = 0; i < 12; i++) {
      all.push(update(`u${i}`))
      await clock.sleep(500)
    }
    const [first, ...others] = await Promise.all(all)
    t.ok((first?.tookMs ?? 0) > 7_000, 'its disk, not the store, took its time')
    for (const { how, tookMs } of others) {
      t.ok(tookMs <= TOLD_MS, `${how} after ${tookMs} ms`)
    }
    t.equal(others[0]?.how, 'metastore_unavailable')
    t.ok(!sent.includes('u1'), 'it waited behind the first until its patience was over')
    answers()
    const before = sent.length
    t.equal((await update('after')).how, 'done')
    t.equal(sent.length, before + 1, 'nobody who has left takes a turn')
  },
)
