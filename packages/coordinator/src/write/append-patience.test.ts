import type { SqlError } from '@nyala/client/protocol'
import { inWorld, sendToSilence, type Told, type World } from './testing/append-world.ts'
import { tableIn } from './testing/simulated-world.ts'

/** A client is told within so long. */
const TOLD_MS = 5_000

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
    const { send, answers, rows, writeLog } = world
    const { blocking, early, late } = await sendToSilence(world)
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
