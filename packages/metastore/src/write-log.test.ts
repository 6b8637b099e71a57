import { silentLog, systemClock } from '@nyala/client/base'
import type { MemberId } from '@nyala/client/protocol'
import t, { type Test } from 'tap'
import { connectKv } from './etcd-kv.ts'
import { Keys } from './keys.ts'
import type { Compare, Operation } from './kv.ts'
import type { Owner } from './query-log.ts'
import { EtcdProcess } from './testing/etcd-process.ts'
import { inWorld } from './testing/world.ts'
import { type BegunWrite, type DecideRequest, WriteLog } from './write-log.ts'
import type { StatementRecord } from './write-records.ts'

const c1: Owner = { id: 'c1' as MemberId, startedAt: 1 }

async function begin(log: WriteLog, id: string): Promise<BegunWrite> {
  const statementId = `of ${id}`
  const begun = await log.begin({ id, locations: ['/w/t'], startedAt: 1 }, c1, { statementId })
  if (begun.kind !== 'begun') throw new Error('its statement was done before')
  return begun.write
}

const outcome = (write: string, rows = 1): StatementRecord => ({
  ...{ fingerprint: 'f', write, command: 'INSERT', rows, notices: [], committedAt: 5 },
})

/** Moves a key that stands for the head of a table. */
const move = (
  key: string,
  modRevision: number,
  value: string,
): { readonly compares: readonly Compare[]; readonly operations: readonly Operation[] } => ({
  compares: [{ kind: 'modRevision', key, equals: modRevision }],
  operations: [{ kind: 'put', key, value }],
})

const request = (
  write: BegunWrite,
  statementId: string,
  head: ReturnType<typeof move>,
): DecideRequest => ({
  writes: [write],
  statements: [{ id: statementId, outcome: outcome(write.record.id) }],
  ...head,
})

const HEAD = '/head'

/** What every store must give: run on the one in memory and on etcd. */
const CLAIMS: Readonly<Record<string, (t: Test, open: () => WriteLog) => Promise<void>>> = {
  'a decision moves the head, leaves the outcome and takes the record, at one revision': async (
    t,
    open,
  ) => {
    const log = open()
    const write = await begin(log, 'w1')
    const done = await log.decide(request(write, 's1', move(HEAD, 0, 'one')))
    t.match(done, { kind: 'committed', revision: Number })
    t.same(done, { kind: 'committed', revision: (await log.outcomeOf('s1'))?.revision })
    t.match(await log.outcomeOf('s1'), outcome('w1'))
    t.same(await log.transactions(), [])
    t.equal(await log.abort(write, 'too late'), false)
    t.same(
      await log.decide(request(write, 's1', move(HEAD, 0, 'one'))),
      done,
      'asked again, it answers the same',
    )
  },

  'a statement that is sent twice is done once, and both are told the same': async (t, open) => {
    const log = open()
    const [first, second] = [await begin(log, 'w1'), await begin(log, 'w2')]
    const done = await log.decide(request(first, 's2', move(`${HEAD}2`, 0, 'one')))
    t.equal(done.kind, 'committed')
    const again = await log.decide(request(second, 's2', move(`${HEAD}3`, 0, 'two')))
    t.match(again, { kind: 'repeated', done: [{ id: 's2', outcome: { write: 'w1' } }] })
    t.ok(await log.holds([{ kind: 'absent', key: `${HEAD}3` }]), 'nothing of the second was done')
    t.equal(await log.abort(second, 'its statement was done before'), true)
    t.match(await log.transactions(), [{ record: { kind: 'aborted', id: 'w2' } }])
  },

  'a head that has moved is told, and the write can be decided again': async (t, open) => {
    const log = open()
    const [first, second] = [await begin(log, 'w1'), await begin(log, 'w2')]
    const key = `${HEAD}4`
    const one = await log.decide(request(first, 's3', move(key, 0, 'one')))
    const two = await log.decide(request(second, 's4', move(key, 0, 'two')))
    if (one.kind !== 'committed') throw new Error(one.kind)
    t.same(two, { kind: 'moved', revision: one.revision })
    t.match(await log.decide(request(second, 's4', move(key, one.revision, 'two'))), {
      kind: 'committed',
    })
  },

  'a write that was aborted is not committed any more': async (t, open) => {
    const log = open()
    const write = await begin(log, 'w1')
    t.equal(await log.abort(write, 'its owner is gone'), true)
    t.equal(await log.abort(write, 'its owner is gone'), true, 'again, as after a lost reply')
    t.same(await log.decide(request(write, 's5', move(`${HEAD}5`, 0, 'one'))), {
      ...{ kind: 'aborted', writes: [write] },
    })
    t.equal(await log.outcomeOf('s5'), undefined)
    t.ok(await log.holds([{ kind: 'absent', key: `${HEAD}5` }]))
    const [aborted] = await log.transactions()
    if (aborted === undefined) throw new Error('no record')
    const deposed: Compare = { kind: 'createRevision', key: '/leader', equals: 7 }
    t.equal(await log.forget(aborted, [deposed]), false, 'not by one that does not lead')
    t.equal(await log.forget(aborted), true)
    t.equal(await log.forget(aborted), true)
    t.same(await log.transactions(), [])
  },

  'a request that comes late does not bring the record of a committed write back': async (
    t,
    open,
  ) => {
    const log = open()
    const write = { id: 'w1', locations: ['/w/t'], startedAt: 1 }
    const begun = await log.begin(write, c1, { statementId: 's7' })
    if (begun.kind !== 'begun') throw new Error('its statement was done before')
    await log.decide(request(begun.write, 's7', move(`${HEAD}7`, 0, 'one')))
    const late = await log.begin(write, c1, { statementId: 's7' })
    t.match(late, { kind: 'done', outcome: { write: 'w1' } })
    t.same(await log.transactions(), [])
  },

  'statements that are decided together are all done, or none of them is': async (t, open) => {
    const log = open()
    const [first, second] = [await begin(log, 'w1'), await begin(log, 'w2')]
    const head = move(`${HEAD}8`, 0, 'one')
    const both = {
      ...{ writes: [first, second], ...head },
      statements: [
        { id: 's8', outcome: outcome('w1') },
        { id: 's9', outcome: outcome('w2', 2) },
      ],
    }
    const other = [{ id: 's9', outcome: outcome('w3') }]
    t.match(await log.decide({ writes: [], statements: other, compares: [], operations: [] }), {
      kind: 'committed',
    })
    const repeated = await log.decide(both)
    t.match(repeated, { kind: 'repeated', done: [{ id: 's9', outcome: { write: 'w3' } }] })
    t.equal(await log.outcomeOf('s8'), undefined)
    const rest = { ...both, statements: both.statements.slice(0, 1) }
    t.equal(await log.abort(second, 'its statement was done before'), true)
    t.same(await log.decide(rest), { kind: 'aborted', writes: [second] })
    const alone = { ...rest, writes: [first] }
    const done = await log.decide(alone)
    t.equal(done.kind, 'committed')
    t.same(await log.decide(alone), done, 'asked again, it answers the same')
    t.match(await log.outcomeOf('s8'), outcome('w1'))
  },

  'outcomes of before are forgotten, later ones are not': async (t, open) => {
    const log = open()
    const statements = [{ id: 's6', outcome: outcome('w1') }]
    await log.decide({ writes: [], statements, compares: [], operations: [] })
    t.equal(await log.forgetOutcomes(5), 0)
    const deposed: Compare = { kind: 'createRevision', key: '/leader', equals: 7 }
    t.equal(await log.forgetOutcomes(6, [deposed]), 0)
    t.match(await log.outcomeOf('s6'), { write: 'w1' })
    t.ok((await log.forgetOutcomes(6)) > 0)
    t.equal(await log.outcomeOf('s6'), undefined)
    t.equal(await log.forgetOutcomes(6), 0)
  },

  'however many outcomes there are, all that are due are forgotten, page by page': async (
    t,
    open,
  ) => {
    const log = open()
    await log.forgetOutcomes(Infinity)
    const total = 2_100
    for (let first = 0; first < total; first += 50) {
      const statements = Array.from({ length: 50 }, (_, i) => {
        const committedAt = (first + i) % 3 === 0 ? 9 : 5
        const id = `p${String(first + i).padStart(5, '0')}`
        return { id, outcome: { ...outcome('w1'), committedAt } }
      })
      await log.decide({ writes: [], statements, compares: [], operations: [] })
    }
    t.equal(await log.forgetOutcomes(6), (2 * total) / 3)
    t.ok(await log.outcomeOf('p00000'))
    t.equal(await log.outcomeOf('p02098'), undefined)
    t.equal(await log.forgetOutcomes(Infinity), total / 3)
  },
}

for (const [claim, body] of Object.entries(CLAIMS)) {
  void inWorld(t, `in memory: ${claim}`, (t, world) =>
    body(t, () => new WriteLog(world.on(world.connect()))),
  )
}

void inWorld(
  t,
  'a lost reply, or a lost request, is resolved by the same write',
  async (t, world) => {
    for (const fate of ['loseReply', 'loseRequest'] as const) {
      const kv = world.connect()
      const log = new WriteLog(world.on(kv))
      const write = await begin(log, `w-${fate}`)
      let calls = 0
      kv.faults = {
        fate: (method) => (method === 'commitIf' && calls++ === 0 ? fate : 'pass'),
      }
      const key = `/head-${fate}`
      const done = await log.decide(request(write, `s-${fate}`, move(key, 0, 'one')))
      t.equal(done.kind, 'committed', fate)
      t.equal(calls, 2)
      if (done.kind !== 'committed') continue
      t.match(await kv.get(key), { item: { modRevision: done.revision, value: 'one' } })
    }
  },
)

t.test('on etcd', async (t) => {
  await using etcd = await EtcdProcess.start(process.env)
  const options = { endpoints: [etcd.endpoint], clock: systemClock, log: silentLog }
  await using kv = await connectKv(options)
  for (const [i, [claim, body]] of Object.entries(CLAIMS).entries()) {
    const on = { kv, keys: new Keys(`test${i}`), clock: systemClock }
    await t.test(claim, (t) => body(t, () => new WriteLog(on)))
  }
})
